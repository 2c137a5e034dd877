"""What an engine keeps for each thread: its open transaction and savepoints, and what became of them.

A transaction is also its unit of work's: a thread that serves one request after another, or many tasks in turn, may do
something for one while another has a transaction open in it. Which unit of work it is, a context variable tells.

How a transaction begins and ends stands in ``transactions``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NamedTuple

from cloudpub_models.errors import CloudpubError, TransactionAbortedError


class Scope:
    """One open transaction or savepoint of a thread.

    Attributes:
        used: whether anything was sent in it, or was to be.
        failure: the first error of a statement in it; nothing of the scope can be kept once it is set.
        failed_alone: whether nothing else was sent in it than what failed, by Peewee.
        callbacks: what to run once the outermost transaction has committed.
        isolation: the level that the outermost transaction was begun with, if it was said.
        read_only: whether the outermost transaction was declared read-only.
        over: whether it has ended.
        left: whether its block was left in another thread, so that it has yet to be rolled back in its own.
        keeps_connection: whether the thread keeps its connection for it alone, and no longer than for it.
    """

    __slots__ = (
        "callbacks",
        "failed_alone",
        "failure",
        "isolation",
        "keeps_connection",
        "left",
        "number",
        "over",
        "read_only",
        "used",
    )

    def __init__(self, number: int, read_only: bool, isolation: str | None = None) -> None:
        self.number = number
        self.read_only = read_only
        self.isolation = isolation
        self.left = self.over = self.keeps_connection = self.used = self.failed_alone = False
        self.failure: CloudpubError | None = None
        self.callbacks: list[Callable[[], object]] = []

    def forget(self) -> None:
        """Begin anew, since what was done in it has been undone."""
        self.failure = None
        self.used = self.failed_alone = False
        self.callbacks.clear()


# The outermost scopes of all databases that the work that is going on has begun.
transactions_of_this_work: ContextVar[tuple[Scope, ...]] = ContextVar("cloudpub_models_transactions", default=())


def still_open() -> tuple[Scope, ...]:
    """Return the outermost scopes that this work has begun and that have not ended."""
    return tuple([scope for scope in transactions_of_this_work.get() if not scope.over])


class Actor(NamedTuple):
    """Who makes the changes that the database records.

    Attributes:
        name: what the log has as their actor.
        details: what else is said of them, as JSON text.
    """

    name: str
    details: str | None


class ThreadState:
    """What an engine keeps for one thread.

    Attributes:
        connection: the driver's connection that the thread keeps, if it does; Peewee's own record has it as well.
        scopes: the open transaction and its savepoints, outermost first.
        levels: what Peewee's own calls have begun or joined that is no scope of its own, outermost first.
        pinned: whether a session or a transaction keeps the connection; SQLite's, where a thread keeps it in any case.
        only_reads: whether raw SQL has to be a single query, of which the server itself makes sure; PostgreSQL's.
        loan: what gives a pinned connection back, or closes the thread's own, when the thread ends without doing so.
        trusted_until: until when the file is taken to be the one that was opened, on the monotonic clock; SQLite's.
        cursor: a cursor for the next statement, since making one takes longer than using it; SQLite's.
        actor: who makes the changes of this thread, where that was said.
        cached: the unit of work that takes rows from memory, where the thread is in one.
    """

    __slots__ = (
        "__weakref__",
        "actor",
        "cached",
        "connection",
        "cursor",
        "levels",
        "loan",
        "only_reads",
        "pinned",
        "scopes",
        "trusted_until",
    )

    def __init__(self) -> None:
        self.connection: Any = None
        self.scopes: list[Scope] = []
        self.levels: list[Any] = []
        self.pinned = False
        self.only_reads = False
        self.loan: Any = None
        self.trusted_until = 0.0
        self.cursor: Any = None
        self.actor: Actor | None = None
        self.cached: Any = None


class ThreadStates(threading.local):
    """The state of each thread; ``current`` is that of the thread that asks."""

    def __init__(self) -> None:
        self.current = ThreadState()


def aborted(cause: CloudpubError) -> TransactionAbortedError:
    """Return the error for going on in, or committing, a transaction in which a statement has failed."""
    return TransactionAbortedError(
        f"a statement of this transaction failed ({type(cause).__name__}: {cause}), so nothing of it can be committed: "
        "let the error leave the block, or put work that may fail into a nested transaction()"
    )
