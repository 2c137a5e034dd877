"""Which column a parameter of a person's statement stands beside: compared with it, or written into it.

For: values given as text, which mean a moment or a UUID only where the column says so. What the tokens do not say
plainly is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from cloudpub_models.sql.dialects import Dialect
from cloudpub_models.sql.remembering import Remembered
from cloudpub_models.sql.text.parameters import parse
from cloudpub_models.sql.text.tokens import NAMES, Token, code, tokens

_COMPARISONS = frozenset({"=", "==", "!=", "<>", "<", "<=", ">", ">="})
_PARAMETER = "parameter"


def columns_beside(sql: str, dialect: Dialect) -> Mapping[str, str]:
    """Return parameter → name of the column that it stands beside, for those that stand beside one and the same.

    >>> from cloudpub_models.sql.dialects import SQLITE
    >>> columns_beside("SELECT * FROM users u WHERE u.uuid = @u AND created_at BETWEEN @a AND @b OR @c = 1", SQLITE)
    {'u': 'uuid', 'a': 'created_at', 'b': 'created_at'}
    >>> columns_beside("INSERT INTO users (uuid, email) VALUES (@u, lower(@e))", SQLITE)
    {'u': 'uuid'}
    """
    return _columns_beside[sql, dialect]


def tables_named(sql: str, dialect: Dialect, tables: Sequence[str]) -> list[str]:
    """Return those of some tables whose names stand in a statement."""
    names = {token.name for token in tokens(sql, dialect) if token.kind in NAMES}
    return [table for table in tables if table in names]


def _find_columns(sql: str, dialect: Dialect) -> dict[str, str]:
    parsed = parse(sql, dialect)
    pieces: list[Token] = []
    for number, text in enumerate(parsed.pieces):
        pieces += code(tokens(text, dialect))
        if number < len(parsed.names):
            pieces.append(Token(_PARAMETER, parsed.names[number], 0))
    found: dict[str, set[str | None]] = {}
    written = dict(_written(pieces))
    for place, piece in enumerate(pieces):
        if piece.kind == _PARAMETER:
            column = written.get(place) or _compared(pieces, place)
            found.setdefault(piece.text, set()).add(column)
    return {name: column for name, columns in found.items() if len(columns) == 1 and (column := columns.pop())}


_columns_beside = Remembered(_find_columns)


def _compared(pieces: Sequence[Token], place: int) -> str | None:
    before, after = pieces[:place], pieces[place + 1 :]
    if after and after[0].text == "::":
        return None
    if before and before[-1].text in _COMPARISONS:
        return _name_at_end(before[:-1])
    if after and after[0].text in _COMPARISONS:
        return _name_at_start(after[1:])
    return _name_at_end(_before_list(before))


def _before_list(before: Sequence[Token]) -> Sequence[Token]:
    """Return what stands before ``BETWEEN`` or ``IN`` with the members so far, or nothing."""
    end = len(before)
    if end > 2 and before[-1].name == "and" and before[-2].kind == _PARAMETER:
        end -= 2  # behind BETWEEN
    else:
        while end > 1 and before[end - 1].text == "," and before[end - 2].kind == _PARAMETER:
            end -= 2
        if end and before[end - 1].text == "(":
            end -= 1
    words = {"between"} if end == len(before) - 2 and before[-1].name == "and" else {"between", "in"}
    if not end or before[end - 1].name not in words:
        return ()
    end -= 1
    return before[: end - 1] if end and before[end - 1].name == "not" else before[:end]


def _name_at_end(pieces: Sequence[Token]) -> str | None:
    return pieces[-1].name if pieces and pieces[-1].kind in NAMES else None


def _name_at_start(pieces: Sequence[Token]) -> str | None:
    names = [piece for piece in pieces[:3] if piece.kind in NAMES]
    is_qualified = len(pieces) > 2 and pieces[1].text == "." and len(names) == 2
    if is_qualified or (names and pieces[0].kind in NAMES):
        is_call = pieces[3:4] if is_qualified else pieces[1:2]
        return None if is_call and is_call[0].text == "(" else names[1 if is_qualified else 0].name
    return None


def _written(pieces: Sequence[Token]) -> Iterator[tuple[int, str]]:
    """Yield the places of parameters in the rows of an INSERT, with their columns."""
    words = [piece.name for piece in pieces]
    if not words or words[0] not in ("insert", "replace") or "values" not in words or "(" not in words:
        return
    first, values = words.index("("), words.index("values")
    columns = [piece.name for piece in pieces[first + 1 : values] if piece.kind in NAMES]
    if first > values or len(columns) != words[first:values].count(",") + 1:
        return
    depth = position = 0
    for place in range(values + 1, len(pieces)):
        text = pieces[place].text
        if text == "(":
            depth, position = depth + 1, position if depth else 0
        elif text == ")":
            depth -= 1
        elif text == "," and depth == 1:
            position += 1
        elif not depth and text != ",":
            return
        stands_alone = words[place - 1] in ("(", ",") and words[place + 1 : place + 2] in ([","], [")"])
        if pieces[place].kind == _PARAMETER and depth == 1 and stands_alone and position < len(columns):
            yield place, columns[position]
