"""`Record`: the base of the immutable values that this room's statements are made of.

It is what a frozen dataclass would be, without the code that `dataclasses` generates and compiles for each class: with
some twenty of them that took a third of this package's time to import. Type checkers treat it as a dataclass.
"""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn, Self, dataclass_transform


@dataclass_transform(frozen_default=True)
class Record:
    """An immutable value with the annotated fields of its class; equal to another of the same class and values.

    >>> class Point(Record):
    ...     x: int
    ...     y: int = 0
    >>> Point(1) == Point(1, 0), Point(x=1, y=2).changed(y=3)
    (True, Point(x=1, y=3))
    """

    _fields: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        cls._fields = tuple(name for name in cls.__annotations__ if not name.startswith("_"))

    def __init__(self, *values: Any, **named: Any) -> None:
        fields = self._fields
        given = self.__dict__
        given.update(zip(fields, values, strict=False))
        given.update(named)
        if len(given) != len(values) + len(named) or not given.keys() <= set(fields):
            raise TypeError(
                f"{type(self).__name__} takes {', '.join(fields)}; got {len(values)} values and {list(named)}"
            )
        if len(given) < len(fields):
            for name in fields:
                if name not in given and not hasattr(type(self), name):
                    raise TypeError(f"{type(self).__name__} needs a value for {name}")
                given.setdefault(name, getattr(type(self), name, None))
        self._check()

    def _check(self) -> None:
        """Refuse values that make no sense; called when an instance has been made."""

    def changed(self, **changes: Any) -> Self:
        """Return a copy with some fields changed."""
        return type(self)(**{**self.__dict__, **changes})

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *[self.__dict__[name] for name in self._fields]))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join([f'{name}={self.__dict__[name]!r}' for name in self._fields])})"

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(f"a {type(self).__name__} does not change: make another with changed()")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a {type(self).__name__} does not change")
