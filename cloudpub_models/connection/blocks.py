"""With-blocks that end whatever happens, also where an interrupt keeps ``__exit__`` from running.

A signal's handler may raise as ``__exit__`` begins, which then does nothing, or as ``__enter__`` ends, which has done
everything by then. What the ``with`` statement holds until its end, and lets go of in any case, is the function that it
is going to call. So that is made for each block, and whoever has begun the block is told when it is gone.

What a block begins and ends is not known here.
"""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, Literal

from cloudpub_models.errors import InvalidQueryError

Exit = Callable[[type[BaseException] | None, BaseException | None, TracebackType | None], Literal[False]]


class _ToldOfItsEnd:
    """``__exit__`` of a block: one that is gone when the ``with`` statement is over."""

    def __get__(self, block: Block | None, kind: type[Block]) -> Exit:
        if block is None:
            # As a class gives a method, for ExitStack.
            return kind.leave  # type: ignore[return-value]
        if block.begun:
            return block.leave
        ending = partial(block.leave)
        block.ending = weakref.ref(ending, block._is_left)
        return ending


class Block(ABC):
    """A context manager whose block is ended whatever happens.

    Attributes:
        begun: whether the block has begun and not ended, as far as it knows.
        ending: what lives as long as the ``with`` statement does.
    """

    begun = False
    ending: weakref.ref[Exit] | None = None

    __exit__ = _ToldOfItsEnd()

    @abstractmethod
    def leave(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        """End the block, as ``__exit__`` does."""

    @abstractmethod
    def abandon(self) -> None:
        """Undo what the block has begun and not ended, as far as that is still necessary."""

    def _is_left(self, _ending: Any) -> None:
        if self.begun:
            self.abandon()


def left_elsewhere(what: str) -> InvalidQueryError:
    """Return the error for a block that was entered in one thread and left in another."""
    return InvalidQueryError(
        f"expected a {what} to end in the thread in which it began; got another one: keep a block in one function, and "
        "none open across a yield or an await"
    )
