"""What statements are sent through: an engine, or what stands before one to see them.

Only what reaches the database is named here; who keeps which connection, and which transaction is whose, is the
engine's business.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from cloudpub_models.connection.results import ResultColumns, Row, StatementResult
from cloudpub_models.connection.scopes import Scope


class ToldSql(str):
    """A statement before which its transaction is told something; ``before`` is that."""

    __slots__ = ("before",)

    before: str


class SentStatement(NamedTuple):
    """What a manager sends, where more than sending is to be done.

    Attributes:
        sql: the statement, as the driver takes it.
        values: those of its parameters.
        way: the method of ``Sender`` that sends it, or ``fetch_described``.
        chunk_size: how many rows of a stream are fetched at a time; ``None`` for anything but a stream.
        writes: whether it changes or locks rows, or may.
        tables: the tables that it touches, where that is known.
        key_position: where the primary key stands in the one row at most that a lookup finds; ``None`` for any other
            statement.
    """

    sql: str
    values: Any
    way: str
    chunk_size: int | None = None
    writes: bool = False
    tables: tuple[str, ...] = ()
    key_position: int | None = None

    def through(self, sender: object) -> Any:
        """Send it by an engine."""
        method = getattr(sender, self.way)
        if self.chunk_size is None:
            return method(self.sql, self.values)
        return method(self.sql, self.values, self.chunk_size)


class CopySource(Protocol):
    """What COPY reads, as bytes; ``failures`` are the exceptions that ``read`` raised."""

    failures: list[BaseException]
    read: Callable[[int], bytes]


class Sender(ABC):
    """Sends statements in the driver's own notation; they are observed where these methods are, and nowhere else."""

    @abstractmethod
    def fetch(self, sql: str, parameters: Sequence[Any] | None) -> list[Row]:
        """Run one statement and return all its rows, as the driver gives them."""

    @abstractmethod
    def fetch_undecoded(self, sql: str, parameters: Sequence[Any] | None) -> tuple[ResultColumns, list[Row]]:
        """Run one statement and return its columns, and its rows as the driver gives them."""

    @abstractmethod
    def perform(self, sql: str, parameters: Sequence[Any] | None) -> StatementResult:
        """Run one statement of any kind and return its columns and rows, and how many rows it has changed.

        What it is shows in what it gives back: a WITH may read or write, and RETURNING may stand in a text.
        """

    @abstractmethod
    def run(self, sql: str, parameters: Sequence[Any] | None) -> int:
        """Run one statement and return how many rows it touched."""

    @abstractmethod
    def run_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> int:
        """Run a statement once for each row of parameters and return how many rows that has touched in all."""

    @abstractmethod
    def copy_rows(self, sql: str, text: CopySource) -> int:
        """Send rows in text format to a ``COPY … FROM STDIN`` and return how many rows it wrote.

        Only where the engine ``copies_rows``. The text is read while the server works on what has been read before;
        reading it must not use the database.
        """

    @abstractmethod
    def stream(self, sql: str, parameters: Sequence[Any] | None, chunk_size: int) -> Iterator[list[Row]]:
        """Run one query and yield its rows in lists of up to ``chunk_size``, never holding more than one list."""

    @abstractmethod
    def stream_described(
        self, sql: str, parameters: Sequence[Any] | None, chunk_size: int
    ) -> Iterator[tuple[list[str], list[Row]]]:
        """Like ``stream``, with column names and with values as raw SQL promises them."""

    @abstractmethod
    def execute_cursor(self, sql: str, parameters: Any, **cursor_options: Any) -> Any:
        """Run one of Peewee's own statements and return the driver's cursor."""

    @abstractmethod
    def begin_transaction(self, isolation: str | None, read_only: bool) -> None:
        """Begin a transaction on this thread's pinned connection."""

    @abstractmethod
    def commit_transaction(self, scope: Scope) -> None:
        """Commit, or raise an error that says what became of the transaction."""

    @abstractmethod
    def rollback_transaction(self) -> None:
        """Roll back as far as that is still necessary; never raises for a connection that is gone."""

    @abstractmethod
    def run_control(self, sql: str) -> None:
        """Run a SAVEPOINT command on this thread's pinned connection."""
