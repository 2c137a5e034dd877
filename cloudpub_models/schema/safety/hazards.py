"""What a schema change does to those who use the database meanwhile, and to the data: pure rules over SQL text.

It knows which statements of PostgreSQL rewrite or scan a table, or keep others from it while they do; which statements
of SQLite read or write a whole table while every other writer waits; and which throw data away. It runs nothing and
asks nothing: what it needs to know of the database comes as ``DatabaseFacts``. Statements that it does not know are
taken for harmless, except those that hide what they do (``DO``, ``CALL``). Words are those of ``sql.text.statements``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from cloudpub_models.schema.catalogue.facts import DatabaseFacts
from cloudpub_models.schema.safety.alterations import Alteration, alterations_of
from cloudpub_models.sql.dialects import Dialect
from cloudpub_models.sql.text.statements import (
    WITH_STATEMENTS_INSIDE,
    command_position,
    kind_of,
    plain,
    statements_in,
    words_of,
)
from cloudpub_models.sql.text.tokens import STRINGS, Token, tokens

Severity = Literal["destructive", "failing", "long", "unknown", "brief"]
Words = Sequence[str]

LARGE_TABLE_ROWS = 100_000

_LOSING = frozenset({"delete", "drop", "truncate"})


@dataclass(frozen=True)
class Hazard:
    """One thing to know before a statement is run.

    Attributes:
        severity: ``destructive`` throws data away; ``failing`` cannot succeed as it is; ``long`` works through the
            whole table while others wait; ``unknown`` hides what it does; ``brief`` locks for a moment only.
        table: the table that it is about, if it is about one.
        effect: what happens.
        advice: what to do instead, if there is something.
        rows: how many rows the table has, if that is known.
        counted: whether they were counted; else it is an estimate.
    """

    severity: Severity
    table: str | None
    effect: str
    advice: str | None = None
    rows: int | None = None
    counted: bool = False

    @property
    def is_large(self) -> bool:
        """Whether the table is large, or nobody knows."""
        return self.rows is None or self.rows >= LARGE_TABLE_ROWS

    @property
    def description(self) -> str:
        """The hazard in one line.

        >>> Hazard("long", "functions", "scans the table", "add it NOT VALID", rows=1200).description
        'functions (about 1,200 rows): scans the table; add it NOT VALID'
        """
        about = "" if self.counted else "about "
        size = f" ({about}{self.rows:,} row{'s' if self.rows != 1 else ''})" if self.rows is not None else ""
        place = f"{self.table}{size}: " if self.table else ""
        return place + self.effect + (f"; {self.advice}" if self.advice else "")


class HazardFinder:
    """Judges the statements of one plan, in their order.

    >>> from cloudpub_models.sql.dialects import POSTGRESQL
    >>> facts = DatabaseFacts(POSTGRESQL, rows={"function_logs": 5_000_000})
    >>> finder = HazardFinder(facts)
    >>> [hazard] = finder.hazards("CREATE INDEX ON function_logs (level)", in_transaction=True)
    >>> hazard.severity, hazard.effect
    ('long', 'blocks writes while the index is built')
    """

    def __init__(self, facts: DatabaseFacts) -> None:
        """Begin with the tables that the database has; those made on the way are empty and concern nobody."""
        self._facts = facts
        self._renamed: dict[str, str] = {}
        self._made: set[str] = set()

    def hazards(self, sql: str, *, in_transaction: bool) -> tuple[Hazard, ...]:
        """Return what is to be known about a text, which may be several statements.

        Args:
            sql: what is to be sent.
            in_transaction: whether it is part of a migration's transaction.
        """
        return tuple(dict.fromkeys([*self._refusal(sql), *self._judge_text(sql, in_transaction)]))

    def _refusal(self, sql: str) -> Iterator[Hazard]:
        parser = self._facts.parser
        refusal = None if parser is None else parser.refusal(sql)
        if parser is not None and refusal is not None:
            yield Hazard("failing", None, f"PostgreSQL {parser.version} does not take it: {refusal}")

    def _judge_text(self, sql: str, in_transaction: bool) -> Iterator[Hazard]:
        for statement in statements_in(tokens(sql, self._facts.dialect)):
            words = words_of(statement)
            if words[0] == "do":
                yield from self._judge_code(sql[statement[0].start : statement[-1].end], words, statement)
            else:
                yield from self._judge(words, in_transaction)

    def _judge_code(self, sql: str, words: Words, statement: Sequence[Token]) -> Iterator[Hazard]:
        """Judge the code of a ``DO``, statement by statement where the server's parser tells them."""
        code = None if self._facts.parser is None else self._facts.parser.code_of(sql)
        if code is not None:
            for inner in code.statements:
                yield from self._judge_text(inner, in_transaction=True)
            if code.is_whole:
                return
        yield from self._judge(words, in_transaction=True)
        losing = sorted(_LOSING & _words_inside(statement, self._facts.dialect))
        if losing:
            yield Hazard("destructive", None, f"its code has {' and '.join(losing).upper()} in it")

    def _judge(self, words: Words, in_transaction: bool) -> Iterator[Hazard]:
        command = command_position(words)
        if words[0] == "explain" and not _RUN_BY_EXPLAIN.intersection(words[:command]):
            return
        rule = _RULES.get("".join(words[command : command + 1]), _nothing)
        for severity, name, effect, advice in itertools.chain(
            _inside(words, command), rule(words[command:], self._facts, in_transaction)
        ):
            if name is None:
                yield Hazard(severity, None, effect, advice)
                continue
            table = self._facts.name_of(name)
            known = self._renamed.get(table, table)
            if known in self._facts.rows:
                yield Hazard(severity, table, effect, advice, self._facts.rows[known], self._facts.counted)
            elif severity == "destructive" and self._may_exist(table):
                yield Hazard(severity, table, effect, advice)
        if words[:2] == ["alter", "table"]:
            self._follow_rename(words)
        elif words[0] == "create" and kind_of(words) == "table":
            self._made.add(self._facts.name_of(_name(words, words.index("table") + 1) or ""))

    def _may_exist(self, table: str) -> bool:
        return not self._facts.complete and table not in self._made

    def _follow_rename(self, words: Words) -> None:
        name, alterations = alterations_of(words)
        table = self._facts.name_of(name)
        for alteration in alterations:
            if alteration.new_table_name is None:
                continue
            new = self._facts.name_of(alteration.new_table_name)
            if self._renamed.get(table, table) in self._facts.rows:
                self._renamed[new] = self._renamed.get(table, table)
            elif table in self._made:
                self._made.add(new)


def _words_inside(statement: Iterable[Token], dialect: Dialect) -> set[str]:
    """Return the words of the code that a statement has in a string, and of the strings in that code."""
    found: set[str] = set()
    for token in statement:
        if token.kind in STRINGS:
            inside = tokens(_content(token), dialect)
            found.update(words_of(inside))
            for inner in inside:
                if inner.kind in STRINGS:
                    found.update(words_of(tokens(_content(inner), dialect)))
    return found


def _content(string: Token) -> str:
    mark = string.text[: string.text.index("$", 1) + 1] if string.kind == "dollar" else "'"
    start = string.text.index(mark) + len(mark)
    content = string.text[start : len(string.text) - len(mark) if string.finished else None]
    return content if string.kind == "dollar" else content.replace("''", "'")


# What the rules return; the table's size is added where they are called.
_Found = tuple[Severity, str | None, str, str | None]
_Rule = Callable[[Words, DatabaseFacts, bool], Iterator[_Found]]

_ASK_CONCURRENTLY = "CREATE INDEX CONCURRENTLY, in a script with atomic = False, does not"
_NO_TRANSACTION = "cannot run inside a transaction"
_SET_NOT_ATOMIC = "put it into a script of its own with atomic = False at its top"


_RUN_BY_EXPLAIN = frozenset({"analyze", "analyse"})


def _nothing(words: Words, facts: DatabaseFacts, in_transaction: bool) -> Iterator[_Found]:
    yield from ()


def _create(words: Words, facts: DatabaseFacts, in_transaction: bool) -> Iterator[_Found]:
    kind = kind_of(words)
    if kind == "index":
        table = _name_after(words, "on")
        if not facts.dialect.locks_tables:
            yield "long", table, "reads the whole table, and every other writer waits", None
        elif "concurrently" in words[:4]:
            if in_transaction:
                yield "failing", table, f"CREATE INDEX CONCURRENTLY {_NO_TRANSACTION}", _SET_NOT_ATOMIC
        else:
            yield "long", table, "blocks writes while the index is built", _ASK_CONCURRENTLY
    elif kind == "table" and facts.dialect.locks_tables:
        for position, word in enumerate(words):
            if word == "references":
                yield "brief", _name(words, position + 1), "blocks writes until the migration ends", None
    elif kind == "trigger" and facts.dialect.locks_tables:
        yield "brief", _name_after(words, "on"), "blocks writes until the migration ends", None


def _drop(words: Words, facts: DatabaseFacts, in_transaction: bool) -> Iterator[_Found]:
    kind = words[1] if len(words) > 1 else ""
    if kind == "table":
        for table in _names(words, 2):
            yield "destructive", table, "drops the table with all its rows", None
    elif kind == "owned":
        yield "destructive", None, f"drops all that {_listed(words, 3)} owns, tables with their rows too", None
    elif kind in ("schema", "database", "tablespace"):
        yield "destructive", None, f"drops the {kind} {_listed(words, 2)} with all that is in it", None
    elif words[1:3] == ["materialized", "view"]:
        yield "destructive", None, f"drops the materialized view {_listed(words, 3)} with all that is in it", None
    elif words[-1] == "cascade":
        yield "destructive", None, f"drops the {kind} {_listed(words, 2)} and whatever depends on it, columns too", None
    elif kind == "index":
        yield from _dropped_index(words, facts, in_transaction)


def _dropped_index(words: Words, facts: DatabaseFacts, in_transaction: bool) -> Iterator[_Found]:
    if "concurrently" in words[:3]:
        if in_transaction:
            yield "failing", None, f"DROP INDEX CONCURRENTLY {_NO_TRANSACTION}", _SET_NOT_ATOMIC
        return
    effect = f"drops the index {_listed(words, 2)}: what was found by it is looked for in the whole table"
    concurrently = "DROP INDEX CONCURRENTLY, in a script with atomic = False, locks nobody out"
    yield "brief", None, effect, concurrently if facts.dialect.locks_tables else None


def _truncate(words: Words, facts: DatabaseFacts, in_transaction: bool) -> Iterator[_Found]:
    for table in _names(words, 2 if words[1:2] == ["table"] else 1):
        yield "destructive", table, "deletes all rows", None
    if words[-1] == "cascade":
        yield "destructive", None, "deletes all rows of the tables that refer to it as well", None


def _delete(words: Words, facts: DatabaseFacts, in_transaction: bool) -> Iterator[_Found]:
    which = "the rows that match" if "where" in words else "all rows"
    yield "destructive", _name_after(words, "from"), f"deletes {which}", None


def _inside(words: Words, command: int) -> Iterator[_Found]:
    """What a statement does beside its own command: in its WITH, or as what it copies, prepares or makes a table of."""
    if words[0] == "create" and kind_of(words) in WITH_STATEMENTS_INSIDE:
        return
    for position, (word, following) in enumerate(itertools.pairwise(words)):
        if position == command:
            continue
        if (word, following) == ("delete", "from"):
            yield "destructive", _name(words, position + 2), "deletes rows", None
        elif (word, following) == ("merge", "into") and "delete" in words:
            yield "destructive", _name(words, position + 2), "deletes the rows that match", None
        elif word == "update" and following != "set" and "set" in words[position : position + 5]:
            yield "long", _name(words, position + 1), _UPDATED, None


def _update(words: Words, facts: DatabaseFacts, in_transaction: bool) -> Iterator[_Found]:
    kept = "and keeps each locked until the migration ends"
    if "where" in words:
        yield "long", _name(words, 1), f"changes the rows that match, {kept}", None
    else:
        yield "long", _name(words, 1), f"changes all rows, {kept}", "in batches it holds others up less"


_UPDATED = "changes rows, and keeps each locked until the migration ends"


def _merge(words: Words, facts: DatabaseFacts, in_transaction: bool) -> Iterator[_Found]:
    table = _name_after(words, "into")
    if "delete" in words:
        yield "destructive", table, "deletes the rows that match", None
    yield "long", table, _UPDATED, None


def _alter(words: Words, facts: DatabaseFacts, in_transaction: bool) -> Iterator[_Found]:
    if words[1:2] != ["table"]:
        return
    table, alterations = alterations_of(words)
    locks = any(not alteration.locks_nobody_out for alteration in alterations)
    for alteration in alterations:
        column_type = facts.column_types.get((facts.name_of(table), alteration.column or ""))
        for severity, effect, advice in _alteration_hazards(alteration, facts, column_type):
            locks = False
            yield severity, table, effect, advice
    if locks and facts.dialect.locks_tables:
        yield "brief", table, "locks the table until the migration ends; the change itself takes no time", None


def _alteration_hazards(
    alteration: Alteration, facts: DatabaseFacts, column_type: str | None
) -> Iterator[tuple[Severity, str, str | None]]:
    if alteration.drops_column:
        effect = f"drops the column {alteration.column} with all it holds"
        if not facts.dialect.alters_tables:
            effect += ", and writes the whole table anew"
        yield "destructive", effect, None
    if alteration.renames:
        yield "brief", f"{alteration.renames}; programs that use the old name fail from then on", None
    if not facts.dialect.alters_tables:
        return
    if alteration.replaces_values:
        yield "destructive", f"replaces each value of {alteration.column} by what USING gives", None
    for effect, advice in alteration.long_effects(facts.steady_functions, column_type):
        yield "long", effect, advice


def _lock(words: Words, facts: DatabaseFacts, in_transaction: bool) -> Iterator[_Found]:
    yield "long", _name(words, 2 if words[1:2] == ["table"] else 1), "locks the table until the migration ends", None


def _maintenance(words: Words, facts: DatabaseFacts, in_transaction: bool) -> Iterator[_Found]:
    command = words[0].upper()
    if "concurrently" in words:
        if in_transaction:
            yield "failing", None, f"{command} CONCURRENTLY {_NO_TRANSACTION}", _SET_NOT_ATOMIC
        return
    if command == "VACUUM":
        if not facts.dialect.locks_tables:
            yield "failing", None, f"VACUUM {_NO_TRANSACTION}, as every migration of SQLite is one", "run it by hand"
            return
        if in_transaction:
            yield "failing", None, f"VACUUM {_NO_TRANSACTION}", _SET_NOT_ATOMIC
        if "full" not in words:
            return
    if command == "REFRESH" or not facts.dialect.locks_tables:
        yield "long", None, f"{command} works through all rows while others wait", None
        return
    effect = {
        "CLUSTER": "CLUSTER writes the table anew in the order of an index while nobody can read or write it",
        "VACUUM": "VACUUM FULL writes the table anew while nobody can read or write it",
    }.get(command, "REINDEX builds the indexes anew while nobody can write")
    kind, names = _maintained(words)
    if not names:
        yield "long", None, f"{effect}: of all tables", None
    for name in names:
        if kind in ("", "table"):
            yield "long", name, effect, None
        else:
            yield "long", None, f"{effect}: {kind} {name}", None


def _maintained(words: Words) -> tuple[str, list[str]]:
    """Return of what kind is worked on, if that is said, and the names."""
    position, kind = 1, ""
    if words[position : position + 1] == ["("]:
        position = words.index(")") + 1 if ")" in words else len(words)
    while words[position : position + 1] and words[position] in _OPTIONS | _KINDS:
        kind = words[position] if words[position] in _KINDS else kind
        position += 1
    if words[0] == "cluster" and "on" in words:
        position = words.index("on") + 1
    return kind, [name for name in _names(words, position) if name]


_OPTIONS = frozenset({"full", "freeze", "verbose", "analyze", "analyse"})
_KINDS = frozenset({"table", "index", "schema", "database", "system"})


def _hidden(words: Words, facts: DatabaseFacts, in_transaction: bool) -> Iterator[_Found]:
    yield "unknown", None, f"{words[0].upper()} runs code that cannot be looked into here: read it", None


_RULES: dict[str, _Rule] = {
    "create": _create,
    "drop": _drop,
    "truncate": _truncate,
    "delete": _delete,
    "update": _update,
    "merge": _merge,
    "alter": _alter,
    "lock": _lock,
    "reindex": _maintenance,
    "cluster": _maintenance,
    "vacuum": _maintenance,
    "refresh": _maintenance,
    "do": _hidden,
    "call": _hidden,
}


def _name(words: Words, position: int) -> str | None:
    """Return the name of a table that begins at a position, with its schema if that is there."""
    while words[position : position + 1] and words[position] in ("only", "if", "not", "exists"):
        position += 1
    end = position + 1
    while words[end : end + 1] == ["."]:
        end += 2
    # SQLite takes strings for names, too.
    return "".join([plain(word).strip("'") for word in words[position:end]]) or None


def _listed(words: Words, position: int) -> str:
    return ", ".join(name for name in _names(words, position) if name)


def _name_after(words: Words, keyword: str) -> str | None:
    return _name(words, words.index(keyword) + 1) if keyword in words else None


def _names(words: Words, position: int) -> list[str]:
    """Return the names of a list that begins at a position."""
    found = []
    while (name := _name(words, position)) is not None:
        found.append(name)
        position = next((index for index in range(position, len(words)) if words[index] == ","), len(words)) + 1
    return found
