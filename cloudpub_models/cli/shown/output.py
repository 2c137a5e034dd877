"""What data commands write to stdout: rows as a table, CSV or JSON lines, or one JSON document.

Tables are for eyes: they are cut to the terminal, and whole where there is none. CSV and JSON lines are for programs:
always UTF-8, every row, written as the rows come. How a single value is written there is in ``interchange``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from itertools import islice
from typing import Annotated, Any

import typer
from rich.console import Console, RenderableType
from rich.text import Text

from cloudpub_models.cli.shown.files import binary_stdout
from cloudpub_models.cli.shown.interchange import RowFormat, json_ready, row_writer
from cloudpub_models.cli.shown.tables import table_of_rows

Row = Mapping[str, Any]

# Wide enough for any table: where no terminal limits it, nothing is left out.
_UNLIMITED_WIDTH = 100_000


class OutputFormat(StrEnum):
    """How rows are shown."""

    TABLE = "table"
    CSV = "csv"
    JSONL = "jsonl"


JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON to stdout, for programs.")]
FormatOption = Annotated[
    OutputFormat | None,
    typer.Option("--format", help="A table, CSV, or JSON lines (one object per line).", show_default="table"),
]


def chosen_format(format: OutputFormat | None, as_json: bool) -> OutputFormat:
    """Return the format that ``--format`` and ``--json`` ask for together.

    Raises:
        typer.BadParameter: they contradict each other.
    """
    if not as_json:
        return format or OutputFormat.TABLE
    if format not in (None, OutputFormat.JSONL):
        raise typer.BadParameter(f"--json means --format jsonl; got --format {format} as well: leave one out")
    return OutputFormat.JSONL


def print_document(document: Any) -> None:
    """Write one JSON document to stdout."""
    with binary_stdout() as stream:
        stream.write(document_bytes(document))


def document_bytes(document: Any) -> bytes:
    """Return one JSON document as the text of a file."""
    return json.dumps(json_ready(document), ensure_ascii=False, indent=2).encode() + b"\n"


def print_rows(rows: Iterable[Row], names: Sequence[str], format: OutputFormat) -> None:
    """Write rows to stdout.

    Args:
        rows: each with all the names; taken one by one, but for a table, which has to see all of them.
        names: the columns, in their order.
        format: how.
    """
    if format is OutputFormat.TABLE:
        print_table(rows)
        return
    with binary_stdout() as stream:
        writer = row_writer(RowFormat(format.value), names, stream)
        for row in rows:
            writer(row)


def print_table(rows: Iterable[Row]) -> None:
    """Write rows to stdout as a table, and nothing but a note where there are none."""
    listed = list(rows)
    console = data_console()
    shown: RenderableType = Text("no rows", style="dim")
    if listed:
        shown = table_of_rows(listed, console, most_rows=None, exact=True)
    console.print(shown)


def data_console() -> Console:
    """Return the console for data on stdout; without a terminal it has room for everything."""
    console = Console(highlight=False)
    return (
        console if console.is_terminal or "COLUMNS" in os.environ else Console(highlight=False, width=_UNLIMITED_WIDTH)
    )


def first_rows(rows: Iterable[Row], most: int) -> tuple[list[Row], bool]:
    """Return the first rows, and whether there are more."""
    taken = list(islice(rows, most + 1))
    return taken[:most], len(taken) > most
