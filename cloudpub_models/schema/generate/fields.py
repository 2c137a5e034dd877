"""The fields that make columns of a state, as Python; a script has them from Peewee and ``cloudpub_models.entity``."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from decimal import Decimal, InvalidOperation

from cloudpub_models import entity
from cloudpub_models.entity.fields import RANDOM_UUID, UTC_NOW, ServerDefault, as_sqlite_default
from cloudpub_models.errors import MigrationError
from cloudpub_models.schema.generate.python import Call, literal
from cloudpub_models.schema.generate.structure import ColumnState
from cloudpub_models.sql.identifiers import shown

_FIELDS = {
    "bigint": "BigIntegerField",
    "blob": "BlobField",
    "boolean": "BooleanField",
    "date": "DateField",
    "datetime": "DateTimeField",
    "double": "DoubleField",
    "integer": "IntegerField",
    "json": "JsonField",
    "real": "FloatField",
    "smallint": "SmallIntegerField",
    "text": "TextField",
    "time": "TimeField",
    "timestamp": "TimestampField",
    "uuid": "UuidField",
    "uuid bytes": "BinaryUUIDField",
}
_SIZED = re.compile(r"(varchar|char|decimal|numeric)\((\d+)(?:, ?(\d+))?\)")
# The same in every row, for rows that have lost their value or never had one.
_NEUTRAL: dict[str, object] = {
    "bigint": 0,
    "blob": b"",
    "boolean": False,
    "char": "",
    "date": "1970-01-01",
    "datetime": "1970-01-01 00:00:00",
    "decimal": "0",
    "double": 0.0,
    "integer": 0,
    "json": {},
    "numeric": "0",
    "real": 0.0,
    "smallint": 0,
    "text": "",
    "time": "00:00:00",
    "timestamp": "1970-01-01T00:00:00+00:00",
    "uuid": "00000000-0000-0000-0000-000000000000",
    "varchar": "",
}


class Names:
    """The names that a script uses and has to import, or to define: fields of types that no field here has."""

    def __init__(self) -> None:
        self.imported: dict[str, set[str]] = {}
        self.own: dict[str, str] = {}

    def use(self, name: str) -> str:
        """Note that a name is used, and return it."""
        place = "cloudpub_models.entity" if name in entity.__all__ else "peewee"
        self.imported.setdefault(place, set()).add(name)
        return name

    def own_field(self, kind: str) -> str:
        """Return the name of a field of a type that no field here has."""
        self.use("Field")
        name = "".join(part.title() for part in re.findall(r"[a-zA-Z0-9]+", kind)) + "Field"
        return self.own.setdefault(kind, name)


def type_of_field(kind: str, names: Names) -> Call:
    """Return a field of a type, which says nothing else.

    >>> str(type_of_field("decimal(10, 2)", Names()))
    'DecimalField(max_digits=10, decimal_places=2)'
    """
    sized = _SIZED.fullmatch(kind)
    if sized is None:
        return Call(names.use(_FIELDS[kind]) if kind in _FIELDS else names.own_field(kind))
    if sized[1] in ("varchar", "char"):
        name = "CharField" if sized[1] == "varchar" else "FixedCharField"
        return Call(names.use(name), named={"max_length": sized[2]})
    return Call(names.use("DecimalField"), named={"max_digits": sized[2], "decimal_places": sized[3] or "0"})


def field_of_column(
    column: ColumnState, names: Names, *, unique: bool = False, is_key: bool = False, touched: bool = False
) -> Call:
    """Return the field that makes a column.

    Args:
        column: the column.
        names: takes up what the script has to import.
        unique: whether the field is also to say that each value is there once.
        is_key: whether it is the table's primary key.
        touched: whether updates set it by themselves.

    >>> str(field_of_column(ColumnState("id", "bigint", True, False, None, counts=True), Names(), is_key=True))
    'BigAutoField()'
    """
    if column.counts is not False:
        return Call(names.use("BigAutoField" if column.type == "bigint" else "AutoField"))
    call = type_of_field(column.type, names)
    named = dict(call.named)
    named.update({"null": "True"} if column.nullable else {})
    named.update({"primary_key": "True"} if is_key else {"unique": "True"} if unique else {})
    named.update({"touched_on_update": "True"} if touched else {})
    if column.type in ("uuid", "timestamp"):
        implied = None
        if not column.nullable and (column.type == "timestamp" or unique or is_key):
            implied = UTC_NOW if column.type == "timestamp" else RANDOM_UUID
        if column.default is None and implied is not None:
            named.update({"default": "None", "server_default": "None"})
        elif column.default is not None and column.default != implied:
            named["server_default"] = words_of(column.default, names)
    elif column.default is not None and has_one_text(column.default):
        named["constraints"] = f"[{Call(names.use('Default'), [literal(column.default.postgresql)])}]"
    return Call(call.head, named=named)


def has_one_text(default: ServerDefault) -> bool:
    """Whether a default is the same expression on both databases, as Peewee's ``Default`` has it."""
    return default.sqlite == as_sqlite_default(default.postgresql)


def is_said_by_field(column: ColumnState) -> bool:
    """Whether ``field_of_column`` says a column's default."""
    return column.default is None or column.type in ("uuid", "timestamp") or has_one_text(column.default)


def words_of(default: ServerDefault, names: Names) -> Call:
    """Return a default in the words of both databases."""
    made = Call(names.use("ServerDefault"))
    return made.with_named(postgresql=literal(default.postgresql), sqlite=literal(default.sqlite))


def neutral_value(kind: str) -> object:
    """Return a value that says least, for rows that have none; None for a type that has no such value.

    >>> neutral_value("varchar(20)"), neutral_value("boolean"), neutral_value("citext")
    ('', False, None)
    """
    return _NEUTRAL.get(kind.partition("(")[0])


def value_from_text(kind: str, text: str, place: str) -> object:
    """Return the value of a type that somebody typed.

    Args:
        kind: the type.
        text: what was typed.
        place: table and column, for the message.

    Raises:
        MigrationError: it is none.

    >>> value_from_text("integer", "7", "invoices.total"), value_from_text("boolean", "yes", "invoices.paid")
    (7, True)
    """
    try:
        return _read(kind.partition("(")[0], text)
    except (ValueError, InvalidOperation, KeyError):
        raise MigrationError(f"expected a value of type {kind} for {place}; got {shown(text)}: give another") from None


_WHOLE: Collection[str] = ("integer", "bigint", "smallint")
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _read(kind: str, text: str) -> object:
    if kind in _WHOLE:
        return int(text)
    if kind in ("real", "double"):
        return float(text)
    if kind in ("decimal", "numeric"):
        return str(Decimal(text))
    if kind == "boolean":
        return _TRUTH[text.lower()]
    if kind in ("blob", "uuid bytes"):
        return text.encode()
    return json.loads(text) if kind == "json" else text
