"""``managers.function_invocations``: calls of functions, recorded, counted, and thrown away when they are old.

The SQL of the statistics and what their numbers mean is in ``statistics``; what an hour or a day is, in ``periods``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final

from cloudpub_models.connection import Database
from cloudpub_models.connection.row_security import ToldDatabase
from cloudpub_models.errors import ForeignKeyViolationError, InvalidValueError
from cloudpub_models.manager.scope import Scope
from cloudpub_models.manager.sending import send_query
from cloudpub_models.models import Function, FunctionInvocation
from cloudpub_models.platform import statistics
from cloudpub_models.platform.periods import Buckets, TimeZone, last_days, last_hours, moment, time_zone
from cloudpub_models.platform.pruning import PrunedManager
from cloudpub_models.platform.references import FunctionReference, OwnerReference, function_key, no_row, owner_key
from cloudpub_models.platform.rollups import counting, reading
from cloudpub_models.platform.rollups.switching import switch_off, switch_on
from cloudpub_models.platform.statistics import FunctionStats, InvocationBucket, UserOverview
from cloudpub_models.sql.identifiers import shown

if TYPE_CHECKING:
    from cloudpub_models.platform.row_types import FunctionInvocationChanges, FunctionInvocationData  # noqa: F401 - named by the class
    from cloudpub_models.platform.where_types import FunctionInvocationConditions  # noqa: F401 - named by the class

_MONTH: Final = timedelta(days=30)
_PRUNING_WAIT_SECONDS: Final = 30.0


class FunctionInvocationManager(
    PrunedManager[
        FunctionInvocation, "FunctionInvocationData", "FunctionInvocationChanges", "FunctionInvocationConditions"
    ]
):
    """The operations on ``function_invocations``.

    Functions, and users as their owners, are given as instances, by their public UUIDs or by their internal ids. An id
    that no row has is that of one without invocations.
    """

    # Those of rollups, which are counted before.
    _triggers_told: ClassVar[frozenset[str]] = frozenset({"function_invocation_rollups_delete"})

    def __init__(self, database: Database | None = None, *, scope: Scope | None = None) -> None:
        super().__init__(FunctionInvocation, database, scope=scope)

    def record(
        self, function: FunctionReference, status: str, duration_ms: int | None, error: str | None = None
    ) -> FunctionInvocation:
        """Record that a function was called just now.

        For many at once, or with times of their own, there is ``batch_insert``.

        Args:
            function: the function.
            status: how it ended: ``success``, or anything else for a failure; at most 50 characters.
            duration_ms: how long it took, in whole milliseconds; ``None`` where that is not known.
            error: what went wrong.

        Returns:
            the invocation.

        Raises:
            NotFoundError: the function does not exist (any more).
            InvalidValueError: a value does not fit its column.

        >>> managers.function_invocations.record(resize, "success", 120)
        <FunctionInvocation id=1 uuid=... status='success' duration_ms=120>

        ``INSERT INTO function_invocations (function_id, status, duration_ms, error, uuid) VALUES (…) RETURNING id, …``
        """
        key = function_key(function, self)
        try:
            return self.insert({"function_id": key, "status": status, "duration_ms": duration_ms, "error": error})
        except ForeignKeyViolationError as violation:
            raise no_row(Function, function, key) from violation

    def get_function_stats(self, function_id: FunctionReference, since: timedelta | datetime = _MONTH) -> FunctionStats:
        """Return how a function's invocations went, in one statement.

        Args:
            function_id: the function.
            since: from when on invocations count, an aware datetime; or a timedelta, how long ago that is.

        Returns:
            the numbers; without invocations zeros and ``None``.

        Raises:
            InvalidValueError: ``since`` is naive, negative, or neither a datetime nor a timedelta.

        >>> from cloudpub_models import Database, Managers
        >>> shop = Database("sqlite:///:memory:")
        >>> _ = shop.migrate()
        >>> managers = Managers(shop)
        >>> ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
        >>> resize = managers.functions.insert({"user_id": ada.id, "name": "resize"})
        >>> for duration in (10, 20, 60):
        ...     _ = managers.function_invocations.record(resize, "success", duration)
        >>> stats = managers.function_invocations.get_function_stats(resize)
        >>> stats.total, stats.success_rate, stats.average, stats.p50
        (3, 1.0, 30.0, 20.0)
        >>> shop.close()

        ``SELECT duration_ms, COUNT(*) AS total, … FROM function_invocations WHERE function_id = @function AND
        timestamp >= @since GROUP BY duration_ms``
        """
        begin = moment(since, "since")
        if self._reads_rollups():
            query = reading.spread_since(self.database.engine.sql_dialect, begin)
            parts = self._rows_of_function(function_id, *query)
            return statistics.stats_of_parts(parts, reading.durations_in(self.database, parts))
        parameters = {"since": begin}
        return statistics.function_stats(self._rows_of_function(function_id, statistics.FUNCTION_STATS, parameters))

    def get_hourly_stats(
        self,
        function_id: FunctionReference,
        hours: int = 24,
        *,
        until: datetime | None = None,
        timezone: TimeZone = None,
    ) -> list[InvocationBucket]:
        """Return how a function's invocations went in each of the last hours, in one statement.

        Args:
            function_id: the function.
            hours: how many hours, the current one included.
            until: an aware datetime to count the hours back from; the current time when left out. What happened at
                that moment or later belongs to the hours only as far as the last one, which is a whole one, reaches.
            timezone: an IANA name such as ``"Asia/Kolkata"``, or a tzinfo, by whose clock hours begin; UTC when left
                out. An hour that a clock shows twice is two.

        Returns:
            a bucket for each hour, the oldest first; with zeros where nothing was recorded.

        Raises:
            InvalidQueryError: ``hours`` is not an integer from 1 to 100,000.
            InvalidValueError: there is no such time zone; ``until`` is naive.

        >>> _ = managers.function_invocations.record(resize, "success", 120)
        >>> [hour.total for hour in managers.function_invocations.get_hourly_stats(resize, 3)]
        [0, 0, 1]

        ``SELECT … AS slot, COUNT(*) AS total, … FROM function_invocations WHERE function_id = @function
        AND timestamp >= @begin AND timestamp < @end GROUP BY 1``
        """
        return self._series(function_id, last_hours(hours, _end(until), time_zone(timezone)))

    def get_daily_stats(
        self,
        function_id: FunctionReference,
        days: int = 30,
        *,
        until: datetime | None = None,
        timezone: TimeZone = None,
    ) -> list[InvocationBucket]:
        """Return how a function's invocations went on each of the last days, in one statement.

        Args:
            function_id: the function.
            days: how many days, the current one included.
            until: an aware datetime to count the days back from, as for ``get_hourly_stats``.
            timezone: an IANA name such as ``"Europe/Berlin"``, or a tzinfo, in which days begin at midnight; UTC when
                left out. A day on which the clock is put forward or back has 23 or 25 hours.

        Returns:
            a bucket for each day, the oldest first; with zeros where nothing was recorded.

        Raises:
            InvalidQueryError: ``days`` is not an integer from 1 to 100,000.
            InvalidValueError: there is no such time zone; ``until`` is naive.

        >>> _ = managers.function_invocations.record(resize, "failed", 120)
        >>> managers.function_invocations.get_daily_stats(resize, 7)[-1].failed
        1

        As ``get_hourly_stats``
        """
        return self._series(function_id, last_days(days, _end(until), time_zone(timezone)))

    def get_user_overview(self, user: OwnerReference, since: timedelta | datetime = _MONTH) -> UserOverview:
        """Return how many functions a user has and how their invocations went, in one statement.

        Args:
            user: the owner of the functions.
            since: from when on invocations count, as for ``get_function_stats``.

        Returns:
            the numbers; without functions or invocations zeros and ``None``.

        Raises:
            InvalidValueError: ``since`` is naive, negative, or neither a datetime nor a timedelta.

        >>> managers.function_invocations.get_user_overview(ada).functions
        1

        ``WITH owned AS (SELECT id, status FROM functions WHERE user_id = @user) SELECT COUNT(*) AS total, … FROM
        function_invocations WHERE function_id IN (SELECT id FROM owned) AND timestamp >= @since``
        """
        key, begin = owner_key(user, self), moment(since, "since")
        sql, parameters = statistics.USER_OVERVIEW, {"since": begin}
        if self._reads_rollups():
            sql, parameters = reading.overview_since(self.database.engine.sql_dialect, begin)
        return statistics.user_overview(self._rows_of(sql, {"user": key, **parameters})[0])

    def get_user_hourly_stats(
        self,
        user: OwnerReference,
        hours: int = 24,
        *,
        until: datetime | None = None,
        timezone: TimeZone = None,
    ) -> list[InvocationBucket]:
        """Return how the invocations of all of a user's functions went in each of the last hours, in one statement.

        Args:
            user: the owner of the functions.
            hours: how many hours, the current one included.
            until: an aware datetime to count the hours back from, as for ``get_hourly_stats``.
            timezone: by whose clock hours begin, as for ``get_hourly_stats``.

        Returns:
            a bucket for each hour, the oldest first; with zeros where nothing was recorded.

        Raises:
            InvalidQueryError: ``hours`` is not an integer from 1 to 100,000.
            InvalidValueError: there is no such time zone; ``until`` is naive.

        >>> _ = managers.function_invocations.record(resize, "success", 120)
        >>> [hour.total for hour in managers.function_invocations.get_user_hourly_stats(ada, 3)]
        [0, 0, 1]

        ``SELECT … AS slot, COUNT(*) AS total, … FROM function_invocations WHERE function_id IN (SELECT id FROM
        functions WHERE user_id = @user) AND timestamp >= @begin AND timestamp < @end GROUP BY 1``
        """
        return self._user_series(user, last_hours(hours, _end(until), time_zone(timezone)))

    def get_user_daily_stats(
        self,
        user: OwnerReference,
        days: int = 30,
        *,
        until: datetime | None = None,
        timezone: TimeZone = None,
    ) -> list[InvocationBucket]:
        """Return how the invocations of all of a user's functions went on each of the last days, in one statement.

        Args:
            user: the owner of the functions.
            days: how many days, the current one included.
            until: an aware datetime to count the days back from, as for ``get_hourly_stats``.
            timezone: in which days begin at midnight, as for ``get_daily_stats``.

        Returns:
            a bucket for each day, the oldest first; with zeros where nothing was recorded.

        Raises:
            InvalidQueryError: ``days`` is not an integer from 1 to 100,000.
            InvalidValueError: there is no such time zone; ``until`` is naive.

        >>> _ = managers.function_invocations.record(resize, "failed", 120)
        >>> managers.function_invocations.get_user_daily_stats(ada, 7)[-1].failed
        1

        As ``get_user_hourly_stats``
        """
        return self._user_series(user, last_days(days, _end(until), time_zone(timezone)))

    def get_last_invocations(self, user: OwnerReference) -> dict[int, FunctionInvocation]:
        """Return the last invocation of each of a user's functions, in one statement.

        Args:
            user: the owner of the functions.

        Returns:
            the invocations by the internal ids of their functions, the latest first; a function that was never
            invoked is not among them.

        >>> last = managers.function_invocations.record(resize, "success", 120)
        >>> managers.function_invocations.get_last_invocations(ada) == {resize.id: last}
        True

        ``SELECT id, … FROM function_invocations WHERE id IN (SELECT (SELECT … ORDER BY timestamp DESC, id DESC LIMIT 1)
        FROM functions WHERE user_id = @user) ORDER BY timestamp DESC, id DESC``
        """
        among = FunctionInvocation.alias()
        last = (
            among.select(among.id)
            .where(among.function == Function.id)
            .order_by(among.timestamp.desc(), among.id.desc())
            .limit(1)
        )
        lasts = Function.select(last).where(Function.user == owner_key(user, self))
        found = self.find_all(FunctionInvocation.id.in_(lasts), order_by=("-timestamp", "-id"))
        return {invocation.function_id: invocation for invocation in found}

    def _series(self, function: FunctionReference, buckets: Buckets) -> list[InvocationBucket]:
        dialect = self.database.engine.sql_dialect
        query = statistics.series_statement(dialect), buckets.parameters
        if self._reads_rollups(buckets):
            query = reading.sums(dialect, reading.OF_FUNCTION, buckets)
        return statistics.series(self._rows_of_function(function, *query), buckets)

    def _user_series(self, user: OwnerReference, buckets: Buckets) -> list[InvocationBucket]:
        dialect, key = self.database.engine.sql_dialect, owner_key(user, self)
        query = statistics.user_series_statement(dialect), buckets.parameters
        if self._reads_rollups(buckets):
            query = reading.sums(dialect, reading.OF_USER, buckets)
        sql, parameters = query
        return statistics.series(self._rows_of(sql, {"user": key, **parameters}), buckets)

    # Rollups

    def rollup(self, until: timedelta | datetime | None = None, *, wait: float = 30) -> datetime:
        """Count the whole hours before a moment, and again those whose rows have changed since they were counted.

        Statistics are right at any time, whenever this was called last: it makes them take less long. Others go on
        writing meanwhile.

        Args:
            until: an aware datetime, or a timedelta, how long ago that is; the current time when left out.
            wait: for how many seconds to wait for transactions that were writing when the call began.

        Returns:
            up to when invocations are counted now, as an aware datetime.

        Raises:
            ConfigurationError: rollups are not on.
            InvalidValueError: ``until`` is naive, still to come, or neither a datetime nor a timedelta; ``wait`` is no
                number of seconds.
            InvalidQueryError: this thread has a transaction open.
            LockNotAvailableError: a transaction went on writing for longer; the message says whose it is.

        >>> managers.function_invocations.enable_rollups()
        True
        >>> counted_until = managers.function_invocations.rollup()
        >>> datetime.now(UTC) - counted_until < timedelta(hours=2)
        True
        """
        self._refuse("rollup()")
        now = datetime.now(UTC)
        moment_until = now if until is None else moment(until, "until", now=now)
        if moment_until > now:
            raise InvalidValueError(
                f"expected until to be a moment that has been; got {moment_until:%Y-%m-%d %H:%M:%S} UTC: leave it out "
                "for the current time"
            )
        if isinstance(wait, bool) or not isinstance(wait, int | float) or not 0 <= wait < 10**7:
            raise InvalidValueError(f"expected a number of seconds to wait; got {shown(wait)}")
        return counting.count(self._all_of_it, moment_until, wait=wait).counted_until

    def enable_rollups(self) -> bool:
        """Have the database keep rollups of invocations from now on, which ``rollup`` counts.

        It makes tables and triggers, in one transaction under the migrators' lock. Programs that are opened with
        ``Database(rollups=True)`` read them. Where triggers are gone it makes them anew, and has all be counted again.

        Returns:
            whether there was anything to do.

        Raises:
            ConfigurationError: the tables of the platform are missing, or the database's user may not make triggers.
            MigrationError: another migrator is at work, or this thread has a transaction open.

        >>> managers.function_invocations.enable_rollups()
        True
        """
        self._refuse("enable_rollups()")
        return switch_on(self._all_of_it)

    def disable_rollups(self) -> bool:
        """Take rollups away, and with them the statistics of hours whose invocations are pruned.

        Returns:
            whether there were any.

        Raises:
            ConfigurationError: the database's user may not.
            MigrationError: another migrator is at work, or this thread has a transaction open.

        >>> managers.function_invocations.disable_rollups()
        False
        """
        self._refuse("disable_rollups()")
        return switch_off(self._all_of_it)

    def _reads_rollups(self, buckets: Buckets | None = None) -> bool:
        """Return whether statistics, or a series of buckets, are read from rollups."""
        if not self.database.reads_rollups or not (buckets is None or reading.fits(buckets)):
            return False
        return reading.are_there(self._all_of_it)

    @property
    def _all_of_it(self) -> Database:
        return self.database.present if isinstance(self.database, ToldDatabase) else self.database

    def _pruned_before(self, cutoff: datetime) -> datetime:
        """Return before when rows may go: where there are rollups, those of whole hours, which are counted first."""
        database = self._all_of_it
        if self.scope is None:
            self._refuse("prune()")
        if not counting.is_on(database):
            return cutoff
        self._refuse("prune()")
        hour = counting.hour_of(min(cutoff, datetime.now(UTC)))
        if hour > counting.state_of(database).kept_since:
            counting.count(database, hour, hour, wait=_PRUNING_WAIT_SECONDS)
        return hour

    def _rows_of_function(
        self, function: FunctionReference, sql: str, parameters: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        key = function_key(function, self)
        if self.scope is None:
            self._refuse("statistics")
        elif not self._related(Function).keys_there("id", [key]):
            return []
        return send_query(self.database, sql, {"function": key, **parameters})

    def _rows_of(self, sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        self._refuse("statistics")
        return send_query(self.database, sql, parameters)


def _end(until: datetime | None) -> datetime:
    return datetime.now(UTC) if until is None else moment(until, "until")
