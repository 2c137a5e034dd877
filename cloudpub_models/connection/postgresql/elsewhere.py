"""A PostgreSQL engine that refuses what names tables whose rows another database has.

The tables may be there, and are empty: what was read of them would look like an answer.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from cloudpub_models.connection.opening import Elsewhere
from cloudpub_models.connection.postgresql.engine import PostgresqlEngine
from cloudpub_models.connection.results import ResultColumns, Row, StatementResult
from cloudpub_models.connection.sender import CopySource, SentStatement
from cloudpub_models.errors import InvalidQueryError
from cloudpub_models.sql.dialects import POSTGRESQL
from cloudpub_models.sql.text.tokens import NAMES, tokens


class _ThisThread(threading.local):
    """Whether this thread may name all tables."""

    may = False


class KeptApartEngine(PostgresqlEngine):
    """Refuses, before it is sent, every statement that names one of the tables."""

    elsewhere: Elsewhere

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._all_tables = _ThisThread()

    @contextmanager
    def with_all_tables(self) -> Iterator[None]:
        here = self._all_tables
        before, here.may = here.may, True
        try:
            yield
        finally:
            here.may = before

    def _require_own(self, sql: str) -> None:
        text = sql.lower()
        if self._all_tables.may or not any(table in text for table in self.elsewhere.tables):
            return
        named = _named(sql) & self.elsewhere.tables
        if named:
            raise InvalidQueryError(
                f"expected a statement on tables whose rows {self.masked_url} has; got one that names "
                f"{', '.join(sorted(named))}: {self.elsewhere.hint}"
            )

    def attend(self, sent: SentStatement) -> Any:
        self._require_own(sent.sql)
        return super().attend(sent)

    def attend_raw(self, sent: SentStatement) -> Any:
        self._require_own(sent.sql)
        return super().attend_raw(sent)

    def fetch(self, sql: str, parameters: Sequence[Any] | None) -> list[Row]:
        self._require_own(sql)
        return super().fetch(sql, parameters)

    def fetch_undecoded(self, sql: str, parameters: Sequence[Any] | None) -> tuple[ResultColumns, list[Row]]:
        self._require_own(sql)
        return super().fetch_undecoded(sql, parameters)

    def perform(self, sql: str, parameters: Sequence[Any] | None) -> StatementResult:
        self._require_own(sql)
        return super().perform(sql, parameters)

    def run(self, sql: str, parameters: Sequence[Any] | None) -> int:
        self._require_own(sql)
        return super().run(sql, parameters)

    def run_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> int:
        self._require_own(sql)
        return super().run_many(sql, rows)

    def copy_rows(self, sql: str, text: CopySource) -> int:
        self._require_own(sql)
        return super().copy_rows(sql, text)

    def stream(self, sql: str, parameters: Sequence[Any] | None, chunk_size: int) -> Iterator[list[Row]]:
        self._require_own(sql)
        return super().stream(sql, parameters, chunk_size)

    def stream_described(
        self, sql: str, parameters: Sequence[Any] | None, chunk_size: int
    ) -> Iterator[tuple[list[str], list[Row]]]:
        self._require_own(sql)
        return super().stream_described(sql, parameters, chunk_size)

    def execute_cursor(self, sql: str, parameters: Any, **cursor_options: Any) -> Any:
        self._require_own(sql)
        return super().execute_cursor(sql, parameters, **cursor_options)


@lru_cache(maxsize=16)
def kept_apart(kind: type[PostgresqlEngine]) -> type[KeptApartEngine]:
    """Return the engine of a kind that refuses what names tables of other databases."""
    return type(f"KeptApart{kind.__name__}", (KeptApartEngine, kind), {})


@lru_cache(maxsize=1024)
def _named(sql: str) -> frozenset[str]:
    return frozenset(token.name for token in tokens(sql, POSTGRESQL) if token.kind in NAMES)
