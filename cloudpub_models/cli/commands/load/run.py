"""One load of a file into a table: chunks are written, what is wrong is found, and how far it has come recorded.

Options and reports are the command's business; what a record has to be is in ``parsing``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, Self

import peewee

from cloudpub_models.cli.commands.load.parsing import RecordParser
from cloudpub_models.cli.commands.load.position import Position, PositionRecord
from cloudpub_models.cli.commands.load.records import LineSource, Record, read_csv, read_csv_header, read_jsonl
from cloudpub_models.cli.shown.files import file_to_write
from cloudpub_models.cli.shown.row_files import FileFormat
from cloudpub_models.errors import (
    ConstraintError,
    InvalidValueError,
    NotFoundError,
    UniqueViolationError,
    UnknownColumnError,
)
from cloudpub_models.manager.manager import Manager
from cloudpub_models.sql.values import check_count

# Whoever mends a file wants to see more than one mistake, and not a million.
MOST_PROBLEMS = 20

# How much is held in memory at a time; a single record may be longer.
_CHUNK_RECORDS = 5_000
_CHUNK_BYTES = 4_000_000
_WRONG = (InvalidValueError, UnknownColumnError, NotFoundError)


class KnownRows(NamedTuple):
    """What becomes of rows that are there already, as ``batch_insert`` takes it."""

    on_conflict: Any = None
    conflict_columns: Sequence[str] = ()


class Problem(NamedTuple):
    """What is wrong, and in which line."""

    line: int
    message: str


class BadRecords:
    """What was refused: the first problems, how many there are, and the file that takes the records.

    Args:
        path: the file, which appears at the end of a block that works out, and only when there is something to write;
            ``None`` where nothing may be bad.
        private: whether it may be read by its owner only.

    Attributes:
        skips: whether the rest is loaded all the same.
        repeats: whether some were refused for being there already.
        first_line: of the file that they come from, when it is CSV.
        problems: what is wrong with the first of them.
        count: how many they are.
    """

    def __init__(self, path: Path | None, *, private: bool = False) -> None:
        self._path = path
        self._private = private
        self._file: IO[bytes] | None = None
        self._open = ExitStack()
        self.skips = path is not None
        self.repeats = False
        self.first_line = b""
        self.problems: list[Problem] = []
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, traceback)

    def add(self, record: Record, message: str) -> None:
        """Take a record that was refused."""
        self.count += 1
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(Problem(record.line, message))
        if self._path is not None:
            if self._file is None:
                self._file = self._open.enter_context(file_to_write(str(self._path), private=self._private))
                self._file.write(self.first_line)
            self._file.write(record.raw if record.raw.endswith(b"\n") else record.raw + b"\n")


class Loading:
    """One load.

    Args:
        manager: of the table.
        known_rows: what becomes of rows that are there already.
        bad: gets what is refused.
        record: where to record how far it has come; ``None`` makes everything one transaction.
        advance: called with the number of rows done so far.

    Attributes:
        resumed_rows: how many rows an earlier load of the file had written before.
        had_ended: whether that one had come to its end.
        kept_rows: how many were there already and were left as they are.
    """

    def __init__(
        self,
        manager: Manager[Any],
        known_rows: KnownRows,
        bad: BadRecords,
        record: PositionRecord | None,
        advance: Callable[[int], object],
    ) -> None:
        self._manager = manager
        self._known_rows = known_rows
        self._bad = bad
        self._record = record
        self._advance = advance
        counting = manager.model._meta.primary_key
        self._id_column = counting.column_name if isinstance(counting, peewee.AutoField) else None
        self._has_ids = False
        self._rows = 0
        self.resumed_rows = 0
        self.had_ended = False
        self.kept_rows = 0

    def run(self, source: LineSource, parser: RecordParser, format: FileFormat, commit_every: int | None) -> Position:
        """Load everything, or, where something is bad that may not be skipped, what was committed before that.

        Args:
            source: the file.
            parser: makes its rows.
            format: of the file.
            commit_every: how many records a transaction has; ``None`` for all of them.

        Returns:
            how far it has come.

        Raises:
            InvalidValueError: the file is damaged, or not the one that was begun with.
            UnknownColumnError: the first line of CSV names what is no column.
        """
        names: list[str] = []
        if format is FileFormat.CSV:
            names, self._bad.first_line = read_csv_header(source)
            parser.check_names(names)
        done = self._resume(source)
        records = read_csv(source, names) if format is FileFormat.CSV else read_jsonl(source)
        ended = False
        while not ended:
            try:
                with self._manager.database.transaction():
                    ended = self._write_part(records, parser, commit_every)
                    now = Position(source.count, source.digest(), self._rows, ended)
                    self._remember(now)
            except _PartRefusedError:
                break
            done = now
        return done

    def _resume(self, source: LineSource) -> Position:
        """Read on to where an earlier load of the same file has come, interrupted or ended."""
        if self._record is None:
            return Position()
        done = self._record.read()
        if not done.lines:
            return done
        first_lines = source.count
        source.skip_to(done.lines)
        if source.digest() == done.digest:
            self._rows = self.resumed_rows = done.rows
            self.had_ended = done.ended
            return done
        if not done.ended:
            raise InvalidValueError(
                f"{source.name}: expected the {done.lines:,} lines with which an interrupted load has begun; got "
                "others: load the file as it was, or delete its row from cloudpub_loads to begin again"
            )
        # Another file that begins alike is a load of its own.
        if not source.restart():
            raise InvalidValueError(
                f"{source.name}: expected the {done.lines:,} lines that were loaded before, since the first are the "
                "same; got others, of a stream that cannot be read again: name a file, or delete its row from "
                "cloudpub_loads_ended"
            )
        source.skip_to(first_lines)
        return Position()

    def _remember(self, position: Position) -> None:
        if self._record is not None:
            self._record.write(position)

    def _write_part(self, records: Iterator[Record], parser: RecordParser, most: int | None) -> bool:
        """Write so many records at most, and return whether they were the last."""
        part = itertools.islice(records, None if most is None else check_count(most, "--commit-every"))
        taken = 0
        while chunk := _next_chunk(part):
            taken += len(chunk)
            self._write(list(self._parsed(chunk, parser)))
            self._advance(self._rows + self.kept_rows)
            if not self._bad.skips and self._bad.count >= MOST_PROBLEMS:
                break
        if self._bad.count and not self._bad.skips:
            raise _PartRefusedError
        if self._has_ids:
            self._manager.database.engine.continue_ids(self._manager.table.name, str(self._id_column))
        return most is None or taken < most

    def _parsed(self, chunk: Sequence[Record], parser: RecordParser) -> Iterator[tuple[Record, dict[str, Any]]]:
        for record in chunk:
            try:
                yield record, parser.parse(record)
            except _WRONG as error:
                self._bad.add(record, str(error))

    def _write(self, rows: Sequence[tuple[Record, dict[str, Any]]]) -> None:
        """Write rows, and where the database refuses one, find it by halves; the rest is written."""
        if not rows or (not self._bad.skips and self._bad.count >= MOST_PROBLEMS):
            return
        try:
            with self._manager.database.transaction():
                written = self._manager.batch_insert(
                    [row for _, row in rows], chunk_size=len(rows), **self._known_rows._asdict()
                )
        except (ConstraintError, InvalidValueError) as error:
            if len(rows) == 1:
                self._bad.add(rows[0][0], str(error))
                self._bad.repeats = self._bad.repeats or isinstance(error, UniqueViolationError)
                return
            middle = len(rows) // 2
            self._write(rows[:middle])
            self._write(rows[middle:])
        else:
            self._rows += written
            self.kept_rows += len(rows) - written if self._known_rows.on_conflict == "ignore" else 0
            self._has_ids = self._has_ids or any(self._id_column in row for _, row in rows)


def _next_chunk(records: Iterator[Record]) -> list[Record]:
    chunk, size = [], 0
    for record in records:
        chunk.append(record)
        size += len(record.raw)
        if len(chunk) == _CHUNK_RECORDS or size >= _CHUNK_BYTES:
            break
    return chunk


class _PartRefusedError(Exception):
    """Rolls a part back, something in it being bad."""
