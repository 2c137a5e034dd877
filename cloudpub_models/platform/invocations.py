"""``managers.function_invocations``: calls of functions, recorded, counted, and thrown away when they are old.

The SQL of the statistics and what their numbers mean is in ``statistics``; what an hour or a day is, in ``periods``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from cloudpub_models.connection import Database
from cloudpub_models.errors import ForeignKeyViolationError
from cloudpub_models.manager.scope import Scope
from cloudpub_models.manager.sending import send_query
from cloudpub_models.models import Function, FunctionInvocation
from cloudpub_models.platform import statistics
from cloudpub_models.platform.periods import Buckets, TimeZone, last_days, last_hours, moment, time_zone
from cloudpub_models.platform.pruning import PrunedManager
from cloudpub_models.platform.references import FunctionReference, OwnerReference, function_key, no_row, owner_key
from cloudpub_models.platform.statistics import FunctionStats, InvocationBucket, UserOverview

if TYPE_CHECKING:
    from cloudpub_models.platform.row_types import FunctionInvocationChanges, FunctionInvocationData  # noqa: F401 - named by the class
    from cloudpub_models.platform.where_types import FunctionInvocationConditions  # noqa: F401 - named by the class

_MONTH: Final = timedelta(days=30)


class FunctionInvocationManager(
    PrunedManager[
        FunctionInvocation, "FunctionInvocationData", "FunctionInvocationChanges", "FunctionInvocationConditions"
    ]
):
    """The operations on ``function_invocations``.

    Functions, and users as their owners, are given as instances, by their public UUIDs or by their internal ids. An id
    that no row has is that of one without invocations.
    """

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
        parameters = {"since": moment(since, "since")}
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
        parameters = {"user": owner_key(user, self), "since": moment(since, "since")}
        return statistics.user_overview(self._rows_of(statistics.USER_OVERVIEW, parameters)[0])

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
        statement = statistics.series_statement(self.database.engine.sql_dialect)
        return statistics.series(self._rows_of_function(function, statement, buckets.parameters), buckets)

    def _user_series(self, user: OwnerReference, buckets: Buckets) -> list[InvocationBucket]:
        parameters = {"user": owner_key(user, self), **buckets.parameters}
        statement = statistics.user_series_statement(self.database.engine.sql_dialect)
        return statistics.series(self._rows_of(statement, parameters), buckets)

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
