r"""The ``@name`` parameters of raw SQL: finding them, and putting the driver's placeholders in their place.

A parameter is ``@`` and an ASCII name. It is none inside strings (``'…'``, ``E'…\'…'``, ``$tag$…$tag$``), quoted
names and comments; directly after a letter, digit, ``_`` or ``$`` (``foo@bar``); and where the ``@`` ends one of the
operators of PostgreSQL (``@@``, ``<@``, ``@-@`` …), on both databases. So ``x<@limit`` is the operator ``<@``, and
``x < @limit`` a parameter; ``x>@limit`` and ``x=@limit`` are parameters.

For: `parse`, which finds them, `driver_text`, and `bind`, which also puts the values in order.

Not for: understanding SQL beyond its tokens, or running it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any, Literal

from cloudpub_models.errors import InvalidQueryError, InvalidValueError, ParameterError, did_you_mean
from cloudpub_models.sql.dialects import POSTGRESQL, Dialect
from cloudpub_models.sql.identifiers import check_identifier, exact, shown, surrogate_in
from cloudpub_models.sql.nodes.records import Record
from cloudpub_models.sql.remembering import remembered_by_text
from cloudpub_models.sql.text.secrets import as_named_secret, is_secret_name
from cloudpub_models.sql.values import Members, json_holds

# The operators of PostgreSQL and its common extensions that end with an @; after any other run of operator characters
# an @ begins a parameter.
_OPERATORS_ENDING_WITH_AT = frozenset(["@@", "@@@", "<@", "^@", "@-@", "~@", "?@", "^<@", "?<@", "@>@"])


class Membership(Record):
    """An ``IN`` or ``NOT IN`` directly before a parameter."""

    start: int  # where the keyword begins in the piece of text before the parameter
    negated: bool


class ParsedSql(Record):
    """SQL taken apart at its parameters.

    Attributes:
        pieces: the text between the parameters; always one more than there are names.
        names: the parameters' names in order, repeated ones too.
        memberships: for each of `names`, whether an ``IN`` stands before it.
        unfinished: what is still open at the end of the text (``"string"``, ``"comment"`` …), else `None`.
        ends_in_line_comment: whether text appended on the same line would be part of a comment.
        first_words: the first two words, in capitals.
        several: whether there is anything but comments behind a semicolon.
    """

    pieces: tuple[str, ...]
    names: tuple[str, ...]
    memberships: tuple[Membership | None, ...]
    unfinished: str | None = None
    ends_in_line_comment: bool = False
    first_words: tuple[str, ...] = ()
    several: bool = False


def parse(sql: str, dialect: Dialect = POSTGRESQL) -> ParsedSql:
    """Return `sql` taken apart at its ``@name`` parameters. The last few hundred texts are remembered.

    >>> parse("SELECT * FROM users WHERE id = @id AND tags @> '@no' -- @neither").names
    ('id',)

    Raises:
        InvalidQueryError: when `sql` is not text, or text that no database takes (a NUL character, a lone surrogate).
        ParameterError: for a parameter whose name is not ASCII.
    """
    if not isinstance(sql, str):
        raise InvalidQueryError(f"expected SQL text, got {shown(sql)}")
    return _parsed(exact(sql), dialect)


def driver_text(sql: str, dialect: Dialect) -> tuple[str, tuple[str, ...]]:
    """Return `sql` with the driver's placeholders, and the names of the parameters in their order.

    Where there are parameters and the driver wants it, every other ``%`` is doubled; without parameters the text stays
    as it is and has to be sent without any (`None`).

    >>> driver_text("SELECT 5 % 2 FROM users WHERE id = @id", POSTGRESQL)
    ('SELECT 5 %% 2 FROM users WHERE id = %s', ('id',))
    """
    if not isinstance(sql, str):
        raise InvalidQueryError(f"expected SQL text, got {shown(sql)}")
    return _driver_text(exact(sql), dialect)


def bind(sql: str, values: Mapping[str, Any] | None, dialect: Dialect) -> tuple[str, tuple[Any, ...]]:
    """Return the text and the values, in order and encoded, as the driver takes them.

    A tuple is the members of ``IN @name``; a list or dict is JSON.

    >>> from cloudpub_models.sql.dialects import SQLITE
    >>> bind("SELECT * FROM users WHERE id = @id", {"id": 5}, SQLITE)
    ('SELECT * FROM users WHERE id = ?', (5,))
    >>> bind("SELECT * FROM users WHERE id IN @ids", {"ids": (1, 2)}, POSTGRESQL)
    ('SELECT * FROM users WHERE id IN (%s, %s)', (1, 2))

    Raises:
        ParameterError: for a name without a value and a value without a name.
        InvalidValueError: for a value that no column can hold.
    """
    text, names = driver_text(sql, dialect)
    if values is None:
        values = {}
    check_names(names, values)
    if not names:
        return text, ()
    # Only an exact tuple takes the slow way; named tuples and other subclasses are caught when they are encoded.
    for name in names:
        if type(values[name]) is tuple:
            return _bind_with_tuples(parse(sql, dialect), values, dialect)
    return text, tuple([driver_value(values[name], name, dialect) for name in names])


_TRANSACTION_CONTROL = frozenset(
    {"BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE", "PREPARE TRANSACTION"}
)


def check_single_statement(sql: str, dialect: Dialect) -> None:
    """Raise `InvalidQueryError` for SQL that is no statement or several, or one that begins or ends a transaction.

    A definition (``CREATE …``) may hold statements of its own.

    >>> check_single_statement("SELECT 1; -- that is all", POSTGRESQL)
    >>> check_single_statement("SELECT 1; DROP TABLE users", POSTGRESQL)
    Traceback (most recent call last):
    ...
    cloudpub_models.errors.InvalidQueryError: expected one statement, got several; send them with batch_execute()
    """
    parsed = parse(sql, dialect)
    if not parsed.first_words:
        raise InvalidQueryError(f"expected a statement, got {shown(sql)}")
    if parsed.several and parsed.first_words[:1] != ("CREATE",):
        raise InvalidQueryError("expected one statement, got several; send them with batch_execute()")
    for words in (parsed.first_words[:1], parsed.first_words):
        if " ".join(words) in _TRANSACTION_CONTROL:
            raise InvalidQueryError(
                f"expected a statement that leaves transactions alone, got {' '.join(words)}; use transaction()"
            )


def changes_session(sql: str, dialect: Dialect) -> bool:
    """Return whether a statement leaves something behind in the session that sent it: a setting, a temporary table.

    >>> changes_session("SET search_path = audit", POSTGRESQL), changes_session("SELECT 1", POSTGRESQL)
    (True, False)
    """
    words = parse(sql, dialect).first_words
    return words[:1] in _SESSION_COMMANDS or words in _SESSION_COMMANDS


_SESSION_COMMANDS = frozenset(
    {("SET",), ("RESET",), ("LISTEN",), ("LOAD",), ("PREPARE",), ("DECLARE",)}
    | {("CREATE", "TEMP"), ("CREATE", "TEMPORARY"), ("CREATE", "LOCAL")}
)


def check_names(names: tuple[str, ...] | frozenset[str], values: Any) -> None:
    """Raise `ParameterError` unless `values` has a value for each of `names` and no other."""
    if not isinstance(values, Mapping):
        raise ParameterError(f"expected the parameters as a mapping of name to value, got {shown(values)}")
    for name in names:
        if name not in values:
            raise ParameterError(f"expected a value for @{name}, got none; {_hint(name, values, 'pass')}")
    if len(values) != len(names) or len(set(names)) != len(names):
        for name in values:
            if name not in names:
                raise ParameterError(
                    f"expected every parameter in the SQL, got a value for {shown(name)} but no @{_plain(name)} in it "
                    "(outside strings and comments, and not written onto an operator or a word); "
                    f"{_hint(name, names, 'write')}"
                )


def _plain(name: Any) -> str:
    return exact(name)[:60] if isinstance(name, str) else "name"


def _hint(name: Any, known: Any, verb: str) -> str:
    # Long names and long lists of them would make a message that nobody reads.
    candidates = [exact(candidate) for candidate in known if isinstance(candidate, str) and len(candidate) <= 63][:20]
    if not candidates or not isinstance(name, str):
        return f"{verb} it" if verb == "pass" else "leave it out, or use it"
    return did_you_mean(exact(name), candidates)


def driver_value(value: Any, name: str, dialect: Dialect) -> Any:
    """Return the value of the parameter ``@name`` as a database's driver takes it; the members of an IN list as one.

    Raises:
        InvalidValueError: for a value that no column can hold; it names the parameter.
    """
    try:
        encoded = dialect.encode_list(value) if type(value) is Members else dialect.encode(value)
    except InvalidValueError as error:
        raise InvalidValueError(f"@{name}: {error}") from None
    return as_named_secret(encoded) if is_secret_name(name) else encoded


def _bind_with_tuples(parsed: ParsedSql, values: Mapping[str, Any], dialect: Dialect) -> tuple[str, tuple[Any, ...]]:
    text: list[str] = []
    driver_values: list[Any] = []
    for index, (name, membership) in enumerate(zip(parsed.names, parsed.memberships, strict=True)):
        piece, following = parsed.pieces[index], parsed.pieces[index + 1]
        value = values[name]
        if type(value) is not tuple:
            text += [_escape(piece, dialect), dialect.placeholder]
            driver_values.append(driver_value(value, name, dialect))
        elif value:
            _refuse_parentheses(piece, following, name)
            members = [driver_value(member, name, dialect) for member in value]
            if membership is not None and dialect.member_query and all(map(json_holds, members)):
                text += [_escape(piece, dialect), dialect.member_query]
                packed = dialect.pack_members(members)
                driver_values.append(as_named_secret(packed) if is_secret_name(name) else packed)
            else:
                text += [_escape(piece, dialect), "(" + ", ".join([dialect.placeholder] * len(value)) + ")"]
                driver_values += members
        elif membership is not None:
            # `IN ()` is an error on PostgreSQL, and no subquery is empty there without having the wrong type.
            text += [
                _escape(piece[: membership.start], dialect),
                dialect.empty_not_in if membership.negated else dialect.empty_in,
            ]
        else:
            raise ParameterError(f"expected IN or NOT IN before @{name}, whose value is an empty tuple")
    text.append(_escape(parsed.pieces[-1], dialect))
    return "".join(text), tuple(driver_values)


def _refuse_parentheses(before: str, after: str, name: str) -> None:
    if before.rstrip().endswith("(") and after.lstrip().startswith(")"):
        raise ParameterError(
            f"expected no parentheses around @{name}, whose value is a tuple and brings its own; write IN @{name}"
        )


def _escape(piece: str, dialect: Dialect) -> str:
    return piece.replace("%", "%%") if dialect.doubles_percent else piece


@remembered_by_text
def _driver_text(sql: str, dialect: Dialect) -> tuple[str, tuple[str, ...]]:
    parsed = _parse(sql, dialect)
    if not parsed.names:
        return sql, ()
    return dialect.placeholder.join([_escape(piece, dialect) for piece in parsed.pieces]), parsed.names


# ---------------------------------------------------------------------------------------------------------------------
# The tokenizer. One pattern per database finds the next token that matters; what lies between is left alone.


@lru_cache(maxsize=2)
def token_pattern(dialect: Dialect) -> re.Pattern[str]:
    """Return what matches the next token of a database's SQL, in a group named after its kind."""
    # Possessive quantifiers (*+) throughout: a token is never given up to try another reading, so time is linear.
    line_end = r"\r\n" if dialect.carriage_return_ends_line else r"\n"
    alternatives = [
        ("line_comment", rf"--[^{line_end}]*+"),
        ("comment", r"/\*"),
        ("string", r"'(?:[^']++|'')*+(?P<string_end>'?)"),
        ("quoted", r'"(?:[^"]++|"")*+(?P<quoted_end>"?)'),
    ]
    if dialect.backslash_strings:
        # Strings that follow each other on separate lines are one string, and the E is true of all of it.
        body = r"'(?:[^'\\]++|\\.|'')*+"
        between = r"[ \t\f\v]*+[\r\n](?:\s++|--[^\r\n]*+[\r\n])*+"
        alternatives.append(("escape_string", rf"[eE]{body}(?:'{between}{body})*+(?P<escape_string_end>'?)"))
    if dialect.dollar_quotes:
        alternatives.append(("dollar", r"\$(?P<tag>(?:[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_\x80-\U0010ffff]*+)?+)\$"))
    if dialect.backtick_names:
        alternatives.append(("backtick", r"`(?:[^`]++|``)*+(?P<backtick_end>`?)"))
    if dialect.bracket_names:
        alternatives.append(("bracket", r"\[[^\]]*+(?P<bracket_end>\]?)"))
    alternatives += [
        ("word", r"[A-Za-z0-9_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*+"),
        ("operator", r"(?:(?!--|/\*)[+\-*/<>=~!@#%^&|?])++"),
        ("other", r"\S"),
    ]
    return re.compile("|".join([f"(?P<{name}>{pattern})" for name, pattern in alternatives]), re.DOTALL)


@cache
def _parameter_name() -> re.Pattern[str]:
    # Compiled when first needed, as all patterns here: doing it on import would cost as much as importing a module.
    return re.compile(r"[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*+")


@cache
def _comment_mark() -> re.Pattern[str]:
    return re.compile(r"/\*|\*/")


def _parse(sql: str, dialect: Dialect) -> ParsedSql:
    _check_text(sql)
    search = token_pattern(dialect).search
    pieces: list[str] = []
    names: list[str] = []
    memberships: list[Membership | None] = []
    unfinished: str | None = None
    last_kind: str | None = None
    piece_start = position = 0
    # The words IN and NOT IN matter only directly before a parameter: where the last word and the one before it began.
    in_start: int | None = None
    not_start: int | None = None
    negated = False
    first_words: list[str] = []
    after_semicolon = several = False
    while token := search(sql, position):
        last_kind = kind = token.lastgroup or ""
        position = token.end()
        if kind == "comment":
            position, finished = end_of_comment(sql, position, dialect)
            unfinished = None if finished else "comment"
            continue
        if kind == "line_comment":
            continue
        several = several or after_semicolon
        after_semicolon = after_semicolon or token.group() == ";"
        if kind == "word" and len(first_words) < 2:
            first_words.append(token.group().upper())
        if kind == "operator" and (name_match := _parameter_after(token, sql)) is not None:
            name = _checked_name(name_match.group())
            pieces.append(sql[piece_start : token.end() - 1])
            names.append(name)
            alone = token.group() == "@"
            memberships.append(Membership(in_start - piece_start, negated) if alone and in_start is not None else None)
            piece_start = position = name_match.end()
            in_start = not_start = None
            continue
        word = token.group().upper() if kind == "word" and position - token.start() <= 3 else ""
        negated = word == "IN" and not_start is not None
        in_start = (not_start if negated else token.start()) if word == "IN" else None
        not_start = token.start() if word == "NOT" else None
        if kind == "dollar":
            end = sql.find(token.group(), position)
            unfinished, position = ("string", len(sql)) if end < 0 else (None, end + len(token.group()))
        elif kind in _CLOSING and not token.group(f"{kind}_end"):
            unfinished = _CLOSING[kind]
    pieces.append(sql[piece_start:])
    return ParsedSql(
        tuple(pieces),
        tuple(names),
        tuple(memberships),
        unfinished,
        ends_in_line_comment=last_kind == "line_comment" and position == len(sql),
        first_words=tuple(first_words),
        several=several,
    )


_parsed = remembered_by_text(_parse)

_CLOSING: dict[str, Literal["string", "quoted name"]] = {
    "string": "string",
    "escape_string": "string",
    "quoted": "quoted name",
    "backtick": "quoted name",
    "bracket": "quoted name",
}


def _parameter_after(operator: re.Match[str], sql: str) -> re.Match[str] | None:
    run, start = operator.group(), operator.start()
    if not run.endswith("@") or run in _OPERATORS_ENDING_WITH_AT:
        return None
    if run == "@" and start and (sql[start - 1].isalnum() or sql[start - 1] in "_$" or sql[start - 1] > "\x7f"):
        return None
    return _parameter_name().match(sql, operator.end())


def _checked_name(name: str) -> str:
    try:
        return check_identifier(name, "parameter")
    except InvalidQueryError as error:
        raise ParameterError(str(error)) from None


def end_of_comment(sql: str, position: int, dialect: Dialect) -> tuple[int, bool]:
    """Return where a comment ends whose beginning is before ``position``, and whether it does."""
    depth = 1
    while mark := _comment_mark().search(sql, position):
        position = mark.end()
        if mark.group() == "*/":
            depth -= 1
        elif dialect.nested_comments:
            depth += 1
        else:
            position -= 1  # in SQLite, "/*/" inside a comment ends it
        if depth == 0:
            return position, True
    return len(sql), False


def _check_text(sql: str) -> None:
    if "\0" in sql:
        raise InvalidQueryError(f"expected SQL text, got one with a NUL character at position {sql.index(chr(0))}")
    if (position := surrogate_in(sql)) is not None:
        raise InvalidQueryError(f"expected SQL text, got one with a lone surrogate at position {position}")
