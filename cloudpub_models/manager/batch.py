"""Many rows at once: from any iterable, in constant memory, all or nothing.

Rows are taken in chunks. PostgreSQL gets a chunk as COPY, or, where rows come back or may conflict, as one INSERT from
arrays; SQLite as one INSERT that is run for each row, or, where rows come back, as INSERTs of many rows each. How a
single row is inserted is in ``manager``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple
from uuid import uuid4

from cloudpub_models.connection import Database
from cloudpub_models.connection.results import Row
from cloudpub_models.entity.fields import server_default
from cloudpub_models.entity.time_ordered import milliseconds_of
from cloudpub_models.errors import InvalidValueError
from cloudpub_models.manager.columns.many import CopyText, array_text, random_uuids, time_ordered_uuids
from cloudpub_models.manager.columns.table import Column, Table
from cloudpub_models.manager.sending import send
from cloudpub_models.manager.statements.shapes import ConflictRule, Statements
from cloudpub_models.sql import Conflict, Dialect

OnConflict = Literal["ignore", "update"]
Progress = Callable[[int], object]

# SQLite's default limit since 3.32 (https://sqlite.org/limits.html), and the point where longer statements stop paying.
_SQLITE_PARAMETERS = 32_766
_SQLITE_ROWS_PER_STATEMENT = 100


class Run(NamedTuple):
    """Rows that name the same columns, as their columns, and what happens to those that exist already.

    Attributes:
        columns: the names of the columns.
        values: the encoded values of each column.
        size: how many rows there are.
        conflict: what happens to rows that exist already.
    """

    columns: tuple[str, ...]
    values: list[Sequence[Any]]
    size: int
    conflict: Conflict | None


class BatchInsert(NamedTuple):
    """One call of ``batch_insert``, its arguments checked.

    Attributes:
        database: where the rows go.
        statements: the statements of the table on its dialect.
        rule: what happens to rows that exist already; ``None`` makes them an error.
        returning: whether the rows come back.
    """

    database: Database
    statements: Statements[Any]
    rule: ConflictRule | None
    returning: bool

    @property
    def _table(self) -> Table:
        return self.statements.table

    @property
    def _dialect(self) -> Dialect:
        return self.database.engine.sql_dialect

    def write(self, rows: Iterable[Any], chunk_size: int, progress: Progress | None) -> Iterator[tuple[int, list[Row]]]:
        """Write the rows and yield, for each part, how many were written and those that came back.

        Args:
            rows: dicts of column name to value.
            chunk_size: how many rows are held in memory at a time.
            progress: called with the number of rows written so far.
        """
        written = 0
        for chunk in in_chunks(rows, chunk_size):
            for run in self._runs(chunk):
                count, returned = self._write_run(run)
                written += count
                yield count, returned
            if progress is not None:
                progress(written)

    def _runs(self, chunk: list[Any]) -> Iterator[Run]:
        regular = self._as_one_run(chunk)
        return self._split_into_runs(chunk) if regular is None else iter((regular,))

    def _as_one_run(self, chunk: list[Any]) -> Run | None:
        """Return a chunk in which every row names the same columns, as nearly always; else ``None``."""
        table = self._table
        if set(map(type, chunk)) != {dict} or set(map(len, chunk)) != {len(chunk[0])}:
            return None
        try:
            values = [[row[key] for row in chunk] for key in chunk[0]]
        except KeyError:
            return None
        columns = [table.column(key) for key in chunk[0]]
        names = tuple(column.name for column in columns)
        lacking = [column for column, _ in table.defaults_only_in_python(self._dialect)]
        updates = self.rule is not None and self.rule.action == "update"
        if not names or updates or len(set(names)) < len(names) or any(column.name not in names for column in lacking):
            return None
        conflict = None if self.rule is None else self.rule.for_columns(names)
        encoded = [column.encode_all(given) for column, given in zip(columns, values, strict=True)]
        return Run(names, encoded, len(chunk), conflict)

    def _split_into_runs(self, chunk: list[Any]) -> Iterator[Run]:
        """Split a chunk into runs of rows that name the same columns.

        A key that one row of the chunk has and another lacks is filled from the model's default, or NULL where the
        column may be and no default of the database is known; else the rows have to be written apart. Rows that may
        update are not filled: a column that a row does not name stays as it is.
        """
        table = self._table
        rows = [table.encode_row(row) for row in chunk]
        if self.rule is not None and self.rule.action == "update":
            _touch(table, rows)
        else:
            for row in rows:
                table.fill_defaults(row, self._dialect)
            for name in table.column_names:
                if any(name in row for row in rows):
                    _fill_missing(table.columns[name], rows)
        for named, group in itertools.groupby(rows, key=lambda row: tuple(n for n in table.column_names if n in row)):
            conflict = None if self.rule is None else self.rule.for_columns(named)
            run = list(group)
            for row in run:
                table.fill_defaults(row, self._dialect)
            if conflict is not None and conflict.update_columns:
                run = _merge_repeated(run, conflict)
            columns = tuple(run[0])
            yield Run(columns, [[row[name] for row in run] for name in columns], len(run), conflict)

    def _write_run(self, run: Run) -> tuple[int, list[Row]]:
        run = self._with_uuids(run)
        if not run.columns:
            return self._write_defaults(run.size)
        if not self.database.engine.copies_rows:
            return self._write_values(run) if self.returning else (self._write_one_by_one(run), [])
        if not self.returning and run.conflict is None and self.database.engine.can_copy():
            return self._copy(run), []
        return self._write_values(run) if self._has_arrays(run) else self._write_arrays(run)

    def _has_arrays(self, run: Run) -> bool:
        """Return whether values are arrays themselves: an array of those would come apart into all their elements."""
        columns = [self._table.columns[name] for name in run.columns]
        return any(
            column.kind == "other" and list in set(map(type, values))
            for column, values in zip(columns, run.values, strict=True)
        )

    def _with_uuids(self, run: Run) -> Run:
        """Return a run with the UUIDs that its rows lack, which both databases take longer to make.

        PostgreSQL could not even write many rows at a time: it does not where a default may do anything at all.
        """
        made: dict[str, Sequence[Any]] = {
            column.name: random_uuids(run.size)
            for column in self._table.columns.values()
            if column.kind == "uuid" and column.field.default is uuid4 and column.name not in run.columns
        }
        for name, moment in self._table.time_ordered:
            if name in run.columns:
                continue
            if moment in run.columns:
                given = run.values[run.columns.index(moment)]
                made[name] = time_ordered_uuids(list(map(milliseconds_of, given)))
            else:
                # In ascending order, in which indexes take them fastest.
                made[name] = sorted(time_ordered_uuids([milliseconds_of(None)] * run.size))
        return run._replace(columns=(*run.columns, *made), values=[*run.values, *made.values()])

    def _write_defaults(self, size: int) -> tuple[int, list[Row]]:
        request = self.statements.insert((), None)
        returned = [row for _ in range(size) for row in send(self.database, request)]
        return size, returned if self.returning else []

    def _write_one_by_one(self, run: Run) -> int:
        request = self.statements.insert_many(run.columns, 1, run.conflict, returning=False)
        return send(self.database, request, zip(*run.values, strict=True), "run_many")

    def _write_values(self, run: Run) -> tuple[int, list[Row]]:
        width = len(run.columns)
        most = max(1, min(_SQLITE_ROWS_PER_STATEMENT, _SQLITE_PARAMETERS // width))
        row_by_row = list(itertools.chain.from_iterable(zip(*run.values, strict=True)))
        returned: list[Row] = []
        # The text for many columns is too long to be remembered; all parts but the last have the same.
        request = self.statements.insert_many(run.columns, min(most, run.size), run.conflict, returning=True)
        for start in range(0, run.size, most):
            rows = min(most, run.size - start)
            if start and rows < most:
                request = self.statements.insert_many(run.columns, rows, run.conflict, returning=True)
            returned += send(self.database, request, row_by_row[start * width : (start + rows) * width])
        return len(returned), returned

    def _write_arrays(self, run: Run) -> tuple[int, list[Row]]:
        request = self.statements.insert_from_arrays(run.columns, run.conflict, self.returning)
        arrays = list(map(array_text, run.values))
        if self.returning:
            returned = send(self.database, request, arrays)
            return len(returned), returned
        return send(self.database, request, arrays, "run"), []

    def _copy(self, run: Run) -> int:
        return send(self.database, self.statements.copy(run.columns), CopyText(run.values), "copy_rows")


def check_rows(rows: Iterable[Any]) -> Iterable[Any]:
    """Return the rows of a batch, or raise InvalidValueError where they are none."""
    if isinstance(rows, Mapping | str) or not isinstance(rows, Iterable):
        raise InvalidValueError(f"expected an iterable of dicts, one for each row; got {type(rows).__name__}")
    return rows


def in_chunks(rows: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Yield the rows of a batch, so many at a time."""
    iterator = iter(check_rows(rows))
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk


def _touch(table: Table, rows: Sequence[dict[str, Any]]) -> None:
    for name, present_moment in table.touched:
        now = present_moment()
        for row in rows:
            row.setdefault(name, now)


def _fill_missing(column: Column, rows: Sequence[dict[str, Any]]) -> None:
    make_default = column.python_default
    if make_default is None and (not column.field.null or server_default(column.field) is not None):
        return
    for row in rows:
        if column.name not in row:
            row[column.name] = None if make_default is None else column.encode(make_default())


def _merge_repeated(rows: list[dict[str, Any]], conflict: Conflict) -> list[dict[str, Any]]:
    """Join rows that conflict with each other into one, as writing them one after the other would.

    PostgreSQL refuses to update a row twice in one statement.
    """
    merged: dict[Any, dict[str, Any]] = {}
    for number, row in enumerate(rows):
        key = tuple(row.get(name) for name in conflict.columns)
        # NULLs never conflict, and such a row has to stay one of its own.
        first = merged.setdefault(number if None in key else key, row)
        if first is not row:
            first.update({name: row[name] for name in conflict.update_columns if name in row})
    return list(merged.values())
