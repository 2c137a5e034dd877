"""Records read one by one from a file or pipe of CSV or JSON lines; what begins like gzip is read as such.

What the values of a column have to be is not known here.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import IO, Any, NamedTuple

from cloudpub_models.cli.given.cells import read_json
from cloudpub_models.cli.shown.files import BUFFER_BYTES
from cloudpub_models.errors import InvalidValueError
from cloudpub_models.sql.identifiers import surrogate_in

# What messages call a stream without a name.
STANDARD_INPUT = "standard input"
_GZIP_MAGIC = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
LONGEST_RECORD = 64_000_000
"""How many bytes a record has at most, since all of it is held in memory, several times over."""


class Record(NamedTuple):
    """One record of a file.

    Attributes:
        line: the number of its first line, from 1.
        raw: its bytes, as they stand in the file.
        cells: column → what stands there; text in CSV, any JSON value in JSON lines.
        problem: why there are no cells.
    """

    line: int
    raw: bytes
    cells: dict[str, Any]
    problem: str | None = None


class LineSource:
    """The lines of a stream, counted, with a digest of all that was read so far.

    Args:
        stream: gives bytes, compressed or not.
        name: what messages call it.
    """

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self.name = name
        self._stream = stream
        self._place = stream.tell() if stream.seekable() else None
        self._begin()

    def _begin(self) -> None:
        start = _first_bytes(self._stream, len(_GZIP_MAGIC))
        whole = io.BufferedReader(_Rejoined(start, self._stream), BUFFER_BYTES)
        packed = start == _GZIP_MAGIC
        self._lines = io.BufferedReader(gzip.GzipFile(fileobj=whole), BUFFER_BYTES) if packed else whole
        self._ahead: list[bytes] = []
        self._digest = hashlib.sha256()
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self.count = 0

    def restart(self) -> bool:
        """Have everything read again from the first line; return whether the stream can do that."""
        if self._place is None:
            return False
        self._stream.seek(self._place)
        self._begin()
        return True

    def next_line(self) -> str | None:
        """Return the next line as text, ``None`` at the end; bytes that are no UTF-8 become lone surrogates.

        Raises:
            InvalidValueError: the compressed data ends too early, or is damaged; or a record is longer than is held in
            memory.
        """
        line = self._ahead.pop(0) if self._ahead else self._read()
        if not line:
            return None
        self._digest.update(line)
        self._pending.append(line)
        self._pending_bytes += len(line)
        self.count += 1
        if self._pending_bytes > LONGEST_RECORD:
            raise InvalidValueError(
                f"{self.name}: line {self.count:,}: expected a record of at most {LONGEST_RECORD:,} bytes; got "
                "a longer one: mend the file, or write that row by a program"
            )
        if self.count == 1:
            line = line.removeprefix(_BYTE_ORDER_MARK)
        return line.decode("utf-8", "surrogateescape")

    def __iter__(self) -> Iterator[str]:
        return iter(self.next_line, None)

    def _read(self) -> bytes:
        try:
            # A few bytes of compressed data may be any number of others.
            return self._lines.readline(LONGEST_RECORD + 1)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InvalidValueError(
                f"{self.name}: expected complete gzip data; got {error}: copy the file again"
            ) from None

    def beginning(self) -> str:
        """Return a digest of the first two lines, which tells one file from another; nothing may be read yet."""
        self._ahead = [self._read(), self._read()]
        return hashlib.sha256(b"".join(self._ahead)).hexdigest()

    def skip_to(self, count: int) -> None:
        """Read on, to no purpose but the digest, until so many lines are read or there are no more."""
        while self.count < count and self.next_line() is not None:
            self.take()

    def take(self) -> bytes:
        """Return the bytes read since the last call."""
        taken = b"".join(self._pending)
        self._pending.clear()
        self._pending_bytes = 0
        return taken

    def digest(self) -> str:
        """Return a digest of everything read so far."""
        return self._digest.copy().hexdigest()


class _Rejoined(io.RawIOBase):
    """A stream with the bytes in front of it again that were read to see what it holds."""

    def __init__(self, start: bytes, rest: IO[bytes]) -> None:
        self._start = start
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        taken, self._start = self._start or self._rest.read(len(buffer)), b""
        buffer[: len(taken)] = taken
        return len(taken)


def _first_bytes(stream: IO[bytes], count: int) -> bytes:
    start = b""
    # A pipe gives as little at a time as was written into it.
    while len(start) < count and (more := stream.read(count - len(start))):
        start += more
    return start


def read_jsonl(source: LineSource) -> Iterator[Record]:
    """Yield the records of a file with one JSON object per line; blank lines are none."""
    for line in source:
        raw, number = source.take(), source.count
        if line.isspace():
            continue
        if (problem := _text_problem(line)) is not None:
            yield Record(number, raw, {}, problem)
            continue
        try:
            # A secret may be in the line.
            cells = read_json(line, repeated=False)
        except InvalidValueError as error:
            csv_hint = "; CSV takes --format csv" if number == 1 and source.name == STANDARD_INPUT else ""
            yield Record(number, raw, {}, f"{error}{csv_hint}")
            continue
        if isinstance(cells, dict):
            yield Record(number, raw, cells)
        else:
            yield Record(number, raw, {}, f"expected a JSON object on each line; got {_json_kind(cells)}")


def read_csv_header(source: LineSource) -> tuple[list[str], bytes]:
    """Return the names in the first line of a CSV file, and its bytes.

    Raises:
        InvalidValueError: there is none, it names a column twice, or it is no CSV.
    """
    csv.field_size_limit(LONGEST_RECORD)
    try:
        names = next(csv.reader(source, strict=True), [])
    except csv.Error as error:
        raise InvalidValueError(
            f"{source.name}: expected CSV with the column names in its first line; got {error}"
        ) from None
    if not names:
        raise InvalidValueError(
            f"{source.name}: expected CSV with the column names in its first line; got an empty one"
        )
    if len(names) == 1 and (other := re.search(r"[;\t|]", names[0])):
        raise InvalidValueError(
            f"{source.name}: expected commas between columns; got {other.group()!r}: convert the file"
        )
    for name, times in Counter(names).items():
        if times > 1:
            raise InvalidValueError(f"{source.name}: expected every column once in the first line; got {name!r} twice")
    return names, source.take()


def read_csv(source: LineSource, names: Sequence[str]) -> Iterator[Record]:
    """Yield the records behind the first line of a CSV file; blank lines are none."""
    records = csv.reader(source, strict=True)
    while True:
        first = source.count + 1
        try:
            cells = next(records, None)
        except csv.Error as error:
            yield Record(first, source.take(), {}, f"expected CSV ({error})")
            records = csv.reader(source, strict=True)
            continue
        if cells is None:
            return
        raw = source.take()
        if not cells:
            continue
        problem = next(filter(None, map(_text_problem, cells)), None)
        if len(cells) != len(names):
            problem = f"expected {len(names)} cells, as in the first line; got {len(cells)}"
        yield Record(first, raw, dict(zip(names, cells, strict=False)), problem)


def _text_problem(text: str) -> str | None:
    if text.isascii() or surrogate_in(text) is None:
        return None
    return "expected UTF-8; got bytes that are none: convert the file, as with iconv"


def _json_kind(value: Any) -> str:
    if isinstance(value, list):
        return "an array: 'jq -c .[]' makes lines of its members"
    return {str: "a string", bool: "true or false", type(None): "null"}.get(type(value), "a number")
