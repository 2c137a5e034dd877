"""Functions whose results are kept, since programs write the same few hundred strings again and again.

What is kept is immutable and may be shared; and because the same text gives the same object each time, the caches
behind find by identity what they would otherwise have to compare. However many texts a program makes, and however long
they are, what is kept stays small.

For: `remembered` parsers of names, functions of a whole statement (`remembered_by_text`), and what is made of hashable
parts (`remembered_if_short`).
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
LONGEST_KEPT = 10_000
"""Of texts with more characters only a few are kept."""
_MOST_LONG_KEPT = 8


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


def remembered_by_text(function: Callable[[str, *Arguments], Result]) -> Callable[[str, *Arguments], Result]:
    """Return a function of a text with its last results kept; of long texts only the last few.

    >>> @remembered_by_text
    ... def words(text):
    ...     return tuple(text.split())
    >>> words("a b") is words("a b")
    True
    """
    kept = lru_cache(maxsize=_MOST_KEPT // 2)(function)
    kept_long = lru_cache(maxsize=_MOST_LONG_KEPT)(function)

    @wraps(function)
    def of_text(text: str, *others: *Arguments) -> Result:
        return kept(text, *others) if len(text) <= LONGEST_KEPT else kept_long(text, *others)

    return of_text


def remembered_if_short(
    make: Callable[[*Arguments], Result], length: Callable[[Result], int]
) -> Callable[[*Arguments], Result]:
    """Return `make` with its results kept where their length, in characters, is not large.

    >>> joined = remembered_if_short(lambda *parts: "".join(parts), len)
    >>> joined("a", "b") is joined("a", "b"), joined("a", "b" * 20_000) is joined("a", "b" * 20_000)
    (True, False)
    """
    kept: dict[tuple[*Arguments], Result] = {}

    def made(*arguments: *Arguments) -> Result:
        found = kept.get(arguments)
        if found is None:
            found = make(*arguments)
            if length(found) <= LONGEST_KEPT:
                if len(kept) >= _MOST_KEPT:
                    kept.clear()
                kept[arguments] = found
        return found

    return made
