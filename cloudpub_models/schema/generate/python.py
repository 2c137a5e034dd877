"""Python as text: calls that are broken into lines as a formatter would, and the script that steps become."""

from __future__ import annotations

import keyword
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

_WIDTH = 100
_INDENT = "    "


@dataclass(frozen=True)
class Call:
    """A call, or anything else that has parts in parentheses.

    Attributes:
        head: what stands in front of the parentheses; nothing for a tuple.
        parts: the arguments in order.
        named: the arguments by name.

    >>> Call("CharField", named={"max_length": "100"}).text()
    'CharField(max_length=100)'
    """

    head: str
    parts: Sequence[str | Call] = ()
    named: dict[str, str | Call] = field(default_factory=dict)

    def text(self, indent: int = 0, room: int = _WIDTH) -> str:
        """Return it as text.

        Args:
            indent: how many levels deep the line begins.
            room: how many characters are left on that line, and on each one behind it.
        """
        given = [("", part) for part in self.parts] + [(f"{name}=", part) for name, part in self.named.items()]
        flat = [prefix + (part if isinstance(part, str) else part.text(0, 10_000)) for prefix, part in given]
        closing = ",)" if not self.head and len(flat) == 1 else ")"
        line = f"{self.head}({', '.join(flat)}{closing}"
        if "\n" not in line and len(line) <= room - indent * len(_INDENT):
            return line
        inner = _INDENT * (indent + 1)
        if len(flat) > 1 and len(inner) + len(", ".join(flat)) <= room:
            return f"{self.head}(\n{inner}{', '.join(flat)}\n{_INDENT * indent})"
        broken = [prefix + (part if isinstance(part, str) else part.text(indent + 1, room)) for prefix, part in given]
        return f"{self.head}(\n" + "".join(f"{inner}{part},\n" for part in broken) + _INDENT * indent + ")"

    def with_named(self, **named: str | Call) -> Call:
        """Return the call with more arguments by name."""
        return Call(self.head, self.parts, {**self.named, **named})

    def __str__(self) -> str:
        """Return it as text that begins at the left."""
        return self.text()


def literal(value: object) -> str:
    """Return a value as Python has it, with strings in double quotes where that is possible.

    >>> literal("it's"), literal({"a": None}), literal('say "a"')
    ('"it\\'s"', "{'a': None}", '\\'say "a"\\'')
    """
    if not isinstance(value, str) or "\\" in value or not value.isprintable():
        return repr(value)
    if '"' in value and value.count('"') > value.count("'"):
        return repr(value)
    return '"' + value.replace('"', '\\"') + '"'


def columns_literal(columns: Iterable[str]) -> Call:
    """Return names as a tuple.

    >>> str(columns_literal(["a"]))
    '("a",)'
    """
    return Call("", [literal(column) for column in columns])


def words(text: str) -> str:
    """Return text for a comment or a docstring, on one line and without what would end it."""
    return " ".join(text.split()).replace("\\", "/").replace('"""', "'''")


def class_name(table: str, taken: Iterable[str]) -> str:
    """Return a name for the class of a table.

    >>> class_name("api_keys", ()), class_name("class", ("Class",)), class_name("2nd", ())
    ('ApiKeys', 'Class_', 'Table2Nd')
    """
    parts = "".join(letter if letter.isascii() and letter.isalnum() else " " for letter in table).title().split()
    name = "".join(parts)
    name = name if name[:1].isalpha() else f"Table{name}"
    while name in taken or keyword.iskeyword(name):
        name += "_"
    return name


def attribute_name(column: str, taken: Iterable[str]) -> str:
    """Return a name for the attribute of a column.

    >>> attribute_name("name", ()), attribute_name("class", ()), attribute_name("first name", ())
    ('name', 'class_', 'first_name')
    """
    name = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in column)
    name = f"column_{name}" if not name[:1].isalpha() else name
    while keyword.iskeyword(name) or name in taken:
        name += "_"
    return name


def import_line(module: str, names: Iterable[str]) -> str:
    """Return the import of names from a module, sorted as linters want them.

    >>> import_line("peewee", ["Field", "SQL"])
    'from peewee import SQL, Field\\n'
    """
    ordered = sorted(names, key=lambda name: (not name.isupper(), name))
    line = f"from {module} import {', '.join(ordered)}\n"
    if len(line) <= _WIDTH:
        return line
    return f"from {module} import (\n" + "".join(f"{_INDENT}{name},\n" for name in ordered) + ")\n"


@dataclass(frozen=True)
class Line:
    """One thing that a script does.

    Attributes:
        call: the code.
        is_operation: whether it is an operation of the migrator's, and no statement of its own.
        why: a sentence for a comment in front of it.
        is_kept_back: whether it stands commented out.
    """

    call: Call
    is_operation: bool = True
    why: str | None = None
    is_kept_back: bool = False


def body(lines: Iterable[Line], docstring: str) -> str:
    """Return a function's body of these lines; operations that follow each other are run by one call."""
    found = [f'{_INDENT}"""{docstring}"""']
    waiting: list[Line] = []

    def flush() -> None:
        if not waiting:
            return
        # A call of nothing but comments would do nothing, and have to be explained.
        mark = "# " if all(line.is_kept_back for line in waiting) else ""
        if mark and waiting[0].why is not None:
            found.extend(f"{_INDENT}# {text}" for text in _wrapped(waiting[0].why))
            waiting[0] = replace(waiting[0], why=None)
        shown = [replace(line, is_kept_back=line.is_kept_back and not mark) for line in waiting]
        inner = [_INDENT + text for line in shown for text in _shown(line, 2, ",")]
        found.extend(f"{_INDENT}{mark}{text}" for text in ("migrator.migrate(", *inner, ")"))
        waiting.clear()

    for line in lines:
        if line.is_operation:
            waiting.append(line)
            continue
        flush()
        found.extend(_INDENT + text for text in _shown(line, 1, ""))
    flush()
    return "\n".join(found) + "\n"


def _shown(line: Line, indent: int, end: str) -> Iterator[str]:
    """Yield the lines of text, the first indent left out."""
    if line.why is not None:
        yield from (f"# {text}" for text in _wrapped(line.why))
    mark = "# " if line.is_kept_back else ""
    first, *others = (line.call.text(indent) + end).split("\n")
    yield mark + first
    yield from (mark + text[indent * len(_INDENT) :] for text in others)


def _wrapped(text: str) -> list[str]:
    lines = [""]
    for word in words(text).split():
        if lines[-1] and len(lines[-1]) + len(word) + 1 > _WIDTH - 10:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".lstrip()
    return lines
