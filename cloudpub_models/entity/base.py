"""The base of all models: a Peewee model that can be turned into a dict and back, copied, compared and shown.

Entities are ordinary Peewee instances, and everything that Peewee does works on them. This module knows no table.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Generator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Self

import peewee

from cloudpub_models.entity.binding import current_database
from cloudpub_models.entity.ddl import TableMetadata, TableSchema
from cloudpub_models.entity.fields import EnumField, JsonField, TimestampField, UuidField
from cloudpub_models.entity.origin import come_from, origin_of, writing_to
from cloudpub_models.errors import InvalidValueError, UnknownColumnError, did_you_mean
from cloudpub_models.sql.identifiers import shown
from cloudpub_models.sql.text.secrets import as_secret, declare_secret_columns


class BackLink:
    """The row that other rows were loaded for, as those know it: their reference to it, without a circle.

    In a circle of references both sides would wait for the garbage collector, which costs more than loading them. So
    this keeps what the row has when the link is made, and makes the row of it again where the first one is gone: its
    values, its changes and the related rows loaded before those that have the link. What the row is given later but
    for its columns, as are those rows themselves, is not kept.

    Args:
        name: the reference, as in ``deployment.function``.
        row: the row that it refers to.
    """

    __slots__ = ("_kept", "_made", "_model", "name")

    def __init__(self, name: str, row: Entity) -> None:
        self.name = name
        self._model = type(row)
        # Both instances share their values, and which of them have changed.
        attributes = row.__dict__
        if "_dirty" not in attributes:
            attributes["_dirty"] = set()
        self._kept = attributes.copy()
        self._made: weakref.ref[Entity] = weakref.ref(row)

    def row(self) -> Entity:
        """Return the row; the same instance for all that refer to it, as long as anything does."""
        row = self._made()
        if row is None:
            row = self._model.__new__(self._model)
            row.__dict__.update(self._kept)
            self._made = weakref.ref(row)
        return row


class _MadeOnFirstUse:
    """An instance attribute that costs nothing until somebody reads it; most loaded rows never need theirs."""

    def __init__(self, name: str, make: Callable[[Entity], Any]) -> None:
        self._name = name
        self._make = make

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return None
        value = instance.__dict__[self._name] = self._make(instance)
        return value


def _related_rows(entity: Entity) -> dict[str, Any]:
    link = entity.__dict__.pop("_back_link", None)
    return {} if link is None else {link.name: link.row()}


class Entity(peewee.Model):
    """A row of a table.

    Class attributes:
        secret_columns: columns that are never shown, whatever else is.
        shown_columns: the columns that a ``repr`` shows beside ``id`` and ``uuid``.

    A loader may make an instance without calling the constructor, by filling ``__data__`` alone (with a ``PartialData``
    where the query left columns out, so that reading one of those raises LazyLoadingError), and name the row that it
    was loaded for by setting ``_back_link``.
    """

    secret_columns: ClassVar[frozenset[str]] = frozenset()
    shown_columns: ClassVar[tuple[str, ...]] = ()

    __data__: dict[str, Any]
    __rel__: dict[str, Any]
    _dirty: set[str]
    _back_link: BackLink

    if TYPE_CHECKING:
        Meta: Any  # each model's own is a class beside this one, and no subclass of it
    else:

        class Meta:
            """What every table of this library has in common."""

            database = current_database
            legacy_table_names = False
            model_metadata_class = TableMetadata
            schema_manager_class = TableSchema

    @classmethod
    def validate_model(cls) -> None:
        """Finish the class; Peewee calls this when it has bound all fields."""
        super().validate_model()
        # Here and not in the class body, because Peewee's metaclass overwrites these names after it.
        cls.__rel__ = _MadeOnFirstUse("__rel__", _related_rows)  # type: ignore[assignment]
        cls._dirty = _MadeOnFirstUse("_dirty", lambda _: set())  # type: ignore[assignment]
        if cls.__dict__["__repr__"].__module__ == "peewee":
            del cls.__repr__
        declare_secret_columns(cls.secret_columns)
        for name in cls.secret_columns & cls._meta.columns.keys():
            _mark_values(cls._meta.columns[name])

    def to_dict(self) -> dict[str, Any]:
        """Return column name → Python value, for all columns that are loaded.

        >>> resize.to_dict()
        {'id': 1, 'uuid': UUID('...'), 'user_id': 1, 'name': 'resize', 'status': 'active', ...}

        ``Entity.from_dict`` takes it back: ``type(entity).from_dict(entity.to_dict()).to_dict() == entity.to_dict()``.
        A password hash is included, so this is not what leaves the system; the DTOs are.
        """
        return loaded_values(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return an instance that holds exactly what ``data`` holds; nothing is sent, no default is filled in.

        Args:
            data: column (or field) name → value. UUIDs and timestamps may be text, enumeration members their values.
                Text without an offset is UTC, as in the database; a naive datetime is refused.

        Raises:
            UnknownColumnError: for a name that the model does not have.
            InvalidValueError: for a value that its column cannot hold.

        >>> Function.from_dict({"id": 7, "name": "crop", "created_at": "2024-05-01T12:00:00+02:00"}).created_at
        datetime.datetime(2024, 5, 1, 10, 0, tzinfo=datetime.timezone.utc)
        """
        entity = cls(__no_default__=True)
        for name, value in data.items():
            field = cls._field_named(name)
            setattr(entity, field.name, _accepted(field, value))
        return entity

    def copy_with(self, **changes: Any) -> Self:
        """Return a copy with some columns changed; this instance stays as it is.

        Args:
            **changes: column or field name → new value, taken as ``from_dict`` takes them.

        Raises:
            UnknownColumnError: for a name that the model does not have.
            InvalidValueError: for a value that its column cannot hold.

        >>> resize.copy_with(name="crop").name, resize.name
        ('crop', 'resize')
        """
        cls = type(self)
        duplicate = cls(__no_default__=True)
        # Only JSON documents are mutable; everything else may be shared.
        duplicate.__data__ = type(self.__data__)(
            (name, copy.deepcopy(value) if isinstance(value, dict | list) else value)
            for name, value in self.__data__.items()
        )
        duplicate.__rel__ = dict(self.__rel__)
        duplicate._dirty = set(self._dirty)
        come_from(duplicate, origin_of(self))
        for name, value in changes.items():
            field = cls._field_named(name)
            setattr(duplicate, field.name, _accepted(field, value))
        return duplicate

    def save(self, force_insert: bool = False, only: Any = None) -> Any:
        """As Peewee's, to the database that the row came from; one that is to be inserted, to the one that is bound.

        Raises:
            InvalidQueryError: the row came from another database than the one that is bound.
            UnknownColumnError: what ``only`` names is no field.

        >>> resize.status = "inactive"
        >>> resize.save()
        1
        """
        if only is not None:
            only = self._fields_of(only)
        origin = origin_of(self)
        if origin is None or (force_insert and current_database.bound is not None):
            return super().save(force_insert, only)
        with writing_to(origin, type(self)):
            return super().save(force_insert, only)

    def _fields_of(self, only: Any) -> list[Any]:
        """Return the fields, or the names of such, that alone are to be saved."""
        known: Any = self._meta
        if isinstance(only, str):
            raise UnknownColumnError(f"expected a list of fields to save; got {shown(only)}: put it into a list")
        fields = list(only)
        for field in fields:
            if not isinstance(field, peewee.Field) and not (isinstance(field, str) and field in known.combined):
                hint = did_you_mean(field, known.fields) if isinstance(field, str) else "name them, or give the fields"
                raise UnknownColumnError(
                    f"expected a list of fields of {type(self).__name__} to save; got {shown(field)} in it: {hint}"
                )
        return fields

    def delete_instance(self, recursive: bool = False, delete_nullable: bool = False) -> Any:
        """As Peewee's, in the database that the row came from.

        Raises:
            InvalidQueryError: the row came from another database than the one that is bound.

        >>> resize.delete_instance()
        1
        """
        origin = origin_of(self)
        if origin is None:
            return super().delete_instance(recursive, delete_nullable)
        with writing_to(origin, type(self)):
            return super().delete_instance(recursive, delete_nullable)

    def dependencies(
        self, search_nullable: bool = True, exclude_null_children: bool = False
    ) -> Generator[tuple[Any, peewee.ForeignKeyField[Any]], None, None]:
        """Yield conditions on the rows that depend on this one, with the key by which they do, the farthest first.

        As Peewee's method of this name, which takes every reference for one to a primary key.

        Args:
            search_nullable: follow references that may be NULL too.
            exclude_null_children: but not what depends on the rows that have those.

        >>> [key.name for _, key in resize.dependencies()]
        ['function', 'function', 'function', 'active_deployment']
        """
        conditions: dict[type[peewee.Model], list[tuple[Any, peewee.ForeignKeyField[Any]]]] = {}
        waiting: list[tuple[type[peewee.Model], Any]] = [(type(self), None)]
        visited = set()
        while waiting:
            model, rows = waiting.pop()
            if model in visited:
                continue
            visited.add(model)
            for key, child in model._meta.backrefs.items():
                if key.null and not search_nullable:
                    continue
                if rows is None:
                    dependent = key == self.__data__[key.rel_field.name]
                else:
                    dependent = key.in_(model.select(key.rel_field).where(rows))
                conditions.setdefault(child, []).append((dependent, key))
                if not (key.null and exclude_null_children):
                    waiting.append((child, dependent))
        for child in reversed(peewee.sort_models(list(conditions))):  # type: ignore[attr-defined]
            yield from conditions[child]

    @classmethod
    def _field_named(cls, name: str) -> peewee.Field[Any]:
        field = cls._meta.combined.get(name)
        if field is None:
            columns = [known.column_name for known in cls._meta.sorted_fields]
            raise UnknownColumnError(
                f"expected a column of {cls._meta.table_name}; got {shown(name)}: {did_you_mean(str(name), columns)}"
            )
        return field  # type: ignore[no-any-return]

    def __getstate__(self) -> dict[str, Any]:
        """Return what copying and pickling keep: the related rows themselves, which outlive no weak reference."""
        if "_back_link" in self.__dict__:
            _ = self.__rel__
        return self.__dict__

    # Peewee reads the primary key through its attribute, which raises where it was not loaded. Comparing and hashing
    # must not raise, so they look at the data.
    def _loaded_key(self) -> Any:
        names = [field.name for field in self._meta.get_primary_keys()]  # type: ignore[no-untyped-call]
        return tuple(self.__data__.get(name) for name in names)

    def __eq__(self, other: object) -> bool:
        """Whether both are the same row: same model, same primary key; unsaved ones equal only themselves."""
        if self is other:
            return True
        if type(other) is not type(self):
            return False
        key = self._loaded_key()
        return bool(key) and None not in key and key == other._loaded_key()

    def __ne__(self, other: object) -> bool:
        """Whether both are different rows."""
        return not self == other

    def __hash__(self) -> int:
        """By model and primary key; it changes when an unsaved instance is saved, as in Peewee."""
        return hash((type(self), self._loaded_key()))

    def __repr__(self) -> str:
        """Name the row in one line, without its secrets: ``<User id=1 uuid=… email='a@b.c'>``."""
        data, parts = self.__data__, [type(self).__name__]
        for name in ("id", "uuid", *self.shown_columns):
            field = self._meta.combined.get(name)
            if field is not None and field.name in data and field.column_name not in self.secret_columns:
                value = data[field.name]
                parts.append(f"{name}={value}" if name in ("id", "uuid") else f"{name}={value!r}")
        return f"<{' '.join(parts)}>"

    def __str__(self) -> str:
        """As ``repr``; Peewee would show the primary key alone."""
        return repr(self)


def loaded_values(row: peewee.Model) -> dict[str, Any]:
    """Return column name → Python value of any model's row, for the columns that are loaded."""
    data = row.__data__
    return {field.column_name: data[field.name] for field in row._meta.sorted_fields if field.name in data}


def shown_values(row: peewee.Model, *, with_secrets: bool = False) -> dict[str, Any]:
    """Return what ``loaded_values`` gives, without secret columns unless they are asked for."""
    hidden = frozenset() if with_secrets else secret_columns(type(row))
    return {name: value for name, value in loaded_values(row).items() if name not in hidden}


def secret_columns(model: type[peewee.Model]) -> frozenset[str]:
    """Return the columns of any model that are shown only when asked for."""
    return frozenset(getattr(model, "secret_columns", ()))


def _mark_values(field: peewee.Field[Any]) -> None:
    """Have what Peewee sends of a field recognized as a secret."""
    convert = field.db_value
    field.db_value = lambda value: as_secret(convert(value))  # type: ignore[method-assign, no-untyped-call]


def _accepted(field: peewee.Field[Any], value: Any) -> Any:
    """Return a value that came from outside as the Python value of its column."""
    if value is None:
        return None
    if isinstance(field, peewee.ForeignKeyField):
        return value if isinstance(value, peewee.Model) else _accepted(field.rel_field, value)
    if isinstance(field, TimestampField):
        if isinstance(value, datetime):
            field.db_value(value)  # refuses naive ones
        return field.python_value(value)
    if isinstance(field, UuidField):
        return field.python_value(field.db_value(value))
    if isinstance(field, EnumField):
        return field.python_value(value)
    if isinstance(field, JsonField):
        field.db_value(value)  # refuses what is no JSON
        return value
    if isinstance(field, peewee.BooleanField):
        if value not in (0, 1):
            raise InvalidValueError(f"expected True or False for {field.column_name}; got {value!r}")
        return bool(value)
    return value
