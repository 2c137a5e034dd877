"""What a manager knows of its model's table: columns, how their values are encoded, and what fills missing ones.

Derived once from the Peewee model, for ours and for any other; sends nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, cached_property, lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import peewee

from cloudpub_models.entity.base import secret_columns
from cloudpub_models.entity.ddl import condition_of_unique_index, unique_constraints
from cloudpub_models.entity.fields import TimestampField, server_default
from cloudpub_models.entity.time_ordered import milliseconds_of, uuid_text_at
from cloudpub_models.errors import (
    InvalidQueryError,
    InvalidValueError,
    UnknownColumnError,
    UnknownTableError,
    did_you_mean,
)
from cloudpub_models.manager.columns.encoding import Encoder, Kind, encoder_for, kind_of
from cloudpub_models.manager.columns.many import around_nones, moment_texts, uuid_texts
from cloudpub_models.manager.relations import relation_names
from cloudpub_models.sql import Dialect, NamedTable
from cloudpub_models.sql.dialects import ComparedKind
from cloudpub_models.sql.identifiers import represented, shown, surrogate_in
from cloudpub_models.sql.nodes.conditions import RawCondition
from cloudpub_models.sql.text.secrets import declare_secret_columns
from cloudpub_models.sql.values import now_to_text

# A program writes down few combinations of columns; one that computes them must stay bounded too.
_MOST_COMBINATIONS = 4096

# By Peewee's names for what columns hold.
_COMPARED_AS: dict[str, ComparedKind] = {"FLOAT": "real", "JSON": "json", "JSONB": "json"}


class Column(NamedTuple):
    """One column of a table.

    Attributes:
        name: its name in the database.
        field: the model's field.
        encode: checks a value and puts it into the form the drivers take.
        is_text: whether patterns can be matched against it.
        kind: what it holds.
        longest: of text, the largest number of characters; of integers, the largest.
    """

    name: str
    field: peewee.Field[Any]
    encode: Encoder
    is_text: bool
    kind: Kind
    longest: int

    def encode_all(self, values: Sequence[Any]) -> Sequence[Any]:
        """Return many values as ``encode`` would return each, but that secrets are not marked as such.

        The usual case, where nothing needs a second look, is decided for all of them by a few calls that run in C.

        Raises:
            InvalidValueError: a value does not fit the column.
        """
        kinds = set(map(type, values))
        if type(None) in kinds:
            return around_nones(values, self.encode_all, None)
        if kinds == {str} and self.kind == "text":
            joined = "".join(values)
            is_valid = "\0" not in joined and (joined.isascii() or surrogate_in(joined) is None)
            if is_valid and max(map(len, values)) <= self.longest:
                return values
        elif kinds == {int} and self.kind == "integer":
            if min(values) >= -self.longest and max(values) <= self.longest:
                return values
        elif kinds == {datetime} and self.kind == "timestamp" and all(value.tzinfo is UTC for value in values):
            return moment_texts(values)
        elif kinds == {UUID} and self.kind == "uuid":
            return uuid_texts(values)
        return [self.encode(value) for value in values]

    def encode_list(self, members: Iterable[Any], dialect: Dialect) -> Any:
        """Return the members of an IN list as the one value that the comparison takes."""
        encoded = self.encode_all(list(members))
        # What only its encoder can judge may become a value that each dialect has its own form for.
        return dialect.encode_list(encoded) if self.kind == "other" else dialect.pack_members(encoded)

    @property
    def compared_as(self) -> ComparedKind | None:
        """What kind of column it is, where values do not compare as the forms do in which they are stored and sent."""
        field = self.field
        while isinstance(field, peewee.ForeignKeyField):
            field = field.rel_field
        return _COMPARED_AS.get(field.field_type)

    @property
    def is_unique(self) -> bool:
        """Whether one of its values, of a kind that Python compares as the databases do, tells a row apart."""
        return self.kind in ("text", "integer", "uuid") and bool(self.field.primary_key or self.field.unique)

    @property
    def python_default(self) -> Callable[[], Any] | None:
        """Makes the model's own default, or ``None`` where it has none."""
        default = self.field.default
        if default is None:
            return None
        return default if callable(default) else lambda: default


class NamedColumns(NamedTuple):
    """The columns that the keys of a dict name, in their order.

    Attributes:
        names: their names in the database.
        encoders: what checks and encodes a value of each.
        equal: each with the operator that compares it with its value.
    """

    names: tuple[str, ...]
    encoders: tuple[Encoder, ...]
    equal: tuple[tuple[str, str], ...]


class Table:
    """The table of one model."""

    def __init__(self, model: type[peewee.Model]) -> None:
        meta = model._meta
        # An entity has done so itself; any other model may have some as well.
        declare_secret_columns(secret_columns(model))
        self.model = model
        self.name: str = meta.table_name
        # What stands for it in a query.
        self.node = NamedTable(meta.table_name, schema=meta.schema)
        self.columns: dict[str, Column] = {
            field.column_name: Column(field.column_name, field, encoder_for(field), _is_text(field), *kind_of(field))
            for field in meta.sorted_fields
        }
        self.column_names: tuple[str, ...] = tuple(self.columns)
        # A foreign key answers to its column name and to its field name.
        self._by_any_name = {field.name: self.columns[field.column_name] for field in meta.sorted_fields} | self.columns
        # What ``columns_of`` has found already.
        self.by_keys: dict[tuple[Any, ...], NamedColumns] = {}
        # The columns that every update sets to the present moment, each with what gives that as the drivers take it.
        self.touched: tuple[tuple[str, Callable[[], Any]], ...] = tuple(
            (column.name, self._present_moment_in(column))
            for column in self.columns.values()
            if isinstance(column.field, TimestampField) and column.field.touched_on_update
        )
        # The names of columns of UUIDs that begin with a moment, each with the column that the moment is in.
        self.time_ordered: tuple[tuple[str, str], ...] = tuple(
            (column.name, self._column_of_moment(column)) for column in self.columns.values() if _time_from(column)
        )

    @property
    def key_names(self) -> tuple[str, ...]:
        """The columns of the primary key; none where the model has no primary key."""
        return tuple(field.column_name for field in self.model._meta.get_primary_keys())  # type: ignore[no-untyped-call]

    @cached_property
    def key_order(self) -> tuple[tuple[str, str], ...]:
        """The order by the primary key, ascending."""
        return tuple((name, "ASC") for name in self.key_names)

    @property
    def key_position(self) -> int | None:
        """Where the primary key stands among the columns; ``None`` where it is not one number, or of another schema."""
        names = self.key_names
        if len(names) != 1 or self.columns[names[0]].kind != "integer" or self.model._meta.schema:
            return None
        return self.column_names.index(names[0])

    @cached_property
    def public_key_names(self) -> frozenset[str]:
        """The columns by whose UUIDs outsiders may know a row: unique, and never NULL."""
        unique = {names[0] for names in unique_constraints(self.model) if len(names) == 1}
        return frozenset(
            name for name in unique if self.columns[name].kind == "uuid" and not self.columns[name].field.null
        )

    @cached_property
    def secret_names(self) -> frozenset[str]:
        """The columns that are shown only when asked for by name."""
        return secret_columns(self.model)

    def column(self, name: Any) -> Column:
        """Return a column by its name or its field's.

        Raises:
            UnknownColumnError: there is none.
        """
        try:
            column: Column = self._by_any_name[name]
        except (KeyError, TypeError):
            raise self._unknown(name) from None
        return column

    def columns_of(self, data: Mapping[str, Any]) -> NamedColumns:
        """Return the columns that the keys of a dict name; looked up once for each combination of keys.

        Raises:
            UnknownColumnError: a key is no column.
        """
        keys = tuple(data)
        found = self.by_keys.get(keys)
        if found is None:
            columns = [self.column(key) for key in keys]
            found = NamedColumns(
                tuple(column.name for column in columns),
                tuple(column.encode for column in columns),
                tuple((column.name, "=") for column in columns),
            )
            if len(self.by_keys) >= _MOST_COMBINATIONS:
                self.by_keys.clear()
            self.by_keys[keys] = found
        return found

    def selected(self, select: Iterable[str]) -> tuple[str, ...]:
        """Return the column names of a ``select`` argument, each once."""
        if isinstance(select, str) or not isinstance(select, Iterable):
            raise InvalidQueryError(
                f"expected select to be a list of column names; got {shown(select)}: write [{shown(select)}]"
            )
        names = tuple(dict.fromkeys(self.column(name).name for name in select))
        if not names:
            raise InvalidQueryError(
                "expected select to name at least one column; got none: leave it out for all columns"
            )
        return names

    def named(self, names: Sequence[str], argument: str) -> tuple[str, ...]:
        """Return the column names of an argument, each once.

        Raises:
            UnknownColumnError: a name is no column.
            InvalidQueryError: it is no list of names, or names none.
        """
        if isinstance(names, str | Mapping) or not isinstance(names, Iterable):
            raise InvalidQueryError(f"expected {argument} to be a list of column names; got {shown(names)}")
        if not names:
            raise InvalidQueryError(f"expected {argument} to name at least one column; got none")
        return tuple(dict.fromkeys(self.column(name).name for name in names))

    @lru_cache(maxsize=256)  # noqa: B019 - as below
    def unique_index(self, names: tuple[str, ...], dialect: Dialect) -> RawCondition | None:
        """Return the WHERE of the unique index over some columns, where it has one.

        Raises:
            InvalidQueryError: there are several.
        """
        condition = condition_of_unique_index(self.model, names, dialect)
        return None if condition is None else RawCondition(condition)

    def tells_apart(self, names: Iterable[str], dialect: Dialect) -> bool:
        """Return whether a unique index over some columns tells values apart as conditions do, NULLs left aside."""
        return all(dialect.tells_apart(self.columns[name].compared_as) for name in names)

    def require_unique(self, order: Sequence[tuple[str, str]]) -> None:
        """Raise InvalidQueryError where two rows may be equal in an order: a page that ends between them loses one."""
        named = {name for name, _ in order}
        for unique in unique_constraints(self.model):
            if named.issuperset(unique) and not any(self.columns[name].field.null for name in unique):
                return
        raise InvalidQueryError(
            f"expected an order that tells the rows of {self.name} apart, which has no primary key; got "
            f"{', '.join(name for name, _ in order) or 'none'}: order by columns that are unique, or use iterate()"
        )

    def require(self, names: Iterable[str], row: Collection[str]) -> None:
        """Raise InvalidValueError where a row lacks one of the columns that rows are told apart by."""
        for name in names:
            if name not in row:
                raise InvalidValueError(
                    f"expected a value for {self.name}.{name}, by which rows are told apart; got none"
                )

    def fields(self, names: Sequence[str]) -> list[peewee.Field[Any]]:
        """Return the fields of some columns."""
        return [self.columns[name].field for name in names]

    def encode_row(self, data: Any) -> dict[str, Any]:
        """Return column name → encoded value for a row's data.

        Raises:
            UnknownColumnError: a name is no column.
            InvalidValueError: a value does not fit its column, a column is named twice, or ``data`` is no dict.
        """
        if type(data) is not dict and not isinstance(data, Mapping):
            hint = ": use its to_dict()" if isinstance(data, peewee.Model) else ""
            raise InvalidValueError(f"expected a dict of column name to value; got {type(data).__name__}{hint}")
        columns = self.by_keys.get(tuple(data)) or self.columns_of(data)
        encoded = {}
        for name, encode, value in zip(columns.names, columns.encoders, data.values()):  # noqa: B905 - one for each key
            encoded[name] = encode(value)
        if len(encoded) != len(data):
            raise InvalidValueError(
                f"expected each column of {self.name} once; got both a column's and its field's name"
            )
        return encoded

    @lru_cache(maxsize=8)  # noqa: B019 - tables live as long as their models, which is as long as the process
    def defaults_only_in_python(self, dialect: Dialect) -> tuple[tuple[Column, Callable[[], Any]], ...]:
        """Return the columns whose default the database does not know, with what makes it."""
        return tuple(
            (column, column.python_default)
            for column in self.columns.values()
            if column.python_default is not None and server_default(column.field) is None
        )

    def fill_defaults(self, encoded: dict[str, Any], dialect: Dialect) -> None:
        """Add to an encoded row the defaults that the database would not fill in, or not from the row's own moment."""
        for column, make in self.defaults_only_in_python(dialect):
            if column.name not in encoded:
                encoded[column.name] = column.encode(make())
        for name, moment in self.time_ordered:
            if name not in encoded:
                encoded[name] = uuid_text_at(milliseconds_of(encoded.get(moment)))

    def _present_moment_in(self, column: Column) -> Callable[[], Any]:
        if column.kind == "timestamp" and column.name not in self.secret_names:
            return now_to_text
        return lambda: column.encode(datetime.now(UTC))

    def _column_of_moment(self, column: Column) -> str:
        moment = self.column(_time_from(column))
        if moment.kind != "timestamp":
            raise InvalidQueryError(
                f"expected time_from of {self.name}.{column.name} to name a TimestampField; got {moment.name}"
            )
        return moment.name

    def _unknown(self, name: Any) -> UnknownColumnError:
        if not isinstance(name, str):
            return UnknownColumnError(f"expected the name of a column of {self.name}; got {shown(name)}")
        hint = did_you_mean(name, self._by_any_name)
        if name in relation_names(self.model):
            hint = f"it is a relation: a condition names a column of its rows, as in {f'{name}.…'!r}"
        return UnknownColumnError(f"{self.name} has no column {shown(name)}: {hint}")


@cache
def table_of(model: type[peewee.Model]) -> Table:
    """Return the table of a model; the same object every time."""
    require_model(model)
    return Table(model)


def require_model(model: object) -> None:
    """Raise InvalidQueryError for what is no model."""
    if not (isinstance(model, type) and issubclass(model, peewee.Model)):
        raise InvalidQueryError(f"expected a Peewee model class; got {represented(model)}")


def model_of_table(name: str, known: type[peewee.Model], others: tuple[type[peewee.Model], ...]) -> type[peewee.Model]:
    """Return the model of a table.

    Args:
        name: the table's name.
        known: a model; those that it is related to are known as well.
        others: the models of the database's components.

    Raises:
        UnknownTableError: there is none.
    """
    try:
        # A model that is defined later may have the table.
        return _model_of_table(name, known, others, len(known._meta.backrefs))
    except (KeyError, TypeError):
        models = models_by_table(known, others)
        hint = did_you_mean(name, models) if isinstance(name, str) else f"known are: {', '.join(models)}"
        raise UnknownTableError(f"expected the table of a model; got {shown(name)}: {hint}") from None


@lru_cache(maxsize=1024)
def _model_of_table(
    name: str, known: type[peewee.Model], others: tuple[type[peewee.Model], ...], _references: int
) -> type[peewee.Model]:
    return models_by_table(known, others)[name]


def models_by_table(known: type[peewee.Model], others: tuple[type[peewee.Model], ...]) -> dict[str, type[peewee.Model]]:
    """Return some models and those that ``known`` is related to, by the name of their table.

    Where several have one table, ``known`` comes first, then those that it refers to, then ``others``.
    """
    related = [model for _, model, _ in known._meta.model_graph()]
    return {model._meta.table_name: model for model in (*related, *others, *known._meta.refs.values(), known)}


def _time_from(column: Column) -> str | None:
    return getattr(column.field, "time_from", None)


def _is_text(field: peewee.Field[Any]) -> bool:
    if isinstance(field, peewee.ForeignKeyField):
        return _is_text(field.rel_field)
    return isinstance(field, peewee.CharField | peewee.TextField)
