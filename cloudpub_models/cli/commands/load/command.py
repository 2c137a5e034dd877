"""``cloudpub load``: the rows of a CSV or JSON lines file into a table, in constant memory; all of them, or none.

The command's options and reports; the work is done in ``load.run``.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import IO, Annotated

import typer

from cloudpub_models.cli.boundary import RefusedError
from cloudpub_models.cli.commands.load.parsing import RecordParser
from cloudpub_models.cli.commands.load.position import PositionRecord
from cloudpub_models.cli.commands.load.records import STANDARD_INPUT, LineSource
from cloudpub_models.cli.commands.load.run import MOST_PROBLEMS, BadRecords, KnownRows, Loading
from cloudpub_models.cli.given.cells import KeyLookup
from cloudpub_models.cli.given.options import (
    ColumnsOption,
    ExceptOption,
    FileFormatOption,
    JsonOption,
    TableArgument,
    chosen_columns,
    chosen_file_format,
    named_columns,
)
from cloudpub_models.cli.given.target import Target, takes_target
from cloudpub_models.cli.shown.files import STANDARD_STREAM, binary_stdin
from cloudpub_models.cli.shown.output import print_document
from cloudpub_models.cli.shown.progress import Stopwatch, row_progress
from cloudpub_models.cli.shown.terminal import print_error, print_line, print_note
from cloudpub_models.entity.distributed import distribution_key
from cloudpub_models.errors import InvalidQueryError
from cloudpub_models.manager.columns.table import Table
from cloudpub_models.platform.registry import Managers


class OnConflict(StrEnum):
    """What becomes of a row that is there already."""

    IGNORE = "ignore"
    UPDATE = "update"


@takes_target()
def load(
    target: Target,
    table: TableArgument,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="CSV or JSON lines, also compressed by gzip; - is standard input.")
    ],
    columns: ColumnsOption = None,
    excepted: ExceptOption = None,
    on_conflict: Annotated[
        OnConflict | None,
        typer.Option("--on-conflict", help="Keep or update a row that is there already, instead of refusing the file."),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            "--key", metavar="NAME,…", help="The unique columns by which a row to update is known.", show_default="uuid"
        ),
    ] = None,
    skip_bad: Annotated[
        Path | None,
        typer.Option(
            "--skip-bad",
            metavar="FILE",
            help="Load the good lines, and write the bad ones to this file, which is made.",
        ),
    ] = None,
    resumable: Annotated[
        bool,
        typer.Option("--resumable", help="Commit in parts; the same command again goes on after an interruption."),
    ] = False,
    commit_every: Annotated[
        int, typer.Option("--commit-every", min=100, metavar="N", help="How many lines a part of --resumable has.")
    ] = 100_000,
    format: FileFormatOption = None,
    as_json: JsonOption = False,
) -> None:
    """Load the rows of a file into a table: all of them, or, when a line is bad, none.

    CSV names the columns in its first line. A column left out takes its default, and so does an empty cell of one that
    cannot be NULL. A reference such as user_id takes the id or the public UUID of a row.

    Exit code: 0 when everything was loaded, or put aside by --skip-bad; 1 when a line was bad.
    """
    known = target.table(table)
    taken = chosen_columns(known, columns, excepted)
    chosen = chosen_file_format(format, file)
    known_rows = _known_rows(on_conflict, key, known)
    if skip_bad is not None and resumable:
        raise typer.BadParameter(
            "expected --skip-bad, for which all is loaded at once, or --resumable; got both: leave one out"
        )
    if skip_bad is not None and skip_bad.is_file():
        raise typer.BadParameter(f"expected --skip-bad to name a file that is not there yet; got {skip_bad}")
    watch = Stopwatch()
    with (
        _opened(file) as stream,
        target.opened() as database,
        BadRecords(skip_bad, private=bool(known.secret_names)) as bad,
        row_progress(f"loading {table}", _size(stream)) as advance,
    ):
        if database.history_servers and distribution_key(known.model) is not None:
            # They would be sent when the transaction of a load has ended, and what fails then is told by nobody.
            raise InvalidQueryError(
                f"expected a table of the main database to load into; got {table}, whose rows are on several servers: "
                "add them by managers.batch_insert()"
            )
        managers = Managers(database)
        source = LineSource(stream, STANDARD_INPUT if file == STANDARD_STREAM else file)
        options = (columns, excepted, on_conflict and on_conflict.value, key)
        record = PositionRecord(database, table, source.beginning(), options) if resumable else None
        loading = Loading(
            managers.for_model(known.model), known_rows, bad, record, lambda rows: advance(_place(stream), rows)
        )
        parser = RecordParser(known, taken, chosen, KeyLookup(managers))
        done = loading.run(source, parser, chosen, commit_every if record else None)
    rows = done.rows - loading.resumed_rows
    if as_json:
        print_document(
            {
                "table": table,
                "file": file,
                "rows": rows,
                "rows_before": loading.resumed_rows,
                "kept": loading.kept_rows,
                "bad": bad.count,
                "problems": [problem._asdict() for problem in bad.problems],
                "seconds": round(watch.seconds, 3),
            }
        )
    _print_problems(bad)
    if bad.count and not bad.skips:
        raise RefusedError(_refusal(rows, bad, resumable))
    if not as_json:
        print_line(f"loaded {watch.summary(rows, table)}")
    if loading.kept_rows:
        print_note(f"{loading.kept_rows:,} rows were there already, and are as they were")
    if loading.resumed_rows:
        again = ": to load them again, delete the load's row from cloudpub_loads_ended" if loading.had_ended else ""
        print_note(f"{loading.resumed_rows:,} rows were there from before{again}")
    if bad.count:
        print_note(f"{bad.count:,} bad {'line is' if bad.count == 1 else 'lines are'} in {skip_bad}")


def _print_problems(bad: BadRecords) -> None:
    for problem in bad.problems:
        print_error(f"line {problem.line}: {problem.message}")
    if bad.skips and bad.count > MOST_PROBLEMS:
        print_note(f"… and {bad.count - MOST_PROBLEMS:,} more")


def _refusal(rows: int, bad: BadRecords, resumable: bool) -> str:
    many = f"at least {bad.count} lines are" if bad.count >= MOST_PROBLEMS else f"{bad.count} lines are"
    found = "1 line is bad" if bad.count == 1 else f"{many} bad"
    if resumable and rows:
        return f"{found}; the {rows:,} rows before them stay: mend the file behind them, and run the same command again"
    others = "; --on-conflict takes rows that are there already" if bad.repeats else ""
    return f"nothing was loaded, since {found}: mend the file, or put bad lines aside with --skip-bad FILE{others}"


def _known_rows(action: OnConflict | None, key: str | None, table: Table) -> KnownRows:
    if key is not None and action is not OnConflict.UPDATE:
        raise typer.BadParameter("expected --on-conflict update beside --key; got none: add it, or leave --key out")
    if action is not OnConflict.UPDATE:
        return KnownRows(action and action.value)
    known = named_columns(key, table) or (("uuid",) if "uuid" in table.columns else table.key_names)
    if not known:
        raise typer.BadParameter(
            f"expected --key NAME,…, since {table.name} has no key; got none: name its unique columns"
        )
    return KnownRows(action.value, known)


@contextmanager
def _opened(file: str) -> Iterator[IO[bytes]]:
    if file == STANDARD_STREAM:
        # Below its buffer, which would wait until it is full, and for Ctrl-C only then.
        stdin = binary_stdin()
        yield getattr(stdin, "raw", stdin)
        return
    with Path(file).open("rb", buffering=0) as stream:
        yield stream


def _size(stream: IO[bytes]) -> int | None:
    """Return the size of a file in bytes, ``None`` for what is none, as a pipe."""
    try:
        status = os.stat(stream.fileno())
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _place(stream: IO[bytes]) -> int:
    return stream.tell() if stream.seekable() else 0
