"""``Scattered``: the operations on a table whose rows are on several servers.

A call is sent to the servers that have the rows, by ordinary managers, and what they give is merged. What cannot be had
that way is refused here; whatever else would go to the main database, its engine refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

import peewee

from cloudpub_models.cells.cells import refused
from cloudpub_models.cells.finding import ScatteredFinding
from cloudpub_models.cells.writing import ScatteredWriting
from cloudpub_models.manager.arguments.conditions import Filter
from cloudpub_models.manager.arguments.order import OrderBy
from cloudpub_models.manager.writing import Changes, Data

if TYPE_CHECKING:
    from cloudpub_models.sql.builder.builder import QueryBuilder

M = TypeVar("M", bound=peewee.Model)

_SQL = "send it to each of database.history_servers, or use the finding and writing operations"
_LOG = "the log of changes has only rows of the main database: keep what has to be known in a table there"
_ONE_WORKER = "have workers claim rows of a table of the main database"


class Scattered(
    ScatteredFinding[M, Data, Changes, Filter],
    ScatteredWriting[M, Data, Changes, Filter],
    Generic[M, Data, Changes, Filter],
):
    """Finds and changes rows of several servers as if they were those of one."""

    def claim(self, where: Any, changes: Changes, *, limit: int = 1, order_by: OrderBy = None) -> NoReturn:
        raise self._refused("claim()", _ONE_WORKER)

    def lease(
        self,
        where: Any,
        *,
        seconds: float,
        order_by: OrderBy = None,
        at_most: float | None = None,
        holder: str | None = None,
    ) -> NoReturn:
        raise self._refused("lease()", _ONE_WORKER)

    def raw(self, sql: str, parameters: Mapping[str, Any] | None = None) -> NoReturn:
        raise self._refused("raw()", _SQL)

    def query(self, alias: str | None = None) -> NoReturn:
        raise self._refused("query()", _SQL)

    def execute_query(self, query: QueryBuilder, *, as_model: bool = False) -> NoReturn:
        raise self._refused("execute_query()", _SQL)

    def join_query(self, join_table: str, join_condition: str, **clauses: Any) -> NoReturn:
        raise self._refused("join_query()", _SQL)

    def history(self, id: Any, *, limit: int | None = None) -> NoReturn:
        raise self._refused("history()", _LOG)

    def diff(self, id: Any, *, since: datetime) -> NoReturn:
        raise self._refused("diff()", _LOG)

    def as_of(self, moment: datetime) -> NoReturn:
        raise self._refused("as_of()", _LOG)

    def undelete(self, id: Any, changes: Mapping[str, Any] | None = None) -> NoReturn:
        raise self._refused("undelete()", _LOG)

    def _refused(self, call: str, instead: str) -> Exception:
        return refused(f"{self.table.name}.{call}", instead)
