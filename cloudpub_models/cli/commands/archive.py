"""``cloudpub archive``: old rows of a table moved to Parquet files, where ``stats`` and ``sql`` still find them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from cloudpub_models.cli.commands.prune import moment_before
from cloudpub_models.cli.given.options import JsonOption, TableArgument
from cloudpub_models.cli.given.target import Target, takes_target
from cloudpub_models.cli.shown.output import print_document
from cloudpub_models.cli.shown.progress import Stopwatch, row_progress
from cloudpub_models.cli.shown.terminal import print_line, print_note
from cloudpub_models.platform.registry import Managers


@takes_target()
def archive(
    target: Target,
    table: TableArgument,
    older_than: Annotated[
        datetime,
        typer.Option(
            "--older-than",
            parser=moment_before,
            metavar="AGE",
            help="Months that had ended by then: 90d, 12w …, or a date as 2026-01-31, in UTC if it has no offset.",
        ),
    ],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="The table's archive; made where it is not there.")],
    as_json: JsonOption = False,
) -> None:
    """Move a table's old rows to Parquet files, one for each month, and delete them from the database.

    A row is deleted when it is equal to what a finished file has of it. Interrupted at any moment nothing is lost, and
    the same command goes on.
    """
    target.table(table)
    watch = Stopwatch()
    months = []
    with target.opened() as database:
        archived = Managers(database).archive(to)
        with row_progress(f"archiving {table}", None) as advance:
            for month in archived.moving(table, older_than, progress=lambda rows: advance(rows, rows)):
                months.append(month)
                place = f" to {month.file}" if month.file else ""
                if not as_json:
                    print_line(f"{month.begin:%Y-%m}: {month.deleted:,} rows moved{place}")
                if month.kept:
                    print_note(f"{month.begin:%Y-%m}: {month.kept:,} rows stay, changed since they were written")
    if as_json:
        print_document(
            {
                "table": table,
                "before": older_than,
                "directory": str(to),
                "months": [
                    {
                        "month": f"{month.begin:%Y-%m}",
                        "file": None if month.file is None else month.file.name,
                        "written": month.written,
                        "deleted": month.deleted,
                        "kept": month.kept,
                    }
                    for month in months
                ],
                "seconds": round(watch.seconds, 3),
            }
        )
    elif not months:
        print_line(f"nothing to archive: no month of {table} had ended before {older_than:%Y-%m-%d %H:%M:%S %Z}")
