"""SQL expressions in a form in which two spellings of the same one are equal.

A database gives a default or a check back in words of its own: ``role IN ('a')`` becomes
``((role)::text = ANY (ARRAY['a'::character varying]::text[]))``. Comparing needs one form for both. This is a
comparison aid and no parser: parentheses are dropped, so two checks that differ in nothing else count as equal.
"""

from __future__ import annotations

from collections.abc import Sequence

from cloudpub_models.sql.dialects import Dialect
from cloudpub_models.sql.text.tokens import code, tokens

# Type names of more than one word, by their first.
_LONG_TYPES = {
    "character": ("varying",),
    "double": ("precision",),
    "timestamp": ("with", "without", "time", "zone"),
    "time": ("with", "without", "time", "zone"),
}
_SAME = {"current_timestamp": "now", "'UTC'": "'utc'", "!=": "<>"}
# An operator with none of these ends before a sign: what follows the = in a=-1 is a number.
_NOT_BEFORE_A_SIGN = frozenset("~!@#%^&|`?")


def words(sql: str, dialect: Dialect) -> list[str]:
    """Return the words of SQL text: those of the language in lower case, names without quotes, strings as they are.

    >>> from cloudpub_models.sql.dialects import POSTGRESQL
    >>> words("CHECK (\\"Role\\" IN ('a', 'B') AND x=-1)", POSTGRESQL)
    ['check', '(', 'Role', 'in', '(', "'a'", ',', "'B'", ')', 'and', 'x', '=', '-', '1', ')']
    """
    found: list[str] = []
    for token in code(tokens(sql, dialect)):
        if token.kind == "operator" and _NOT_BEFORE_A_SIGN.isdisjoint(token.text):
            operator = token.text.rstrip("+-")
            found += [operator] if operator else []
            found += token.text[len(operator) :]
        else:
            found.append(token.name)
    return found


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


def portable(expression: str, dialect: Dialect) -> str:
    """Return an expression without what one database alone writes: casts, and lists as arrays.

    >>> from cloudpub_models.sql.dialects import POSTGRESQL
    >>> portable("((role)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[]))", POSTGRESQL)
    "( ( role ) IN ( 'a' , 'b' ) )"
    """
    pieces = _without_casts([token.text for token in code(tokens(expression, dialect))])
    kept: list[str] = []
    position = 0
    while position < len(pieces):
        if [piece.upper() for piece in pieces[position : position + 3]] == ["=", "ANY", "("]:
            end = _end_of_parentheses(pieces, position + 2)
            listed = [piece for piece in pieces[position + 2 : end + 1] if piece.upper() not in ("(", ")", "ARRAY")]
            if listed[:1] == ["["] and listed[-1:] == ["]"]:
                kept += ["IN", "(", *listed[1:-1], ")"]
                position = end + 1
                continue
        kept.append(pieces[position])
        position += 1
    return " ".join(kept)


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


def check_constraints(create_table: str, dialect: Dialect) -> list[tuple[str | None, str]]:
    """Return name and expression of each CHECK in a CREATE TABLE statement; SQLite has no other way to ask.

    >>> from cloudpub_models.sql.dialects import SQLITE
    >>> check_constraints("CREATE TABLE t (a INT CONSTRAINT a_check CHECK (a > 0), CHECK (a < 9))", SQLITE)
    [('a_check', 'a > 0'), (None, 'a < 9')]
    """
    found: list[tuple[str | None, str]] = []
    pieces = words(create_table, dialect)
    position = 0
    while position < len(pieces):
        end = position + 1
        if pieces[position:end] == ["check"] and pieces[end : end + 1] == ["("]:
            end = _end_of_parentheses(pieces, end)
            name = pieces[position - 1] if position >= 2 and pieces[position - 2] == "constraint" else None
            found.append((name, _normalised(pieces[position + 2 : end])))
        position = end
    return found


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
