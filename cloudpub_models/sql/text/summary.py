"""What of a statement's text may be shown to a monitoring system: the text without literals, and a short summary.

The summary names the operations and the tables in the order in which they stand, and nothing else, so that statements
that differ in little have the same one. Nothing is understood beyond tokens; what cannot be told is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from cloudpub_models.sql.dialects import Dialect
from cloudpub_models.sql.remembering import Remembered
from cloudpub_models.sql.text.tokens import NAMES, STRINGS, Token, code, tokens

LONGEST_SUMMARY = 255

_LITERALS = STRINGS | {"number"}
_COMMENTS = frozenset({"comment", "line_comment"})
_OPERATIONS = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "COPY"})
_BEFORE_A_TABLE = frozenset({"FROM", "INTO", "JOIN", "UPDATE", "COPY", "USING"})
# What COPY reads and writes.
_NO_TABLES = frozenset({"STDIN", "STDOUT", "PROGRAM"})
_DEFINITIONS = frozenset({"CREATE", "ALTER", "DROP"})
# Two words that are neither an operation nor the beginning of a table's name.
_OTHER_MEANINGS = frozenset(
    {("DO", "UPDATE"), ("FOR", "UPDATE"), ("KEY", "UPDATE"), ("DISTINCT", "FROM"), ("ON", "UPDATE"), ("ON", "DELETE")}
)


class Summary(NamedTuple):
    """What a statement does, and to which tables.

    Attributes:
        operations: ``SELECT``, ``INSERT`` and so on, in their order.
        tables: the names of tables, in their order.
        text: both, as in ``INSERT users SELECT organizations``.
    """

    operations: tuple[str, ...]
    tables: tuple[str, ...]
    text: str


def without_literals(sql: str, dialect: Dialect) -> str:
    """Return a statement with ``?`` for every string and number in it.

    >>> from cloudpub_models.sql.dialects import POSTGRESQL
    >>> without_literals("SELECT 'a''b', 5 FROM t1 WHERE x = $$secret$$", POSTGRESQL)
    'SELECT ?, ? FROM t1 WHERE x = ?'
    """
    return _without_literals[sql, dialect]


def _replace_literals(sql: str, dialect: Dialect) -> str:
    # Comments are left out, since anything may stand in them.
    found = [token for token in tokens(sql, dialect) if token.kind not in _COMMENTS]
    return "".join(["?" if token.kind in _LITERALS else token.text for token in found])


_without_literals = Remembered(_replace_literals)


def summary_of(sql: str, dialect: Dialect) -> Summary:
    """Return the operations of a statement and the tables that they are about.

    >>> from cloudpub_models.sql.dialects import SQLITE
    >>> summary_of("SELECT f.id FROM functions f JOIN users u ON u.id = f.user_id WHERE f.id = ?", SQLITE).text
    'SELECT functions users'
    >>> summary_of("SAVEPOINT cloudpub_1", SQLITE).text
    'SAVEPOINT'
    """
    return _summaries[sql, dialect]


def _summarized(sql: str, dialect: Dialect) -> Summary:
    pieces = code(tokens(sql, dialect))
    words = [token.text.upper() if token.kind == "word" else token.text for token in pieces]
    operations: list[str] = []
    tables: list[str] = []
    parts: list[str] = []
    for position, word in enumerate(words):
        if (words[position - 1] if position else "", word) in _OTHER_MEANINGS or pieces[position].kind != "word":
            continue
        if word in _OPERATIONS:
            operations.append(word)
            parts.append(word)
        if word in _BEFORE_A_TABLE:
            found = list(_tables_after(pieces, position + 1, columns_follow=word in ("INTO", "COPY")))
            tables += found
            parts += found
    if not operations:
        operations = [" ".join(words[: 2 if words[:1] and words[0] in _DEFINITIONS else 1])]
        parts = operations
    return Summary(tuple(operations), tuple(tables), _fitting(parts))


_summaries = Remembered(_summarized)


def _tables_after(pieces: Sequence[Token], position: int, *, columns_follow: bool) -> Iterator[str]:
    """Yield the names in a list of tables; functions and subqueries in it have none."""
    while _is_name(pieces, position) and pieces[position].text.upper() not in _BEFORE_A_TABLE:
        name = pieces[position].text
        position += 1
        while _is(pieces, position, ".") and _is_name(pieces, position + 1):
            name += "." + pieces[position + 1].text
            position += 2
        if _is(pieces, position, "(") and not columns_follow:
            return
        if name.upper() not in _NO_TABLES:
            yield name
        if _is(pieces, position, "AS"):
            position += 1
        if _is_name(pieces, position):
            position += 1
        if not _is(pieces, position, ","):
            return
        position += 1


def _is_name(pieces: Sequence[Token], position: int) -> bool:
    return position < len(pieces) and pieces[position].kind in NAMES


def _is(pieces: Sequence[Token], position: int, text: str) -> bool:
    return position < len(pieces) and pieces[position].text.upper() == text


def _fitting(parts: list[str]) -> str:
    """Return as many of the parts, from the first on, as a summary may hold."""
    text = ""
    for part in parts:
        longer = f"{text} {part}" if text else part
        if len(longer) > LONGEST_SUMMARY:
            break
        text = longer
    return text
