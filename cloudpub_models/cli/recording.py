"""What a block of code sends to a database, recorded for showing.

The statements are taken where the engine hands them to the driver, so they are what the database gets, in the driver's
notation. Streams are not recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cloudpub_models.connection.engine import Engine

_STATEMENTS = ("fetch", "run", "fetch_described", "copy_rows")
_TRANSACTIONS = {"begin_transaction": "BEGIN", "commit_transaction": "COMMIT", "rollback_transaction": "ROLLBACK"}


@dataclass(frozen=True)
class SentStatement:
    """One statement, and the values of its parameters."""

    sql: str
    parameters: tuple[Any, ...] = ()


@contextmanager
def recorded_statements(engine: Engine) -> Iterator[list[SentStatement]]:
    """Record what is sent through an engine inside the block; for one thread at a time."""
    sent: list[SentStatement] = []
    replaced = vars(engine)

    def record(name: str, describe: Callable[..., SentStatement | None]) -> None:
        original = getattr(engine, name, None)
        if original is None:
            return  # COPY, which only PostgreSQL has

        def recording(*arguments: Any) -> Any:
            statement = describe(*arguments)
            if statement is not None:
                sent.append(statement)
            return original(*arguments)

        replaced[name] = recording
        names.append(name)

    names: list[str] = []
    for name in _STATEMENTS:
        record(name, _copied if name == "copy_rows" else _statement)
    for name, word in _TRANSACTIONS.items():
        record(name, lambda *_arguments, word=word: SentStatement(word))
    record("run_control", _savepoint)
    try:
        yield sent
    finally:
        for name in names:
            del replaced[name]


def _statement(sql: str, parameters: Sequence[Any] | None = None) -> SentStatement:
    return SentStatement(sql, tuple(parameters or ()))


def _copied(sql: str, _lines: object) -> SentStatement:
    return SentStatement(sql)


def _savepoint(sql: str) -> SentStatement | None:
    # SQLite begins its transactions this way as well, which is recorded already.
    return SentStatement(sql) if "SAVEPOINT" in sql else None
