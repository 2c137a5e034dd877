"""Peewee's own ways to transactions: blocks that join one, calls that begin and end one, and blocks of such calls.

All of them begin, keep and undo as ``transactions`` does, so they are as honest; what Peewee's calls have begun is a
transaction for managers too, which then make savepoints in it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Literal, ParamSpec, TypeVar

from cloudpub_models.connection.blocks import Block
from cloudpub_models.connection.engine import Engine
from cloudpub_models.connection.transactions import Connection, Transaction
from cloudpub_models.errors import InvalidQueryError

P = ParamSpec("P")
R = TypeVar("R")


class Savepoint(Transaction):
    """Peewee's ``savepoint()``: one inside a transaction, a transaction where none is open."""

    forgives_failing_alone = True


class Atomic(Savepoint):
    """Peewee's ``atomic()``: a transaction, or a savepoint inside one; refused inside ``manual_commit()``."""

    def __enter__(self) -> Connection:
        if any(isinstance(level, ManualCommit) for level in self._engine.levels()):
            raise ValueError(
                "expected atomic() outside of manual_commit(); got it inside: use begin() and commit(), or "
                "database.transaction(), which is a savepoint there"
            )
        return super().__enter__()


class JoiningTransaction(Transaction):
    """Peewee's ``transaction()``: inside another one it is no savepoint, but a part of the outermost transaction."""

    forgives_failing_alone = True
    _joined = False

    def __enter__(self) -> Connection:
        scopes = self._engine.scopes()
        if not scopes:
            return super().__enter__()
        self._joined = self.begun = True
        self._engine.levels().append(self)
        return Connection(self._engine, scopes[0])

    def leave(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        """End the transaction that it has begun, or its part in the one that it has joined."""
        if not self._joined:
            return super().leave(kind, error, traceback)
        self.abandon()
        return False

    def abandon(self) -> None:
        """Undo what the block has begun, or end its part in what it has joined."""
        if not self._joined:
            super().abandon()
            return
        # Whoever began the transaction ends it, and has the error of a statement even where this one was caught.
        with suppress(ValueError):
            self._engine.levels().remove(self)
        self._joined = self.begun = False


class CalledTransaction(JoiningTransaction):
    """A transaction that a call has begun and another one ends."""

    forgives_failing_alone = False
    connection: Connection

    def begin(self) -> Connection:
        """Begin it, or join the one that is open."""
        self.connection = self.__enter__()
        if not self._joined:
            self._engine.levels().append(self)
        return self.connection

    @property
    def is_whole(self) -> bool:
        """Whether it began the transaction, and did not join it."""
        return not self._joined

    def commit(self) -> None:
        """Keep what was done in it; one that joined commits the whole transaction, which goes on in another one."""
        self._require_innermost("commit")
        self._end(self.connection.commit, None)

    def rollback(self) -> None:
        """Undo what was done in it; one that joined undoes the whole transaction, which goes on in another one."""
        self._require_innermost("rollback")
        self._end(self.connection.rollback, _Undone())

    def _require_innermost(self, what: str) -> None:
        if len(self._engine.scopes()) > 1:
            raise InvalidQueryError(
                f"expected {what}() outside of the blocks that began after the transaction; got it inside one: let the "
                "block end first"
            )

    def _end(self, end_whole: Callable[[], None], error: BaseException | None) -> None:
        with suppress(ValueError):
            self._engine.levels().remove(self)
        try:
            if self._joined:
                end_whole()
        finally:
            self.leave(None if error is None else type(error), error, None)


class _Undone(Exception):  # noqa: N818 - nobody sees it
    """Why a block ends that is to keep nothing."""


class ManualCommit(Block):
    """Peewee's ``manual_commit()``: a block in which ``begin()``, ``commit()`` and ``rollback()`` are called."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._opened_connection = False

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Run every call of ``function`` in a block of its own."""

        @functools.wraps(function)
        def in_manual_mode(*arguments: P.args, **keywords: P.kwargs) -> R:
            with ManualCommit(self._engine):
                return function(*arguments, **keywords)

        return in_manual_mode

    def __enter__(self) -> None:
        levels = self._engine.levels()
        if self._engine.scopes() and not any(isinstance(level, ManualCommit) for level in levels):
            raise ValueError(
                "expected manual_commit() outside of a transaction; got it inside one: enter it before anything begins"
            )
        self._opened_connection = not self._engine.keeps_connection()
        self.begun = True
        try:
            self._engine.pin()
            levels.append(self)
        except BaseException:
            self.abandon()
            raise

    def leave(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        """End the block, and roll back what it has left open."""
        left_open = self._end()
        if left_open and error is None:
            raise InvalidQueryError(
                "expected manual_commit() to end with no transaction open; got one that begin() began, and rolled it "
                "back: call commit() or rollback() before the block ends"
            )
        return False

    def abandon(self) -> None:
        """End the block, as far as that is still necessary."""
        self._end()

    def _end(self) -> bool:
        """End the block and return whether it has left a transaction open."""
        levels = self._engine.levels()
        left_open = None
        while levels and (level := levels[-1]) is not self:
            if not isinstance(level, CalledTransaction):
                break
            left_open = levels.pop()
            level.leave(_Undone, _Undone(), None)
        if levels and levels[-1] is self:
            levels.pop()
        if self._opened_connection:
            self._engine.unpin()
            self._opened_connection = False
        self.begun = False
        return left_open is not None
