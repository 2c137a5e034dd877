"""What a manager knows of its model's table: columns, how their values are encoded, and what fills missing ones.

Derived once from the Peewee model, for ours and for any other; sends nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

import peewee

from cloudpub_models.errors import InvalidQueryError, InvalidValueError, UnknownColumnError, did_you_mean
from cloudpub_models.manager.values import Encoder, Kind, encoder_for, kind_of
from cloudpub_models.models.fields import TimestampField, server_default
from cloudpub_models.sql.identifiers import shown


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

    @property
    def python_default(self) -> Callable[[], Any] | None:
        """Makes the model's own default, or ``None`` where it has none."""
        default = self.field.default
        if default is None:
            return None
        return default if callable(default) else lambda: default


class Table:
    """The table of one model."""

    def __init__(self, model: type[peewee.Model]) -> None:
        meta = model._meta
        self.model = model
        self.name: str = meta.table_name
        self.columns: dict[str, Column] = {
            field.column_name: Column(field.column_name, field, encoder_for(field), _is_text(field), *kind_of(field))
            for field in meta.sorted_fields
        }
        self.column_names: tuple[str, ...] = tuple(self.columns)
        # A foreign key answers to its column name and to its field name.
        self._by_any_name = {field.name: self.columns[field.column_name] for field in meta.sorted_fields} | self.columns
        self.touched: tuple[Column, ...] = tuple(
            column
            for column in self.columns.values()
            if isinstance(column.field, TimestampField) and column.field.touched_on_update
        )

    @property
    def key_names(self) -> tuple[str, ...]:
        """The columns of the primary key; none where the model has no primary key."""
        return tuple(field.column_name for field in self.model._meta.get_primary_keys())  # type: ignore[no-untyped-call]

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

    def fields(self, names: Sequence[str]) -> list[peewee.Field[Any]]:
        """Return the fields of some columns."""
        return [self.columns[name].field for name in names]

    def encode_row(self, data: Any) -> dict[str, Any]:
        """Return column name → encoded value for a row's data.

        Raises:
            UnknownColumnError: a name is no column.
            InvalidValueError: a value does not fit its column, a column is named twice, or ``data`` is no dict.
        """
        if not isinstance(data, Mapping):
            hint = ": use its to_dict()" if isinstance(data, peewee.Model) else ""
            raise InvalidValueError(f"expected a dict of column name to value; got {type(data).__name__}{hint}")
        by_any_name = self._by_any_name
        encoded: dict[str, Any] = {}
        for name, value in data.items():
            column = by_any_name.get(name)
            if column is None:
                raise self._unknown(name)
            encoded[column.name] = column.encode(value)
        if len(encoded) != len(data):
            raise InvalidValueError(
                f"expected each column of {self.name} once; got both a column's and its field's name"
            )
        return encoded

    @lru_cache(maxsize=8)  # noqa: B019 - tables live as long as their models, which is as long as the process
    def defaults_only_in_python(self, dialect: str) -> tuple[tuple[Column, Callable[[], Any]], ...]:
        """Return the columns whose default the database does not know, with what makes it."""
        return tuple(
            (column, column.python_default)
            for column in self.columns.values()
            if column.python_default is not None and server_default(column.field, dialect) is None  # type: ignore[arg-type]
        )

    def fill_defaults(self, encoded: dict[str, Any], dialect: str) -> None:
        """Add to an encoded row the defaults that the database would not fill in."""
        for column, make in self.defaults_only_in_python(dialect):
            if column.name not in encoded:
                encoded[column.name] = column.encode(make())

    def _unknown(self, name: Any) -> UnknownColumnError:
        if not isinstance(name, str):
            return UnknownColumnError(f"expected the name of a column of {self.name}; got {shown(name)}")
        hint = did_you_mean(name, self._by_any_name)
        return UnknownColumnError(f"{self.name} has no column {shown(name)}: {hint}")


@cache
def table_of(model: type[peewee.Model]) -> Table:
    """Return the table of a model; the same object every time."""
    if not (isinstance(model, type) and issubclass(model, peewee.Model)):
        raise InvalidQueryError(f"expected a Peewee model class; got {model!r}")
    return Table(model)


def _is_text(field: peewee.Field[Any]) -> bool:
    if isinstance(field, peewee.ForeignKeyField):
        return _is_text(field.rel_field)
    return isinstance(field, peewee.CharField | peewee.TextField)
