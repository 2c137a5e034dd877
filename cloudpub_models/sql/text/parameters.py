r"""The ``@name`` parameters of raw SQL: finding them, and putting the driver's placeholders in their place.

A parameter is ``@`` and an ASCII name. It is none inside strings (``'…'``, ``E'…\'…'``, ``$tag$…$tag$``), quoted
names and comments; directly after a letter, digit, ``_`` or ``$`` (``foo@bar``); and where the ``@`` ends one of the
operators of PostgreSQL (``@@``, ``<@``, ``@-@`` …), on both databases. So ``x<@limit`` is the operator ``<@``, and
``x < @limit`` a parameter; ``x>@limit`` and ``x=@limit`` are parameters.

For: ``parse``, which tells everything that is asked of a raw statement, and ``bind``, which puts the values in order.

Not for: understanding SQL beyond its tokens, or running it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise, zip_longest
from typing import Any, NamedTuple

from cloudpub_models.errors import InvalidQueryError, InvalidValueError, ParameterError, did_you_mean
from cloudpub_models.sql.dialects import POSTGRESQL, Dialect
from cloudpub_models.sql.identifiers import check_identifier, exact, shown, surrogate_in
from cloudpub_models.sql.remembering import Remembered
from cloudpub_models.sql.text.secrets import as_named_secret, is_secret_name
from cloudpub_models.sql.text.statements import (
    command_of,
    statements_in,
    transaction_control,
    words_of,
)
from cloudpub_models.sql.text.tokens import BLANK, STRINGS, Token, tokens
from cloudpub_models.sql.values import Members, json_holds

# The operators of PostgreSQL and its common extensions that end with an @; after any other run of operator characters
# an @ begins a parameter.
_OPERATORS_ENDING_WITH_AT = frozenset(["@@", "@@@", "<@", "^@", "@-@", "~@", "?@", "^<@", "?<@", "@>@"])


class Membership(NamedTuple):
    """An ``IN`` or ``NOT IN`` directly before a parameter."""

    start: int  # where the keyword begins in the piece of text before the parameter
    negated: bool


class ParsedSql(NamedTuple):
    """SQL taken apart at its parameters, and what its tokens tell of it.

    Attributes:
        dialect: the database whose SQL it is.
        pieces: the text between the parameters; always one more than there are names.
        names: the parameters' names in order, repeated ones too.
        distinct_names: each of them once.
        memberships: for each of ``names``, whether an ``IN`` stands before it.
        driver_text: the text with the driver's placeholders. Where there are parameters and the driver wants it, every
            other ``%`` is doubled; without parameters the text stays as it is and is to be sent without any (``None``).
        command: the word that says what the first statement does, in capitals, as ``SELECT`` in ``WITH … SELECT``.
        fault: why it cannot be sent as one statement, else ``None``.
        has_semicolon: whether a statement ends in it.
        unfinished: what is still open at the end of the text (``"string"``, ``"comment"`` …), else ``None``.
        ends_in_line_comment: whether text appended on the same line would be part of a comment.
    """

    dialect: Dialect
    pieces: tuple[str, ...]
    names: tuple[str, ...]
    distinct_names: frozenset[str]
    memberships: tuple[Membership | None, ...]
    driver_text: str
    command: str
    fault: str | None
    has_semicolon: bool
    unfinished: str | None
    ends_in_line_comment: bool

    def bind(self, values: Mapping[str, Any]) -> tuple[str, tuple[Any, ...]]:
        """Return the text and the values, in order and encoded, as the driver takes them; see ``bind``."""
        names = self.names
        if values.__class__ is not dict or values.keys() != self.distinct_names:
            check_names(names, values)
        bound = []
        for name in names:
            value = values[name]
            # Only an exact tuple; named tuples and other subclasses are caught when they are encoded.
            if value.__class__ is tuple:
                return self._bind_with_tuples(values)
            bound.append(driver_value(value, name, self.dialect))
        return self.driver_text, tuple(bound)

    def _bind_with_tuples(self, values: Mapping[str, Any]) -> tuple[str, tuple[Any, ...]]:
        dialect = self.dialect
        text: list[str] = []
        driver_values: list[Any] = []
        for index, (name, membership) in enumerate(zip(self.names, self.memberships, strict=True)):
            piece, following = self.pieces[index], self.pieces[index + 1]
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
                raise ParameterError(f"expected IN or NOT IN before @{name}; got an empty tuple without it")
        text.append(_escape(self.pieces[-1], dialect))
        return "".join(text), tuple(driver_values)


def parse(sql: str, dialect: Dialect = POSTGRESQL) -> ParsedSql:
    """Return everything that is to be known of ``sql``. The last few hundred texts are remembered.

    >>> parsed = parse("SELECT * FROM users WHERE id = @id AND tags @> '@no' AND n % 2 = 0 -- @neither")
    >>> parsed.names, parsed.command
    (('id',), 'SELECT')
    >>> parsed.driver_text
    "SELECT * FROM users WHERE id = %s AND tags @> '@no' AND n %% 2 = 0 -- @neither"
    >>> parse("SELECT 1; DROP TABLE users").fault
    'expected one statement; got several: send them with batch_execute()'

    Raises:
        InvalidQueryError: when ``sql`` is not text, or text that no database takes (a NUL character, a lone surrogate).
        ParameterError: for a parameter whose name is not ASCII.
    """
    if sql.__class__ is not str:
        if not isinstance(sql, str):
            raise InvalidQueryError(f"expected SQL text; got {shown(sql)}")
        sql = exact(sql)
    return _parsed[sql, dialect]


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
    return parse(sql, dialect).bind({} if values is None else values)


def check_single_statement(sql: str, dialect: Dialect) -> None:
    """Raise ``InvalidQueryError`` for SQL that is no statement or several, or one that begins or ends a transaction.

    A definition (``CREATE …``) may hold statements of its own.

    >>> check_single_statement("SELECT 1; -- that is all", POSTGRESQL)
    >>> check_single_statement("SELECT 1; DROP TABLE users", POSTGRESQL)
    Traceback (most recent call last):
    ...
    cloudpub_models.errors.InvalidQueryError: expected one statement; got several: send them with batch_execute()
    """
    if fault := parse(sql, dialect).fault:
        raise InvalidQueryError(fault)


def check_names(names: tuple[str, ...] | frozenset[str], values: Any) -> None:
    """Raise ``ParameterError`` unless ``values`` has a value for each of ``names`` and no other."""
    if not isinstance(values, Mapping):
        raise ParameterError(f"expected the parameters as a mapping of name to value; got {shown(values)}")
    for name in names:
        if name not in values:
            raise ParameterError(f"expected a value for @{name}; got none: {_hint(name, values, 'pass')}")
    if len(values) != len(names) or len(set(names)) != len(names):
        for name in values:
            if name not in names:
                raise ParameterError(
                    f"expected every parameter in the SQL; got a value for {shown(name)} but no @{_plain(name)} in it "
                    "(outside strings and comments, and not written onto an operator or a word): "
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
        if type(value) is Members:
            encoded = dialect.encode_list(value)
        else:
            # As dialect.encode(), without the call for the types that are meant to be passed.
            encoded = dialect.encoders.get(type(value), dialect.encode)(value)
    except InvalidValueError as error:
        raise InvalidValueError(f"@{name}: {error}") from None
    return as_named_secret(encoded) if is_secret_name(name) else encoded


def _refuse_parentheses(before: str, after: str, name: str) -> None:
    if before.rstrip().endswith("(") and after.lstrip().startswith(")"):
        raise ParameterError(
            f"expected no parentheses around @{name}; got a tuple in some, which brings its own: write IN @{name}"
        )


def _escape(piece: str, dialect: Dialect) -> str:
    return piece.replace("%", "%%") if dialect.doubles_percent else piece


_UNFINISHED = {**dict.fromkeys(STRINGS, "string"), "quoted": "quoted name", "comment": "comment"}


def _parse(sql: str, dialect: Dialect) -> ParsedSql:
    _check_text(sql)
    found = tokens(sql, dialect)
    pieces: list[str] = []
    names: list[str] = []
    memberships: list[Membership | None] = []
    piece_start = 0
    before: list[Token] = []  # the last two of the piece
    for token, following in zip_longest(found, found[1:]):
        if token.kind in BLANK:
            continue
        if following is not None and following.kind == "word" and _introduces_parameter(token, sql):
            pieces.append(sql[piece_start : token.end - 1])
            memberships.append(_membership(before, piece_start) if token.text == "@" else None)
            names.append(_checked_name(following.text))
            piece_start = following.end
            before = []
        elif token.start >= piece_start:
            before = [*before[-1:], token]
    pieces.append(sql[piece_start:])
    statements = [words_of(statement) for statement in statements_in(found)]
    last = found[-1] if found else None
    return ParsedSql(
        dialect,
        tuple(pieces),
        tuple(names),
        frozenset(names),
        tuple(memberships),
        driver_text=dialect.placeholder.join([_escape(piece, dialect) for piece in pieces]) if names else sql,
        command=command_of(statements[0]).upper() if statements else "",
        fault=_fault(sql, statements, [token.text for token in found if token.kind not in BLANK]),
        has_semicolon=any(token.text == ";" for token in found),
        unfinished=None if last is None or last.finished else _UNFINISHED[last.kind],
        ends_in_line_comment=last is not None and last.kind == "line_comment",
    )


_parsed = Remembered(_parse)


def _fault(sql: str, statements: Sequence[Sequence[str]], texts: Sequence[str]) -> str | None:
    if not statements:
        return f"expected a statement; got {shown(sql)}"
    # PostgreSQL's driver gives the result of the last one, also where that is empty.
    if len(statements) > 1 or texts[0] == ";" or (";", ";") in pairwise(texts):
        return "expected one statement; got several: send them with batch_execute()"
    if control := transaction_control(statements[0]):
        return f"expected a statement that leaves transactions alone; got {control}: use transaction()"
    return None


def _introduces_parameter(token: Token, sql: str) -> bool:
    if token.kind != "operator" or not token.text.endswith("@") or token.text in _OPERATORS_ENDING_WITH_AT:
        return False
    before = sql[token.start - 1] if token.start and token.text == "@" else " "
    return not (before.isalnum() or before in "_$" or before > "\x7f")


def _membership(before: Sequence[Token], piece_start: int) -> Membership | None:
    words = words_of(before)
    if words[-1:] != ["in"]:
        return None
    negated = words[0] == "not"
    return Membership(before[0 if negated else -1].start - piece_start, negated)


def _checked_name(name: str) -> str:
    try:
        return check_identifier(name, "parameter")
    except InvalidQueryError as error:
        raise ParameterError(str(error)) from None


def _check_text(sql: str) -> None:
    if "\0" in sql:
        raise InvalidQueryError(f"expected SQL text; got one with a NUL character at position {sql.index(chr(0))}")
    if (position := surrogate_in(sql)) is not None:
        raise InvalidQueryError(f"expected SQL text; got one with a lone surrogate at position {position}")
