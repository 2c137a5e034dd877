"""``managers.function_logs``: what functions log, appended, read from its end, and thrown away when it is old."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from cloudpub_models.connection import Database
from cloudpub_models.errors import ForeignKeyViolationError, InvalidQueryError, InvalidValueError
from cloudpub_models.manager.scope import Scope
from cloudpub_models.manager.statements.results import CursorPage
from cloudpub_models.models import Function, FunctionLog
from cloudpub_models.platform.days import days_since
from cloudpub_models.platform.periods import moment
from cloudpub_models.platform.pruning import PrunedManager
from cloudpub_models.platform.references import FunctionReference, function_key, no_row
from cloudpub_models.sql import operators
from cloudpub_models.sql.identifiers import shown
from cloudpub_models.sql.search import SearchQuery, search_query
from cloudpub_models.sql.values import check_count

if TYPE_CHECKING:
    from cloudpub_models.platform.row_types import FunctionLogChanges, FunctionLogData  # noqa: F401 - named by the class
    from cloudpub_models.platform.where_types import (
        FunctionLogConditions,  # noqa: F401 - named by the class
        FunctionLogWhere,
    )


_NEWEST_OF_ONE = ("function_id", "timestamp", "id")
_LATEST_OF_ONE = tuple([(column, "DESC") for column in _NEWEST_OF_ONE])


class FunctionLogManager(PrunedManager[FunctionLog, "FunctionLogData", "FunctionLogChanges", "FunctionLogConditions"]):
    """The operations on ``function_logs``.

    A function is given as an instance, by its public UUID or by its internal id.
    """

    def __init__(self, database: Database | None = None, *, scope: Scope | None = None) -> None:
        super().__init__(FunctionLog, database, scope=scope)

    def append(self, function: FunctionReference, level: str, message: str) -> FunctionLog:
        """Add a line to a function's log, with the current time.

        For many lines at once there is ``batch_insert``.

        Args:
            function: the function.
            level: ``info``, ``warn``, ``error`` or what else the platform writes; at most 20 characters.
            message: the text.

        Returns:
            the line.

        Raises:
            NotFoundError: the function does not exist (any more).
            InvalidValueError: a value does not fit its column.

        >>> managers.function_logs.append(resize, "error", "out of memory").message
        'out of memory'

        ``INSERT INTO function_logs (function_id, level, message, uuid) VALUES (…) RETURNING id, …``
        """
        key = function_key(function, self)
        try:
            return self.insert({"function_id": key, "level": level, "message": message})
        except ForeignKeyViolationError as error:
            raise no_row(Function, function, key) from error

    def tail(
        self, function: FunctionReference, limit: int = 100, level: str | Sequence[str] | None = None
    ) -> list[FunctionLog]:
        """Return the latest lines of a function's log, the newest first; of one moment, the last appended first.

        Args:
            function: the function.
            limit: how many lines at most.
            level: only lines of this level, or of one of several.

        Returns:
            the lines; an empty list for a function that does not exist.

        >>> _ = [managers.function_logs.append(resize, "info", f"request {n}") for n in range(3)]
        >>> [line.message for line in managers.function_logs.tail(resize, 2)]
        ['request 2', 'request 1']

        ``SELECT id, … FROM function_logs WHERE function_id BETWEEN @param_0 AND @param_1 AND level = @param_2
        ORDER BY function_id DESC, timestamp DESC, id DESC LIMIT @param_3``
        """
        check_count(limit, "limit")
        wanted = self._lines_of(function, level)
        for since in self._windows():
            if since is None:
                break
            lines = self._find_first_during(days_since(since, self._moment), wanted, _LATEST_OF_ONE, limit)
            if len(lines) >= limit:
                return lines
        return self.find_all(wanted, order_by=_LATEST_OF_ONE, limit=limit)

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
        """Return the latest lines that have the words which are searched for, the newest first.

        Args:
            text: what is searched for, as ``SearchQuery`` reads it: ``'"out of memory" worker* -debug'``.
            function: only lines of this function.
            since: only lines from this moment on: an aware datetime, or a timedelta that says how long ago. It can be
                left out where a function is given.
            level: only lines of this level, or of one of several.
            limit: how many lines a page has, at least 1.
            cursor: ``next_cursor`` of the page before, which goes with the same text, function and level; where
                ``since`` is a timedelta, pages begin where each of them is asked for.

        Raises:
            InvalidQueryError: there is nothing to search for, or neither a function nor since when.
            InvalidCursorError: the cursor was changed, or belongs to another order.
            InvalidCountError: ``limit`` is not a positive integer.

        >>> _ = managers.function_logs.append(resize, "error", "worker-7: out of memory")
        >>> found = managers.function_logs.search('"out of memory" -debug', function=resize)
        >>> [line.message for line in found.items], found.next_cursor
        (['worker-7: out of memory'], None)

        ``SELECT id, … FROM function_logs WHERE function_id BETWEEN @param_0 AND @param_1 AND message ILIKE @param_2
        ORDER BY function_id DESC, timestamp DESC, id DESC LIMIT @param_3``, as often as it takes
        """
        if function is None and since is None:
            raise InvalidQueryError(
                "expected since when lines are searched, or in which function; got neither: pass "
                "since=timedelta(days=1), or function="
            )
        query = search_query(text)
        where = self._lines_of(function, level)
        if since is not None:
            where["timestamp"] = operators.ge(moment(since, "since"))
        order = ("timestamp", "id") if function is None else _NEWEST_OF_ONE
        find = partial(self.find_by_text, query, cursor=cursor, page_size=limit, order_by=order, order_direction="DESC")
        for begin in self._windows() if since is None else ():
            page = find(where if begin is None else where | {"timestamp": operators.ge(begin)})
            if page.next_cursor is not None or begin is None:
                return page
        return find(where)

    def _lines_of(self, function: FunctionReference | None, level: str | Sequence[str] | None) -> FunctionLogWhere:
        where: FunctionLogWhere = {}
        if function is not None:
            # With equality PostgreSQL may go through the newest lines of all functions, which takes long where this one
            # has not logged for a while; an order by function and time that is no order by time keeps it to their own
            # index.
            key = function_key(function, self)
            where["function_id"] = operators.between(key, key)
        if level is not None:
            if not isinstance(level, Iterable):
                raise InvalidValueError(f"expected a level or a list of some; got {shown(level)}")
            where["level"] = level if isinstance(level, str) else list(level)
        return where
