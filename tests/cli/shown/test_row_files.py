"""Values and formats of files of rows; that what is written comes back is tested beside what reads it."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from cloudpub_models import Role
from cloudpub_models.cli.shown.output import document_bytes
from cloudpub_models.cli.shown.row_files import FileFormat, format_of, json_line, json_ready


@pytest.mark.parametrize(
    ("value", "ready"),
    [
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), "2026-01-02T03:04:05.000006+00:00"),
        (date(2026, 1, 2), "2026-01-02"),
        (Role.TEAM, "team"),
        (Decimal("1.5"), 1.5),
        (Decimal("12345678901234567890"), 12345678901234567890),
        (float("nan"), "nan"),
        (Decimal("Infinity"), "Infinity"),
        (b"\x00\xff", "\\x00ff"),
        ({"a": [UUID(int=1), None]}, {"a": ["00000000-0000-0000-0000-000000000001", None]}),
        (timedelta(hours=1), "1:00:00"),
    ],
    ids=repr,
)
def test_what_databases_give_as_json(value: Any, ready: Any) -> None:
    assert json_ready(value) == ready
    assert json.loads(json_line({"value": value})) == {"value": ready}


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("-", FileFormat.JSONL),
        ("a.csv", FileFormat.CSV),
        ("a.CSV.gz", FileFormat.CSV),
        ("a.ndjson", FileFormat.JSONL),
        ("a.jsonl.gz", FileFormat.JSONL),
        ("a.json", None),
        ("csv", None),
    ],
)
def test_a_name_tells_the_format(name: str, format: FileFormat | None) -> None:
    assert format_of(name) is format


def test_json_has_escapes_for_what_a_terminal_obeys() -> None:
    hostile = "a\x1b[2J\x9b2J\x85\u202e\u2066\u200f\U000e0001b"
    for text in (json_line({"message": hostile}), document_bytes({"message": hostile})):
        assert json.loads(text) == {"message": hostile}
        assert text.decode().replace("\n", "").isprintable()
