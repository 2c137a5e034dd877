"""Transactions and savepoints, honest about what became of them.

Peewee's own ``atomic()`` leaves a block cleanly after a caught error although the server turns its COMMIT into a
ROLLBACK, and masks a lost connection by the error of the ROLLBACK that follows. The scopes here remember the first
failure instead, and end whatever interrupts them (``blocks``). How a statement reaches the database is the engine's
business.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any, ClassVar, Literal, ParamSpec, TypeVar

from cloudpub_models.connection.blocks import Block, left_elsewhere
from cloudpub_models.connection.engine import Engine
from cloudpub_models.connection.results import as_dicts, require_distinct
from cloudpub_models.connection.scopes import Scope, aborted
from cloudpub_models.connection.sender import SentStatement
from cloudpub_models.errors import CloudpubError, ConnectionLostError, InvalidQueryError, TransactionAbortedError
from cloudpub_models.sql.identifiers import shown
from cloudpub_models.sql.text.returning import returned_names

P = ParamSpec("P")
R = TypeVar("R")

_log = logging.getLogger("cloudpub_models")

IsolationLevel = Literal["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]
# The block of a statement that is whole by itself.
_WHOLE = nullcontext()
ISOLATION_LEVELS = ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")


def whole(engine: Engine, sql: str) -> AbstractContextManager[object]:
    """Return a block in which a statement is sent whose rows may be refused: what it has written goes with them.

    Args:
        engine: the database.
        sql: the statement, as the driver takes it.

    Raises:
        InvalidQueryError: it gives back two columns of one name.
    """
    names = returned_names(sql, engine.sql_dialect)
    if names is None:
        return Transaction(engine, None, False)
    require_distinct(names)
    return engine.acting_raw() if engine.is_attended else _WHOLE


def fetch_whole(engine: Engine, sql: str, parameters: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Run one statement with ``@name`` parameters and return its rows as dicts; of one that is refused keep nothing."""
    text, values = engine.bind_parameters(sql, parameters)
    if "RETURNING" not in text.upper():  # nearly always
        if engine.is_attended:
            return as_dicts(*engine.attend_raw(SentStatement(text, values, "fetch_undecoded", writes=True)))
        return as_dicts(*engine.fetch_undecoded(text, values))
    with whole(engine, text):
        return as_dicts(*engine.fetch_undecoded(text, values))


class Connection:
    """The connection of an open transaction or savepoint: raw SQL in it, and ends to it before its block's."""

    def __init__(self, engine: Engine, scope: Scope) -> None:
        self._engine = engine
        self._scope = scope

    def execute(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Send one statement with ``@name`` parameters and return its rows, if it has any.

        Raises:
            InvalidQueryError: the transaction is over, or another thread's.
            ParameterError: a name has no value, or a value no name.

        >>> with database.transaction() as connection:
        ...     connection.execute("SELECT name FROM functions WHERE id = @id", {"id": resize.id})
        [{'name': 'resize'}]
        """
        if self._scope not in self._engine.scopes():
            raise InvalidQueryError(
                "expected a connection whose transaction is open in this thread; got one whose transaction is over, or "
                "another thread's: use the one that the innermost transaction() gives"
            )
        return fetch_whole(self._engine, sql, parameters)

    def commit(self) -> None:
        """Keep what has been done so far, and go on in another transaction or savepoint of the same kind.

        What waits for ``on_commit`` runs where this is the outermost transaction.

        Raises:
            InvalidQueryError: the transaction is over, another thread's, or has another one open inside.
            TransactionAbortedError: a statement of the transaction failed, so nothing of it can be kept.

        >>> with database.transaction() as connection:
        ...     _ = managers.functions.insert({"user_id": ada.id, "name": "crop"})
        ...     connection.commit()  # COMMIT, BEGIN
        ...     _ = managers.functions.insert({"user_id": ada.id, "name": "blur"})
        ...     connection.rollback()  # ROLLBACK, BEGIN
        >>> managers.functions.exists({"name": "crop"}), managers.functions.exists({"name": "blur"})
        (True, False)
        """
        scope = self._innermost("commit")
        self._engine.check_usable()
        if scope.number:
            self._engine.run_control(f"RELEASE SAVEPOINT {savepoint_name(scope)}")
            self._engine.scopes()[-2].callbacks.extend(scope.callbacks)
            scope.callbacks.clear()
            self._engine.run_control(f"SAVEPOINT {savepoint_name(scope)}")
            return
        try:
            self._engine.commit_transaction(scope)
        except CloudpubError as error:
            scope.failure = scope.failure or error
            raise
        self._begin_again(scope)

    def rollback(self) -> None:
        """Undo what has been done since the block began or was last committed, and go on in it.

        An error that a statement has raised meanwhile is undone with it: what follows can be committed.

        Raises:
            InvalidQueryError: the transaction is over, another thread's, or has another one open inside.
            ConnectionLostError: the connection broke.

        >>> with database.transaction() as connection:
        ...     _ = managers.functions.insert({"user_id": ada.id, "name": "sharpen"})
        ...     connection.rollback()  # ROLLBACK, BEGIN
        >>> managers.functions.exists({"name": "sharpen"})
        False
        """
        scope = self._innermost("rollback")
        if isinstance(scope.failure, ConnectionLostError):
            raise scope.failure
        if scope.number:
            scope.forget()
            self._engine.run_control(f"ROLLBACK TO SAVEPOINT {savepoint_name(scope)}")
            if self._engine.is_attended:
                # It is undone as well where it was told inside the savepoint.
                self._engine.tell_actor()
            return
        self._engine.rollback_transaction()
        scope.forget()
        self._begin_again(scope)

    def _innermost(self, what: str) -> Scope:
        scopes = self._engine.scopes()
        if self._scope not in scopes:
            raise InvalidQueryError(
                f"expected {what}() of a transaction that is open in this thread; got one that is over, or another "
                "thread's: call it inside the block"
            )
        if scopes[-1] is not self._scope:
            raise InvalidQueryError(
                f"expected {what}() of the innermost transaction; got one with another one open inside: call it after "
                "that block, or on what that block gives"
            )
        return self._scope

    def _begin_again(self, scope: Scope) -> None:
        callbacks = scope.callbacks.copy()
        scope.callbacks.clear()
        # Meanwhile nothing is open, so that a callback may begin a transaction of its own.
        self._engine.transaction_ends()
        run_callbacks(callbacks)
        try:
            self._engine.begin_transaction(scope.isolation, scope.read_only)
            self._engine.transaction_begins(scope)
        except CloudpubError as error:
            self._engine.rollback_transaction()
            scope.failure = error
            raise


class Transaction(Block):
    """A transaction as a context manager and decorator; a savepoint where one is open already.

    Attributes:
        forgives_failing_alone: whether it ends in silence when the one statement that was sent in it has failed.
    """

    forgives_failing_alone: ClassVar[bool] = False

    def __init__(self, engine: Engine, isolation: str | None, read_only: bool) -> None:
        if isolation is not None:
            level = str.__str__(isolation).upper() if isinstance(isolation, str) and str.isascii(isolation) else None
            if level not in ISOLATION_LEVELS:
                raise InvalidQueryError(
                    f"expected an isolation level of {', '.join(ISOLATION_LEVELS)}; got {shown(isolation)}"
                )
            isolation = level
        self._engine = engine
        self._isolation = isolation
        self._read_only = read_only
        self._scope: Scope | None = None
        self._thread = 0

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Run every call of ``function`` in a transaction of its own.

        Raises:
            InvalidQueryError: calling it would only make a generator or a coroutine, which runs later.
        """
        import inspect

        if inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function):
            raise InvalidQueryError(
                f"expected a function whose call does the work; got {function.__qualname__}, which only makes a "
                "generator or a coroutine: use 'with transaction():' inside it, around what does not yield or await"
            )

        @functools.wraps(function)
        def in_transaction(*arguments: P.args, **keywords: P.kwargs) -> R:
            with type(self)(self._engine, self._isolation, self._read_only):
                return function(*arguments, **keywords)

        return in_transaction

    def __enter__(self) -> Connection:
        if self.begun:
            raise InvalidQueryError(
                "expected a transaction that is not open; got one that is open already: call transaction() again for a "
                "nested one"
            )
        self._thread = threading.get_ident()
        try:
            return Connection(self._engine, self._begin())
        except BaseException:
            if self.begun:
                self.abandon()
            raise

    def _begin(self) -> Scope:
        engine = self._engine
        engine.check_usable()
        scopes = engine.scopes()
        if not scopes:
            scope = Scope(0, self._read_only, self._isolation)
            scope.keeps_connection = not engine.keeps_connection()
            self._scope, self.begun = scope, True
            engine.pin()
            engine.begin_transaction(self._isolation, self._read_only)
            engine.transaction_begins(scope)
            return scope
        if self._isolation is not None or (self._read_only and not scopes[0].read_only):
            raise InvalidQueryError(
                "expected isolation and read_only at the outermost transaction; got them at a nested one: say them "
                "where it begins"
            )
        scope = Scope(len(scopes), scopes[0].read_only)
        engine.run_control(f"SAVEPOINT {savepoint_name(scope)}")
        self._scope, self.begun = scope, True
        scopes.append(scope)
        return scope

    def leave(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        """End the transaction or savepoint, as ``__exit__`` does."""
        try:
            if self.begun and self._thread != threading.get_ident():
                self.abandon()
                if error is None:
                    raise left_elsewhere("transaction")
                return False
            self._leave(error)
        except BaseException:
            if self.begun:
                self.abandon()
            raise
        return False

    def abandon(self) -> None:
        """Undo what the block has begun and not ended, as far as that is still necessary."""
        scope, engine = self._scope, self._engine
        scopes = engine.scopes()
        if scope is None:
            pass
        elif self._thread != threading.get_ident():
            # Only the thread that keeps the connection can end it, as soon as it does anything.
            scope.failure = scope.failure or left_elsewhere("transaction")
            scope.left = True
        elif scope.number == 0:
            if scopes[:1] in ([], [scope]):
                engine.rollback_transaction()
                self._close()
        elif scope in scopes:
            self._refuse_inner_scopes(scope, scopes)
            self._end_savepoint(scope, scopes, _interrupted())
        elif scopes:
            # Nobody knows whether it has been kept.
            scopes[-1].failure = scopes[-1].failure or _interrupted()
        self.begun = False

    def _leave(self, error: BaseException | None) -> None:
        scope, scopes = self._scope, self._engine.scopes()
        if scope is None or not self.begun or scope not in scopes:
            self.begun = False
            self._unpin()
            if error is None and scope is not None and scope.failure is not None:
                raise aborted(scope.failure) from scope.failure
            if error is None:
                raise ConnectionLostError(
                    "this transaction belongs to another process or thread, which alone can end it"
                )
            return
        self._refuse_inner_scopes(scope, scopes)
        if scope.number == 0:
            self._end_transaction(scope, error)
        else:
            self._end_savepoint(scope, scopes, error)

    def _refuse_inner_scopes(self, scope: Scope, scopes: list[Scope]) -> None:
        """Let a scope fail that ends before one that began inside it, and the inner one too: whose work was whose?"""
        inner = scopes[scopes.index(scope) + 1 :]
        del scopes[scopes.index(scope) + 1 :]
        if inner:
            out_of_order = InvalidQueryError(
                "a transaction that began inside this one has not ended before it: leave blocks in reverse order, "
                "and do not keep one open across a yield or an await"
            )
            for one in (scope, *inner):
                one.failure = one.failure or out_of_order

    def _end_savepoint(self, scope: Scope, scopes: list[Scope], error: BaseException | None) -> None:
        # From here on it is the parent that fails, by an interrupt too.
        scopes.pop()
        parent = scopes[-1]
        if isinstance(scope.failure, ConnectionLostError):
            self.begun = False
            parent.failure = parent.failure or scope.failure
            if error is None:
                raise scope.failure
            return
        name = savepoint_name(scope)
        if error is None and scope.failure is None:
            self._engine.run_control(f"RELEASE SAVEPOINT {name}")
            parent.callbacks.extend(scope.callbacks)
            self.begun = False
            return
        try:
            self._engine.run_control(f"ROLLBACK TO SAVEPOINT {name}")
            self._engine.run_control(f"RELEASE SAVEPOINT {name}")
            self.begun = False
        except CloudpubError:
            # The parent's scope now carries this failure; the error under way came first and says more.
            self.begun = False
            if error is None:
                raise
            return
        if error is None and scope.failure is not None and not self._forgives(scope):
            raise aborted(scope.failure) from scope.failure

    def _end_transaction(self, scope: Scope, error: BaseException | None) -> None:
        failure = scope.failure
        if error is None and failure is None:
            self._engine.commit_transaction(scope)
            # What a signal's handler does from here on is no part of it, nor is its failure.
            self._close()
            run_callbacks(scope.callbacks)
            return
        self._engine.rollback_transaction()
        self._close()
        if error is None and failure is not None and not self._forgives(scope):
            if isinstance(failure, ConnectionLostError):
                raise failure
            raise aborted(failure) from failure

    def _forgives(self, scope: Scope) -> bool:
        # Nothing can pass for kept where nothing was done or waits for it.
        nothing_lost = scope.failed_alone and not scope.callbacks
        return self.forgives_failing_alone and nothing_lost and not isinstance(scope.failure, ConnectionLostError)

    def _close(self) -> None:
        self._engine.transaction_ends()
        self._engine.after_transaction()
        self._unpin()
        self.begun = False

    def _unpin(self) -> None:
        if self._scope is not None and self._scope.keeps_connection:
            self._engine.unpin()
            self._scope.keeps_connection = False


def savepoint_name(scope: Scope) -> str:
    """Return the name of a scope that is a savepoint, in the database."""
    return f"cloudpub_{scope.number}"


def _interrupted() -> TransactionAbortedError:
    return TransactionAbortedError("an interrupt came as a savepoint ended, so that nobody knows whether it was kept")


def run_callbacks(callbacks: list[Callable[[], object]]) -> None:
    """Run what waited for a commit, in order; one that raises is logged, since the commit has happened."""
    for callback in callbacks:
        try:
            callback()
        except Exception:  # noqa: BLE001 - whatever it is, the commit has happened
            _log.exception("an on_commit callback failed; the transaction has been committed all the same")


def check_takes_connection(fn: object) -> None:
    """Raise InvalidQueryError for what cannot be called with a transaction's connection."""
    import inspect

    refused = InvalidQueryError(f"expected a function that takes the transaction's connection; got {shown(fn)}")
    if not callable(fn):
        raise refused
    try:
        inspect.signature(fn).bind(None)
    except TypeError:
        raise refused from None
    except ValueError:
        return  # a function written in C does not say what it takes
