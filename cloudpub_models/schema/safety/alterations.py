"""``ALTER TABLE`` taken apart, and what its actions cost on PostgreSQL: pure text in, plain values out.

For ``hazards``, which judges whole statements. It covers the actions that migrations are made of, not all of the
grammar.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cloudpub_models.schema.catalogue.catalogue import normalised_type
from cloudpub_models.sql.text.statements import plain

# What may follow DROP or ADD that is no column.
_NO_COLUMNS = frozenset(
    {"constraint", "default", "not", "identity", "expression", "primary", "unique", "check", "foreign", "exclude"}
    | {"generated", "table", "trigger", "rule", "policy"}
)
_COUNTING_TYPES = frozenset({"serial", "bigserial", "smallserial", "serial2", "serial4", "serial8"})
_END_OF_DEFAULT = frozenset({"not", "null", "constraint", "check", "unique", "primary", "references", "collate"})
# Written like calls, but no functions.
_LIKE_CALLS = frozenset({"coalesce", "nullif", "greatest", "least", "cast", "array", "row", "in", "any", "interval"})
_VARYING = re.compile(r"varchar(?:\((\d+)\))?$|text$")

_UNDER_LOCK = "while nobody can read or write it"


@dataclass(frozen=True)
class Alteration:
    """One action of an ``ALTER TABLE``, as its words."""

    words: Sequence[str]

    @property
    def column(self) -> str | None:
        """The column that it is about, if it is about one."""
        words = [word for word in self.words if word not in ("if", "exists")]
        if words[:1] not in (["add"], ["drop"], ["alter"]):
            return None
        rest = words[2:] if words[1:2] == ["column"] else words[1:]
        rest = rest[1:] if rest[:1] == ["not"] and words[0] == "add" else rest
        return plain(rest[0]) if rest and (words[1] == "column" or rest[0] not in _NO_COLUMNS) else None

    @property
    def drops_column(self) -> bool:
        """Whether a column goes, with what it holds."""
        return self.words[0] == "drop" and self.column is not None

    @property
    def locks_nobody_out(self) -> bool:
        """Whether others read and write on meanwhile."""
        return self.words[0] == "validate"

    @property
    def new_table_name(self) -> str | None:
        """The name that the table gets, if it gets another."""
        return plain(self.words[2]) if tuple(self.words[:2]) == ("rename", "to") and len(self.words) > 2 else None

    @property
    def renames(self) -> str | None:
        """What gets another name, and which, if something does."""
        words = list(self.words)
        if words[:1] != ["rename"] or "to" not in words[:-1] or words[1:2] == ["constraint"]:
            return None
        old, new = words[1 : words.index("to")], plain(words[-1])
        old = old[1:] if old[:1] == ["column"] and len(old) > 1 else old
        return f"renames the column {plain(old[0])} to {new}" if old else f"renames the table to {new}"

    @property
    def replaces_values(self) -> bool:
        """Whether what a column holds becomes something else, as by ``USING left(name, 5)``."""
        words = list(self.words)
        if words[0] != "alter" or "type" not in words or "using" not in words:
            return False
        given = [plain(word) for word in words[words.index("using") + 1 :] if word not in ("(", ")", "cast")]
        # A cast of the column keeps what it can, and fails where it cannot.
        return given[:1] != [self.column] or given[1:2] not in ([], ["::"], ["as"], ["at"])

    def long_effects(
        self, steady_functions: frozenset[str], column_type: str | None
    ) -> Iterator[tuple[str, str | None]]:
        """Yield what takes longer the larger the table is, each with what to do instead.

        Args:
            steady_functions: functions whose value is one for all rows.
            column_type: the type that the column has now, in the catalogue's short form.
        """
        words, text = self.words, " ".join(self.words)
        if words[0] == "add" and self.column is not None:
            yield from self._added_column(steady_functions)
        elif words[0] == "add":
            yield from _added_constraint(words)
        elif words[0] == "alter" and " set not null" in text:
            yield (
                f"scans the table {_UNDER_LOCK}",
                "a CHECK (… IS NOT NULL) added NOT VALID and validated in a later migration spares the scan",
            )
        elif words[0] == "alter" and re.search(r" (set data )?type ", text):
            if not self._only_widens(column_type):
                yield (
                    f"writes the table and its indexes anew {_UNDER_LOCK}",
                    "a column beside it, filled in batches, does not",
                )
        elif re.match(r"set (logged|unlogged|tablespace|access method)", text):
            yield f"writes the table anew {_UNDER_LOCK}", None
        elif text.startswith("attach partition"):
            yield "scans the new partition under a lock", "a valid CHECK of the same bounds spares the scan"

    def _added_column(self, steady_functions: frozenset[str]) -> Iterator[tuple[str, str | None]]:
        words = list(self.words)
        default = _default_of(words)
        changing = [call for call in _calls(default) if call not in steady_functions | _LIKE_CALLS]
        counting = bool(_COUNTING_TYPES & set(words)) or "identity" in words
        if changing or counting or "stored" in words:
            yield (
                f"writes the table anew {_UNDER_LOCK}, since each row gets a value of its own",
                "add the column without a default, set the default, and fill old rows in batches",
            )
        if "unique" in words or "primary" in words:
            yield f"builds an index {_UNDER_LOCK}", "CREATE UNIQUE INDEX CONCURRENTLY first, then ADD … USING INDEX"
        if "check" in words or ("references" in words and default):
            yield f"scans the table {_UNDER_LOCK}", "add the rule by itself, NOT VALID, and validate it later"

    def _only_widens(self, column_type: str | None) -> bool:
        words = list(self.words)
        if column_type is None or "using" in words or "collate" in words:
            return False
        written = "".join(words[words.index("type") + 1 :])
        before = _VARYING.match(normalised_type(column_type))
        after = _VARYING.match(normalised_type(written.replace("charactervarying", "character varying")))
        if before is None or after is None:
            return False
        return after[1] is None or (before[1] is not None and int(before[1]) <= int(after[1]))


def alterations_of(words: Sequence[str]) -> tuple[str, list[Alteration]]:
    """Return the table of an ``ALTER TABLE`` and what is done to it.

    Args:
        words: the statement's, as of ``sql.text.statements``.

    >>> table, found = alterations_of("alter table only a . b add column x int , drop y".split())
    >>> table, [(alteration.column, alteration.drops_column) for alteration in found]
    ('a.b', [('x', False), ('y', True)])
    """
    position = 2
    while words[position : position + 1] and words[position] in ("if", "exists", "only"):
        position += 1
    first = position
    while words[position + 1 : position + 2] == ["."]:
        position += 2
    table = "".join(map(plain, words[first : position + 1]))
    parts: list[list[str]] = [[]]
    depth = 0
    for word in words[position + 1 :]:
        depth += {"(": 1, ")": -1}.get(word, 0)
        if word == "," and not depth:
            parts.append([])
        else:
            parts[-1].append(word)
    return table, [Alteration(part) for part in parts if part]


def _added_constraint(words: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    text = " ".join(words)
    if "foreign" in words and "not valid" not in text:
        yield (
            "checks every row while writes to this table and the other are blocked",
            "add it NOT VALID, and VALIDATE CONSTRAINT in a later migration",
        )
    elif "check" in words and "not valid" not in text:
        yield (
            f"checks every row {_UNDER_LOCK}",
            "add it NOT VALID, and VALIDATE CONSTRAINT in a later migration",
        )
    elif ("unique" in words or "primary" in words or "exclude" in words) and "using index" not in text:
        yield f"builds an index {_UNDER_LOCK}", "CREATE UNIQUE INDEX CONCURRENTLY first, then ADD … USING INDEX"


def _default_of(words: list[str]) -> list[str]:
    if "default" not in words:
        return []
    start = words.index("default") + 1
    end = next((index for index in range(start, len(words)) if words[index] in _END_OF_DEFAULT), len(words))
    return words[start : max(end, start + 1)]


def _calls(expression: Sequence[str]) -> list[str]:
    words = map(plain, expression)
    return [word for word, following in itertools.pairwise(words) if following == "(" and word.isidentifier()]
