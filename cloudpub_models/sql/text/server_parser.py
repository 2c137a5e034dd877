"""What PostgreSQL's own parser tells of a person's text, where the extra ``plan`` has brought it (pglast).

That the server will refuse a text, and which statements the code of a ``DO`` has: neither is seen by tokens. Where the
parser is not installed, what tokens tell has to do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from cloudpub_models.sql.dialects import POSTGRESQL
from cloudpub_models.sql.text.statements import Aftermath, aftermaths
from cloudpub_models.sql.text.tokens import tokens

# Statements of PL/pgSQL that run nothing but the expressions, the SQL and the statements which are in them.
_PLAIN = frozenset(
    {"assign", "block", "case", "execsql", "exit", "fori", "fors", "foreach_a", "getdiag", "if", "loop", "raise"}
    | {"return", "while", "assert"}
)
_STATEMENT = "PLpgSQL_stmt_"


class Code(NamedTuple):
    """The code of a ``DO``.

    Attributes:
        statements: the SQL statements in it, each as it stands there.
        is_whole: whether they are all that it runs; otherwise it calls functions, or makes statements as it runs.
    """

    statements: tuple[str, ...]
    is_whole: bool


class ServerParser:
    """PostgreSQL's parser, of one version."""

    def __init__(self, pglast: Any) -> None:
        self._pglast = pglast

    @property
    def version(self) -> int:
        """The version of PostgreSQL that it is of."""
        return int(self._pglast.get_postgresql_version()[0])

    def refusal(self, sql: str) -> str | None:
        """Return why the server will not take a text, be it several statements; None where it reads it.

        Args:
            sql: the text, with the driver's placeholders or without.
        """
        with_places = _with_places(sql)
        first = self._refusal(sql)
        return first if with_places == sql or first is None else self._refusal(with_places)

    def _refusal(self, sql: str) -> str | None:
        try:
            self._pglast.parse_sql(sql)
        except self._pglast.parser.ParseError as error:
            return str(error.args[0])
        return None

    def code_of(self, statement: str) -> Code | None:
        """Return the code of a ``DO``; None where it is not in PL/pgSQL, or cannot be read.

        Args:
            statement: the whole statement.
        """
        try:
            (function,) = self._pglast.parse_plpgsql(statement)
        except (self._pglast.parser.ParseError, json.JSONDecodeError, ValueError):
            return None
        action = function["PLpgSQL_function"].get("action")
        if action is None:
            return None
        sql: list[str] = []
        is_whole = True
        for name, node in _nodes(action):
            kind = name.removeprefix(_STATEMENT)
            if kind == "execsql":
                sql.append(node["sqlstmt"]["PLpgSQL_expr"]["query"])
            elif name == "PLpgSQL_expr":
                # A query or an expression, which may call a function that does anything.
                calls_nothing = aftermaths[f"SELECT {node['query']}", POSTGRESQL] is Aftermath.NONE
                is_whole = is_whole and (calls_nothing or node["query"] in sql)
            elif name.startswith(_STATEMENT):
                is_whole = is_whole and kind in _PLAIN
        return Code(tuple(sql), is_whole)


@cache
def installed_parser() -> ServerParser | None:
    """Return the parser, or None where it is not installed."""
    try:
        import pglast
    except ImportError:
        return None
    return ServerParser(pglast)


def _nodes(tree: Any) -> Iterator[tuple[str, Any]]:
    """Yield the nodes of the parser's tree by their names, each before those below it."""
    if isinstance(tree, list):
        for each in tree:
            yield from _nodes(each)
    elif isinstance(tree, dict):
        for name, below in tree.items():
            if isinstance(below, dict):
                yield name, below
            yield from _nodes(below)


def _with_places(sql: str) -> str:
    """Return a text with PostgreSQL's places for values instead of the driver's, which the parser does not know."""
    written = [""]
    for token in tokens(sql, POSTGRESQL):
        if token.text == "s" and written[-1].endswith("%"):
            written[-1] = f"{written[-1][:-1]}$1"
        else:
            written.append(token.text.replace("%%", "%") if token.kind == "operator" else token.text)
    return "".join(written)
