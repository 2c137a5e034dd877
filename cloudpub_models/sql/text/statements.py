"""What is told of a person's statements from their tokens alone: where each ends, what it does, what it leaves behind.

Its words are in lower case; names in quotes keep a pair of double quotes, so that none is taken for a keyword.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from cloudpub_models.sql.text.tokens import Token, code

# Whose definitions may hold statements of their own.
WITH_STATEMENTS_INSIDE = frozenset({"function", "procedure", "trigger", "rule", "aggregate"})

_MODIFIERS = frozenset({"or", "replace", "temp", "temporary", "unlogged", "global", "local", "constraint", "unique"})
_QUERIES = frozenset({"select", "insert", "replace", "update", "delete", "merge", "values", "table"})
_OPTIONS_OF_EXPLAIN = frozenset({"analyze", "analyse", "verbose", "query", "plan"})
_TRANSACTION_CONTROL = frozenset(
    {"begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release", "prepare transaction"}
)
# The code that DO and CALL run cannot be looked into.
_SESSION_COMMANDS = frozenset(
    {"set", "reset", "listen", "unlisten", "load", "prepare", "deallocate", "declare", "discard", "do", "call"}
)
_ENDS_WITH_THE_TRANSACTION = frozenset({"set local", "set transaction", "set constraints"})
_SESSION_FUNCTIONS = frozenset({"set_config", "setseed", "dblink_connect", "dblink_connect_u"})
_TEMPORARY = frozenset({"temp", "temporary"})


def words_of(found: Iterable[Token]) -> list[str]:
    """Return tokens as words.

    >>> from cloudpub_models.sql.dialects import SQLITE
    >>> from cloudpub_models.sql.text.tokens import code, tokens
    >>> words_of(code(tokens("DROP TABLE [Order]", SQLITE)))
    ['drop', 'table', '"Order"']
    """
    return [f'"{token.name}"' if token.kind == "quoted" else token.name for token in found]


def plain(word: str) -> str:
    """Return a word without the quotes of a name.

    >>> plain('"Order"'), plain("users")
    ('Order', 'users')
    """
    return word[1:-1] if word.startswith('"') else word


def statements_in(found: Iterable[Token]) -> list[list[Token]]:
    """Return the statements of a text, each as its tokens without spaces, comments and the semicolon behind it.

    Statements inside a definition belong to it: between ``BEGIN`` and ``END`` of a trigger, ``BEGIN ATOMIC`` and
    ``END`` of a function, in the parentheses of a rule. Where such a body seems not to end, every semicolon ends a
    statement: rather too many than one that nobody sees.

    >>> from cloudpub_models.sql.dialects import SQLITE
    >>> from cloudpub_models.sql.text.tokens import tokens
    >>> text = "CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM b; END; DROP TABLE a;"
    >>> [statement[0].text for statement in statements_in(tokens(text, SQLITE))]
    ['CREATE', 'DROP']
    """
    pieces = code(found)
    ends = _ends(words_of(pieces))
    if ends is None:
        ends = [position for position, token in enumerate(pieces) if token.text == ";"]
    starts = [0, *[end + 1 for end in ends]]
    return [pieces[start:end] for start, end in zip(starts, [*ends, len(pieces)], strict=True) if start < end]


def _ends(words: Sequence[str]) -> list[int] | None:
    """Return where the semicolons are that end a statement; ``None`` where a body does not end."""
    ends: list[int] = []
    start = depth = 0
    defined = ""
    for position, word in enumerate(words):
        if position == start:
            defined = kind_of(words, start) if word == "create" else ""
        if word == ";" and not depth:
            ends.append(position)
            start = position + 1
        elif defined not in WITH_STATEMENTS_INSIDE:
            continue
        elif word == "begin":
            depth += defined == "trigger" or words[position + 1 : position + 2] == ["atomic"]
        elif word == "(" or (word == "case" and depth):
            depth += 1
        elif word in (")", "end") and depth:
            depth -= 1
    return None if depth else ends


def kind_of(words: Sequence[str], start: int = 0) -> str:
    """Return what a CREATE that begins at ``start`` makes.

    >>> kind_of("create or replace temp view v as select 1".split())
    'view'
    """
    position = start + 1
    while words[position : position + 1] and words[position] in _MODIFIERS:
        position += 1
    return words[position] if position < len(words) else ""


def command_position(words: Sequence[str]) -> int:
    """Return where the command of a statement begins: behind brackets, ``EXPLAIN`` and its options, and ``WITH``.

    >>> words = "explain ( analyze ) with old as ( select 1 ) delete from logs".split()
    >>> words[command_position(words) :]
    ['delete', 'from', 'logs']
    """
    position = _behind_brackets(words, 0)
    if words[position : position + 1] == ["explain"]:
        position += 1
        while words[position : position + 1] and words[position] in _OPTIONS_OF_EXPLAIN:
            position += 1
        inside = _behind_brackets(words, position)
        if inside > position and words[inside : inside + 1] and words[inside] not in _QUERIES | {"with"}:
            position = words.index(")", inside) + 1 if ")" in words[inside:] else len(words)
        position = _behind_brackets(words, position)
    if words[position : position + 1] != ["with"]:
        return position
    depth = 0
    for behind in range(position + 1, len(words)):
        depth += {"(": 1, ")": -1}.get(words[behind], 0)
        if depth == 0 and words[behind] in _QUERIES and words[behind - 1] not in ("with", "recursive", ","):
            return behind
    return position


def command_of(words: Sequence[str]) -> str:
    """Return the word that says what a statement is, behind brackets and ``WITH``; nothing where it has none.

    >>> command_of("with a as ( select 1 ) insert into b select * from a".split()), command_of(["explain", "select"])
    ('insert', 'explain')
    """
    return "explain" if words[:1] == ["explain"] else "".join(words[command_position(words) :][:1])


def _behind_brackets(words: Sequence[str], position: int) -> int:
    while words[position : position + 1] == ["("]:
        position += 1
    return position


def transaction_control(words: Sequence[str]) -> str | None:
    """Return the words by which a statement begins or ends a transaction or savepoint, if it does.

    >>> transaction_control(["commit"]), transaction_control(["select", "1"])
    ('COMMIT', None)
    """
    for command in (words[0], " ".join(words[:2])):
        if command in _TRANSACTION_CONTROL:
            return command.upper()
    return None


def may_change_session(words: Sequence[str]) -> bool:
    """Return whether a statement may leave something behind in its session: a setting, a temporary table, a lock.

    >>> may_change_session(["set", "search_path", "=", "audit"]), may_change_session(["select", "1"])
    (True, False)
    """
    position = command_position(words)
    command = "".join(words[position : position + 1])
    if command in _SESSION_COMMANDS:
        return " ".join(words[position : position + 2]) not in _ENDS_WITH_THE_TRANSACTION
    if command == "create" and not _TEMPORARY.isdisjoint(words[position + 1 : position + 4]):
        return True
    if command == "select" and any(first == "into" and word in _TEMPORARY for first, word in pairwise(words)):
        return True
    names = set(map(plain, words))
    return (
        "pg_temp" in names
        or not _SESSION_FUNCTIONS.isdisjoint(names)
        or (command == "update" and "pg_settings" in names)
        or any("advisory" in name and name.startswith("pg_") and "xact" not in name for name in names)
    )
