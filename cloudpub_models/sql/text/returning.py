"""What a person's statement gives back of the rows that it writes, as far as its text tells: the names of the columns.

For: refusing two columns of one name before anything is written, and knowing where only the database can say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cloudpub_models.sql.dialects import Dialect
from cloudpub_models.sql.remembering import Remembered
from cloudpub_models.sql.text.tokens import NAMES, Token, code, tokens

# What brings rows of a second table into a `*`.
_SECOND_TABLE = frozenset({"FROM", "USING"})


def returned_names(sql: str, dialect: Dialect) -> tuple[str, ...] | None:
    """Return the names of the columns that a statement gives back of what it writes.

    None where it has no ``RETURNING``, or one whose names are surely different ones; ``None`` where only the database
    knows them.

    >>> from cloudpub_models.sql.dialects import POSTGRESQL
    >>> returned_names("UPDATE users SET email = %s RETURNING id, users.Email AS address", POSTGRESQL)
    ('id', 'address')
    >>> returned_names("DELETE FROM users RETURNING *", POSTGRESQL), returned_names("SELECT 1", POSTGRESQL)
    ((), ())
    >>> returned_names("WITH gone AS (DELETE FROM users RETURNING id) SELECT * FROM gone", POSTGRESQL) is None
    True
    """
    return _returned_names[sql, dialect]


def _names_in(sql: str, dialect: Dialect) -> tuple[str, ...] | None:
    if "RETURNING" not in sql.upper():
        return ()
    pieces = code(tokens(sql, dialect))
    depths = list(_depths(pieces))
    places = [place for place, piece in enumerate(pieces) if piece.kind == "word" and piece.name == "returning"]
    if not places:
        return ()
    if len(places) > 1 or depths[places[0]] > 0:
        return None
    (place,) = places
    items = _split(pieces[place + 1 :], depths[place + 1 :])
    if [[piece.text for piece in item] for item in items] == [["*"]]:
        before = {piece.text.upper() for piece, depth in zip(pieces[:place], depths, strict=False) if depth == 0}
        joins = dialect.returns_joined_rows and pieces[0].name != "insert" and _SECOND_TABLE & _after_target(before)
        return None if joins else ()
    names = [_name_of(item, dialect) for item in items]
    return None if None in names else tuple([name for name in names if name is not None])


_returned_names = Remembered(_names_in)


def _after_target(words: set[str]) -> set[str]:
    # The FROM of `DELETE FROM` names the target itself.
    return words - {"FROM"} if "DELETE" in words else words


def _depths(pieces: Sequence[Token]) -> Iterator[int]:
    depth = 0
    for piece in pieces:
        depth -= piece.text == ")"
        yield depth
        depth += piece.text == "("


def _split(pieces: Sequence[Token], depths: Sequence[int]) -> list[list[Token]]:
    items: list[list[Token]] = [[]]
    for piece, depth in zip(pieces, depths, strict=True):
        if piece.text == "," and depth == 0:
            items.append([])
        elif piece.text != ";":
            items[-1].append(piece)
    return items


def _name_of(item: Sequence[Token], dialect: Dialect) -> str | None:
    """Return the name of a column that is given by its name, with a table or not, or by an alias."""
    texts = [piece.text.upper() for piece in item]
    is_column = len(item) in (1, 3) and all(piece.kind in NAMES for piece in item[::2]) and texts[1:2] in ([], ["."])
    is_aliased = len(item) > 2 and item[-1].kind in NAMES and texts[-2] == "AS"
    if not (is_column or is_aliased):
        return None
    last = item[-1]
    return dialect.folded(last.name) if last.kind == "quoted" else last.name
