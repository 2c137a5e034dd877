"""The rows of a table as they were at a moment, found as those of today are.

What a manager sends is completed on its way out: before each statement stand the rows of the moment, under the names of
their tables. Nothing is written, and no table whose past is not known is looked at.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, TypeVar

import peewee

from cloudpub_models.connection import Database
from cloudpub_models.connection.sender import SentStatement
from cloudpub_models.errors import HistoryError
from cloudpub_models.history.past import PastTables, past_tables
from cloudpub_models.manager.arguments.conditions import Filter
from cloudpub_models.manager.finding import Finding
from cloudpub_models.manager.scope import UNRESTRICTED
from cloudpub_models.manager.summarizing import Summarizing

M = TypeVar("M", bound=peewee.Model)


class PastRows(Finding[M, Filter], Summarizing[M, Filter], Generic[M, Filter]):
    """The rows of one table as they were, with all operations that find and summarize rows.

    Args:
        model: the model.
        database: its database.
        moment: the moment, aware.
    """

    def __init__(self, model: type[M], database: Database, moment: datetime) -> None:
        self.moment = moment
        super().__init__(model, _PastDatabase(database, moment), scope=UNRESTRICTED)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model.__name__}, {self.moment.isoformat()})"


class _PastDatabase(Database):
    """A database of which only its engine is another one."""

    def __init__(self, present: Database, moment: datetime) -> None:
        vars(self).update(vars(present), engine=_PastEngine(present, moment), has_row_security=False)


class _PastEngine:
    """An engine that is asked for the rows of a moment."""

    is_attended = True

    def __init__(self, database: Database, moment: datetime) -> None:
        self._engine = database.engine
        self._moment = moment
        self._past: PastTables = past_tables(database.engine, database.models, moment)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def attend(self, sent: SentStatement) -> Any:
        """Send a query for the rows of the moment."""
        unknown = [table for table in sent.tables if table not in self._past.tables]
        if sent.writes or unknown or not sent.tables:
            what = f"those of {', '.join(unknown)}" if unknown else "SQL of its own, or a write"
            raise HistoryError(
                f"expected rows as they were at {self._moment.isoformat()}; got a call for {what}, whose changes since "
                "then are not known"
            )
        values = [*self._past.values, *(sent.values or ())]
        return self._engine.attend(sent._replace(sql=self._past.prefix + sent.sql, values=values, key_position=None))
