"""Rows on their way out of the database: into a file that is read back, and out of the table when it is on the disk.

Nothing is lost wherever this ends: a row is deleted only when it is equal, in all its columns, to what a finished file
has of it. And nothing is there twice: whoever begins again first deletes what is in a file already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import peewee

from cloudpub_models.archive.files import (
    ROWS,
    STAGING,
    ArchiveFile,
    archived_types,
    connect,
    files_of,
    keep,
    metadata_of,
    moment_column,
    one_writer,
    quoted,
    remove_unfinished,
    require_table,
)
from cloudpub_models.archive.reading import values_of
from cloudpub_models.entity.base import loaded_values
from cloudpub_models.errors import InvalidValueError
from cloudpub_models.manager.manager import Manager
from cloudpub_models.sql import operators
from cloudpub_models.sql.values import text_literal

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_READ_AT_A_TIME = 10_000
_DELETED_AT_A_TIME = 1000
_MICROSECOND = timedelta(microseconds=1)

Progress = Callable[[int], object]


class MovedMonth(NamedTuple):
    """What became of one month's rows.

    Attributes:
        file: where they are; ``None`` where they were in files already.
        begin: the first moment of the month, in UTC.
        written: how many rows were written to the file.
        deleted: how many were deleted from the table.
        kept: how many stay in it, since they were changed after they had been written.
    """

    file: Path | None
    begin: datetime
    written: int
    deleted: int
    kept: int


def move(
    manager: Manager[Any],
    directory: Path,
    before: datetime,
    progress: Progress | None = None,
    prepare: Callable[[datetime], object] | None = None,
) -> Iterator[MovedMonth]:
    """Move the rows of all months that had ended before a moment, and say of each what was moved.

    Args:
        manager: of the table.
        directory: of the archive.
        before: the moment.
        progress: called with the number of rows deleted so far.
        prepare: called with a month's end before its rows are deleted.

    Raises:
        InvalidValueError: the table cannot be archived, or the directory has something else.
        ConfigurationError: the directory cannot be written, or somebody else writes to it.
    """
    mover = _Mover(manager, directory, progress)
    mover.check()
    if next(mover.months(before), None) is None:
        return
    with one_writer(directory):
        for begin, end in mover.months(before):
            if prepare is not None:
                prepare(end)
            yield mover.move(begin, end)


class _Mover:
    def __init__(self, manager: Manager[Any], directory: Path, progress: Progress | None) -> None:
        self._manager = manager
        self._directory = directory
        self._progress = progress
        self._deleted = 0
        self._table = manager.table
        self._types = archived_types(manager.table)
        self._moment = moment_column(manager.table)
        self._key = manager.table.key_names[0]

    def check(self) -> None:
        """Raise where the directory has something else; nothing is made."""
        require_table(files_of(self._directory), self._table, self._types)

    def months(self, before: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Yield the whole months before a moment that have rows, the oldest first."""
        since: Any = None
        while True:
            where = {} if since is None else {self._moment: operators.ge(since)}
            oldest = self._manager.find_one(where, order_by=self._moment, select=[self._key, self._moment])
            if oldest is None:
                return
            begin = _month_of(loaded_values(oldest)[self._moment])
            end = since = _next_month(begin)
            if end > before:
                return
            yield begin, end

    def move(self, begin: datetime, end: datetime) -> MovedMonth:
        deleted, kept = 0, set[int]()
        # What an interrupted run has written, and not yet deleted.
        for file in files_of(self._directory):
            if file.begin == begin:
                gone, left = self._delete_what_is_in(file)
                deleted += gone
                kept |= left
        written = self._write(begin, end, kept)
        if written is not None:
            gone, left = self._delete_what_is_in(written)
            deleted += gone
            kept |= left
        path, rows = (None, 0) if written is None else (written.path, written.rows)
        return MovedMonth(path, begin, rows, deleted, len(kept))

    def _write(self, begin: datetime, end: datetime, without: set[int]) -> ArchiveFile | None:
        """Write a month's rows, but for some, and return the file; ``None`` where there are none."""
        staging, part = self._directory / STAGING, self._directory / ROWS
        try:
            with connect(str(staging)) as connection:
                taken = self._fill(connection, begin, end, without)
                if not taken:
                    return None
                order = [
                    name for name in self._types if isinstance(self._table.columns[name].field, peewee.ForeignKeyField)
                ]
                keys = ", ".join(map(quoted, (*order[:1], self._moment, self._key)))
                connection.execute(
                    f"COPY (SELECT * FROM rows ORDER BY {keys}) TO {text_literal(str(part))} (FORMAT parquet, "  # noqa: S608 - the table's own names
                    f"COMPRESSION zstd, KV_METADATA {metadata_of(self._table.name, self._types)})"
                )
                self._compare(connection, part, taken)
            path = keep(part, self._table.name, begin)
        finally:
            remove_unfinished(self._directory)
        return ArchiveFile(path, self._table.name, begin, self._types, taken)

    def _fill(self, connection: DuckDBPyConnection, begin: datetime, end: datetime, without: set[int]) -> int:
        """Copy the rows into a table ``rows``, and return how many there are."""
        declared = ", ".join(f"{quoted(name)} {kind}" for name, kind in self._types.items())
        connection.execute(f"CREATE TABLE rows ({declared})")
        # Moments and UUIDs come as text.
        taken = ", ".join(
            f"CAST(unnest(CAST(? AS {'VARCHAR' if kind in ('UUID', 'TIMESTAMP') else kind}[])) AS {kind})"
            for kind in self._types.values()
        )
        columns = [self._table.columns[name] for name in self._types]
        count = 0
        where = {self._moment: operators.between(begin, end - _MICROSECOND)}
        chunk: list[dict[str, Any]] = []

        def put() -> None:
            values = [column.encode_all([row[column.field.name] for row in chunk]) for column in columns]
            connection.execute(f"INSERT INTO rows SELECT {taken}", values)
            chunk.clear()

        for row in self._manager.iterate(where):
            data = row.__data__
            if without and data[self._table.columns[self._key].field.name] in without:
                continue
            chunk.append(data)
            count += 1
            if len(chunk) == _READ_AT_A_TIME:
                put()
        if chunk:
            put()
        return count

    def _compare(self, connection: DuckDBPyConnection, part: Path, taken: int) -> None:
        of_rows = connection.execute("SELECT COUNT(*), BIT_XOR(HASH(r)) FROM rows AS r").fetchone()
        of_file = connection.execute(
            "SELECT COUNT(*), BIT_XOR(HASH(r)) FROM read_parquet(?) AS r", [str(part)]
        ).fetchone()
        if of_rows != of_file or of_rows is None or of_rows[0] != taken:
            raise InvalidValueError(
                f"expected {taken} rows in {part} as the table has them; got {of_file}: check the disk, and try again"
            )

    def _delete_what_is_in(self, file: ArchiveFile) -> tuple[int, set[int]]:
        """Delete the rows that a file has, and return how many those were, and the ids of those that differ."""
        file.require_unchanged()
        deleted, kept = 0, set[int]()
        with connect() as connection:
            names = ", ".join(map(quoted, self._types))
            cursor = connection.execute(
                f"SELECT {names} FROM read_parquet(?) ORDER BY {quoted(self._key)}",  # noqa: S608 - the table's own names
                [str(file.path)],
            )
            columns = [self._table.columns[name] for name in self._types]
            while rows := cursor.fetchmany(_DELETED_AT_A_TIME):
                archived = {row[self._key]: row for row in (values_of(columns, row) for row in rows)}
                gone, left = self._delete_equal(archived)
                deleted += gone
                kept |= left
                self._deleted += gone
                if self._progress is not None and gone:
                    self._progress(self._deleted)
        return deleted, kept

    def _delete_equal(self, archived: dict[int, dict[str, Any]]) -> tuple[int, set[int]]:
        def delete(_connection: object) -> tuple[int, set[int]]:
            found = {
                row[self._key]: row for row in map(loaded_values, self._manager.find_all({self._key: list(archived)}))
            }
            same = [key for key, row in found.items() if row == archived[key]]
            if same:
                self._manager.delete({self._key: same})
            return len(same), found.keys() - set(same)

        # A row that somebody changes between the two statements makes this begin again.
        return self._manager.database.run_transaction(delete, isolation="REPEATABLE READ")


def _month_of(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _next_month(begin: datetime) -> datetime:
    return _month_of(begin + timedelta(days=32))
