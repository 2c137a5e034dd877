"""SQL expressions in a form in which two spellings of the same one are equal.

A database gives a default or a check back in words of its own: ``role IN ('a')`` becomes
``((role)::text = ANY (ARRAY['a'::character varying]::text[]))``. Comparing needs one form for both. This is a
comparison aid and no parser: parentheses are dropped, so two checks that differ in nothing else count as equal. A
catalogue is read again and again, so forms are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from cloudpub_models.sql.dialects import Dialect
from cloudpub_models.sql.text.tokens import Token, code, tokens

# Type names of more than one word, by their first.
_LONG_TYPES = {
    "character": ("varying",),
    "double": ("precision",),
    "timestamp": ("with", "without", "time", "zone"),
    "time": ("with", "without", "time", "zone"),
}
_SAME = {"current_timestamp": "now", "'UTC'": "'utc'", "!=": "<>"}
_WORDS_OF_SQL = "all and any array between case collate else end in is like not null or then when"
_KEYWORDS = frozenset(_WORDS_OF_SQL.split())
# An operator with none of these ends before a sign: what follows the = in a=-1 is a number.
_NOT_BEFORE_A_SIGN = frozenset("~!@#%^&|`?")


def words(sql: str, dialect: Dialect) -> list[str]:
    """Return the words of SQL text: those of the language in lower case, names without quotes, strings as they are.

    >>> from cloudpub_models.sql.dialects import POSTGRESQL
    >>> words("CHECK (\\"Role\\" IN ('a', 'B') AND x=-1)", POSTGRESQL)
    ['check', '(', 'Role', 'in', '(', "'a'", ',', "'B'", ')', 'and', 'x', '=', '-', '1', ')']
    """
    return [token.name for token in _signs_apart(code(tokens(sql, dialect)))]


def _signs_apart(found: Iterable[Token]) -> Iterator[Token]:
    for token in found:
        if token.kind == "operator" and _NOT_BEFORE_A_SIGN.isdisjoint(token.text):
            operator = token.text.rstrip("+-")
            if operator:
                yield Token("operator", operator, token.start)
            for place, sign in enumerate(token.text[len(operator) :], token.start + len(operator)):
                yield Token("operator", sign, place)
        else:
            yield token


def _written(token: Token, dialect: Dialect) -> str:
    if token.kind == "quoted":
        return token.name if dialect.quote(token.name) == token.name else token.text
    return token.text.lower() if token.kind == "word" else token.text


def terminated(sql: str, dialect: Dialect) -> str:
    """Return a statement with a semicolon at its end, before the comments behind it.

    >>> from cloudpub_models.sql.dialects import SQLITE
    >>> terminated("SELECT 1 -- one;", SQLITE)
    'SELECT 1; -- one;'
    >>> terminated("SELECT 1;\\n", SQLITE)
    'SELECT 1;'
    """
    text = sql.strip()
    *_, last = [None, *code(tokens(text, dialect))]
    if last is None or last.text == ";":
        return text
    return f"{text[: last.end]};{text[last.end :]}"


@lru_cache(maxsize=1024)
def normalised(expression: str, dialect: Dialect) -> str:
    """Return an expression in its form for comparison.

    >>> from cloudpub_models.sql.dialects import POSTGRESQL
    >>> given = "((role)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[]))"
    >>> normalised(given, POSTGRESQL)
    "role in 'a' , 'b'"
    >>> normalised("role IN ('a', 'b')", POSTGRESQL)
    "role in 'a' , 'b'"
    >>> normalised("(now() AT TIME ZONE 'UTC'::text)", POSTGRESQL)
    "timezone 'utc' , now"
    """
    return _normalised(words(expression, dialect))


def readable(expression: str, dialect: Dialect) -> str:
    """Return an expression as people write it: without the casts and parentheses that a server adds.

    >>> from cloudpub_models.sql.dialects import POSTGRESQL
    >>> given = "((role)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[]))"
    >>> readable(given, POSTGRESQL)
    "role IN ('a', 'b')"
    >>> readable("timezone('utc'::text, now())", POSTGRESQL)
    "timezone('utc', now())"
    """
    pieces = _without_casts([_written(token, dialect) for token in _signs_apart(code(tokens(expression, dialect)))])
    before: list[str] = []
    while pieces != before:
        before, pieces = pieces, _without_parentheses(_with_lists(pieces))
    text, last, is_sign = "", "(", False
    for piece in pieces:
        joined = is_sign or last in ("(", "[", ".") or piece in (",", ")", "]", ".")
        joined = joined or (piece == "(" and _is_called(last))
        text += ("" if joined else " ") + (piece.upper() if piece in _KEYWORDS else piece)
        is_sign = piece in ("+", "-") and (last in ("(", "[", ",") or last in _KEYWORDS or not last[-1].isalnum())
        last = piece
    return text


@lru_cache(maxsize=1024)
def normalised_statement(statement: str, dialect: Dialect) -> str:
    """Return a CREATE TRIGGER statement in its form for comparison: without schema names and OR REPLACE."""
    kept: list[str] = []
    found = [word for word in words(statement, dialect) if word not in ("(", ")", ";")]
    position = 0
    while position < len(found):
        if found[position : position + 2] == ["or", "replace"] and kept == ["create"]:
            position += 2
        elif found[position : position + 3] == ["if", "not", "exists"] and kept == ["create", "trigger"]:
            position += 3
        elif found[position + 1 : position + 2] == ["."] and kept[-1:] in (["on"], ["function"]):
            position += 2
        else:
            kept.append(found[position])
            position += 1
    return " ".join(kept)


def check_constraints(create_table: str, dialect: Dialect) -> list[tuple[str | None, str, str]]:
    """Return of each CHECK in a CREATE TABLE statement its name, its expression for comparison, and as it is written.

    SQLite has no other way to ask.

    >>> from cloudpub_models.sql.dialects import SQLITE
    >>> check_constraints("CREATE TABLE t (a INT CONSTRAINT a_check CHECK (a IN (1, 2)), CHECK (a<9))", SQLITE)
    [('a_check', 'a in 1 , 2', 'a IN (1, 2)'), (None, 'a < 9', 'a<9')]
    """
    found: list[tuple[str | None, str, str]] = []
    pieces = code(tokens(create_table, dialect))
    names = [piece.name for piece in pieces]
    position = 0
    while position < len(pieces):
        end = position + 1
        if names[position:end] == ["check"] and names[end : end + 1] == ["("]:
            end = _end_of_parentheses(names, end)
            name = names[position - 1] if position >= 2 and names[position - 2] == "constraint" else None
            stop = pieces[end].start if end < len(pieces) else len(create_table)
            text = create_table[pieces[position + 1].end : stop]
            found.append((name, normalised(text, dialect), text.strip()))
        position = end
    return found


def check_expression(check: str, dialect: Dialect) -> str:
    """Return the expression of one CHECK, as it is written.

    >>> from cloudpub_models.sql.dialects import SQLITE
    >>> check_expression('CONSTRAINT "a (b)" CHECK (max(a, 1) > 0)', SQLITE)
    'max(a, 1) > 0'
    """
    [(_, _, expression)] = check_constraints(check, dialect)
    return expression


def index_keys(create_index: str, dialect: Dialect) -> tuple[str, ...]:
    """Return what a CREATE INDEX statement is over: columns, and expressions in their form for comparison.

    >>> from cloudpub_models.sql.dialects import SQLITE
    >>> index_keys('CREATE INDEX "i" ON "users" (LOWER("email"), "id")', SQLITE)
    ('lower email', 'id')
    """
    pieces = words(create_index, dialect)
    keys: list[list[str]] = [[]]
    depth = 0
    start = pieces.index("(") + 1
    for word in pieces[start : _end_of_parentheses(pieces, start - 1)]:
        depth += {"(": 1, ")": -1}.get(word, 0)
        if word == "," and not depth:
            keys.append([])
        else:
            keys[-1].append(word)
    return tuple(map(_normalised, keys))


def _end_of_parentheses(pieces: Sequence[str], opening: int) -> int:
    """Return where the parenthesis is closed that is opened at a position; the end where it is not."""
    depth = 0
    for position in range(opening, len(pieces)):
        depth += {"(": 1, ")": -1}.get(pieces[position], 0)
        if not depth:
            return position
    return len(pieces)


def _normalised(pieces: Sequence[str]) -> str:
    plain = _with_in([_SAME.get(word, word) for word in _without_casts(pieces) if word not in ("(", ")")])
    if len(plain) == 5 and plain[1:4] == ["at", "time", "zone"]:
        plain = ["timezone", plain[4], ",", plain[0]]
    return " ".join(plain)


def _with_in(pieces: list[str]) -> list[str]:
    """Return words with ``in a , b`` for each ``= any array [ a , b ]``."""
    kept: list[str] = []
    position = 0
    while position < len(pieces):
        if pieces[position : position + 4] == ["=", "any", "array", "["]:
            end = next((end for end in range(position, len(pieces)) if pieces[end] == "]"), len(pieces))
            kept += ["in", *pieces[position + 4 : end]]
            position = end
        else:
            kept.append(pieces[position])
        position += 1
    return kept


def _is_called(piece: str) -> bool:
    return piece.isidentifier() and piece not in _KEYWORDS


def _with_lists(pieces: list[str]) -> list[str]:
    """Return pieces with ``in ( a , b )`` for the first ``= any ( array [ a , b ] )``."""
    for position in range(len(pieces)):
        if pieces[position : position + 3] == ["=", "any", "("]:
            end = _end_of_parentheses(pieces, position + 2)
            inside = [piece for piece in pieces[position + 3 : end] if piece not in ("(", ")")]
            if inside[:2] == ["array", "["] and inside.index("]") == len(inside) - 1:
                return [*pieces[:position], "in", "(", *inside[2:-1], ")", *pieces[end + 1 :]]
    return pieces


def _without_parentheses(pieces: list[str]) -> list[str]:
    """Return pieces without the first parentheses that are around one piece, or around all."""
    for position, piece in enumerate(pieces):
        if piece != "(" or (position and (_is_called(pieces[position - 1]) or pieces[position - 1] in ("in", "any"))):
            continue
        end = _end_of_parentheses(pieces, position)
        if end == position + 2 or (position == 0 and end == len(pieces) - 1):
            return [*pieces[:position], *pieces[position + 1 : end], *pieces[end + 1 :]]
    return pieces


def _without_casts(pieces: Sequence[str]) -> list[str]:
    kept: list[str] = []
    position = 0
    while position < len(pieces):
        if pieces[position] != "::":
            kept.append(pieces[position])
            position += 1
            continue
        further = _LONG_TYPES.get("".join(pieces[position + 1 : position + 2]), ())
        position += 2
        while position < len(pieces) and pieces[position] in (*further, "("):
            position = _end_of_parentheses(pieces, position) + 1 if pieces[position] == "(" else position + 1
        while pieces[position : position + 2] == ["[", "]"]:
            position += 2
    return kept
