"""The column types of the models: what a value must be, how it is sent, what comes back.

Peewee's fields with their gaps closed, so that both databases behave alike: UUIDs are canonical text, timestamps are
UTC and aware, JSON is strict, enumerations are checked by the database, and a default can live in the database in each
dialect's own words. The text itself is made in `values`. Nothing here knows a driver.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, Self, TypeVar, overload
from uuid import UUID

import peewee

from cloudpub_models.entity.binding import Dialect, concrete_database, dialect_of
from cloudpub_models.entity.partial import PartialData
from cloudpub_models.entity.stored_forms import (
    JsonValue,
    json_from_text,
    timestamp_from_database,
    timestamp_to_text,
    uuid_from_database,
    uuid_to_text,
)
from cloudpub_models.entity.unloaded import refuse_lazy_loading
from cloudpub_models.errors import InvalidValueError, did_you_mean
from cloudpub_models.sql.identifiers import shown
from cloudpub_models.sql.values import json_to_text

_E = TypeVar("_E", bound=enum.Enum)
_M = TypeVar("_M", bound=peewee.Model)
_V = TypeVar("_V")

# Peewee's fields are generic in its stubs only, and cannot be subscripted when the program runs.
if TYPE_CHECKING:
    _UuidBase = peewee.UUIDField[UUID]
    _DateTimeBase = peewee.DateTimeField[datetime]
    _CharBase = peewee.CharField
    _ForeignKeyBase = peewee.ForeignKeyField
else:
    _UuidBase = peewee.UUIDField
    _DateTimeBase = peewee.DateTimeField

    class _CharBase(peewee.CharField, Generic[_E]):
        pass

    class _ForeignKeyBase(peewee.ForeignKeyField, Generic[_V]):
        pass


class ServerDefault(NamedTuple):
    """A column's default in the database's own words, one expression for each dialect."""

    postgresql: str
    sqlite: str

    def expression(self, dialect: Dialect) -> str:
        """Return the expression of a dialect, as it stands after ``DEFAULT``."""
        return self.postgresql if dialect == "postgresql" else self.sqlite


RANDOM_UUID = ServerDefault(
    postgresql="gen_random_uuid()",
    # Version 4, variant 1, as text with dashes. `random() & 3` and not abs(random()), which overflows at -2^63.
    sqlite=(
        "(lower(hex(randomblob(4))) || '-' || lower(hex(randomblob(2))) || '-4' || "
        "substr(lower(hex(randomblob(2))), 2) || '-' || substr('89ab', (random() & 3) + 1, 1) || "
        "substr(lower(hex(randomblob(2))), 2) || '-' || lower(hex(randomblob(6))))"
    ),
)
UTC_NOW = ServerDefault(
    postgresql="timezone('utc', now())",
    sqlite="(strftime('%Y-%m-%d %H:%M:%f000', 'now'))",
)


def server_default(field: peewee.Field[Any], dialect: Dialect) -> str | None:
    """Return the expression of a field's default in the database, or None where it has none.

    Knows both this library's `ServerDefault` and Peewee's ``constraints=[peewee.Default("…")]``.
    """
    declared = getattr(field, "server_default", None)
    if isinstance(declared, ServerDefault):
        return declared.expression(dialect)
    for constraint in field.constraints or ():
        text = getattr(constraint, "sql", None)
        if isinstance(text, str) and text.upper().startswith("DEFAULT "):
            return text[len("DEFAULT ") :]
    return None


class UuidField(_UuidBase):
    """A UUID: ``UUID`` on PostgreSQL, canonical text with dashes on SQLite, so raw SQL compares it with strings."""

    def __init__(self, *, server_default: ServerDefault | None = None, **options: Any) -> None:
        """Take this field's options beside those of every Peewee field."""
        self.server_default = server_default
        super().__init__(**options)

    def db_value(self, value: Any) -> Any:
        """Return the canonical text; InvalidValueError for what is no UUID."""
        return value if value is None or isinstance(value, peewee.Node) else uuid_to_text(value)

    def python_value(self, value: Any) -> UUID | None:
        """Return a UUID from what the driver gave."""
        return uuid_from_database(value)


class TimestampField(_DateTimeBase):
    """A moment in time: aware in Python, UTC in the database, 26 characters of text on the way to either.

    Args:
        server_default: the default in the database.
        touched_on_update: whether an update that does not name the column sets it to the current time; the managers
            do so, and a trigger does it for everybody else.
    """

    field_type = "TIMESTAMP"

    def __init__(
        self, *, server_default: ServerDefault | None = None, touched_on_update: bool = False, **options: Any
    ) -> None:
        """Take this field's options beside those of every Peewee field."""
        self.server_default = server_default
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
        texts = ", ".join("'" + text.replace("'", "''") + "'" for text in self.allowed)
        check = peewee.Check(f'"{self.column_name}" IN ({texts})', f"{model._meta.table_name}_{self.column_name}_check")
        self.constraints = [*(self.constraints or ()), check]

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
                f"expected a {self.members.__name__}, got {shown(value)}: {did_you_mean(str(value), self._by_text)}"
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
        return self.python_value_for(dialect_of(self.model._meta.database), value)

    def python_value_for(self, dialect: Dialect, value: Any) -> Any:
        """Return the document from what the driver of `dialect` gave."""
        return json_from_text(value) if dialect == "sqlite" and isinstance(value, str) else value

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


def _require_loaded(instance: Any, name: str) -> None:
    data = instance.__data__
    if name not in data and isinstance(data, PartialData):
        data[name]  # raises, and says what was loaded


class ReferenceAccessor(peewee.ForeignKeyAccessor):
    """Reads a related row; one whose key was not loaded raises instead of looking absent."""

    def get_rel_instance(self, instance: Any) -> Any:
        """Return the related row, loaded now if it was not before."""
        if self.name not in instance.__rel__:
            _require_loaded(instance, self.name)
            if instance.__data__.get(self.name) is not None:
                refuse_lazy_loading(instance, self.name)
        return super().get_rel_instance(instance)  # type: ignore[no-untyped-call]


class RelatedRowsAccessor(peewee.BackrefAccessor):
    """Reads the rows that refer to an instance, as a Peewee query; ``include=`` puts a list in its place."""

    def __get__(self, instance: Any, instance_type: Any = None) -> Any:
        """Return the query, or the accessor itself when read from the class."""
        if instance is not None:
            refuse_lazy_loading(instance, self.field.backref)
        return super().__get__(instance, instance_type)  # type: ignore[no-untyped-call]


class ReferenceIdAccessor(peewee.ObjectIdAccessor):
    """Reads the key of a related row without loading the row."""

    def __get__(self, instance: Any, instance_type: Any = None) -> Any:
        """Return the key, or the field itself when read from the class."""
        if instance is not None:
            _require_loaded(instance, self.field.name)
        return super().__get__(instance, instance_type)  # type: ignore[no-untyped-call]


class ForeignKey(_ForeignKeyBase[_V]):
    """A reference to a row of another table, with a named constraint."""

    accessor_class = ReferenceAccessor
    backref_accessor_class: type[peewee.BackrefAccessor] = RelatedRowsAccessor

    if TYPE_CHECKING:

        @overload
        def __new__(cls, model: type[_M], *args: Any, null: Literal[True], **options: Any) -> ForeignKey[_M | None]: ...
        @overload
        def __new__(cls, model: type[_M], *args: Any, null: Literal[False] = ..., **options: Any) -> ForeignKey[_M]: ...
        @overload
        def __new__(cls, model: Literal["self"] = ..., *args: Any, **options: Any) -> ForeignKey[Any]: ...
        def __new__(cls, *args: Any, **options: Any) -> Any:
            """Typed by the related model and by whether the column may be NULL."""

    def bind(self, model: Any, name: str, set_attribute: bool = True) -> None:
        """Take the field's place in a model, and name its constraint after table and column, as PostgreSQL does."""
        super().bind(model, name, set_attribute)
        if self.constraint_name is None:
            self.constraint_name = f"{model._meta.table_name}_{self.column_name}_fkey"
        if set_attribute:
            setattr(model, self.object_id_name, ReferenceIdAccessor(self))


class _ForwardForeignKey(peewee.DeferredForeignKey):
    def __deepcopy__(self, memo: Any = None) -> _ForwardForeignKey:
        return _ForwardForeignKey(self.rel_model_name, **self.field_kwargs)

    def set_model(self, rel_model: type[peewee.Model]) -> None:
        options: dict[str, Any] = self.field_kwargs
        field = ForeignKey(rel_model, _deferred=True, **options)
        # Peewee would put the column last, after those that were declared after it.
        field._order, field._sort_key = self._order, self._sort_key  # type: ignore[attr-defined]
        self.model._meta.add_field(self.name, field)


def forward_foreign_key(model_name: str, **options: Any) -> Any:
    """Return a foreign key to a model that is defined further down; Peewee replaces it once that model exists."""
    return _ForwardForeignKey(model_name, **options)
