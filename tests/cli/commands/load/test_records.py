"""Rows as CSV and JSON lines: what is written comes back, and what is wrong is told with its line."""

from __future__ import annotations

import gzip
import io
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudpub_models.cli.commands.load import records
from cloudpub_models.cli.commands.load.records import LineSource, Record, read_csv, read_csv_header, read_jsonl
from cloudpub_models.cli.shown.row_files import FileFormat, csv_text, json_line, row_writer
from cloudpub_models.errors import InvalidValueError

# Anything that a text column may hold.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def source_of(content: bytes) -> LineSource:
    return LineSource(io.BytesIO(content), "rows")


def csv_records(content: bytes) -> list[Record]:
    source = source_of(content)
    return list(read_csv(source, read_csv_header(source)[0]))


@given(st.lists(st.tuples(st.none() | TEXTS, TEXTS), max_size=5))
def test_csv_gives_back_every_text_and_null(rows: list[tuple[str | None, str]]) -> None:
    stream = io.BytesIO()
    write = row_writer(FileFormat.CSV, ["maybe", "always"], stream, nullable_texts={"maybe"})
    for maybe, always in rows:
        write({"maybe": maybe, "always": always})
    found = [record.cells for record in csv_records(stream.getvalue())]
    assert [(csv_text(cells["maybe"]), cells["always"]) for cells in found] == rows


@given(st.lists(st.dictionaries(TEXTS, TEXTS | st.none() | st.integers() | st.booleans(), min_size=1), max_size=5))
def test_json_lines_give_back_everything(rows: list[dict[str, Any]]) -> None:
    content = b"".join(map(json_line, rows))
    assert [record.cells for record in read_jsonl(source_of(content))] == rows
    assert content.count(b"\n") == len(rows)


def test_lines_that_are_bad_are_numbered_and_keep_their_bytes() -> None:
    content = b'{"a":1}\n\nnonsense\n[1]\n{"a":"\xff"}\n"text"\n{"a":2}'
    found = [(record.line, record.raw, bool(record.problem)) for record in read_jsonl(source_of(content))]
    assert found == [
        (1, b'{"a":1}\n', False),
        (3, b"nonsense\n", True),
        (4, b"[1]\n", True),
        (5, b'{"a":"\xff"}\n', True),
        (6, b'"text"\n', True),
        (7, b'{"a":2}', False),
    ]
    problems = [record.problem for record in read_jsonl(source_of(content)) if record.problem]
    assert "expected JSON; got none (Expecting value: line 1 column 1" in problems[0]
    assert "nonsense" not in problems[0]
    assert "jq -c" in problems[1]
    assert "UTF-8" in problems[2]
    assert "a string" in problems[3]


def test_a_record_of_csv_may_have_several_lines() -> None:
    content = b'a,b\n1,"two\nlines"\n\n3\n4,5,6\n7,\xff\n8,"x"y\n9,10\n'
    records = csv_records(content)
    assert [(record.line, record.cells) for record in records if not record.problem] == [
        (2, {"a": "1", "b": "two\nlines"}),
        (9, {"a": "9", "b": "10"}),
    ]
    assert [(record.line, record.problem) for record in records if record.problem] == [
        (5, "expected 2 cells, as in the first line; got 1"),
        (6, "expected 2 cells, as in the first line; got 3"),
        (7, "expected UTF-8; got bytes that are none: convert the file, as with iconv"),
        (8, "expected CSV (',' expected after '\"')"),
    ]
    assert records[0].raw == b'1,"two\nlines"\n'


@pytest.mark.parametrize(
    ("content", "answer"),
    [(b"", "got an empty one"), (b"\n1,2\n", "got an empty one"), (b"a,b,a\n", "got 'a' twice"), (b'"a\n', "CSV")],
)
def test_a_first_line_that_names_no_columns(content: bytes, answer: str) -> None:
    with pytest.raises(InvalidValueError, match=answer):
        read_csv_header(source_of(content))


def test_a_byte_order_mark_is_no_part_of_the_first_name() -> None:
    assert [record.cells for record in csv_records(b"\xef\xbb\xbfa\r\n1\r\n")] == [{"a": "1"}]


class Trickle(io.BytesIO):
    """A pipe into which single bytes are written."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(1)


def test_compressed_data_is_known_by_its_first_bytes() -> None:
    packed = gzip.compress(b'{"a":1}\n' * 1000)
    assert len(list(read_jsonl(source_of(packed)))) == 1000
    assert len(list(read_jsonl(LineSource(Trickle(packed), "rows")))) == 1000
    with pytest.raises(InvalidValueError, match="rows: expected complete gzip data"):
        list(read_jsonl(source_of(packed[:-20])))
    with pytest.raises(InvalidValueError, match="rows: expected complete gzip data"):
        list(read_jsonl(source_of(b"\x1f\x8bnonsense")))


def test_the_digest_is_of_everything_read() -> None:
    first, second = source_of(b"1\n2\n3\n"), source_of(b"1\n2\n3\n4\n")
    assert first.beginning() == second.beginning()
    first.skip_to(10)
    second.skip_to(3)
    assert first.count == second.count == 3
    assert first.digest() == second.digest()
    assert second.next_line() == "4\n"
    assert first.digest() != second.digest()


@pytest.mark.parametrize("packed", [False, True])
def test_a_record_that_is_too_long_is_refused_before_it_is_held(monkeypatch: pytest.MonkeyPatch, packed: bool) -> None:
    """A few kilobytes of gzip may be gigabytes of text."""
    monkeypatch.setattr(records, "LONGEST_RECORD", 1000)
    for content in (b"a" * 5000, b'email\n"' + b"a\n" * 5000):
        source = source_of(gzip.compress(content) if packed else content)
        with pytest.raises(InvalidValueError, match=r"rows: line \d+: expected a record of at most 1,000 bytes; got"):
            list(read_csv(source, read_csv_header(source)[0]) if b'"' in content else read_jsonl(source))
        assert source._pending_bytes <= 2002


def test_a_first_line_of_many_names_is_read_in_linear_time() -> None:
    names = ",".join(f"c{number}" for number in range(40_000))
    started = time.process_time()
    assert len(read_csv_header(source_of(names.encode()))[0]) == 40_000
    with pytest.raises(InvalidValueError, match="every column once in the first line; got 'c7' twice"):
        read_csv_header(source_of(f"{names},c7".encode()))
    assert time.process_time() - started < 5
