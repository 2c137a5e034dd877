"""Rows written as CSV and JSON lines to streams of bytes; how they are read back is in ``commands/load/records``.

UTF-8 always. JSON lines say everything exactly, but for fractions of more digits than a double has, which are rounded.
In CSV the first line names the columns, and an empty cell is NULL; an empty text in a column that may be NULL is
written as two quotation marks, and a text of nothing but two or more of them gets two more, so that both come back.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum, StrEnum
from pathlib import Path
from typing import IO, Any

from cloudpub_models.cli.shown.files import STANDARD_STREAM, escaped

_QUOTE = '"'
# What an empty text is written as where an empty cell is NULL.
_MARK = 2 * _QUOTE


class FileFormat(StrEnum):
    """How rows stand in a file."""

    CSV = "csv"
    JSONL = "jsonl"


_SUFFIXES = {".csv": FileFormat.CSV, ".jsonl": FileFormat.JSONL, ".ndjson": FileFormat.JSONL}


def format_of(name: str) -> FileFormat | None:
    """Return the format that a file's name tells; JSON lines for a standard stream; ``None`` where it tells nothing.

    >>> format_of("logs.csv.gz"), format_of("-"), format_of("logs.txt")
    (<FileFormat.CSV: 'csv'>, <FileFormat.JSONL: 'jsonl'>, None)
    """
    if name == STANDARD_STREAM:
        return FileFormat.JSONL
    return _SUFFIXES.get(Path(name.removesuffix(".gz")).suffix.lower())


def json_ready(value: Any) -> Any:
    """Return what ``json.dumps`` takes for any value that a database gives.

    >>> json_ready({"n": Decimal("1.5"), "when": datetime.fromisoformat("2026-01-02T03:04:05+00:00")})
    {'n': 1.5, 'when': '2026-01-02T03:04:05+00:00'}
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, Mapping):
        return {str(name): json_ready(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [json_ready(inner) for inner in value]
    return _scalar_json_ready(value)


def _scalar_json_ready(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, float | Decimal):
        if not math.isfinite(value):
            return str(value)
        return int(value) if isinstance(value, Decimal) and value == value.to_integral_value() else float(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"\\x{bytes(value).hex()}"
    return str(value)


def json_line(row: Mapping[str, Any]) -> bytes:
    """Return a row as a line of JSON, in which what a terminal would obey is an escape of JSON's, wherever it goes.

    >>> json_line({"message": "a\\x9b2J\\u202e"})
    b'{"message":"a\\\\u009b2J\\\\u202e"}\\n'
    """
    return escaped(_json_text(row)).encode() + b"\n"


def _json_text(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_scalar_json_ready, allow_nan=False)
    except ValueError:  # an infinity or NaN, which JSON has no number for
        return json.dumps(json_ready(value), ensure_ascii=False, separators=(",", ":"))


def row_writer(
    format: FileFormat,
    names: Sequence[str],
    stream: IO[bytes],
    *,
    nullable_texts: Collection[str] = (),
    documents: Collection[str] = (),
) -> Callable[[Mapping[str, Any]], object]:
    """Return what writes a row to a stream; CSV's first line is written at once.

    Args:
        format: how rows are written.
        names: the columns to write.
        stream: takes bytes.
        nullable_texts: the columns in which CSV has to tell NULL and an empty text apart.
        documents: the columns that hold JSON, in which a text is written with its quotation marks.
    """
    if format is FileFormat.JSONL:
        return lambda row: stream.write(json_line({name: row[name] for name in names}))
    buffer = io.StringIO(newline="")
    # Only what is in its line end does the writer put into quotes, and a lone carriage return would end a line.
    lines = csv.writer(buffer, lineterminator="\r\n")

    def write(cells: Sequence[str]) -> None:
        lines.writerow(cells)
        stream.write(buffer.getvalue().removesuffix("\r\n").encode() + b"\n")
        buffer.seek(0)
        buffer.truncate()

    write(names)
    special = {**dict.fromkeys(nullable_texts, _nullable_cell), **dict.fromkeys(documents, _document_cell)}
    cells = [(name, special.get(name, _csv_cell)) for name in names]
    return lambda row: write([cell(row[name]) for name, cell in cells])


def _nullable_cell(value: str | None) -> str:
    return "" if value is None else value + _MARK if _only_quotes(value) else value


def _document_cell(value: Any) -> str:
    return "" if value is None else json.dumps(json_ready(value), ensure_ascii=False)


def _csv_cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, Mapping | list | tuple):
        return _document_cell(value)
    return str(value if isinstance(value, Decimal) else json_ready(value))


def csv_text(cell: str) -> str | None:
    """Return the text of a CSV cell in a column that may be NULL.

    >>> csv_text(""), csv_text('""'), csv_text("a")
    (None, '', 'a')
    """
    if not cell:
        return None
    return cell.removeprefix(_MARK) if _only_quotes(cell) else cell


def _only_quotes(text: str) -> bool:
    return not text.strip(_QUOTE) and len(text) != 1
