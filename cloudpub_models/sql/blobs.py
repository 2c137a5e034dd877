"""A blob as SQLite's literal of it, which is how its change log keeps one.

``connection`` registers ``stored_blob`` under ``BLOB_FUNCTION``: before 3.41 SQLite itself reads no hexadecimal digits.
"""

from __future__ import annotations

BLOB_FUNCTION = "cloudpub_blob"

Stored = str | bytes | int | float | None


def blob_of_literal(text: str) -> bytes:
    """Return the bytes of a literal.

    >>> blob_of_literal("x'4142'")
    b'AB'
    """
    return bytes.fromhex(text[2:-1])


def stored_blob(value: Stored) -> Stored:
    """Return the bytes of a literal, and anything else as it is.

    >>> stored_blob("x'41'"), stored_blob(None)
    (b'A', None)
    """
    return blob_of_literal(value) if isinstance(value, str) and value.startswith("x'") else value
