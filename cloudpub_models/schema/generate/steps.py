"""The steps of a script: what each does to a table, and what takes it back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cloudpub_models import entity
from cloudpub_models.entity.base import Entity
from cloudpub_models.entity.fields import RANDOM_UUID, ServerDefault
from cloudpub_models.schema.generate.fields import (
    Names,
    field_of_column,
    has_one_text,
    is_said_by_field,
    type_of_field,
    words_of,
)
from cloudpub_models.schema.generate.python import (
    Call,
    Line,
    attribute_name,
    class_name,
    columns_literal,
    literal,
)
from cloudpub_models.schema.generate.structure import (
    CheckState,
    ColumnState,
    IndexState,
    ReferenceState,
    TableState,
    UniqueState,
)
from cloudpub_models.schema.migrations.sqlite_definition import quoted
from cloudpub_models.sql.values import json_to_text, text_literal

_TAKES_EMPTY_TABLE = "What it held is gone, and nothing suits all rows: this takes an empty table."
_TAKE_AWAY = "take the marks away if"

# Names that a script imports.
_RESERVED = {*entity.__all__, "Any", "BinaryUUIDField", "DateTimeField", "Field", "PostgresqlDatabase", "SQL"}

WORDS = "_words"
"""The function of a script that chooses between the words of the databases."""


@dataclass(frozen=True)
class Step:
    """One change.

    Attributes:
        description: what it does, in a few words.
        undoing: what taking it back does.
        up: what a script does for it.
        down: what takes it back.
        losing: why it destroys data; None where it does not.
    """

    description: str
    undoing: str
    up: tuple[Line, ...]
    down: tuple[Line, ...]
    losing: str | None = None

    @property
    def is_kept_back(self) -> bool:
        """Whether it stands commented out."""
        return all(line.is_kept_back for line in self.up)

    @property
    def reversed(self) -> Step:
        """The change that takes this one back."""
        return replace(self, description=self.undoing, undoing=self.description, up=self.down, down=self.up)

    def among(self, steps: Sequence[Step]) -> Step:
        """Return the change with all that has to be done before and after it, in order, as one."""
        return replace(
            self,
            up=tuple(line for step in steps for line in step.up),
            down=tuple(line for step in reversed(steps) for line in step.down),
        )

    @property
    def kept_back(self) -> Step:
        """The same, commented out, with a sentence why."""
        up = [replace(line, is_kept_back=True) for line in self.up]
        up[0] = replace(up[0], why=self.losing)
        return replace(self, up=tuple(up), down=tuple(replace(line, is_kept_back=True) for line in self.down))


def operation(name: str, /, *parts: str | Call, **named: str | Call) -> Line:
    """Return the call of one of the migrator's operations."""
    return Line(Call(f"migrator.{name}", parts, named))


def statement(sql: str, names: Names) -> Line:
    """Return a statement that is the same on both databases."""
    return operation("sql", sql_text(sql, names))


def sql_text(sql: str, names: Names) -> str | Call:
    """Return SQL as a script has it, where PostgreSQL's driver takes a ``%`` for the start of a parameter."""
    return literal(sql) if "%" not in sql else in_words(sql.replace("%", "%%"), sql, names)


def in_words(postgresql: str, sqlite: str, names: Names) -> Call:
    """Return SQL that differs between the databases."""
    names.use("PostgresqlDatabase")
    return Call(WORDS, ["db"]).with_named(postgresql=literal(postgresql), sqlite=literal(sqlite))


class Steps:
    """Makes steps, and notes the names that a script needs for them."""

    def __init__(self) -> None:
        self.names = Names()
        self.classes: dict[str, str] = {}

    def rename_table(self, old: str, new: str) -> Step:
        """Give a table another name."""
        return Step(
            f"rename {old} to {new}",
            f"rename {new} to {old}",
            (operation("rename_table", literal(old), literal(new)),),
            (operation("rename_table", literal(new), literal(old)),),
        )

    def rename_column(self, table: str, old: str, new: str) -> Step:
        """Give a column another name."""
        return Step(
            f"rename {table}.{old} to {new}",
            f"rename {table}.{new} to {old}",
            (operation("rename_column", literal(table), literal(old), literal(new)),),
            (operation("rename_column", literal(table), literal(new), literal(old)),),
        )

    def create_table(self, table: TableState) -> Step:
        """Make a table, with all but its references and what is about some rows only."""
        name = class_name(table.name, {*self.classes, *_RESERVED})
        self.classes[name] = self._class(name, table)
        rest = [self.create_index(table.name, index) for index in table.indexes if not index.is_plain]
        rest += [
            self.change_default(table.name, replace(column, default=None), column)
            for column in table.columns.values()
            if not is_said_by_field(column)
        ]
        return Step(
            f"create {table.name}",
            f"drop {table.name}",
            (
                Line(Call("db.create_tables", [f"[{name}]"]), is_operation=False),
                *(line for step in rest for line in step.up),
            ),
            (Line(Call("db.drop_tables", [f"[{name}]"]), is_operation=False),),
        )

    def drop_table(self, table: TableState) -> Step:
        """Drop a table, with its rows."""
        made = self.create_table(table)
        return Step(
            f"drop {table.name}",
            f"create {table.name}",
            made.down,
            made.up,
            losing=f"The rows of {table.name} would be gone for good: {_TAKE_AWAY} nobody needs them.",
        )

    def add_column(
        self, table: str, column: ColumnState, value: object = None, *, unique: bool = False, index: bool = False
    ) -> Step:
        """Add a column.

        Args:
            table: the table.
            column: the column.
            value: what it is in the rows that are there; its default, or NULL, when None.
            unique: whether each value may be there once.
            index: whether it has an index.
        """
        field = field_of_column(column, self.names, unique=unique)
        if index:
            field = field.with_named(index="True")
        if value is not None and not column.nullable and column.default is None:
            field = field.with_named(default=literal(value))
        name = literal(column.name)
        added = [operation("add_column", literal(table), name, field)]
        if not is_said_by_field(column):
            added += self.change_default(table, replace(column, default=None), column).up
        if value is not None and (column.nullable or column.default is not None):
            filled = f"UPDATE {quoted(table)} SET {quoted(column.name)} = {sql_literal(value)}"  # noqa: S608 - quoted
            added.append(statement(filled, self.names))
        return Step(
            f"add {table}.{column.name}",
            f"drop {table}.{column.name}",
            tuple(added),
            (operation("drop_column", literal(table), name),),
        )

    def drop_column(self, table: str, column: ColumnState, value: object, differs: bool) -> Step:
        """Drop a column, with what it holds.

        Args:
            table: the table.
            column: the column.
            value: what it is in all rows once it is there again, where it needs one; None where there is no such value.
            differs: whether a rule wants other values in different rows.
        """
        field = field_of_column(column, self.names)
        comment: str | None = None
        allowed: dict[str, str | Call] = {}
        if column.default is not None:
            comment = _TAKES_EMPTY_TABLE if differs and column.default != RANDOM_UUID else None
        elif not column.nullable:
            comment = "What it held is gone; the rows that are there get the same value."
            if value is None:
                comment = _TAKES_EMPTY_TABLE
                allowed = {"allow_not_null": "True"}
            else:
                field = field.with_named(default=literal(value))
        name = literal(column.name)
        back = [replace(operation("add_column", literal(table), name, field, **allowed), why=comment)]
        if not is_said_by_field(column):
            back += self.change_default(table, replace(column, default=None), column).up
        return Step(
            f"drop {table}.{column.name}",
            f"add {table}.{column.name}",
            (operation("drop_column", literal(table), name),),
            tuple(back),
            losing=f"What {table}.{column.name} holds would be gone for good: {_TAKE_AWAY} nobody needs it.",
        )

    def change_type(self, table: str, old: ColumnState, new: ColumnState, losing: str | None) -> Step:
        """Change a column's type."""

        def altered(column: ColumnState) -> Line:
            field = (
                field_of_column(column, self.names)
                if column.counts is not False
                else type_of_field(column.type, self.names)
            )
            return operation("alter_column_type", literal(table), literal(column.name), field)

        return Step(
            f"change {table}.{new.name} from {old.type} to {new.type}",
            f"change {table}.{new.name} from {new.type} to {old.type}",
            (altered(new),),
            (altered(old),),
            losing,
        )

    def change_default(self, table: str, old: ColumnState, new: ColumnState) -> Step:
        """Change a column's default."""

        def changed(column: ColumnState) -> Line:
            parts = [literal(table), literal(column.name)]
            if column.default is None:
                return operation("drop_column_default", *parts)
            return operation("add_column_default", *parts, self._default(column.default))

        description = f"change the default of {table}.{new.name}"
        return Step(description, description, (changed(new),), (changed(old),))

    def _default(self, default: ServerDefault) -> str | Call:
        text = default.postgresql
        if has_one_text(default) and "%" not in text:
            if text.endswith((")", "'")):
                return literal(text)
            if text.isdecimal():
                return text
        return words_of(default, self.names)

    def require_values(self, table: str, column: ColumnState, value: object) -> Step:
        """Allow no NULL in a column, and fill in what is missing where that is known."""
        name = literal(column.name)
        filled = self._fill(table, column, value)
        required = operation("add_not_null", literal(table), name)
        if filled is None:
            required = replace(required, why="Fails where a row has NULL: fill those in first.")
        return Step(
            f"allow no NULL in {table}.{column.name}",
            f"allow NULL in {table}.{column.name}",
            (*([] if filled is None else [filled]), required),
            (operation("drop_not_null", literal(table), name),),
        )

    def allow_null(self, table: str, column: str) -> Step:
        """Allow NULL in a column."""
        return Step(
            f"allow NULL in {table}.{column}",
            f"allow no NULL in {table}.{column}",
            (operation("drop_not_null", literal(table), literal(column)),),
            (operation("add_not_null", literal(table), literal(column)),),
        )

    def _fill(self, table: str, column: ColumnState, value: object) -> Line | None:
        default, name = column.default, quoted(column.name)
        if value is not None:
            text = sql_literal(value)
            default = ServerDefault(text, text)
        if default is None:
            return None
        postgresql, sqlite = (
            f"UPDATE {quoted(table)} SET {name} = {expression} WHERE {name} IS NULL"  # noqa: S608 - quoted
            for expression in default
        )
        if has_one_text(default):
            return statement(postgresql, self.names)
        return operation("sql", in_words(postgresql.replace("%", "%%"), sqlite, self.names))

    def add_unique(self, table: str, unique: UniqueState) -> Step:
        """Allow each combination of values once."""
        return Step(
            f"add the unique index {unique.name}",
            f"drop the unique index {unique.name}",
            (
                operation(
                    "add_index",
                    literal(table),
                    columns_literal(unique.columns),
                    unique="True",
                    name=literal(unique.name),
                ),
            ),
            (operation("drop_index", literal(table), literal(unique.name)),),
        )

    def drop_unique(self, table: str, unique: UniqueState) -> Step:
        """Allow values more than once."""
        if unique.is_index:
            return self.add_unique(table, unique).reversed
        listed = ", ".join(map(quoted, unique.columns))
        rule = Call(self.names.use("SQL"), [sql_text(f"UNIQUE ({listed})", self.names)])
        return Step(
            f"drop the constraint {unique.name}",
            f"add the constraint {unique.name}",
            (operation("drop_constraint", literal(table), literal(unique.name)),),
            (operation("add_constraint", literal(table), literal(unique.name), rule),),
        )

    def create_index(self, table: str, index: IndexState) -> Step:
        """Add an index."""
        if index.columns is None:
            unique = "UNIQUE " if index.unique else ""
            where = f" WHERE {index.where}" if index.where is not None else ""
            made = statement(
                f"CREATE {unique}INDEX {quoted(index.name)} ON {quoted(table)} ({index.keys}){where}", self.names
            )
        else:
            named: dict[str, str | Call] = {"unique": "True"} if index.unique else {}
            if index.where is not None:
                named["where"] = Call(self.names.use("SQL"), [sql_text(index.where, self.names)])
            named["name"] = literal(index.name)
            made = operation("add_index", literal(table), columns_literal(index.columns), **named)
        dropped = operation("drop_index", literal(table), literal(index.name))
        return Step(f"add the index {index.name}", f"drop the index {index.name}", (made,), (dropped,))

    def add_check(self, table: str, check: CheckState) -> Step:
        """Add a check."""
        rule = Call(self.names.use("Check"), [sql_text(check.expression, self.names)])
        return Step(
            f"add the check {check.name}",
            f"drop the check {check.name}",
            (operation("add_constraint", literal(table), literal(check.name), rule),),
            (operation("drop_constraint", literal(table), literal(check.name)),),
        )

    def add_reference(self, table: str, key: ReferenceState) -> Step:
        """Have columns refer to another table's."""
        actions = {
            name: literal(action)
            for name, action in (("on_delete", key.on_delete), ("on_update", key.on_update))
            if action != "NO ACTION"
        }
        description = f"have {table}.{', '.join(key.columns)} refer to {key.table}"
        undoing = f"have {table}.{', '.join(key.columns)} refer to {key.table} no more"
        if len(key.columns) == 1:
            parts = [table, key.columns[0], key.table, key.referenced[0]]
            named = {**actions, "constraint_name": literal(key.name)}
            return Step(
                description,
                undoing,
                (operation("add_foreign_key_constraint", *map(literal, parts), **named),),
                (operation("drop_foreign_key_constraint", literal(table), literal(key.columns[0])),),
            )
        own, others = (", ".join(map(quoted, names)) for names in (key.columns, key.referenced))
        rule = f"FOREIGN KEY ({own}) REFERENCES {quoted(key.table)} ({others})"
        rule += f" ON DELETE {key.on_delete}" if "on_delete" in actions else ""
        rule += f" ON UPDATE {key.on_update}" if "on_update" in actions else ""
        return Step(
            description,
            undoing,
            (
                operation(
                    "add_constraint",
                    literal(table),
                    literal(key.name),
                    Call(self.names.use("SQL"), [literal(rule)]),
                ),
            ),
            (operation("drop_constraint", literal(table), literal(key.name)),),
        )

    def touch(self, table: str, column: str) -> Step:
        """Have updates set a column."""
        return Step(
            f"have updates set {table}.{column}",
            f"have updates set {table}.{column} no more",
            (operation("add_touch_trigger", literal(table), literal(column)),),
            (operation("drop_touch_trigger", literal(table), literal(column)),),
        )

    def _class(self, name: str, table: TableState) -> str:
        taken = set(dir(Entity)) - {"id"}
        attributes: dict[str, str] = {}
        lines = []
        single_uniques = {unique.columns[0] for unique in table.uniques if len(unique.columns) == 1}
        for column in table.columns.values():
            attribute = attribute_name(column.name, taken)
            taken.add(attribute)
            attributes[column.name] = attribute
            field = field_of_column(
                column,
                self.names,
                unique=column.name in single_uniques,
                is_key=table.primary_key == (column.name,),
                touched=column.name in table.touched,
            )
            named = dict(field.named)
            if (column.name,) in [index.columns for index in table.indexes if index.is_plain]:
                named["index"] = "True"
            if attribute != column.name:
                named["column_name"] = literal(column.name)
            lines.append(f"    {attribute} = {Call(field.head, field.parts, named).text(1)}\n")
        meta = [f"        table_name = {literal(table.name)}\n"]
        if not table.primary_key:
            meta.append("        primary_key = False\n")
        elif len(table.primary_key) > 1:
            parts = [literal(attributes[column]) for column in table.primary_key]
            meta.append(f"        primary_key = {Call(self.names.use('CompositeKey'), parts)}\n")
        indexes: list[str | Call] = [
            Call("", [columns_literal(attributes[column] for column in columns), str(unique)])
            for columns, unique in [
                *((unique.columns, True) for unique in table.uniques),
                *((index.columns or (), False) for index in table.indexes if index.is_plain),
            ]
            if len(columns) > 1
        ]
        if indexes:
            meta.append(f"        indexes = {Call('', indexes).text(2)}\n")
        if table.checks:
            checks = [
                Call(self.names.use("Check"), [literal(check.expression), literal(check.name)])
                for check in table.checks
            ]
            meta.append(f"        constraints = {Call('', checks).text(2)}\n")
        meta.extend(f"        {option} = True\n" for option in table.options)
        base = self.names.use("Entity")
        return f"class {name}({base}):\n{''.join(lines)}\n    class Meta:\n{''.join(meta)}"


def sql_literal(value: object) -> str:
    """Return a value as SQL that both databases read alike.

    >>> sql_literal("it's"), sql_literal(True), sql_literal({"a": 1})
    ("'it''s'", 'TRUE', '\\'{"a":1}\\'')
    """
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, int | float):
        return repr(value)
    return text_literal(value if isinstance(value, str) else json_to_text(value))
