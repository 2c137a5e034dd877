"""Records of a file as rows of a table: what stands in a record is checked, and named when it is wrong.

Nothing is sent from here, but for looking up rows that a record refers to by their UUID.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import peewee

from cloudpub_models.cli.commands.load.records import Record
from cloudpub_models.cli.given.cells import KeyLookup, Reader, reader_from_json, reader_from_text
from cloudpub_models.cli.shown.row_files import FileFormat, csv_text
from cloudpub_models.entity.fields import server_default
from cloudpub_models.errors import InvalidValueError
from cloudpub_models.manager.columns.table import Column, Table


class _Known(NamedTuple):
    """What is done with the cells of one name: which column it is, how a cell is read, and whether it may be NULL."""

    name: str
    read: Reader
    nullable: bool


class RecordParser:
    """Makes rows for ``batch_insert`` from the records of a file.

    Args:
        table: where the rows belong.
        columns: those to take; the others are passed over.
        format: of the file.
        keys: finds the rows that are referred to by their UUID.
    """

    def __init__(self, table: Table, columns: Collection[str], format: FileFormat, keys: KeyLookup) -> None:
        self._table = table
        self._taken = columns
        self._keys = keys
        self._by_name: dict[str, _Known | None] = {}
        self._reads_text = format is FileFormat.CSV
        self._required = [name for name, column in table.columns.items() if not _may_be_left_out(column)]

    def check_names(self, names: Collection[str]) -> None:
        """Check the names in the first line of a CSV file.

        Raises:
            UnknownColumnError: one is no column.
            InvalidValueError: a required column is missing.
        """
        found = {known.name for known in map(self._known, names) if known is not None}
        self._check_required(found)

    def parse(self, record: Record) -> dict[str, Any]:
        """Return the row of a record.

        Raises:
            UnknownColumnError: it names what is no column.
            InvalidValueError: it is malformed, a value is none of its column, or a required one is missing.
            NotFoundError: it refers to a row that is not there.
        """
        if record.problem is not None:
            raise InvalidValueError(record.problem)
        row: dict[str, Any] = {}
        by_name = self._by_name
        for name, cell in record.cells.items():
            known = by_name[name] if name in by_name else self._known(name)
            if known is None:
                continue
            value = known.read(cell)
            if value is None and not known.nullable:
                raise InvalidValueError(f"{self._table.name}.{known.name}: expected a value; got null")
            if value is not _LEFT_OUT:
                row[known.name] = value
        self._check_required(row)
        return row

    def _check_required(self, names: Collection[str]) -> None:
        for name in self._required:
            if name not in names:
                raise InvalidValueError(f"{self._table.name}.{name}: expected a value; got none, and it has no default")

    def _known(self, name: str) -> _Known | None:
        column = self._table.column(name)
        found = None
        if column.name in self._taken:
            read = self._cell_reader(column) if self._reads_text else reader_from_json(column, self._keys)
            found = _Known(column.name, read, nullable=column.field.null)
        self._by_name[name] = found
        return found

    def _cell_reader(self, column: Column) -> Callable[[str], Any]:
        read = reader_from_text(column, self._keys)
        if column.field.null and column.is_text:
            return lambda cell: None if (text := csv_text(cell)) is None else read(text)
        if column.is_text:
            return read
        if column.field.null:
            return lambda cell: read(cell) if cell else None
        # The row takes the column's default, if it has one.
        return lambda cell: read(cell) if cell else _LEFT_OUT


class _LeftOut:
    """The type of ``_LEFT_OUT``, which says that a row does not name a column."""


_LEFT_OUT = _LeftOut()


def _may_be_left_out(column: Column) -> bool:
    field = column.field
    return (
        field.null
        or isinstance(field, peewee.AutoField)
        or column.python_default is not None
        or server_default(field) is not None
    )
