"""Random models, pair by pair: what is there and what somebody made of it, with rows that suit both."""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

import peewee

from cloudpub_models import entity


class Level(StrEnum):
    LOW = "low"
    HIGH = "high"


KINDS = [
    *("smallint", "integer", "bigint", "text", "short", "long", "uuid", "boolean", "timestamp", "touched", "json"),
    *("decimal", "double", "level", "date", "blob"),
]
# What a column may become; all values that rows have can be converted, there and back.
CHANGES = {
    "smallint": ["integer", "bigint", "decimal"],
    "integer": ["bigint", "decimal", "text"],
    "bigint": ["integer", "text"],
    "short": ["long", "text"],
    "long": ["short", "text"],
    "text": ["long", "integer"],
    "uuid": ["text"],
    "decimal": ["text"],
    "level": ["text"],
    "touched": ["timestamp"],
    "timestamp": ["touched"],
}
DEFAULTS = {
    "integer": ["7", "(1 + 1)"],
    "bigint": ["0"],
    "smallint": ["-1"],
    "text": ["'a, b'", "lower('X')"],
    "short": ["'it''s'"],
    "long": ["''"],
    "boolean": ["TRUE", "FALSE"],
    "decimal": ["0"],
    "level": ["'low'"],
}
GIVEN = {
    "uuid": "0b0f3d2e-6f5c-4d5e-8f63-1d1f0f0a7a11",
    "date": "2024-05-01",
    "boolean": "true",
    "json": "{}",
    "varchar(50)": "low",
}


@dataclass
class Column:
    kind: str
    null: bool
    default: str | None = None
    unique: bool = False
    index: bool = False
    check: bool = False
    on_delete: str | None = None
    target: str | None = None

    @property
    def is_counted(self) -> bool:
        return self.kind in ("smallint", "integer", "bigint")


@dataclass
class Table:
    key: str
    columns: dict[str, Column]
    together: list[tuple[tuple[str, ...], bool]] = field(default_factory=list)
    partial: str | None = None
    lowered: str | None = None


Schema = dict[str, Table]


def random_column(chance: random.Random, tables: list[str], *, is_new: bool = False) -> Column:
    if tables and chance.random() < 0.25:
        return Column(
            "reference",
            True if is_new else chance.random() < 0.6,
            unique=chance.random() < 0.2,
            index=chance.random() < 0.7,
            on_delete=chance.choice([None, "CASCADE", "SET NULL", "RESTRICT"]),
            target=chance.choice(tables),
        )
    kind = chance.choice(KINDS)
    column = Column(kind, chance.random() < 0.5)
    if kind in DEFAULTS and chance.random() < 0.4:
        column.default = chance.choice(DEFAULTS[kind])
    if kind in ("integer", "bigint", "text", "short", "uuid"):
        # All rows that are there get one value, unless it is NULL or random.
        column.unique = (
            chance.random() < 0.25 and column.default is None and (not is_new or column.null or kind == "uuid")
        )
        column.index = chance.random() < 0.25
    column.check = kind in ("integer", "bigint") and column.default is None and chance.random() < 0.4
    return column


def random_schema(chance: random.Random) -> Schema:
    names = ["alpha", "beta", "gamma"][: chance.randint(1, 3)]
    schema: Schema = {}
    for position, name in enumerate(names):
        columns = {f"c{number}": random_column(chance, names[: position + 1]) for number in range(chance.randint(1, 6))}
        for column in columns.values():
            # A first row has nothing of its own table to refer to.
            column.null = column.null or column.target == name
        schema[name] = Table(chance.choice(["auto", "auto", "bigauto", "uuid", "both"]), columns)
        decorate(chance, schema[name])
    return schema


def decorate(chance: random.Random, table: Table) -> None:
    plain = [name for name, column in table.columns.items() if column.kind not in ("json", "blob", "reference")]
    if len(plain) > 1 and chance.random() < 0.4:
        table.together = [(tuple(chance.sample(plain, 2)), chance.random() < 0.5)]
    truths = [name for name, column in table.columns.items() if column.kind == "boolean"]
    if truths and plain and chance.random() < 0.6:
        table.partial = chance.choice(truths)
    texts = [name for name, column in table.columns.items() if column.kind in ("text", "short", "long")]
    if texts and chance.random() < 0.4:
        table.lowered = chance.choice(texts)


def changed(chance: random.Random, schema: Schema) -> tuple[Schema, dict[str, str]]:
    """Return what somebody made of a schema, and what was renamed in it."""
    made, renames = copy.deepcopy(schema), dict[str, str]()
    for _ in range(chance.randint(1, 5)):
        name = chance.choice(list(made))
        table = made[name]
        what = chance.choice(["add", "add", "drop", "type", "null", "default", "rule", "rename", "table", "together"])
        column = chance.choice(list(table.columns))
        state = table.columns[column]
        if what == "add":
            # To itself or to one before it: a circle needs a field that knows its table later.
            known = in_order(made)
            targets = known[: known.index(name) + 1]
            table.columns[f"n{chance.randint(0, 10**6)}"] = random_column(chance, targets, is_new=True)
        elif what == "drop" and len(table.columns) > 1:
            forget(table, column)
        elif what == "type" and state.kind in CHANGES and not state.unique:
            state.kind = chance.choice(CHANGES[state.kind])
            state.default, state.check = None, False
            if column in (table.partial, table.lowered):
                table.partial = table.lowered = None
        elif what == "null" and state.target != name:
            # Only a column with a default can do without NULL: rows have some.
            state.null = not state.null or state.default is None
        elif what == "default" and state.kind in DEFAULTS:
            state.default = None if state.default else chance.choice(DEFAULTS[state.kind])
            state.check = False
        elif what == "rule":
            state.index = not state.index
            if state.kind == "reference":
                state.on_delete = chance.choice(["CASCADE", "SET NULL", None])
            elif state.is_counted:
                state.check = not state.check and state.default is None
        elif what == "together":
            table.together, table.partial, table.lowered = [], None, None
            decorate(chance, table)
        elif what == "rename" and column.startswith("c") and name in schema:
            forget_together(table, column)
            new = f"r{column}"
            table.columns = {new if each == column else each: known for each, known in table.columns.items()}
            renames[f"{name}.{column}"] = new
        elif what == "table":
            another(chance, made, renames, schema)
    for name, table in made.items():
        for column, state in table.columns.items():
            before = schema.get(name.removesuffix("s"), table).columns.get(column.removeprefix("r"))
            if before is not None and before.null and state.default is None:
                # Some rows have NULL, and nobody says what else.
                state.null = True
    return made, {place: new for place, new in renames.items() if new in made or "." in place}


def another(chance: random.Random, made: Schema, renames: dict[str, str], schema: Schema) -> None:
    name = chance.choice(list(made))
    if chance.random() < 0.4 and "delta" not in made:
        made["delta"] = Table("auto", {f"d{number}": random_column(chance, list(made)) for number in range(3)})
        decorate(chance, made["delta"])
    elif name in schema and f"{name}s" not in made and not any(place.startswith(f"{name}.") for place in renames):
        if chance.random() < 0.5:
            renames[name] = f"{name}s"
            made[f"{name}s"] = made.pop(name)
            new: str | None = f"{name}s"
        elif len(made) > 1:
            made.pop(name)
            new = None
        else:
            return
        for table in made.values():
            for column in [each for each, known in table.columns.items() if known.target == name]:
                if new is None:
                    forget(table, column)
                else:
                    table.columns[column].target = new
            if not table.columns:
                table.columns["rest"] = Column("integer", True)


def forget(table: Table, column: str) -> None:
    del table.columns[column]
    forget_together(table, column)


def forget_together(table: Table, column: str) -> None:
    table.together = [(columns, unique) for columns, unique in table.together if column not in columns]
    table.partial = None if table.partial == column else table.partial
    table.lowered = None if table.lowered == column else table.lowered


def models_of(schema: Schema) -> list[type[peewee.Model]]:
    made: dict[str, Any] = {}
    for name in in_order(schema):
        table = schema[name]
        attributes: dict[str, Any] = {}
        if table.key in ("auto", "bigauto"):
            attributes["id"] = entity.AutoField() if table.key == "auto" else entity.BigAutoField()
        elif table.key == "uuid":
            attributes["id"] = entity.UuidField(primary_key=True)
        else:
            attributes |= {"one": entity.IntegerField(), "two": entity.CharField(max_length=9)}
        for column, state in table.columns.items():
            target = made.get(state.target or "", "self") if state.target != name else "self"
            if state.kind == "reference" and schema[str(state.target)].key == "both":
                attributes[column] = entity.IntegerField(null=state.null, index=state.index)
            else:
                attributes[column] = field_of(state, target)
        options: dict[str, Any] = {"table_name": name}
        if table.together:
            options["indexes"] = tuple(table.together)
        if table.key == "both":
            options["primary_key"] = entity.CompositeKey("one", "two")
        options["constraints"] = tuple(
            entity.Check(f"{column} >= 0 AND {column} % 1 = 0")
            for column, state in table.columns.items()
            if state.check
        )
        model = type(name.title(), (entity.Entity,), {**attributes, "Meta": type("Meta", (), options)})
        if table.partial:
            truth = getattr(model, table.partial)
            model.add_index(model.index(truth, unique=False, name=f"{name}_some").where(truth == True))  # type: ignore[attr-defined] # noqa: E712
        if table.lowered:
            lowered = peewee.fn.LOWER(getattr(model, table.lowered))
            model.add_index(model.index(lowered, name=f"{name}_low"))  # type: ignore[attr-defined]
        made[name] = model
    return [made[name] for name in schema]


def in_order(schema: Schema) -> list[str]:
    found: list[str] = []

    def place(name: str) -> None:
        if name not in found:
            for state in schema[name].columns.values():
                if state.target not in (None, name):
                    place(str(state.target))
            if name not in found:
                found.append(name)

    for name in schema:
        place(name)
    return found


def field_of(state: Column, target: Any) -> Any:
    options: dict[str, Any] = {"null": state.null, "unique": state.unique}
    if state.default is not None:
        options["constraints"] = [entity.Default(state.default)]
    if state.kind == "reference":
        options["index"] = state.index
        return entity.ForeignKey(target, backref="+", on_delete=state.on_delete, **options)
    if state.index:
        options["index"] = True
    makers: dict[str, Any] = {
        "smallint": entity.SmallIntegerField,
        "integer": entity.IntegerField,
        "bigint": entity.BigIntegerField,
        "text": entity.TextField,
        "short": lambda **given: entity.CharField(max_length=10, **given),
        "long": lambda **given: entity.CharField(max_length=80, **given),
        "uuid": entity.UuidField,
        "boolean": entity.BooleanField,
        "timestamp": entity.TimestampField,
        "touched": lambda **given: entity.TimestampField(touched_on_update=True, **given),
        "json": entity.JsonField,
        "decimal": lambda **given: entity.DecimalField(max_digits=18, decimal_places=4, **given),
        "double": entity.DoubleField,
        "level": lambda **given: entity.EnumField(Level, **given),
        "date": entity.DateField,
        "blob": entity.BlobField,
    }
    return makers[state.kind](**options)


VALUES: dict[str, Any] = {
    "smallint": lambda number: number,
    "integer": lambda number: 100 + number,
    "bigint": lambda number: 1000 + number,
    "text": lambda number: str(200 + number),
    "short": lambda number: str(300 + number),
    "long": lambda number: str(400 + number),
    "uuid": lambda number: str(UUID(int=5 * 2**100 + number)),
    "boolean": lambda number: number % 2 == 0,
    "timestamp": lambda number: f"2024-05-0{number} 10:00:00.000000",
    "touched": lambda number: f"2024-06-0{number} 10:00:00.000000",
    "json": lambda number: f'{{"a":{number}}}',
    "decimal": lambda number: number,
    "double": lambda number: number + 0.5,
    "level": lambda number: "low",
    "date": lambda number: f"2024-07-0{number}",
    "blob": lambda number: f"blob {number}",
}
ROWS = 3


def rows_of(schema: Schema, name: str) -> list[dict[str, Any]]:
    """Return rows of a table, each value in its column once, and NULLs."""
    table, rows = schema[name], []
    for number in range(1, ROWS + 1):
        row: dict[str, Any] = {}
        if table.key in ("auto", "bigauto", "uuid"):
            row["id"] = key_of(table, number)
        else:
            row |= {"one": number, "two": f"k{number}"}
        for column, state in table.columns.items():
            if state.kind == "reference":
                key = schema[str(state.target)].key
                suffix = "" if key == "both" else "_id"
                target = number if key == "both" else key_of(schema[str(state.target)], number)
                row[column + suffix] = None if state.target == name else target
            else:
                row[column] = None if state.null and number == ROWS else VALUES[state.kind](number)
        rows.append(row)
    return rows


def stored_name(schema: Schema, name: str, column: str) -> str:
    """Return the name that a column has in the database."""
    state = schema[name].columns[column]
    return f"{column}_id" if state.kind == "reference" and schema[str(state.target)].key != "both" else column


def key_of(table: Table, number: int) -> Any:
    return str(UUID(int=7 * 2**100 + number)) if table.key == "uuid" else number
