"""The managers of logs and invocations on several servers, and of their functions; the way there is in ``cells``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

import peewee

from cloudpub_models.cells.cells import Cells
from cloudpub_models.cells.scattered import Scattered
from cloudpub_models.connection import Database
from cloudpub_models.manager.arguments.conditions import Filter
from cloudpub_models.manager.scope import Scope
from cloudpub_models.manager.statements.results import CursorPage
from cloudpub_models.manager.writing import Changes, Data
from cloudpub_models.models import FunctionInvocation, FunctionLog
from cloudpub_models.platform.functions import FunctionManager
from cloudpub_models.platform.invocations import FunctionInvocationManager
from cloudpub_models.platform.logs import FunctionLogManager
from cloudpub_models.platform.periods import TimeZone, moment
from cloudpub_models.platform.pruning import PrunedManager
from cloudpub_models.platform.references import FunctionReference, OwnerReference, function_key
from cloudpub_models.platform.statistics import FunctionStats, InvocationBucket
from cloudpub_models.sql.search import SearchQuery

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

_EACH_FUNCTION = "ask for each of the user's functions, which managers.functions finds"
_NO_ROLLUPS = "rollups refer to functions, which are on the main database: statistics read rows"
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
        cutoff, deleted = moment(older_than, "older_than"), 0
        for manager in self._asked():
            assert isinstance(manager, PrunedManager)
            before = deleted
            told = None if progress is None else lambda number, before=before: progress(before + number)
            deleted += manager.prune(cutoff, batch_size, progress=told)
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
        scope: all rows, where they have been asked for.
    """

    def __init__(self, cells: Cells, *, scope: Scope | None = None) -> None:
        FunctionLogManager.__init__(self, cells.database, scope=scope)
        self.cells = cells

    def _manager_on(self, server: Database) -> FunctionLogManager:
        return FunctionLogManager(server)

    def tail(
        self, function: FunctionReference, limit: int = 100, level: str | Sequence[str] | None = None
    ) -> list[FunctionLog]:
        key = function_key(function, self)
        return self._of(key).tail(key, limit, level)

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
        key = function_key(function, self)
        return self._of(key).search(text, function=key, since=since, level=level, limit=limit, cursor=cursor)

    def _of(self, key: int) -> FunctionLogManager:
        manager = self._of_key(key)
        assert isinstance(manager, FunctionLogManager)
        return manager


class ScatteredFunctions(FunctionManager):
    """The operations on ``functions``, whose logs are on several servers.

    Args:
        cells: which of them has what.
        scope: all rows, where they have been asked for.
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
        scope: all rows, where they have been asked for.
    """

    def __init__(self, cells: Cells, *, scope: Scope | None = None) -> None:
        FunctionInvocationManager.__init__(self, cells.database, scope=scope)
        self.cells = cells

    def _manager_on(self, server: Database) -> FunctionInvocationManager:
        return FunctionInvocationManager(server)

    def get_function_stats(self, function_id: FunctionReference, since: timedelta | datetime = _MONTH) -> FunctionStats:
        key = function_key(function_id, self)
        return self._of(key).get_function_stats(key, since)

    def get_hourly_stats(
        self,
        function_id: FunctionReference,
        hours: int = 24,
        *,
        until: datetime | None = None,
        timezone: TimeZone = None,
    ) -> list[InvocationBucket]:
        key = function_key(function_id, self)
        return self._of(key).get_hourly_stats(key, hours, until=until, timezone=timezone)

    def get_daily_stats(
        self,
        function_id: FunctionReference,
        days: int = 30,
        *,
        until: datetime | None = None,
        timezone: TimeZone = None,
    ) -> list[InvocationBucket]:
        key = function_key(function_id, self)
        return self._of(key).get_daily_stats(key, days, until=until, timezone=timezone)

    def get_user_overview(self, user: OwnerReference, since: timedelta | datetime = _MONTH) -> NoReturn:
        raise self._refused("get_user_overview()", _EACH_FUNCTION)

    def get_user_hourly_stats(self, user: OwnerReference, hours: int = 24, **options: Any) -> NoReturn:
        raise self._refused("get_user_hourly_stats()", _EACH_FUNCTION)

    def get_user_daily_stats(self, user: OwnerReference, days: int = 30, **options: Any) -> NoReturn:
        raise self._refused("get_user_daily_stats()", _EACH_FUNCTION)

    def get_last_invocations(self, user: OwnerReference) -> NoReturn:
        raise self._refused("get_last_invocations()", _EACH_FUNCTION)

    def rollup(self, until: timedelta | datetime | None = None, *, wait: float = 30) -> NoReturn:
        raise self._refused("rollup()", _NO_ROLLUPS)

    def enable_rollups(self) -> NoReturn:
        raise self._refused("enable_rollups()", _NO_ROLLUPS)

    def disable_rollups(self) -> NoReturn:
        raise self._refused("disable_rollups()", _NO_ROLLUPS)

    def _of(self, key: int) -> FunctionInvocationManager:
        manager = self._of_key(key)
        assert isinstance(manager, FunctionInvocationManager)
        return manager
