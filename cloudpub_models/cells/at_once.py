"""Several servers asked at the same time, each in a thread of its own, all of which end before the call does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from queue import SimpleQueue
from sys import modules
from threading import Lock, Thread
from typing import Final, Generic, NamedTuple, TypeVar

from cloudpub_models.connection import Database
from cloudpub_models.errors import CloudpubError
from cloudpub_models.manager.event_loops import warn_of_event_loop

R = TypeVar("R")

# For so long who is about to end by himself is not told to.
_PATIENCE_SECONDS: Final = 0.05
# A server that answers nothing does not answer who cancels either.
_LONGEST_SECONDS: Final = 5.0


class Question(NamedTuple, Generic[R]):
    """What one server is asked.

    Attributes:
        server: the server.
        ask: asks it.
    """

    server: Database
    ask: Callable[[], R]


def ask_at_once(questions: Sequence[Question[R]], *, is_enough: Callable[[R], bool] | None = None) -> list[R]:
    """Return what several servers answer, in their order.

    Where one fails, or this thread is interrupted, the statements of the others are cancelled. A thread that keeps a
    connection to one of them, as in a transaction there, asks them itself, one after the other.

    Args:
        questions: what is asked; of one alone no thread is made.
        is_enough: whether an answer makes those that are still to come unnecessary, which are left out then.

    Raises:
        CloudpubError: that of the first server that failed, which a note of the error names.
    """
    if len(questions) > 1 and "_asyncio" in modules and modules["_asyncio"]._get_running_loop() is not None:
        # Of the threads nobody would know.
        warn_of_event_loop()
    if len(questions) < 2 or any(question.server.engine.keeps_connection() for question in questions):
        return _one_after_the_other(questions, is_enough)
    done: SimpleQueue[_Thread[R]] = SimpleQueue()
    threads = [_Thread(question, done) for question in questions]
    try:
        for thread in threads:
            thread.start()
        for _ in threads:
            ended = done.get()
            if ended.error is not None:
                raise ended.error
            if is_enough is not None and is_enough(ended.answers[0]):
                return ended.answers
        return [answer for thread in threads for answer in thread.answers]
    finally:
        for thread in threads:
            thread.stop()


def _one_after_the_other(questions: Sequence[Question[R]], is_enough: Callable[[R], bool] | None) -> list[R]:
    answers: list[R] = []
    for question in questions:
        with _named(question.server):
            answers.append(question.ask())
        if is_enough is not None and is_enough(answers[-1]):
            return answers[-1:]
    return answers


@contextmanager
def _named(server: Database) -> Iterator[None]:
    """Have an error say of which server it is."""
    try:
        yield
    except CloudpubError as error:
        error.add_note(f"of the server {server.url}")
        raise


class _Thread(Generic[R]):
    """Asks one server, on a connection that is known here, so that the statement can be cancelled."""

    def __init__(self, question: Question[R], done: SimpleQueue[_Thread[R]]) -> None:
        self._question = question
        self._done = done
        # While it is held the connection is that of nobody else.
        self._lock = Lock()
        self._is_asking = False
        self._is_stopped = False
        # What belongs to this piece of work, as a trace does, belongs to it there too.
        self._thread = Thread(target=copy_context().run, args=(self._run,), name=question.server.url, daemon=True)
        self.answers: list[R] = []
        self.error: BaseException | None = None

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Have it end, and wait until it has; where its server answers nothing, it ends by itself when that does."""
        if self._thread.ident is None:
            return
        self._is_stopped = True
        self._thread.join(_PATIENCE_SECONDS)
        deadline = time.monotonic() + _LONGEST_SECONDS
        canceller: Thread | None = None
        while self._thread.is_alive() and time.monotonic() < deadline:
            if canceller is None or not canceller.is_alive():
                canceller = Thread(target=self._cancel, name=f"cancel {self._thread.name}", daemon=True)
                canceller.start()
            self._thread.join(_PATIENCE_SECONDS)

    def _cancel(self) -> None:
        with self._lock:
            if self._is_asking:
                self._engine.interrupt_thread(self._state)

    def _run(self) -> None:
        try:
            with _named(self._question.server):
                self._ask()
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
            self.error = error
        finally:
            self._done.put(self)

    def _ask(self) -> None:
        self._engine = self._question.server.engine
        self._engine.pin()
        try:
            with self._lock:
                self._state = self._engine.this_thread()
                self._is_asking = True
            if not self._is_stopped:
                self.answers.append(self._question.ask())
        finally:
            with self._lock:
                self._is_asking = False
            self._engine.unpin()
