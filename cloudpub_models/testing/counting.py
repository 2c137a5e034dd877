"""Counts the statements that a test's code sends, and shows them with their call sites where it sends others."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from cloudpub_models.connection import Database

if TYPE_CHECKING:
    from cloudpub_models.connection.listeners import QueryEvent

# What begins and ends a transaction: no loop repeats it by mistake, and the databases differ in it.
_TRANSACTION_CONTROL = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "SET TRANSACTION", "SET LOCAL")


class AssertStatements:
    """The fixture ``assert_statements``: called with a number, it gives a block that has to send so many statements.

    Args:
        database: whose statements count, those of all threads.

    >>> from cloudpub_models import database, managers
    >>> assert_statements = AssertStatements(database)
    >>> with assert_statements(1) as sent:
    ...     managers.users.count({"email": "nobody@example.com"})
    0
    >>> sent[0].sql
    'SELECT COUNT(*) AS count FROM users WHERE email = ?'
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def __call__(self, expected: int) -> ExpectedStatements:
        """Return a context manager that fails at its end where its block has not sent so many statements.

        Args:
            expected: how many; what begins and ends transactions does not count.
        """
        return ExpectedStatements(self._database, expected)


class ExpectedStatements:
    """A block that has to send a number of statements; ``as sent`` gives the list of them, which grows meanwhile."""

    def __init__(self, database: Database, expected: int) -> None:
        self._database = database
        self._expected = expected
        self._sent: list[QueryEvent] = []
        self._stop: Callable[[], None] | None = None

    def __enter__(self) -> list[QueryEvent]:
        self._stop = self._database.on_query(self._record)
        return self._sent

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # pytest then points at the line of the test.
        __tracebackhide__ = True
        if self._stop is not None:
            self._stop()
        if error is None and len(self._sent) != self._expected:
            raise AssertionError(_difference(self._sent, self._expected))

    def _record(self, event: QueryEvent) -> None:
        if not event.sql.lstrip().upper().startswith(_TRANSACTION_CONTROL):
            self._sent.append(event)


def _difference(sent: list[QueryEvent], expected: int) -> str:
    lines = [f"expected {expected} {'statement' if expected == 1 else 'statements'}; got {len(sent)}:"]
    for number, event in enumerate(sent, 1):
        lines.append(f"{number:>3}. {event.sql}")
        lines.append(f"     from {event.call_site or 'an unknown place'}")
    return "\n".join(lines)
