r"""The tokens of SQL that a person wrote: the one place that knows where strings, names and comments end.

Tokens follow each other without a gap, so that their texts together are the text. Nothing is understood beyond them; a
text that no database would take has tokens too.

PostgreSQL's reading is its scanner's. Strings of one kind that follow each other with a line's end between them, be it
behind a comment, are one string, and the ``E`` in front is true of all of it::

    E'a' -- a comment
    'b\'c'

SECURITY: a backslash in ``'…'`` without the ``E`` is taken for an ordinary character, which it is while the server's
``standard_conforming_strings`` is on. With the setting off, ``'\''; …`` would end elsewhere than is said here, and what
is told from tokens (is it one statement? does it destroy data?) could be wrong. So connections must keep it on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache, partial
from typing import NamedTuple

from cloudpub_models.sql.dialects import Dialect

BLANK = frozenset({"space", "comment", "line_comment"})
STRINGS = frozenset({"string", "escape_string", "dollar"})
# What may be a name; a word may be a keyword as well.
NAMES = frozenset({"word", "quoted"})

_ENDED_BY_A_QUOTE = frozenset({"string", "escape_string", "quoted"})


class Token(NamedTuple):
    """A piece of SQL.

    Attributes:
        kind: ``space``, ``comment``, ``line_comment``, ``string``, ``escape_string``, ``dollar``, ``quoted`` (a name in
            quotes), ``word``, ``number``, ``operator`` (as many of their characters as stand together) or
            ``punctuation``.
        text: the piece.
        start: where it begins.
        finished: whether it has its end; only the last token of a text may lack it.
    """

    kind: str
    text: str
    start: int
    finished: bool = True

    @property
    def end(self) -> int:
        """Where the next one begins."""
        return self.start + len(self.text)

    @property
    def name(self) -> str:
        """A word in lower case, a quoted name without its quotes, any other token as it is.

        >>> from cloudpub_models.sql.dialects import POSTGRESQL
        >>> [token.name for token in tokens('DROP "Old""s"', POSTGRESQL)]
        ['drop', ' ', 'Old"s']
        """
        if self.kind == "word":
            return self.text.lower()
        if self.kind != "quoted":
            return self.text
        opening = self.text[2 if self.text[0] in "uU" else 0]
        inner = self.text[self.text.index(opening) + 1 : -1 if self.finished else None]
        return inner.replace(opening * 2, opening)


# A token from its values, without the constructor, which is written in Python and would take most of the time.
_token = partial(tuple.__new__, Token)


def tokens(sql: str, dialect: Dialect) -> list[Token]:
    r"""Return the tokens of a text, in linear time.

    >>> from cloudpub_models.sql.dialects import POSTGRESQL
    >>> [token.text for token in tokens(r"a=E'\'' -- b", POSTGRESQL)]
    ['a', '=', "E'\\''", ' ', '-- b']
    """
    match_at = _pattern(dialect).match
    found: list[Token] = []
    position = 0
    while match := match_at(sql, position):
        start, position, kind, finished = position, match.end(), match.lastgroup, True
        if kind in _ENDED_BY_A_QUOTE:
            finished = match[f"{kind}_end"] != ""
        elif kind == "comment":
            position, finished = _end_of_comment(sql, position, dialect)
        elif kind == "dollar":
            end = sql.find(match[0], position)
            position, finished = (len(sql), False) if end < 0 else (end + len(match[0]), True)
        found.append(_token((kind, sql[start:position], start, finished)))
    return found


def code(found: Iterable[Token]) -> list[Token]:
    """Return those tokens that are neither spaces nor comments.

    >>> from cloudpub_models.sql.dialects import SQLITE
    >>> [token.text for token in code(tokens("SELECT /* one */ 1", SQLITE))]
    ['SELECT', '1']
    """
    return [token for token in found if token.kind not in BLANK]


@cache
def _pattern(dialect: Dialect) -> re.Pattern[str]:
    # Compiled when first needed, as all patterns here: doing it on import would cost as much as importing a module.
    # Possessive quantifiers (*+) throughout: a token is never given up to try another reading, so time is linear.
    # Names have every character beyond ASCII, those that Python takes for spaces too.
    first, digit = r"A-Za-z_\x80-\U0010ffff", "0-9"
    line_end = r"\n\r" if dialect.carriage_return_ends_line else r"\n"
    line_comment = f"--[^{line_end}]*+"
    # In X'…' a quote is never doubled.
    string, bits, prefix = "'(?:[^']++|'')*+", "'[^']*+", ""
    alternatives = [("space", r"[ \t\n\r\f\v]++"), ("line_comment", line_comment), ("comment", r"/\*")]
    if dialect.prefixed_strings:
        between = rf"(?:[ \t\f\v]++|{line_comment})*+[\n\r](?:[ \t\n\r\f\v]++|{line_comment}[\n\r])*+"
        escaping = r"'(?:[^'\\]++|\\(?:.|\Z)|'')*+"
        alternatives.append(("escape_string", rf"[eE]{escaping}(?:'{between}{escaping})*+(?P<escape_string_end>'?)"))
        string, bits = f"{string}(?:'{between}{string})*+", f"{bits}(?:'{between}{bits})*+"
        prefix = "(?:[uU]&)?"
    if dialect.dollar_quotes:
        alternatives.append(("dollar", rf"\$(?:[{first}][{first}{digit}]*+)?+\$"))
    # Behind a name is either its own end or that of the text, whichever quotes it has.
    marks = [r"\[[^]]*+" if mark == "[" else f"{mark}(?:[^{mark}]++|{mark}{mark})*+" for mark in dialect.name_quotes]
    alternatives += [
        ("string", f"(?:[{'bBxX' if prefix else 'xX'}]{bits}|{prefix}{string})(?P<string_end>'?)"),
        ("quoted", rf'{prefix}(?:{"|".join(marks)})(?P<quoted_end>["`\]]?)'),
        ("word", f"[{first}][{first}{digit}$]*+"),
        # PostgreSQL refuses letters directly behind a number, and SQLite them and a dollar.
        ("number", rf"0[xX][{first}{digit}]*+|\.?[{digit}](?:[eE][+-][{digit}]|[{first}{digit}.])*+"),
        ("operator", r"(?:(?!--|/\*)[+\-*/<>=~!@#%^&|?`])++"),
        ("punctuation", "::|."),
    ]
    return re.compile("|".join([f"(?P<{kind}>{pattern})" for kind, pattern in alternatives]), re.DOTALL)


def _end_of_comment(sql: str, position: int, dialect: Dialect) -> tuple[int, bool]:
    """Return where a comment ends whose beginning is before ``position``, and whether it does."""
    depth = 1
    while mark := _comment_mark().search(sql, position):
        position = mark.end()
        if mark[0] == "*/":
            depth -= 1
        elif dialect.nested_comments:
            depth += 1
        else:
            position -= 1  # in SQLite, "/*/" inside a comment ends it
        if depth == 0:
            return position, True
    return len(sql), False


@cache
def _comment_mark() -> re.Pattern[str]:
    return re.compile(r"/\*|\*/")
