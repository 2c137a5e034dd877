"""A table's definition as SQLite keeps it, taken apart so that one part of it can be changed.

SQLite keeps the text of CREATE TABLE, and its ALTER TABLE changes little of it. What is not changed here comes back as
it was written, but for comments between the parts.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from cloudpub_models.entity.fields import name_of_part
from cloudpub_models.errors import MigrationError, did_you_mean
from cloudpub_models.sql.dialects import SQLITE
from cloudpub_models.sql.text.tokens import Token, code, tokens

_BEGINS_CONSTRAINT = frozenset({"constraint", "primary", "unique", "check", "foreign"})
_BEGINS_CLAUSE = frozenset(
    {"constraint", "primary", "not", "null", "unique", "check", "default", "collate", "references", "generated", "as"}
)
# The kinds of constraints that may be without a name, and how PostgreSQL's names for them end.
_KINDS_IN_NAMES = {"check": "check", "unique": "key", "references": "fkey", "foreign": "fkey", "primary": "pkey"}


@dataclass
class Clause:
    """A rule: one of a column's, or one of the table's own.

    Attributes:
        kind: the word that it begins with, behind its name: ``not``, ``default``, ``references``, ``foreign``, …
        text: all of it, as it was written.
        name: the name of the constraint, if it has one.
        columns: of a table's own, the columns that it is about.
    """

    kind: str
    text: str
    name: str | None = None
    columns: tuple[str, ...] = ()

    def is_about(self, column: str) -> bool:
        """Whether it names a column of its table."""
        return column.lower() in (name.lower() for name in self.columns)


@dataclass
class ColumnDefinition:
    """A column: its name, its type as it was written, and its rules."""

    name: str
    type: str
    clauses: list[Clause] = field(default_factory=list)

    def clause(self, kind: str) -> Clause | None:
        """Return its rule of a kind, if it has one."""
        return next((clause for clause in self.clauses if clause.kind == kind), None)

    def put(self, kind: str, text: str, instead_of: Sequence[str] = ()) -> None:
        """Give it a rule in place of those of the kind, and of other kinds."""
        for other in (kind, *instead_of):
            self.remove(other)
        self.clauses.append(Clause(kind, text))

    def remove(self, kind: str) -> None:
        """Take away its rules of a kind."""
        self.clauses = [clause for clause in self.clauses if clause.kind != kind]

    @property
    def text(self) -> str:
        """The definition."""
        return " ".join([quoted(self.name), *filter(None, [self.type]), *(clause.text for clause in self.clauses)])


@dataclass
class TableDefinition:
    """A table: its columns, its own rules, and what stands behind the parentheses (``WITHOUT ROWID``)."""

    columns: list[ColumnDefinition]
    constraints: list[Clause]
    options: str

    def column(self, name: str) -> ColumnDefinition:
        """Return the column of a name, in any case.

        Raises:
            MigrationError: there is none.
        """
        for column in self.columns:
            if column.name.lower() == name.lower():
                return column
        names = [column.name for column in self.columns]
        raise MigrationError(f"expected a column of the table; got {name!r}: {did_you_mean(name, names)}")

    def free_column(self, name: str) -> None:
        """Take away the rules that keep SQLite from dropping a column: its own, and those of the table about it."""
        own = self.column(name)
        self.constraints = [rule for rule in self.constraints if not rule.is_about(name)]
        own.clauses = [rule for rule in own.clauses if rule.kind not in ("unique", "references", "primary", "check")]
        for column in self.columns:
            column.clauses = [rule for rule in column.clauses if not (rule.kind == "check" and rule.is_about(name))]

    def names_of_constraints(self, table: str) -> list[tuple[str, Clause, list[Clause]]]:
        """Return name and clause of each constraint of a table, each with the list that it stands in.

        One that was given no name has the one that PostgreSQL would have given it.
        """
        holders = [(column.name, column.clauses) for column in self.columns]
        found = [(owner, rule, holder) for owner, holder in [*holders, (None, self.constraints)] for rule in holder]
        taken = {rule.name.lower() for _, rule, _ in found if rule.name is not None}
        named = []
        for owner, rule, holder in found:
            name = rule.name
            if name is None and rule.kind in _KINDS_IN_NAMES:
                name = self._unused_name(table, owner, rule, taken)
                taken.add(name.lower())
            if name is not None:
                named.append((name, rule, holder))
        return named

    def _unused_name(self, table: str, owner: str | None, rule: Clause, taken: Collection[str]) -> str:
        known = {column.name.lower(): column.name for column in self.columns}
        about = list(dict.fromkeys(known[name.lower()] for name in rule.columns if name.lower() in known))
        if owner is not None and not about:
            about = [owner]
        if rule.kind == "primary" or (rule.kind == "check" and len(about) != 1):
            about = []
        kind = _KINDS_IN_NAMES[rule.kind]
        kinds = (f"{kind}{number or ''}" for number in itertools.count())
        names = (name_of_part(table, about, each) if about else f"{table}_{each}" for each in kinds)
        return next(name for name in names if name.lower() not in taken)

    def remove_constraint(self, name: str, table: str) -> None:
        """Take away the constraint of a name, be it a column's or the table's.

        Raises:
            MigrationError: there is none.
        """
        named = self.names_of_constraints(table)
        for known, rule, holder in named:
            if known.lower() == name.lower():
                holder.remove(rule)
                return
        hint = did_you_mean(name, [known for known, _, _ in named]) if named else "it has none"
        raise MigrationError(f"expected a constraint of the table; got {name!r}: {hint}")

    def statement(self, table: str) -> str:
        """Return the statement that makes the table, under any name."""
        parts = [*(column.text for column in self.columns), *(rule.text for rule in self.constraints)]
        # A part may end in a comment, which would take in what follows on its line.
        listed = "\n, ".join(parts)
        return f"CREATE TABLE {quoted(table)} (\n  {listed}\n){self.options}"


def quoted(name: str) -> str:
    """Return a name in quotes.

    >>> quoted('a"b')
    '"a""b"'
    """
    return '"' + name.replace('"', '""') + '"'


def read_definition(create_table: str) -> TableDefinition:
    """Take the text of a CREATE TABLE apart.

    >>> definition = read_definition("CREATE TABLE t (a INT NOT NULL DEFAULT (max(1, 2)), CHECK (a > 0)) STRICT")
    >>> [(clause.kind, clause.text) for clause in definition.columns[0].clauses]
    [('not', 'NOT NULL'), ('default', 'DEFAULT (max(1, 2))')]
    >>> definition.constraints[0].text, definition.options
    ('CHECK (a > 0)', ' STRICT')
    """
    parts, end = parts_in_parentheses(create_table)
    columns: list[ColumnDefinition] = []
    constraints: list[Clause] = []
    for part in parts:
        if part[0].kind == "word" and part[0].name in _BEGINS_CONSTRAINT:
            # Their separators are optional: CHECK (a) CHECK (b).
            constraints.extend(_Clauses(create_table, part).of_table())
        else:
            columns.append(_Clauses(create_table, part).column())
    return TableDefinition(columns, constraints, create_table[end:].rstrip())


def parts_in_parentheses(text: str) -> tuple[list[list[Token]], int]:
    """Return the tokens of each part between the first parentheses, and where the text behind them begins.

    Raises:
        MigrationError: there are none, or they are not closed.
    """
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in code(tokens(text, SQLITE)):
        if token.text == ")":
            depth -= 1
            if depth == 0:
                return parts, token.end
        if depth == 1 and token.text == ",":
            parts.append([])
        elif depth > 0:
            parts[-1].append(token)
        if token.text == "(":
            depth += 1
    raise MigrationError(f"expected the columns of a table in parentheses; got {text[:60]!r}")


class _Clauses:
    """Reads the tokens of one part from left to right."""

    def __init__(self, text: str, part: Sequence[Token]) -> None:
        self._text = text
        self._tokens = part
        self._position = 0

    def column(self) -> ColumnDefinition:
        name = self._tokens[0]
        self._position = 1
        while self._word() and self._word() not in _BEGINS_CLAUSE:
            self._skip()
        kind = self._source(1, self._position)
        plain = name.text[1:-1].replace("''", "'") if name.kind == "string" else plain_name(name)
        return ColumnDefinition(plain, kind, list(self._clauses()))

    def of_table(self) -> Iterator[Clause]:
        return self._clauses()

    def _clauses(self) -> Iterator[Clause]:
        while self._position < len(self._tokens):
            begin, name = self._position, None
            if self._word() == "constraint":
                name = plain_name(self._tokens[self._position + 1])
                self._position += 2
            kind = self._word()
            self._skip()
            columns = self._take(kind)
            yield Clause(kind, self._source(begin, self._position), name, columns)

    def _take(self, kind: str) -> tuple[str, ...]:
        """Go behind the rest of a rule, and return the columns that its first parentheses list."""
        if kind == "default":
            if self._word() in ("+", "-"):
                self._skip()
            self._skip()
            return ()
        if kind in ("primary", "foreign"):
            self._skip()  # KEY
        columns: tuple[str, ...] = ()
        if kind == "references":
            self._reference()
        elif kind == "generated":
            self._skip("always", "as")
            self._skip()
        elif kind in ("collate", "not"):
            self._skip()  # its name; NULL
        elif self._word() == "(":
            # Words that are no columns (ASC, AND) do no harm.
            begin = self._position
            self._skip()
            named = self._tokens[begin : self._position]
            columns = tuple(plain_name(token) for token in named if token.kind in ("word", "quoted"))
        if kind == "foreign":
            self._skip("references")
            self._reference()
        self._skip("asc", "desc")
        if self._words(2) == ("on", "conflict"):
            self._position += 3
        self._skip("autoincrement", "stored", "virtual")
        return columns

    def _reference(self) -> None:
        self._skip()
        if self._word() == "(":
            self._skip()
        while True:
            if self._word() == "on" and self._words(2)[1] in ("delete", "update"):
                self._position += 4 if self._words(3)[2] in ("set", "no") else 3
            elif self._word() == "match":
                self._position += 2
            elif self._word() == "deferrable" or self._words(2) == ("not", "deferrable"):
                self._skip("not")
                self._skip("deferrable")
                self._position += 2 if self._word() == "initially" else 0
            else:
                return

    def _word(self) -> str:
        return self._words(1)[0]

    def _words(self, count: int) -> tuple[str, ...]:
        found = [token.text.lower() for token in self._tokens[self._position : self._position + count]]
        return (*found, *[""] * (count - len(found)))

    def _skip(self, *only: str) -> None:
        """Go behind the next token, or all in its parentheses; with words given, behind as many of those as follow."""
        if only:
            while self._word() in only:
                self._position += 1
            return
        depth = 0
        while self._position < len(self._tokens):
            depth += {"(": 1, ")": -1}.get(self._word(), 0)
            self._position += 1
            if depth == 0:
                return

    def _source(self, begin: int, end: int) -> str:
        return "" if begin == end else self._text[self._tokens[begin].start : self._tokens[end - 1].end]


def plain_name(token: Token) -> str:
    """Return a name without its quotes, and otherwise as it was written."""
    return token.name if token.kind == "quoted" else token.text
