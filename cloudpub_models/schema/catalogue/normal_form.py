"""SQL expressions in a form in which two spellings of the same one are equal.

A database gives a default or a check back in words of its own: ``role IN ('a')`` becomes
``((role)::text = ANY (ARRAY['a'::character varying]::text[]))``. Comparing needs one form for both. This is a
comparison aid and no parser: parentheses are dropped, so two checks that differ in nothing else count as equal.
"""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"""(?P<blank>\s+|--[^\n]*|/\*.*?\*/)
    |(?P<string>'(?:[^']|'')*')
    |(?P<quoted>"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[A-Za-z_]\w*\])
    |(?P<word>[A-Za-z_][\w$]*)
    |(?P<number>\d+(?:\.\d+)?)
    |(?P<symbol>::|\|\||<=|>=|<>|!=|.)""",
    re.VERBOSE | re.DOTALL,
)
# What is no code of the statement: strings, names in quotes, comments, and bodies in dollar quotes.
_OPAQUE = re.compile(
    r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|(?P<comment>--[^\n]*|/\*.*?\*/)|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$", re.DOTALL
)
# Type names of more than one word, by their first.
_LONG_TYPES = {
    "character": ("varying",),
    "double": ("precision",),
    "timestamp": ("with", "without", "time", "zone"),
    "time": ("with", "without", "time", "zone"),
}
_SAME = {"current_timestamp": "now", "'UTC'": "'utc'", "!=": "<>"}


def tokens(text: str) -> list[str]:
    """Return the tokens of SQL text: words in lower case, quoted names without quotes, strings as they are.

    >>> tokens("CHECK (\\"Role\\" IN ('a', 'B'))")
    ['check', '(', 'Role', 'in', '(', "'a'", ',', "'B'", ')', ')']
    """
    found = []
    for match in _TOKEN.finditer(text):
        kind, token = match.lastgroup, match.group()
        if kind == "quoted":
            found.append(token[1:-1].replace(token[0] * 2, token[0]))
        elif kind == "word":
            found.append(token.lower())
        elif kind != "blank":
            found.append(token)
    return found


def without_bodies(sql: str) -> str:
    """Return SQL text with an empty string for each body in dollar quotes.

    >>> without_bodies("DO $$ BEGIN DROP TABLE a; END $$; -- $$")
    "DO ''; -- $$"
    """
    return _OPAQUE.sub(lambda match: match[0] if match["tag"] is None else "''", sql)


def terminated(sql: str) -> str:
    """Return a statement with a semicolon at its end, before the comments behind it.

    >>> terminated("SELECT 1 -- one;")
    'SELECT 1; -- one;'
    >>> terminated("SELECT 1;\\n")
    'SELECT 1;'
    """
    text = sql.strip()
    blanked = _OPAQUE.sub(lambda match: (" " if match["comment"] else "x") * len(match[0]), text).rstrip()
    return text if blanked.endswith(";") else f"{text[: len(blanked)]};{text[len(blanked) :]}"


def normalised(expression: str) -> str:
    """Return an expression in its form for comparison.

    >>> normalised("((role)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[]))")
    "role in 'a' , 'b'"
    >>> normalised("role IN ('a', 'b')")
    "role in 'a' , 'b'"
    >>> normalised("(now() AT TIME ZONE 'UTC'::text)") == normalised("timezone('utc'::text, now())")
    True
    """
    plain = [_SAME.get(token, token) for token in _without_casts(tokens(expression)) if token not in ("(", ")")]
    text = " ".join(plain)
    text = re.sub(r"= any array \[ (.*?) \]", r"in \1", text)
    return re.sub(r"^(\S+) at time zone (\S+)$", r"timezone \2 , \1", text)


def normalised_statement(statement: str) -> str:
    """Return a CREATE TRIGGER statement in its form for comparison: without schema names and OR REPLACE."""
    text = " ".join(token for token in tokens(statement) if token not in ("(", ")", ";"))
    text = re.sub(r"^create or replace ", "create ", text)
    text = re.sub(r"^create trigger if not exists ", "create trigger ", text)
    return re.sub(r" (on|function) \w+ \. ", r" \1 ", text)


def check_constraints(create_table: str) -> list[tuple[str | None, str]]:
    """Return name and expression of each CHECK in a CREATE TABLE statement; SQLite has no other way to ask.

    >>> check_constraints("CREATE TABLE t (a INT CONSTRAINT a_check CHECK (a > 0), CHECK (a < 9))")
    [('a_check', 'a > 0'), (None, 'a < 9')]
    """
    found = []
    pieces = tokens(create_table)
    for position, token in enumerate(pieces):
        if token != "check" or pieces[position + 1 : position + 2] != ["("]:
            continue
        depth, end = 0, position + 1
        while end < len(pieces):
            depth += {"(": 1, ")": -1}.get(pieces[end], 0)
            if depth == 0:
                break
            end += 1
        name = pieces[position - 1] if position >= 2 and pieces[position - 2] == "constraint" else None
        found.append((name, normalised(" ".join(pieces[position + 2 : end]))))
    return found


def index_keys(create_index: str) -> tuple[str, ...]:
    """Return what a CREATE INDEX statement is over: columns, and expressions in their form for comparison.

    >>> index_keys('CREATE INDEX "i" ON "users" (LOWER("email"), "id")')
    ('lower email', 'id')
    """
    pieces = tokens(create_index)
    keys, depth = [""], 0
    for token in pieces[pieces.index("(") :]:
        depth += {"(": 1, ")": -1}.get(token, 0)
        if depth == 0:
            break
        if token == "," and depth == 1:
            keys.append("")
        else:
            keys[-1] += f" {token}"
    return tuple(normalised(key) for key in keys)


def _without_casts(pieces: list[str]) -> list[str]:
    kept: list[str] = []
    position = 0
    while position < len(pieces):
        if pieces[position] != "::":
            kept.append(pieces[position])
            position += 1
            continue
        first = pieces[position + 1]
        position += 2
        while position < len(pieces) and pieces[position] in _LONG_TYPES.get(first, ()):
            position += 1
        if pieces[position : position + 1] == ["("]:
            position = pieces.index(")", position) + 1
        while pieces[position : position + 2] == ["[", "]"]:
            position += 2
    return kept
