"""What a door is: one way for a string into the library, and what comes of going through it.

A door is opened with a string. Where ``accepts`` says no, a typed error has to come before anything is sent. Where it
says yes, nothing may be sent that was not sent for a harmless string too, and the result is what ``expects`` says.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.abuse.world import World

from .accepted import TEXTS, Accepts, text

Call = Callable[[World, str], Any]


@dataclass(frozen=True)
class Door:
    """One way for a string into the library.

    Attributes:
        covers: the public parameters that it goes through, ``Class.method(parameter)``.
        call: opens it.
        harmless: what everybody uses it for; decides what may be sent.
        accepts: whether a string is refused, said without the library's help.
        expects: the result for an accepted string; ``None`` where the harmless statements are all there is to check.
        rewrites: whether an accepted string becomes part of the text, as a checked name does; then the text is that of
            the harmless string with this one in its place, and the database may not know the name.
        sends_first: whether other statements, which a harmless string causes too, come before the string is looked at.
        writes_literals: whether Peewee writes the string into the text, as a literal.
        passes_over: real names, which mean something else for each door; other tests use them everywhere.
    """

    covers: tuple[str, ...]
    call: Call
    harmless: tuple[str, ...]
    accepts: Accepts
    expects: Callable[[World, str], Any] | None = None
    rewrites: bool = False
    sends_first: bool = False
    writes_literals: bool = False
    passes_over: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return self.covers[0]


class Canonical(NamedTuple):
    """Something that is compared without regard to blanks, quotes, case and what ORDER BY says anyway."""

    text: str

    @classmethod
    def of(cls, sql: str) -> Canonical:
        sql = re.sub(r" ASC(?=,|$| NULLS| LIMIT)| NULLS LAST\b", "", re.sub(r"[\"`]", "", sql), flags=re.IGNORECASE)
        return cls(re.sub(r"\s|\bas\b", "", sql.lower()))


class Doors(list[Door]):
    """The doors into one part of the library."""

    def door(self, *covers: str, **how: Any) -> Callable[[Call], Call]:
        """Add what the decorated function opens."""

        def add(call: Call) -> Call:
            self.append(Door(covers, call, **how))
            return call

        return add

    def in_vain(
        self, name: str, call: Call, accepts: Accepts, harmless: tuple[str, ...] = TEXTS, result: Any = None
    ) -> None:
        """Add a door for a string that nothing in the database answers to."""
        self.append(Door((name,), call, harmless, accepts, lambda *_: result))

    def writes(self, name: str, write: Callable[[World, str], Any], **how: Any) -> None:
        """Add a door that writes a log line: what was written is read back and removed again."""

        def call(world: World, given: str) -> Any:
            write(world, given)
            found = [row.message for row in world.logs.find_all({"level": "written"})]
            world.logs.delete({"level": "written"})
            return found

        self.append(Door((name,), call, TEXTS, text(), lambda _, given: [given], **how))
