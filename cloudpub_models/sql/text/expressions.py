"""What is told of expressions from their tokens alone: the columns that they are about."""

from __future__ import annotations

from typing import Final

from cloudpub_models.sql.dialects import Dialect
from cloudpub_models.sql.text.tokens import NAMES, Token, code, tokens

_WORDS_OF_SQL = """
    and any array as asc between case cast desc distinct else end false from ilike in is like not null nulls or similar
    then to true when
"""
_WORDS: Final = frozenset(_WORDS_OF_SQL.split())
# Behind which a type, a collation or a zone is named.
_BEFORE_OTHERS: Final = frozenset({"::", "collate", "at"})


def columns_in(expressions: str, dialect: Dialect) -> tuple[str, ...]:
    """Return the names of the columns in one or more expressions, as of an index's keys, each once.

    >>> from cloudpub_models.sql.dialects import POSTGRESQL
    >>> columns_in('lower((email)::text COLLATE "C"), status', POSTGRESQL)
    ('email', 'status')
    """
    found: dict[str, None] = {}
    before = None
    pieces = code(tokens(expressions, dialect))
    for piece, after in zip(pieces, [*pieces[1:], None], strict=False):
        is_called = after is not None and after.text == "("
        if piece.kind in NAMES and not is_called and not _is_word(piece) and not _names_something_else(before):
            found[piece.name] = None
        before = piece
    return tuple(found)


def indexed_columns(create_index: str, dialect: Dialect) -> tuple[str, ...]:
    """Return the names of the columns that the keys of an index are about.

    >>> from cloudpub_models.sql.dialects import SQLITE
    >>> indexed_columns("CREATE UNIQUE INDEX i ON users (LOWER(email), city) WHERE status = 'active'", SQLITE)
    ('email', 'city')
    """
    found = [token for token in code(tokens(create_index, dialect)) if token.text in ("(", ")")]
    depth = 0
    for bracket in found:
        depth += 1 if bracket.text == "(" else -1
        if depth == 0:
            return columns_in(create_index[found[0].end : bracket.start], dialect)
    return ()


def _is_word(piece: Token) -> bool:
    return piece.kind == "word" and piece.name in _WORDS


def _names_something_else(before: Token | None) -> bool:
    """Whether what follows a token is no column: no two names stand side by side, but for types of several words."""
    return before is not None and (before.name in _BEFORE_OTHERS or (before.kind in NAMES and not _is_word(before)))
