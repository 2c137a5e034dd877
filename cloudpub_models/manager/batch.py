"""Many rows at once: from any iterable, in constant memory, all or nothing.

Rows are taken in chunks. PostgreSQL gets a chunk as COPY, or, where rows come back or may conflict, as one INSERT from
arrays; SQLite as INSERTs of many rows each. How a single row is inserted is in ``manager``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from cloudpub_models.connection.engine import Engine, Row
from cloudpub_models.errors import InvalidQueryError
from cloudpub_models.manager.statements import ConflictRule, Statements
from cloudpub_models.manager.table import Column, Table
from cloudpub_models.sql import Conflict
from cloudpub_models.sql.values import array_literal

OnConflict = Literal["ignore", "update"]
Progress = Callable[[int], object]

CHUNK_SIZE = 10_000
# SQLite's default limit since 3.32 (https://sqlite.org/limits.html), and the point where longer statements stop paying.
_SQLITE_PARAMETERS = 32_766
_SQLITE_ROWS_PER_STATEMENT = 100

_COPY_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


class Run(NamedTuple):
    """Rows that name the same columns, and what happens to those that exist already."""

    columns: tuple[str, ...]
    rows: list[dict[str, Any]]
    conflict: Conflict | None


class BatchInsert(NamedTuple):
    """One call of ``batch_insert``, its arguments checked.

    Attributes:
        statements: the statements of the table on the engine's dialect.
        engine: where the rows go.
        rule: what happens to rows that exist already; ``None`` makes them an error.
        returning: whether the rows come back.
    """

    statements: Statements[Any]
    engine: Engine
    rule: ConflictRule | None
    returning: bool

    @property
    def _table(self) -> Table:
        return self.statements.table

    def write(self, rows: Iterable[Any], chunk_size: int, progress: Progress | None) -> Iterator[tuple[int, list[Row]]]:
        """Write the rows and yield, for each part, how many were written and those that came back.

        Args:
            rows: dicts of column name to value.
            chunk_size: how many rows are held in memory at a time.
            progress: called with the number of rows written so far.
        """
        written = 0
        for chunk in _chunks(rows, chunk_size):
            for run in self._runs(chunk):
                count, returned = self._write_run(run)
                written += count
                yield count, returned
            if progress is not None:
                progress(written)

    def _runs(self, chunk: list[Any]) -> Iterator[Run]:
        """Split a chunk into runs of rows that name the same columns; nearly always there is one.

        A key that one row of the chunk has and another lacks is filled from the model's default, or NULL where the
        column may be; only where neither is known do the rows have to be written apart.
        """
        table = self._table
        rows = [table.encode_row(row) for row in chunk]
        if self.rule is not None and self.rule.action == "update":
            _touch(table, rows)
        named = [name for name in table.column_names if any(name in row for row in rows)]
        conflict = None if self.rule is None else self.rule.for_columns(named)
        for row in rows:
            table.fill_defaults(row, self.engine.sql_dialect.name)
        for name in named:
            _fill_missing(table.columns[name], rows)
        if conflict is not None and conflict.update_columns:
            rows = _merge_repeated(rows, conflict)
        for columns, run in itertools.groupby(rows, key=lambda row: tuple(n for n in table.column_names if n in row)):
            yield Run(columns, list(run), conflict)

    def _write_run(self, run: Run) -> tuple[int, list[Row]]:
        if not run.columns:
            return self._write_defaults(len(run.rows))
        if self.engine.sql_dialect.name == "sqlite":
            return self._write_values(run)
        if self.returning or run.conflict is not None:
            return self._write_arrays(run)
        return self._copy(run), []

    def _write_defaults(self, count: int) -> tuple[int, list[Row]]:
        sql = self.statements.insert((), None)
        returned = [row for _ in range(count) for row in self.engine.fetch(sql, None)]
        return count, returned if self.returning else []

    def _write_values(self, run: Run) -> tuple[int, list[Row]]:
        size = max(1, min(_SQLITE_ROWS_PER_STATEMENT, _SQLITE_PARAMETERS // len(run.columns)))
        count, returned = 0, []
        for start in range(0, len(run.rows), size):
            part = run.rows[start : start + size]
            sql = self.statements.insert_many(run.columns, len(part), run.conflict, self.returning)
            values = [row[name] for row in part for name in run.columns]
            if self.returning:
                returned += self.engine.fetch(sql, values)
            else:
                count += self.engine.run(sql, values)
        return (len(returned), returned) if self.returning else (count, [])

    def _write_arrays(self, run: Run) -> tuple[int, list[Row]]:
        sql = self.statements.insert_from_arrays(run.columns, run.conflict, self.returning)
        arrays = [array_literal([row[name] for row in run.rows]) for name in run.columns]
        if self.returning:
            returned = self.engine.fetch(sql, arrays)
            return len(returned), returned
        return self.engine.run(sql, arrays), []

    def _copy(self, run: Run) -> int:
        columns = run.columns
        lines = ("\t".join([_copy_text(row[name]) for name in columns]) + "\n" for row in run.rows)
        copied: int = self.engine.copy_rows(self.statements.copy(columns), lines)  # type: ignore[attr-defined]
        return copied


def check_chunk_size(chunk_size: Any) -> int:
    """Return the chunk size, or raise InvalidQueryError where it is no positive integer."""
    if isinstance(chunk_size, bool) or not isinstance(chunk_size, int) or chunk_size < 1:
        raise InvalidQueryError(f"expected chunk_size to be a positive integer; got {chunk_size!r}")
    return chunk_size


def _chunks(rows: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(rows)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk


def _touch(table: Table, rows: Sequence[dict[str, Any]]) -> None:
    for column in table.touched:
        now = column.encode(datetime.now(UTC))
        for row in rows:
            row.setdefault(column.name, now)


def _fill_missing(column: Column, rows: Sequence[dict[str, Any]]) -> None:
    make_default = column.python_default
    if make_default is None and not column.field.null:
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


def _copy_text(value: Any) -> str:
    """Return a value in COPY's text format (https://www.postgresql.org/docs/current/sql-copy.html)."""
    if isinstance(value, str):
        return value.translate(_COPY_ESCAPES) if not value.isalnum() else value
    if value is None:
        return "\\N"
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, bytes):
        return "\\\\x" + value.hex()
    return str(value)
