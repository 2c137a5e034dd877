"""The steps from the tables that there are to those that there should be, in an order in which they can be taken."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol, TypeVar

from cloudpub_models.errors import MigrationError
from cloudpub_models.schema.generate.fields import neutral_value, value_from_text
from cloudpub_models.schema.generate.python import literal
from cloudpub_models.schema.generate.steps import Step, Steps
from cloudpub_models.schema.generate.structure import (
    CheckState,
    ColumnState,
    ReferenceState,
    Tables,
    TableState,
    UniqueState,
)
from cloudpub_models.schema.migrations.sqlite_definition import quoted


class _Rule(Protocol):
    @property
    def rule(self) -> object: ...

    def is_about(self, column: str) -> bool: ...


_R = TypeVar("_R", bound=_Rule)

# What is done first stands first: a rule goes before what it is about, and comes after it.
_ORDER = (
    "stop touching",
    "drop references",
    "drop rules",
    "drop defaults",
    "types",
    "defaults",
    "create tables",
    "add columns",
    "nulls",
    "add rules",
    "add references",
    "touch",
    "drop columns",
    "drop tables",
)
_SIZED = re.compile(r"(varchar|char)\((\d+)\)")
_DECIMAL = re.compile(r"(?:decimal|numeric)\((\d+), ?(\d+)\)")
# What a type can become without a loss.
_WIDER: Mapping[str, tuple[str, ...]] = {
    "smallint": ("integer", "bigint", "real", "double"),
    "integer": ("bigint", "double"),
    "real": ("double",),
    "datetime": ("timestamp",),
    "timestamp": ("datetime",),
}
BY_HAND = "write this migration by hand, then the rest can be written for you"
_WITH_TYPE = "Only together with the type of the column that it is about."
_FIRST_LISTED = re.compile(r"\bIN \('((?:[^']|'')*)'", re.IGNORECASE)
_DIGITS = {"smallint": 5, "integer": 10, "bigint": 19}


@dataclass
class Answers:
    """What the models cannot say.

    Attributes:
        renames: tables and columns that went (``invoices``, ``invoices.total``, ``total``), each with the name that it
            has now, or nothing where it was not renamed.
        defaults: what the rows that are there get, as text, by table and column (``invoices.total``).
        allows_destruction: whether what destroys data is done, and does not stand commented out.
    """

    renames: dict[str, str] = field(default_factory=dict)
    defaults: dict[str, str] = field(default_factory=dict)
    allows_destruction: bool = False


def is_lossless(old: str, new: str) -> bool:
    """Whether a column of one type can become one of another without a loss.

    >>> is_lossless("varchar(20)", "varchar(50)"), is_lossless("varchar(50)", "varchar(20)")
    (True, False)
    >>> is_lossless("integer", "bigint"), is_lossless("integer", "decimal(10, 2)"), is_lossless("uuid", "text")
    (True, False, True)
    """
    if new in _WIDER.get(old, ()):
        return True
    if new == "text":
        return old not in ("blob", "uuid bytes", "json", "boolean")
    sized, before = _SIZED.fullmatch(new), _SIZED.fullmatch(old)
    if sized is not None:
        return before is not None and (before[1], sized[1]) != ("varchar", "char") and int(before[2]) <= int(sized[2])
    wider, narrower = _DECIMAL.fullmatch(new), _DECIMAL.fullmatch(old)
    if wider is not None:
        whole, places = int(wider[1]) - int(wider[2]), int(wider[2])
        if narrower is not None:
            return int(narrower[1]) - int(narrower[2]) <= whole and int(narrower[2]) <= places
        return _DIGITS.get(old, whole + 1) <= whole
    return False


def steps_between(old: Tables, new: Tables, steps: Steps, answers: Answers) -> list[Step]:
    """Return the steps from one state of tables to another.

    Args:
        old: the tables that there are, with what was renamed by its name now.
        new: the tables that there should be.
        steps: makes the steps.
        answers: what was said about them.

    Raises:
        MigrationError: a primary key changes its columns, or a value is missing for the rows of a column.
    """
    found = _Difference(old, new, steps, answers)
    return found.steps()


def _key_by_hand(old: TableState, new: TableState) -> str:
    """Return what a script does that changes a table's key, for a person to write."""
    place = f"{literal(new.name)}, {literal(f'{new.name}_pkey')}"
    rule = literal(f"PRIMARY KEY ({', '.join(map(quoted, new.primary_key))})")
    missing = [column for column in new.primary_key if column not in old.columns]
    # A trigger finds the row by its key.
    touched = [f"{literal(new.name)}, {literal(column)}" for column in new.touched if column in old.touched]
    steps = [
        *([f"add and fill {', '.join(missing)}"] if missing else []),
        *(f"migrator.drop_touch_trigger({column})" for column in touched),
        *([f"migrator.drop_constraint({place})"] if old.primary_key else []),
        *([f"migrator.add_constraint({place}, SQL({rule}))"] if new.primary_key else []),
        *(f"migrator.add_touch_trigger({column})" for column in touched),
    ]
    return ", ".join(steps)


class _Difference:
    def __init__(self, old: Tables, new: Tables, steps: Steps, answers: Answers) -> None:
        self._old = old
        self._new = new
        self._steps = steps
        self._answers = answers
        # Rules that the fields of added columns say.
        self._said_by_columns: list[object] = []
        self._found: dict[str, list[Step]] = {part: [] for part in _ORDER}
        # Columns whose type changes, and whether without a loss: what refers to them is taken away meanwhile.
        self._retyped = {
            (name, column): is_lossless(old[name].columns[column].type, state.type)
            for name, table in new.items()
            if name in old
            for column, state in table.columns.items()
            if column in old[name].columns and not old[name].columns[column].has_type_of(state)
        }

    def steps(self) -> list[Step]:
        for name, table in self._new.items():
            if name in self._old:
                self._compare(self._old[name], table)
            else:
                self._add("create tables", self._steps.create_table(table))
                for key in table.references:
                    self._add("add references", self._steps.add_reference(name, key))
        dropped = {name: table for name, table in self._old.items() if name not in self._new}
        for table in dropped.values():
            self._drop_table(table, dropped)
        return [step for part in _ORDER for step in self._found[part]]

    def _add(self, part: str, step: Step) -> None:
        self._found[part].append(step if step.losing is None or self._answers.allows_destruction else step.kept_back)

    def _drop_table(self, table: TableState, dropped: Tables) -> None:
        step = self._steps.drop_table(table)
        references = [(key, self._steps.add_reference(table.name, key)) for key in table.references]
        for key, reference in references:
            # So that the tables can go in any order.
            if key.table in dropped and key.table != table.name:
                self._add("drop columns", replace(reference.reversed, losing=f"Goes with the table {table.name}."))
            else:
                step = replace(step, down=(*step.down, *reference.up))
        self._add("drop tables", step)

    def _compare(self, old: TableState, new: TableState) -> None:
        if old.primary_key != new.primary_key:
            raise MigrationError(
                f"expected the primary key of {new.name} to stay ({', '.join(old.primary_key)}); got "
                f"({', '.join(new.primary_key)}): write a migration by hand ({_key_by_hand(old, new)}), then the rest "
                "can be written for you"
            )
        self._compare_columns(old, new)
        self._compare_touched(old, new)
        name, make = new.name, self._steps
        # What is about a column that goes, goes or stays with it; but for checks, which could refuse rows without it.
        gone: dict[str, list[Step]] = {
            column: [make.touch(name, column).reversed] if column in old.touched else []
            for column in old.columns
            if column not in new.columns
        }
        by_key, by_check = self._retyped_by_key(name), self._retyped_by_check(name)
        add_key, add_check = partial(make.add_reference, name), partial(make.add_check, name)
        add_unique, drop_unique = partial(make.add_unique, name), partial(make.drop_unique, name)
        add_index = partial(make.create_index, name)
        self._compare_rules("references", old.references, new.references, add_key, gone, by_key)
        self._compare_rules("rules", old.uniques, new.uniques, add_unique, gone, drop=drop_unique)
        self._compare_rules("rules", old.indexes, new.indexes, add_index, gone)
        self._compare_rules("rules", old.checks, new.checks, add_check, {}, by_check)
        for column, steps in gone.items():
            self._drop_column(old, new, old.columns[column], steps)

    def _compare_rules(
        self,
        part: str,
        old: Iterable[_R],
        new: Iterable[_R],
        add: Callable[[_R], Step],
        gone: dict[str, list[Step]],
        retyped: Callable[[_R], list[bool]] = lambda rule: [],
        drop: Callable[[_R], Step] | None = None,
    ) -> None:
        """Find what is taken away and what is added, of one kind of rules.

        Args:
            part: what they are, in the order of steps.
            old: those that there are.
            new: those that there should be.
            add: makes the step that adds one.
            gone: takes the steps that go with a column that goes.
            retyped: whether the types of columns that one is about change without a loss, of those that change.
            drop: makes the step that drops one, where that is not what takes ``add`` back.
        """
        wanted, known = {each.rule: each for each in new}, {each.rule: each for each in old}
        for rule, each in known.items():
            if rule in wanted and not retyped(each):
                continue
            step = add(each).reversed if drop is None else drop(each)
            if rule in wanted and not all(retyped(each)):
                step = replace(step, losing=_WITH_TYPE)
            about = next((column for column in gone if each.is_about(column)), None)
            if about is None:
                self._add(f"drop {part}", step)
            else:
                gone[about].append(step)
        for rule, each in wanted.items():
            changing = retyped(known[rule]) if rule in known else []
            if (rule not in known or changing) and each not in self._said_by_columns:
                step = add(each)
                self._add(f"add {part}", step if all(changing) else replace(step, losing=_WITH_TYPE))

    def _retyped_by_key(self, table: str) -> Callable[[ReferenceState], list[bool]]:
        def retyped(key: ReferenceState) -> list[bool]:
            ends = [*((table, column) for column in key.columns), *((key.table, column) for column in key.referenced)]
            return [self._retyped[end] for end in ends if end in self._retyped]

        return retyped

    def _retyped_by_check(self, table: str) -> Callable[[CheckState], list[bool]]:
        columns = {column: lossless for (name, column), lossless in self._retyped.items() if name == table}
        return lambda check: [lossless for column, lossless in columns.items() if check.is_about(column)]

    def _compare_columns(self, old: TableState, new: TableState) -> None:
        for name, column in new.columns.items():
            before = old.columns.get(name)
            if before is None:
                self._add_column(new, column)
                continue
            retyped = (new.name, name) in self._retyped or not before.may_count_as(column)
            keeps_default = before.has_default_of(column)
            if retyped:
                self._retype(new.name, before, column)
            elif not keeps_default:
                self._add("defaults", self._steps.change_default(new.name, before, column))
            if before.nullable and not column.nullable:
                value = self._given(new.name, column)
                value = column.value if value is None else value
                self._add("nulls", self._steps.require_values(new.name, column, value))
            elif column.nullable and not before.nullable:
                self._add("nulls", self._steps.allow_null(new.name, name))

    def _add_column(self, table: TableState, column: ColumnState) -> None:
        own = (column.name,)
        uniques = [unique for unique in table.uniques if unique.columns == own]
        indexes = [index for index in table.indexes if index.columns == own and index.is_plain and not uniques]
        self._said_by_columns += [*uniques, *indexes]
        value = self._value_for(table, column)
        step = self._steps.add_column(table.name, column, value, unique=bool(uniques), index=bool(indexes))
        self._add("add columns", step)

    def _retype(self, table: str, before: ColumnState, column: ColumnState) -> None:
        if not before.may_count_as(column):
            raise MigrationError(
                f"expected the key {table}.{column.name} to go on {'' if before.counts else 'not '}counting by itself; "
                f"got the other in the model: {BY_HAND}"
            )
        losing = None
        if not is_lossless(before.type, column.type):
            losing = (
                f"A {column.type} cannot hold every {before.type}, so that values of {table}.{column.name} may be lost "
                "or refused: take the marks away if all of them fit."
            )
        change = self._steps.change_type(table, before, column, losing)
        parts = [change]
        if losing is not None or not before.has_default_of(column):
            # A default of the one type may be none of the other.
            bare = replace(column, default=None)
            if before.default is not None:
                parts.insert(0, self._steps.change_default(table, before, bare))
            if column.default is not None:
                parts.append(self._steps.change_default(table, bare, column))
        self._add("types", change.among(parts))

    def _value_for(self, table: TableState, column: ColumnState) -> object:
        """Return what the rows that are there get of a column that is added; None where it needs nothing from here."""
        given = self._given(table.name, column)
        if given is not None or column.nullable or column.default is not None:
            return given
        if column.value is None:
            raise MissingValueError(table.name, column.name, column.type)
        return column.value

    def _given(self, table: str, column: ColumnState) -> object:
        place = f"{table}.{column.name}"
        text = self._answers.defaults.get(place)
        if text is None:
            return None
        return value_from_text(column.type, text, place)

    def _compare_touched(self, old: TableState, new: TableState) -> None:
        for column in old.touched:
            if column in new.columns and (column not in new.touched or (new.name, column) in self._retyped):
                self._add("stop touching", self._steps.touch(new.name, column).reversed)
        for column in new.touched:
            if column not in old.touched or (new.name, column) in self._retyped:
                self._add("touch", self._steps.touch(new.name, column))

    def _drop_column(self, old: TableState, new: TableState, column: ColumnState, steps: list[Step]) -> None:
        if not (column.nullable or column.default is not None or self._answers.allows_destruction):
            # It stays for now, and nobody writes it any more.
            self._add("nulls", self._steps.allow_null(new.name, column.name))
        rules: list[UniqueState | ReferenceState] = [*old.uniques, *old.references]
        differs = any(rule.is_about(column.name) for rule in rules)
        losing = self._steps.drop_column(new.name, column, None if differs else _allowed_value(old, column), differs)
        self._add("drop columns", losing.among([*steps, losing]))


def _allowed_value(table: TableState, column: ColumnState) -> object:
    """Return a value that a column may have in every row, as far as its table's checks can be read; else None."""
    for check in table.checks:
        if check.is_about(column.name):
            listed = _FIRST_LISTED.search(check.expression)
            return listed[1].replace("''", "'") if listed else neutral_value(column.type)
    return neutral_value(column.type)


class MissingValueError(MigrationError):
    """A column that may not be NULL is added, and nobody says what the rows that are there get.

    Attributes:
        table: the table.
        column: the column.
        type: its type.
    """

    def __init__(self, table: str, column: str, kind: str) -> None:
        self.table, self.column, self.type = table, column, kind
        super().__init__(
            f"expected a value of {table}.{column} for the rows that are there, since it may not be NULL; got none: "
            f"give --default {table}.{column}=VALUE, or the field a default"
        )
