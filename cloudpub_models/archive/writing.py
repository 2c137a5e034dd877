"""Rows on their way out of the database: into a file that is read back, and out of the table when it is on the disk.

Nothing is lost wherever this ends: a row is deleted only when it is equal, in all its columns, to what a finished file
has of it. And nothing is there twice: whoever begins again first deletes what is in a file already.
"""

from __future__ import annotations

from collections import defaultdict
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
from cloudpub_models.errors import InvalidQueryError, InvalidValueError
from cloudpub_models.manager.manager import Manager
from cloudpub_models.schema.partitions.dropping import Contents, contents_between, empty_before
from cloudpub_models.schema.partitions.statements import PartitionedTable
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
    told: frozenset[str] = frozenset(),
) -> Iterator[MovedMonth]:
    """Move the rows of all months that had ended before a moment, and say of each what was moved.

    Args:
        manager: of the table.
        directory: of the archive.
        before: the moment.
        progress: called with the number of rows deleted so far.
        prepare: called with a month's end before its rows are deleted.
        told: triggers that need not be told of rows that go, since ``prepare`` does for them what they do.

    Raises:
        InvalidValueError: the table cannot be archived, or the directory has something else.
        InvalidQueryError: a transaction is open.
        ConfigurationError: the directory cannot be written, or somebody else writes to it.
    """
    mover = _Mover(manager, directory, progress, told)
    mover.check()
    if next(mover.months(before), None) is None:
        return
    with one_writer(directory):
        for begin, end in mover.months(before):
            if prepare is not None:
                prepare(end)
            yield mover.move(begin, end)


class _Mover:
    def __init__(self, manager: Manager[Any], directory: Path, progress: Progress | None, told: frozenset[str]) -> None:
        self._manager = manager
        self._directory = directory
        self._progress = progress
        self._told = told
        self._deleted = 0
        self._table = manager.table
        self._types = archived_types(manager.table)
        self._moment = moment_column(manager.table)
        self._key = manager.table.key_names[0]
        self._partitioned = PartitionedTable(manager.table.name, self._moment)

    def check(self) -> None:
        """Raise where the directory has something else, or a transaction is open; nothing is made."""
        if self._manager.database.engine.scopes():
            raise InvalidQueryError(
                "expected no open transaction; got one: a file stays whatever becomes of a transaction"
            )
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
                gone, left = self._delete_what_is_in(file, end)
                deleted += gone
                kept |= left
        written, whole = self._write(begin, end, kept)
        if written is not None:
            deleted += self._empty_partitions(whole, end)
            gone, left = self._delete_what_is_in(written, end)
            deleted += gone
            kept |= left
        path, rows = (None, 0) if written is None else (written.path, written.rows)
        return MovedMonth(path, begin, rows, deleted, len(kept))

    def _write(
        self, begin: datetime, end: datetime, without: set[int]
    ) -> tuple[ArchiveFile | None, dict[str, Contents]]:
        """Write a month's rows, but for some, and return the file and what the partitions have that are all in it.

        There is no file where there are no rows.
        """
        staging, part = self._directory / STAGING, self._directory / ROWS
        try:
            with connect(str(staging)) as connection:
                taken, whole = self._taken(connection, begin, end, without)
                if not taken:
                    return None, {}
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
        return ArchiveFile(path, self._table.name, begin, self._types, taken), whole

    def _taken(
        self, connection: DuckDBPyConnection, begin: datetime, end: datetime, without: set[int]
    ) -> tuple[int, dict[str, Contents]]:
        """Copy the rows as ``_fill`` does; of the same moment is what the partitions have that are all among them."""
        database = self._manager.database
        if without or not database.engine.is_partitioned(self._table.name):
            return self._fill(connection, begin, end, without), {}
        with database.transaction(isolation="REPEATABLE READ", read_only=True):
            taken = self._fill(connection, begin, end, without)
            return taken, contents_between(database.engine, self._partitioned, begin, end)

    def _empty_partitions(self, whole: dict[str, Contents], end: datetime) -> int:
        """Empty the partitions whose rows are all in a file, and return how many rows those were."""
        if not whole:
            return 0
        before = self._deleted

        def progress(rows: int) -> None:
            self._deleted = before + rows
            if self._progress is not None:
                self._progress(self._deleted)

        return empty_before(
            self._manager.database.engine, self._partitioned, end, told=self._told, progress=progress, unchanged=whole
        )

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

    def _delete_what_is_in(self, file: ArchiveFile, end: datetime) -> tuple[int, set[int]]:
        """Delete the rows that a file has, and return how many those were, and the ids of those that differ."""
        deleted, kept = 0, set[int]()
        month = {self._moment: operators.between(file.begin, end - _MICROSECOND)}
        if not self._manager.exists(month):
            return deleted, kept
        file.require_unchanged()
        with connect() as connection:
            names = ", ".join(map(quoted, self._types))
            cursor = connection.execute(
                f"SELECT {names} FROM read_parquet(?) ORDER BY {quoted(self._key)}",  # noqa: S608 - the table's own names
                [str(file.path)],
            )
            columns = [self._table.columns[name] for name in self._types]
            while rows := cursor.fetchmany(_DELETED_AT_A_TIME):
                gone, left = self._delete_equal([values_of(columns, row) for row in rows], month)
                deleted += gone
                kept |= left
                self._deleted += gone
                if self._progress is not None and gone:
                    self._progress(self._deleted)
        return deleted, kept

    def _delete_equal(self, archived: list[dict[str, Any]], month: dict[str, Any]) -> tuple[int, set[int]]:
        """Delete the rows of a month that are among those of a file; in a month, since partitions may share an id."""

        def delete(_connection: object) -> tuple[int, set[int]]:
            ids = list({row[self._key] for row in archived})
            found = [loaded_values(row) for row in self._manager.find_all({self._key: ids, **month})]
            differing = {row[self._key] for row in found if row not in known[row[self._key]]}
            same = [row[self._key] for row in found if row[self._key] not in differing]
            if same:
                self._manager.delete({self._key: same, **month})
            return len(same), differing

        known: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
        for row in archived:
            known[row[self._key]].append(row)
        # A row that somebody changes between the two statements makes this begin again.
        return self._manager.database.run_transaction(delete, isolation="REPEATABLE READ")


def _month_of(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _next_month(begin: datetime) -> datetime:
    return _month_of(begin + timedelta(days=32))
