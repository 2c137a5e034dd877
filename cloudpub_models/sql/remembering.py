"""`remembered`: parsers whose results are kept, since programs write the same few hundred strings again and again.

What is kept is immutable and may be shared; and because the same text gives the same object each time, the caches
behind find by identity what they would otherwise have to compare.

Not for: statements (`rendering` keeps those) and SQL of one's own (`parameters`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TypeVar, TypeVarTuple

    Arguments = TypeVarTuple("Arguments")
    Result = TypeVar("Result")

_MOST_KEPT = 2048


def remembered(parser: Callable[[*Arguments], Result]) -> Callable[[*Arguments], Result]:
    """Return `parser` with its results kept where every argument is plain text or `None`.

    Anything else (raw SQL, lists, subclasses of `str` with a mind of their own, what is wrong altogether) is parsed
    each time, and so is what failed.

    >>> @remembered
    ... def words(text):
    ...     return tuple(text.split())
    >>> words("a b") is words("a b")
    True
    """
    kept = lru_cache(maxsize=_MOST_KEPT)(parser)

    @wraps(parser)
    def parse(*arguments: *Arguments) -> Result:
        for argument in arguments:
            if argument.__class__ is not str and argument is not None:
                return parser(*arguments)
        return kept(*arguments)

    return parse
