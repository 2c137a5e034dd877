"""What data commands write to stdout: rows as a table, CSV or JSON lines, or one JSON document.

Tables are for eyes: they are cut to the terminal, and whole where there is none. CSV and JSON lines are for programs:
always UTF-8, every row, written as the rows come. How a single value is written there is in ``row_files``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from cloudpub_models.cli.shown.files import binary_stdout, escaped
from cloudpub_models.cli.shown.row_files import FileFormat, json_ready, row_writer
from cloudpub_models.cli.shown.tables import table_of_rows
from cloudpub_models.cli.shown.terminal import data_console


def print_document(document: Any) -> None:
    """Write one JSON document to stdout."""
    with binary_stdout() as stream:
        stream.write(document_bytes(document))


def document_bytes(document: Any) -> bytes:
    """Return one JSON document as the text of a file."""
    return escaped(json.dumps(json_ready(document), ensure_ascii=False, indent=2)).encode() + b"\n"


def print_rows(rows: Iterable[Mapping[str, Any]], names: Sequence[str], format: FileFormat | None) -> None:
    """Write rows to stdout.

    Args:
        rows: each with all the names; taken one by one, but for a table, which has to see all of them.
        names: the columns, in their order.
        format: how; ``None`` for a table.
    """
    if format is None:
        print_table(rows)
        return
    with binary_stdout() as stream:
        writer = row_writer(format, names, stream)
        for row in rows:
            writer(row)


def print_table(rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows to stdout as a table, and nothing but a note where there are none."""
    listed = list(rows)
    console = data_console()
    shown: RenderableType = Text("no rows", style="dim")
    if listed:
        shown = table_of_rows(listed, console, most_rows=None, exact=True)
    console.print(shown)
