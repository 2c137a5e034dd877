"""A database as the managers of an owner's rows have it: each statement is told to PostgreSQL's row security as theirs.

What is told lasts as long as the statement's transaction, and travels in the same message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cloudpub_models.connection.database import Database
from cloudpub_models.connection.sender import SentStatement, ToldSql
from cloudpub_models.sql.values import text_literal


class ToldDatabase(Database):
    """A database of which only its engine is another one.

    Args:
        present: the database.
        settings: what its transactions are told, by the names of settings.
    """

    def __init__(self, present: Database, settings: Mapping[str, str]) -> None:
        vars(self).update(
            {name: value for name, value in vars(present).items() if name != "engine"},
            present=present,
            transaction=present.transaction,
            run_transaction=present.run_transaction,
            session=present.session,
        )
        self._before = "SELECT " + ", ".join(
            f"set_config('{name}', {text_literal(value)}, true)" for name, value in settings.items()
        )

    present: Database

    @property
    def engine(self) -> Any:
        """The engine, which tells what is to be told; opened on first use."""
        return _ToldEngine(self.present.engine, self._before)


class _ToldEngine:
    """An engine that tells something before each statement of a manager."""

    is_attended = True

    def __init__(self, engine: Any, before: str) -> None:
        self._engine = engine
        self._before = before

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def attend(self, sent: SentStatement) -> Any:
        """Send what a manager sends, behind what is to be told; which rows there are depends on that."""
        before = self._before.replace("%", "%%") if sent.values else self._before
        if sent.chunk_size is None:
            return self._engine.attend(sent._replace(sql=f"{before}; {sent.sql}", key_position=None))
        told = ToldSql(sent.sql)
        told.before = before
        return self._engine.attend(sent._replace(sql=told))
