"""The column types of the models: what a value must be, how it is sent, what comes back.

Peewee's fields with their gaps closed, so that both databases behave alike: UUIDs are canonical text, timestamps are
UTC and aware, JSON is strict, enumerations are checked by the database, and a default can live in the database in each
dialect's own words. The text itself is made in ``stored_forms``; references are in ``relations``. Nothing here knows a
driver.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, Self, TypeVar, overload
from uuid import UUID, uuid4

import peewee

from cloudpub_models.entity.binding import concrete_database, sql_dialect_of
from cloudpub_models.entity.stored_forms import (
    JsonValue,
    json_from_text,
    timestamp_from_database,
    timestamp_to_text,
    utc_now,
    uuid_from_database,
    uuid_to_text,
)
from cloudpub_models.entity.time_ordered import uuid_now
from cloudpub_models.errors import InvalidValueError, did_you_mean
from cloudpub_models.sql.dialects import Dialect
from cloudpub_models.sql.identifiers import represented, shown
from cloudpub_models.sql.values import json_to_text, text_literal

_LONGEST_NAME = 63

_E = TypeVar("_E", bound=enum.Enum)

# Peewee's fields are generic in its stubs only, and cannot be subscripted when the program runs.
if TYPE_CHECKING:
    from typing_extensions import TypeVar as TypeVarWithDefault

    _Id = TypeVarWithDefault("_Id", default=UUID)
    _Moment = TypeVarWithDefault("_Moment", default=datetime)
    _UuidBase = peewee.UUIDField
    _DateTimeBase = peewee.DateTimeField
    _CharBase = peewee.CharField
else:
    _Id, _Moment = TypeVar("_Id"), TypeVar("_Moment")

    class _UuidBase(peewee.UUIDField, Generic[_Id]):
        pass

    class _DateTimeBase(peewee.DateTimeField, Generic[_Moment]):
        pass

    class _CharBase(peewee.CharField, Generic[_E]):
        pass


def name_of_part(table: str, columns: Iterable[str], kind: str) -> str:
    """Return the name of a table's constraint, index or trigger; too long a one is cut as PostgreSQL cuts its own.

    >>> name_of_part("functions", ["user_id", "name"], "key")
    'functions_user_id_name_key'
    """
    listed = "_".join(columns)
    while len(f"{table}_{listed}_{kind}") > _LONGEST_NAME:
        table, listed = (table[:-1], listed) if len(table) > len(listed) else (table, listed[:-1])
    return f"{table}_{listed}_{kind}"


class ServerDefault(NamedTuple):
    """A column's default in the database's own words, one expression for each dialect.

    >>> from cloudpub_models.sql import SQLITE
    >>> ServerDefault(postgresql="now()", sqlite="CURRENT_TIMESTAMP").expression(SQLITE)
    'CURRENT_TIMESTAMP'
    """

    postgresql: str
    sqlite: str

    def expression(self, dialect: Dialect) -> str:
        """Return the expression of a dialect, as it stands after ``DEFAULT``."""
        return str(dialect.part_of(self))


RANDOM_UUID = ServerDefault(
    postgresql="gen_random_uuid()",
    # Version 4, variant 1, as text with dashes. `random() & 3` and not abs(random()), which overflows at -2^63.
    sqlite=(
        "(lower(hex(randomblob(4))) || '-' || lower(hex(randomblob(2))) || '-4' || "
        "substr(lower(hex(randomblob(2))), 2) || '-' || substr('89ab', (random() & 3) + 1, 1) || "
        "substr(lower(hex(randomblob(2))), 2) || '-' || lower(hex(randomblob(6))))"
    ),
)
TIME_ORDERED_UUID = ServerDefault(
    # A random UUID with the time in its first six bytes and the two bits set that make a 7 of the 4. Instead of
    # uuidv7(), which PostgreSQL has from 18 on, and which is no faster than this with a random one.
    postgresql=(
        "encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) placing substring("
        "int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6), 52, 1), 53, 1), "
        "'hex')::uuid"
    ),
    sqlite=RANDOM_UUID.sqlite,
)
UTC_NOW = ServerDefault(
    postgresql="timezone('utc', now())",
    sqlite="(strftime('%Y-%m-%d %H:%M:%f000', 'now'))",
)


def server_default(field: peewee.Field[Any]) -> ServerDefault | None:
    """Return the default that a field has in the database, or None where it has none.

    Knows both this library's ``ServerDefault`` and Peewee's ``constraints=[peewee.Default("…")]``.
    """
    declared = getattr(field, "server_default", None)
    if isinstance(declared, ServerDefault):
        return declared
    for constraint in field.constraints or ():
        if is_default(constraint):
            expression = constraint.sql[len("DEFAULT ") :]
            return ServerDefault(expression, as_sqlite_default(expression))
    return None


def is_literal(expression: str) -> bool:
    """Whether an expression is one literal: a number, a string, ``TRUE``, ``FALSE`` or ``NULL``."""
    return _literal().fullmatch(expression) is not None


def as_sqlite_default(expression: str) -> str:
    """Return an expression as SQLite takes it behind ``DEFAULT``, which PostgreSQL takes as it is.

    >>> as_sqlite_default("lower('X')"), as_sqlite_default("'it''s'")
    ("(lower('X'))", "'it''s'")
    """
    is_plain = is_literal(expression) or expression.upper() in ("CURRENT_TIME", "CURRENT_DATE", "CURRENT_TIMESTAMP")
    return expression if is_plain else f"({expression})"


@cache
def _literal() -> re.Pattern[str]:
    return re.compile(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?|x?'(''|[^'])*'|true|false|null", re.IGNORECASE)


def is_default(constraint: Any) -> bool:
    """Whether one of a field's constraints is Peewee's ``Default``."""
    return str(getattr(constraint, "sql", "")).upper().startswith("DEFAULT ")


class UuidField(_UuidBase[_Id]):
    """A UUID: ``UUID`` on PostgreSQL, canonical text with dashes on SQLite, so raw SQL compares it with strings.

    Args:
        time_from: a timestamp's column in the same table, whose value the managers have the row's UUID begin with
            (version 7), so that rows of one time stand together in its index. What is written past them has the
            current time in it on PostgreSQL, and is random on SQLite.
        **options: those of every Peewee field, and ``server_default``, the default in the database. A key that is not
            NULL (``unique`` or ``primary_key``) has a random one by default, made in Python and by the database.

    >>> UuidField(unique=True).server_default.postgresql
    'gen_random_uuid()'
    """

    server_default: ServerDefault | None
    time_from: str | None

    if TYPE_CHECKING:

        @overload
        def __new__(
            cls, *, time_from: str | None = ..., null: Literal[True], **options: Any
        ) -> UuidField[UUID | None]: ...
        @overload
        def __new__(
            cls, *, time_from: str | None = ..., null: Literal[False] = ..., **options: Any
        ) -> UuidField[UUID]: ...
        def __new__(cls, **options: Any) -> Any:
            """Typed by whether the column may be NULL."""

    else:

        def __init__(self, *, time_from: str | None = None, **options: Any) -> None:
            self.time_from = time_from
            if time_from is not None:
                options = {"default": uuid_now, "server_default": TIME_ORDERED_UUID, **options}
            elif (options.get("unique") or options.get("primary_key")) and not options.get("null"):
                options = {"default": uuid4, "server_default": RANDOM_UUID, **options}
            self.server_default = options.pop("server_default", None)
            super().__init__(**options)

    def db_value(self, value: Any) -> Any:
        """Return the canonical text; InvalidValueError for what is no UUID."""
        return value if value is None or isinstance(value, peewee.Node) else uuid_to_text(value)

    def python_value(self, value: Any) -> UUID | None:
        """Return a UUID from what the driver gave."""
        return uuid_from_database(value)


class TimestampField(_DateTimeBase[_Moment]):
    """A moment in time: aware in Python, UTC in the database, 26 characters of text on the way to either.

    Args:
        touched_on_update: whether an update that does not name the column sets it to the current time; the managers
            do so, and a trigger does it for everybody else.
        **options: those of every Peewee field, and ``server_default``, the default in the database. Unless it may be
            NULL it is the current time by default, in Python and in the database.

    >>> TimestampField().server_default.postgresql, TimestampField(null=True).server_default
    ("timezone('utc', now())", None)
    """

    field_type = "TIMESTAMP"

    server_default: ServerDefault | None
    touched_on_update: bool

    if TYPE_CHECKING:

        @overload
        def __new__(
            cls, *, touched_on_update: bool = ..., null: Literal[True], **options: Any
        ) -> TimestampField[datetime | None]: ...
        @overload
        def __new__(
            cls, *, touched_on_update: bool = ..., null: Literal[False] = ..., **options: Any
        ) -> TimestampField[datetime]: ...
        def __new__(cls, **options: Any) -> Any:
            """Typed by whether the column may be NULL."""

    else:

        def __init__(self, *, touched_on_update: bool = False, **options: Any) -> None:
            if not options.get("null"):
                options = {"default": utc_now, "server_default": UTC_NOW, **options}
            self.server_default = options.pop("server_default", None)
            self.touched_on_update = touched_on_update
            super().__init__(**options)

    def db_value(self, value: Any) -> Any:
        """Return the text that is stored; InvalidValueError for naive datetimes and for what is no moment."""
        return value if value is None or isinstance(value, peewee.Node) else timestamp_to_text(value)

    def python_value(self, value: Any) -> datetime | None:
        """Return an aware datetime in UTC from what the driver gave."""
        return timestamp_from_database(value)


class EnumField(_CharBase[_E]):
    """A string enumeration in a VARCHAR column with a CHECK, so that no other writer can add a value of its own."""

    if TYPE_CHECKING:
        # Type checkers would take that of Peewee's text fields.
        def __new__(cls, members: type[_E], *, max_length: int = 50, **options: Any) -> EnumField[_E]:
            """Make a field whose values are members."""

    def __init__(self, members: type[_E], *, max_length: int = 50, **options: Any) -> None:
        """Take the enumeration, whose values are strings, beside the options of every Peewee field."""
        self.members = members
        self._by_text: Mapping[str, _E] = {member.value: member for member in members}
        super().__init__(max_length=max_length, **options)

    @property
    def allowed(self) -> tuple[str, ...]:
        """The texts that the column may hold, in the order of the enumeration."""
        return tuple(self._by_text)

    def bind(self, model: Any, name: str, set_attribute: bool = True) -> None:
        """Take the field's place in a model, and name its check after table and column."""
        super().bind(model, name, set_attribute)
        self.constraints = [*(self.constraints or ()), self.check_for(model._meta.table_name, self.column_name)]

    def check_for(self, table: str, column: str) -> peewee.Node:
        """Return the constraint that a column of this type has."""
        quoted = column.replace('"', '""')
        texts = ", ".join(map(text_literal, self.allowed))
        return peewee.Check(f'"{quoted}" IN ({texts})', name_of_part(table, [column], "check"))

    def db_value(self, value: Any) -> Any:
        """Return the member's text; InvalidValueError for a value that is no member."""
        if value is None or isinstance(value, peewee.Node):
            return value
        return str(self._member(value).value)

    def python_value(self, value: Any) -> _E | None:
        """Return the member of a text; InvalidValueError for a text that no member has."""
        return None if value is None else self._member(value)

    def _member(self, value: Any) -> _E:
        if isinstance(value, self.members):
            return value
        member = self._by_text.get(value) if isinstance(value, str) else None
        if member is None:
            raise InvalidValueError(
                f"expected a {self.members.__name__}; got {shown(value)}: "
                f"{did_you_mean(value if isinstance(value, str) else represented(value), self._by_text)}"
            )
        return member


class JsonField(peewee.JSONField):
    """A JSON document: JSONB on PostgreSQL, JSON text on SQLite.

    SQL NULL and JSON ``null`` are both ``None`` in Python, and ``None`` is written as SQL NULL: a column whose whole
    document is JSON ``null`` can be read but not written. Inside a document ``None`` is JSON ``null``.
    """

    def __init__(self, **options: Any) -> None:
        """Take the options of every Peewee field."""
        super().__init__(dumps=json_to_text, loads=json_from_text, **options)

    if TYPE_CHECKING:

        @overload
        def __get__(self, instance: None, owner: Any) -> Self: ...
        @overload
        def __get__(self, instance: object, owner: Any) -> JsonValue: ...
        def __get__(self, instance: Any, owner: Any) -> Any:
            """As every field: itself on the class, the value on an instance."""

        def __set__(self, instance: object, value: JsonValue) -> None:
            """Take a new value."""

    # Peewee fixes representation and SQL dialect when a model is bound to a database. Our models are bound per
    # context, so both are found at the time of the call instead, and its hook has nothing to do.
    def _db_hook(self, database: peewee.Database | None) -> None:
        pass

    @property
    def _helper(self) -> Any:
        database = concrete_database(self.model._meta.database)
        return None if database is None else database.json_methods(database)

    @_helper.setter
    def _helper(self, value: object) -> None:
        pass

    def db_value(self, value: Any) -> Any:
        """Return compact JSON text, which both databases take; InvalidValueError for what JSON cannot express."""
        # Peewee's JSON operators wrap their argument for the driver themselves (which says so by `adapted`).
        if value is None or isinstance(value, peewee.Node) or hasattr(value, "adapted"):
            return value
        return json_to_text(value)

    def python_value(self, value: Any) -> Any:
        """Return the document. PostgreSQL's driver has decoded it already, where a ``str`` is a JSON string."""
        decoded = not isinstance(value, str) or sql_dialect_of(self.model._meta.database).decodes_json
        return value if decoded else json_from_text(value)

    def to_value(self, value: Any) -> Any:
        """Return a node for a Peewee query that is not converted a second time."""
        if value is None or isinstance(value, peewee.Node):
            return value
        return peewee.Value(json_to_text(value), converter=False, unpack=False)

    def _compare(self, lhs: Any, eq_op: str, is_op: str, rhs: Any, as_text: bool) -> Any:
        # With the field itself on the left Peewee converts the right side again, which would quote text twice.
        if lhs is self and rhs is not None and not as_text:
            rhs = self.to_value(rhs)
        return super()._compare(lhs, eq_op, is_op, rhs, as_text)  # type: ignore[misc]
