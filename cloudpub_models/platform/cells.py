"""The managers of logs and invocations on several servers, and of their functions; the way there is in ``cells``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import peewee

from cloudpub_models.cells.at_once import Question, ask_at_once
from cloudpub_models.cells.cells import Cells
from cloudpub_models.cells.related import RelatedElsewhere
from cloudpub_models.cells.routed import Part
from cloudpub_models.cells.scattered import Scattered
from cloudpub_models.connection import Database
from cloudpub_models.entity.partitioned import partition_column
from cloudpub_models.errors import LockNotAvailableError
from cloudpub_models.manager.arguments.conditions import Filter, all_of
from cloudpub_models.manager.related import RelatedRows
from cloudpub_models.manager.scope import Scope
from cloudpub_models.manager.sending import send_query
from cloudpub_models.manager.statements.results import CursorPage
from cloudpub_models.manager.writing import Changes, Data
from cloudpub_models.models import FunctionInvocation, FunctionLog
from cloudpub_models.platform import statistics
from cloudpub_models.platform.functions import FunctionManager
from cloudpub_models.platform.invocations import FunctionInvocationManager
from cloudpub_models.platform.logs import FunctionLogManager
from cloudpub_models.platform.periods import Buckets, TimeZone, moment
from cloudpub_models.platform.pruning import PrunedManager
from cloudpub_models.platform.references import FunctionReference, OwnerReference, function_key, owner_key
from cloudpub_models.platform.rollups import reading
from cloudpub_models.platform.statistics import FunctionStats, InvocationBucket, UserOverview
from cloudpub_models.sql import operators
from cloudpub_models.sql.search import SearchQuery
from cloudpub_models.sql.values import check_count

if TYPE_CHECKING:
    from cloudpub_models.platform.row_types import (  # noqa: F401 - named by the classes
        FunctionInvocationChanges,
        FunctionInvocationData,
        FunctionLogChanges,
        FunctionLogData,
    )
    from cloudpub_models.platform.where_types import (  # noqa: F401 - named by the classes
        FunctionInvocationConditions,
        FunctionLogConditions,
    )

M = TypeVar("M", bound=peewee.Model)

_MONTH = timedelta(days=30)


class ScatteredPruned(
    Scattered[M, Data, Changes, Filter], PrunedManager[M, Data, Changes, Filter], Generic[M, Data, Changes, Filter]
):
    """Throws old rows away, wherever they are."""

    def prune(
        self,
        older_than: datetime | timedelta,
        batch_size: int = 1000,
        *,
        progress: Callable[[int], object] | None = None,
    ) -> int:
        self._require_no_transaction("prune()")
        check_count(batch_size, "batch_size", smallest=1)
        cutoff, deleted = moment(older_than, "older_than"), 0

        def prune_parts(parts: list[Part]) -> None:
            for part in parts:
                before = deleted

                def told(number: int, before: int = before) -> None:
                    # Also where it is refused later on, and done again by another map.
                    nonlocal deleted
                    deleted = before + number
                    if progress is not None:
                        progress(deleted)

                # What rollups count of it first takes its time, and needs no map.
                before_then = cast("PrunedManager[Any, Any, Any, Any]", part.manager)._pruned_before(cutoff)
                # What partitions have of buckets that are to be read elsewhere would be counted, too.
                prune = _prune_all if part.is_whole else _prune_some
                part.ask(partial(prune, cutoff=before_then, batch_size=batch_size, progress=told))

        self._change(None, prune_parts)
        return deleted

    @property
    def _is_partitioned(self) -> bool:
        return False


class ScatteredLogs(
    ScatteredPruned[FunctionLog, "FunctionLogData", "FunctionLogChanges", "FunctionLogConditions"], FunctionLogManager
):
    """The operations on ``function_logs``, on several servers.

    Args:
        cells: which of them has what.
        scope: whose rows; all of them, where those have been asked for.
    """

    def __init__(self, cells: Cells, *, scope: Scope | None = None) -> None:
        FunctionLogManager.__init__(self, cells.database, scope=scope)
        self.cells = cells

    def _manager_on(self, server: Database, scope: Scope | None = None) -> FunctionLogManager:
        return FunctionLogManager(server, scope=scope)

    def tail(
        self, function: FunctionReference, limit: int = 100, level: str | Sequence[str] | None = None
    ) -> list[FunctionLog]:
        return self._read_of(function_key(function, self), lambda manager, key: manager.tail(key, limit, level))

    def search(
        self,
        text: str | SearchQuery,
        *,
        function: FunctionReference | None = None,
        since: timedelta | datetime | None = None,
        level: str | Sequence[str] | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> CursorPage[FunctionLog]:
        if function is None:
            return super().search(text, since=since, level=level, limit=limit, cursor=cursor)
        return self._read_of(
            function_key(function, self),
            lambda manager, key: manager.search(
                text, function=key, since=since, level=level, limit=limit, cursor=cursor
            ),
        )


class ScatteredFunctions(FunctionManager):
    """The operations on ``functions``, whose logs are on several servers.

    Args:
        cells: which of them has what.
        scope: whose rows; all of them, where those have been asked for.
    """

    def __init__(self, cells: Cells, *, scope: Scope | None = None) -> None:
        super().__init__(cells.database, scope=scope)
        self._logs = ScatteredLogs(cells, scope=scope)


class ScatteredInvocations(
    ScatteredPruned[
        FunctionInvocation, "FunctionInvocationData", "FunctionInvocationChanges", "FunctionInvocationConditions"
    ],
    FunctionInvocationManager,
):
    """The operations on ``function_invocations``, on several servers.

    Args:
        cells: which of them has what.
        scope: whose rows; all of them, where those have been asked for.
    """

    def __init__(self, cells: Cells, *, scope: Scope | None = None) -> None:
        FunctionInvocationManager.__init__(self, cells.database, scope=scope)
        self.cells = cells

    def _manager_on(self, server: Database, scope: Scope | None = None) -> FunctionInvocationManager:
        return FunctionInvocationManager(server, scope=scope)

    def get_function_stats(self, function_id: FunctionReference, since: timedelta | datetime = _MONTH) -> FunctionStats:
        key = function_key(function_id, self)
        found: FunctionStats = self._read_of(key, lambda manager, key: manager.get_function_stats(key, since))
        return found

    def get_hourly_stats(
        self,
        function_id: FunctionReference,
        hours: int = 24,
        *,
        until: datetime | None = None,
        timezone: TimeZone = None,
    ) -> list[InvocationBucket]:
        return self._read_of(
            function_key(function_id, self),
            lambda manager, key: manager.get_hourly_stats(key, hours, until=until, timezone=timezone),
        )

    def get_daily_stats(
        self,
        function_id: FunctionReference,
        days: int = 30,
        *,
        until: datetime | None = None,
        timezone: TimeZone = None,
    ) -> list[InvocationBucket]:
        return self._read_of(
            function_key(function_id, self),
            lambda manager, key: manager.get_daily_stats(key, days, until=until, timezone=timezone),
        )

    def get_user_overview(self, user: OwnerReference, since: timedelta | datetime = _MONTH) -> UserOverview:
        self._refuse("statistics")
        key, begin = owner_key(user, self), moment(since, "since")
        owned = send_query(self.database, statistics.OWNED, {"user": key})[0]

        def query_for(manager: FunctionInvocationManager) -> reading.Query:
            if manager._reads_rollups():
                return reading.overview_of_functions_since(manager.database.engine.sql_dialect, begin)
            return statistics.OVERVIEW_OF_FUNCTIONS, {"since": begin}

        return statistics.overview_of_parts(owned, self._rows_of_each(key, query_for))

    def get_last_invocations(self, user: OwnerReference) -> dict[int, FunctionInvocation]:
        self._refuse("get_last_invocations()")

        def latest(manager: FunctionInvocationManager, keys: list[int]) -> list[FunctionInvocation]:
            listed = ",".join(map(str, keys))
            ids = [row["id"] for row in manager._rows_of(statistics.LATEST_OF_FUNCTIONS, {"functions": listed})]
            return manager.find_all({"id": [id for id in ids if id is not None]})

        parts = self._each_of(self._functions_of(owner_key(user, self)), latest)
        found = [invocation for part in parts for invocation in part]
        found.sort(key=lambda invocation: (invocation.timestamp, invocation.id), reverse=True)
        return {invocation.function_id: invocation for invocation in found}

    def _user_series(self, user: OwnerReference, buckets: Buckets) -> list[InvocationBucket]:
        self._refuse("statistics")
        dialect = self.database.engine.sql_dialect

        def query_for(manager: FunctionInvocationManager) -> reading.Query:
            if manager._reads_rollups(buckets):
                return reading.sums(dialect, reading.OF_FUNCTIONS, buckets)
            return statistics.functions_series_statement(dialect), buckets.parameters

        return statistics.series(self._rows_of_each(owner_key(user, self), query_for), buckets)

    def _rows_of_each(
        self, user: int, query_for: Callable[[FunctionInvocationManager], reading.Query]
    ) -> list[Mapping[str, Any]]:
        """Return the rows of a query on each server that has invocations of a user's functions, of those there."""

        def rows_of(manager: FunctionInvocationManager, keys: list[int]) -> list[dict[str, Any]]:
            sql, parameters = query_for(manager)
            return manager._rows_of(sql, {"functions": tuple(keys), **parameters})

        return [row for rows in self._each_of(self._functions_of(user), rows_of) for row in rows]

    def _functions_of(self, user: int) -> list[int]:
        return FunctionManager(self.database, scope=self._access).values("id", {"user_id": user})

    def rollup(self, until: timedelta | datetime | None = None, *, wait: float = 30) -> datetime:
        self._refuse("rollup()")
        self._require_no_transaction("rollup()")
        begin = datetime.now(UTC) if until is None else moment(until, "until")

        def count(server: Database) -> datetime | LockNotAvailableError:
            try:
                return self._counting_on(server).rollup(begin, wait=wait)
            except LockNotAvailableError as error:
                # The others are counted all the same.
                return LockNotAvailableError(f"{server.url}: {error}")

        found = ask_at_once([Question(server, partial(count, server)) for server in self.cells.every_server()])
        for each in found:
            if isinstance(each, LockNotAvailableError):
                raise each
        return min(each for each in found if not isinstance(each, LockNotAvailableError))

    def enable_rollups(self) -> bool:
        self._refuse("enable_rollups()")
        self._require_no_transaction("enable_rollups()")
        changed = [self._counting_on(server).enable_rollups() for server in self.cells.every_server()]
        return any(changed)

    def disable_rollups(self) -> bool:
        self._refuse("disable_rollups()")
        self._require_no_transaction("disable_rollups()")
        # Also where main has had rows, and has none any more.
        servers = dict.fromkeys([*self.cells.every_server(), self.database._as_server])
        changed = [self._counting_on(server).disable_rollups() for server in servers]
        return any(changed)

    def _counting_on(self, server: Database) -> FunctionInvocationManager:
        return cast("FunctionInvocationManager", self._on(server))


def related_elsewhere(cells: Cells, scope: Scope | None) -> dict[type[peewee.Model], RelatedRows[Any]]:
    """Return what reads the rows of several servers for rows of other tables, by their models.

    Args:
        cells: which of them has what.
        scope: whose rows.
    """
    scattered = (ScatteredLogs(cells, scope=scope), ScatteredInvocations(cells, scope=scope))
    return {manager.model: RelatedElsewhere(manager) for manager in scattered}


def _prune_all(manager: Any, _: Any, cutoff: datetime, batch_size: int, progress: Callable[[int], object]) -> None:
    manager.prune(cutoff, batch_size, progress=progress)


def _prune_some(manager: Any, where: Any, cutoff: datetime, batch_size: int, progress: Callable[[int], object]) -> None:
    """Delete old rows of a server but for those that are to be read on another one."""
    key, when, deleted = manager.model._meta.primary_key.column_name, partition_column(manager.model), 0
    old = all_of({when: operators.lt(cutoff)}, where)
    while ids := manager.values(key, old, order_by=when, limit=batch_size):
        deleted += manager.delete(all_of({key: ids}, where))
        progress(deleted)
