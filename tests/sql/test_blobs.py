"""A blob as SQLite's literal of it."""

from __future__ import annotations

import sqlite3

from cloudpub_models.sql.blobs import blob_of_literal, stored_blob


def test_a_literal_of_sqlite_is_read_back() -> None:
    value = bytes(range(256))
    (literal,) = sqlite3.connect(":memory:").execute("SELECT quote(?)", (value,)).fetchone()
    assert blob_of_literal(literal.lower()) == value
    assert stored_blob(literal.replace("X", "x", 1)) == value


def test_what_is_no_literal_stays_as_it_is() -> None:
    assert [stored_blob(value) for value in (None, 1, 1.5, b"x'00'", "x")] == [None, 1, 1.5, b"x'00'", "x"]
