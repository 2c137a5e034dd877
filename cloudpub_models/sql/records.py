"""``Record``: the base of immutable values: what statements are made of, dialects, options.

It is what a frozen dataclass would be, without the code that ``dataclasses`` generates and compiles for each class:
with some twenty of them that took a third of this package's time to import. A ``NamedTuple`` compiles too, every
annotation. Type checkers treat it as a dataclass.
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
    _has_check: ClassVar[bool] = False
    _hash: int

    def __init_subclass__(cls) -> None:
        cls._fields = tuple(name for name in cls.__annotations__ if not name.startswith("_"))
        cls._has_check = cls._check is not Record._check

    def __init__(self, *values: Any, **named: Any) -> None:
        fields = self._fields
        given = self.__dict__
        given.update(zip(fields, values, strict=False))
        if named or len(values) != len(fields):
            self._take_named(values, named)
        if self._has_check:
            self._check()

    def _take_named(self, values: tuple[Any, ...], named: dict[str, Any]) -> None:
        """Take the fields given by name, and the defaults of those not given."""
        fields = self._fields
        given = self.__dict__
        given.update(named)
        if len(given) != len(values) + len(named) or not given.keys() <= set(fields):
            raise TypeError(
                f"{type(self).__name__} takes {', '.join(fields)}; got {len(values)} values and {list(named)}"
            )
        for name in fields:
            if name not in given:
                if not hasattr(type(self), name):
                    raise TypeError(f"{type(self).__name__} needs a value for {name}")
                given[name] = getattr(type(self), name)

    def _check(self) -> None:
        """Refuse values that make no sense; called when an instance has been made."""

    def changed(self, **changes: Any) -> Self:
        """Return a copy with some fields changed."""
        given = self.__dict__
        return type(self)(**{name: given[name] for name in self._fields} | changes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Record) and type(self) is type(other) and self._as_tuple() == other._as_tuple()

    def __hash__(self) -> int:
        # Records are keys of caches, which ask at every call.
        try:
            return self._hash
        except AttributeError:
            self.__dict__["_hash"] = hash((type(self), *self._as_tuple()))
            return self._hash

    def __repr__(self) -> str:
        shown = [f"{name}={value!r}" for name, value in zip(self._fields, self._as_tuple(), strict=True)]
        return f"{type(self).__name__}({', '.join(shown)})"

    def __reduce__(self) -> str | tuple[Any, ...]:
        """Pickle without the hash, which is another one in each process."""
        return type(self), self._as_tuple()

    def _as_tuple(self) -> tuple[Any, ...]:
        given = self.__dict__
        return tuple([given[name] for name in self._fields])

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(f"a {type(self).__name__} does not change: make another with changed()")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a {type(self).__name__} does not change")
