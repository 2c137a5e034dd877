"""The library's bounded cache, since programs write the same few hundred strings again and again.

What is kept is immutable and may be shared; and because the same text gives the same object each time, the caches
behind find by identity what they would otherwise have to compare. However many texts a program makes, and however long
they are, what is kept stays small.

For: ``Remembered``, which keeps what a function makes; ``remembered``, for parsers of names; ``remembered_if_short``,
where the length of the result counts; ``made_on_first_use``, for the one value of an attribute.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Generic, Self, TypeVar, TypeVarTuple, overload

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")
Owner = TypeVar("Owner")

LONGEST_KEPT = 10_000
"""Of texts with more characters only a few are kept."""
_MOST_KEPT = 2048
_MOST_CHARACTERS_KEPT = 1_000_000
_MOST_LONG_KEPT = 8
_LONGEST_OF_ALL = 1_000_000


class Remembered(dict[tuple[*Arguments], Result]):
    """What a function makes of its arguments, by the tuple of these; made when it is first asked for.

    What is there is found without a call of Python's. What failed is not kept. When it is full, it begins anew.

    >>> words = Remembered(lambda text: tuple(text.split()))
    >>> words["a b",], words["a b",] is words["a b",]
    (('a', 'b'), True)
    """

    __slots__ = ("_characters", "_length", "_long", "_make")

    def __init__(self, make: Callable[[*Arguments], Result], length: Callable[[Result], int] | None = None) -> None:
        """Keep what ``make`` makes.

        Args:
            make: the function, of hashable arguments.
            length: the length of a result in characters, where it may be longer than the texts among the arguments;
                long results are not kept.
        """
        super().__init__()
        self._make = make
        self._length = length
        self._characters = 0
        self._long: dict[tuple[*Arguments], Result] = {}

    def __missing__(self, arguments: tuple[*Arguments]) -> Result:
        found = self._long.get(arguments)
        if found is not None:
            return found
        made = self._make(*arguments)
        characters = sum([len(argument) for argument in arguments if isinstance(argument, str)])
        if self._length is not None:
            characters += self._length(made)
        if characters <= LONGEST_KEPT:
            if len(self) >= _MOST_KEPT or self._characters + characters > _MOST_CHARACTERS_KEPT:
                self.clear()
            self._characters += characters
            self[arguments] = made
        elif self._length is None and characters <= _LONGEST_OF_ALL:
            if len(self._long) >= _MOST_LONG_KEPT:
                self._long.clear()
            self._long[arguments] = made
        return made

    def clear(self) -> None:
        """Forget everything."""
        super().clear()
        self._long.clear()
        self._characters = 0


def remembered(parser: Callable[[*Arguments], Result]) -> Callable[[*Arguments], Result]:
    """Return ``parser`` with its results kept where every argument is plain text or ``None``.

    Anything else (raw SQL, lists, subclasses of ``str`` with a mind of their own, what is wrong altogether) is parsed
    each time.

    >>> @remembered
    ... def words(text):
    ...     return tuple(text.split())
    >>> words("a b") is words("a b")
    True
    """
    kept = Remembered(parser)

    @wraps(parser)
    def parse(*arguments: *Arguments) -> Result:
        for argument in arguments:
            if argument.__class__ is not str and argument is not None:
                return parser(*arguments)
        return kept[arguments]

    return parse


def remembered_if_short(
    make: Callable[[*Arguments], Result], length: Callable[[Result], int]
) -> Callable[[*Arguments], Result]:
    """Return ``make`` with its results kept where their length, in characters, is not large.

    >>> joined = remembered_if_short(lambda *parts: "".join(parts), len)
    >>> joined("a", "b") is joined("a", "b"), joined("a", "b" * 20_000) is joined("a", "b" * 20_000)
    (True, False)
    """
    kept = Remembered(make, length)

    def made(*arguments: *Arguments) -> Result:
        return kept[arguments]

    return made


class made_on_first_use(Generic[Owner, Result]):  # noqa: N801 - a decorator
    """Like ``cached_property``, but with nothing of its own that a forked child could find locked.

    The method puts its result into the instance, where it is found before this from then on, at the cost of no call.

    >>> class Page:
    ...     @made_on_first_use
    ...     def words(self):
    ...         return vars(self).setdefault("words", "a b".split())
    >>> page = Page()
    >>> page.words is page.words
    True
    """

    def __init__(self, method: Callable[[Owner], Result]) -> None:
        self.fget = method
        self.__doc__ = method.__doc__

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(self, instance: Owner, owner: type[Any]) -> Result: ...
    def __get__(self, instance: Owner | None, owner: type[Any]) -> Result | Self:
        return self if instance is None else self.fget(instance)
