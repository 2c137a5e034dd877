"""Sessions: blocks in which a thread keeps one connection.

How a connection is had is the engine's business.
"""

from __future__ import annotations

import threading
import weakref
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from cloudpub_models.connection.blocks import Block, left_elsewhere
from cloudpub_models.connection.engine import Engine
from cloudpub_models.connection.scopes import ThreadState
from cloudpub_models.errors import ConfigurationError

if TYPE_CHECKING:
    from cloudpub_models.connection.cached_rows import CachedReading


class Session(Block):
    """Keeps a connection for this thread until its block ends, unless the thread has one already.

    Args:
        engine: the engine.
        check: make sure that the connection is alive.
        cached: whether lookups may be answered from memory.

    Raises:
        ConfigurationError: the database keeps no rows in memory.
    """

    def __init__(self, engine: Engine, *, check: bool = False, cached: bool = False) -> None:
        self._engine = engine
        self._check = check
        self._reading: CachedReading | None = None
        self._outer_reading: CachedReading | None = None
        if cached:
            if engine.cached_rows is None:
                raise ConfigurationError(
                    "expected a database that keeps rows in memory, for a cached session; got one that keeps none: "
                    "open it with cached_rows=10_000"
                )
            from cloudpub_models.connection.cached_rows import CachedReading

            self._reading = CachedReading(engine, engine.cached_rows)
        self._opened = False
        self._thread = 0
        # Not kept alive: a thread that ends in a session gives the connection back by that.
        self._state: weakref.ref[ThreadState] | None = None

    def __enter__(self) -> None:
        engine = self._engine
        self._thread, self._state = threading.get_ident(), weakref.ref(engine.this_thread())
        self._opened = not engine.keeps_connection()
        self.begun = True
        try:
            engine.pin(check=self._check)
            if self._reading is not None:
                state = engine.this_thread()
                self._outer_reading, state.cached = state.cached, self._reading
        except BaseException:
            self.abandon()
            raise

    def leave(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        """End the session, as ``__exit__`` does."""
        self.abandon()
        if error is None and self._thread != threading.get_ident():
            raise left_elsewhere("session")
        return False

    def abandon(self) -> None:
        """Let go of the connection, if it is this session's to let go of."""
        state = None if self._state is None else self._state()
        if self._reading is not None and state is not None and state.cached is self._reading:
            state.cached = self._outer_reading
        if self._opened and state is not None:
            if state.scopes:
                # A transaction that has not ended goes on with it.
                state.scopes[0].keeps_connection = True
            elif self._thread == threading.get_ident():
                self._engine.unpin()
            else:
                self._engine.unpin_elsewhere(state)
        self.begun = False
