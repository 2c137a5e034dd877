"""What is told of a person's statements from their tokens alone: where each ends, what it does, what it leaves behind.

Its words are in lower case; names in quotes keep a pair of double quotes, so that none is taken for a keyword.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from itertools import pairwise

from cloudpub_models.sql.dialects import Dialect
from cloudpub_models.sql.remembering import Remembered
from cloudpub_models.sql.text.tokens import Token, code, tokens

# Whose definitions may hold statements of their own.
WITH_STATEMENTS_INSIDE = frozenset({"function", "procedure", "trigger", "rule", "aggregate"})

_MODIFIERS = frozenset({"or", "replace", "temp", "temporary", "unlogged", "global", "local", "constraint", "unique"})
_QUERIES = frozenset({"select", "insert", "replace", "update", "delete", "merge", "values", "table"})
_OPTIONS_OF_EXPLAIN = frozenset({"analyze", "analyse", "verbose", "query", "plan"})
_TRANSACTION_CONTROL = frozenset(
    {"begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release", "prepare transaction"}
)
_OF_SAVEPOINTS = frozenset({"savepoint", "release", "rollback to", "rollback transaction to", "rollback work to"})
_TEMPORARY = frozenset({"temp", "temporary"})

# What PostgreSQL's own reset of a session leaves as it is.
_OUTLASTS_A_RESET = frozenset({"setseed", "dblink_connect", "dblink_connect_u"})
_OF_A_CURSOR = frozenset({"fetch", "move", "close"})
_ROWS = frozenset({"select", "insert", "update", "delete", "merge", "values", "table"})
# What may stand before a bracket and leaves every session alone: words of SQL, types, and its usual functions.
_HARMLESS = """
    all and any array as between by case check conflict cross cube distinct else except exists filter from grouping
    having ilike in inner intersect is join key lateral left like limit materialized not offset on or over
    partition returning right rollup row select set sets similar some then union unique using values when where
    with within
    bit bpchar char character decimal dec float interval nchar numeric time timestamp timestamptz timetz varbit
    varchar varying
    abs age array_agg array_length avg bool_and bool_or btrim cardinality cast ceil ceiling cells_admit cells_bucket
    char_length coalesce
    concat concat_ws corr count cume_dist current_database current_schema date date_bin date_part date_trunc dense_rank
    every exp extract
    first_value floor format gen_random_uuid generate_series greatest hex ifnull iif initcap instr json_agg
    json_array_elements json_array_length json_build_object json_each json_extract json_object_agg json_typeof
    jsonb_agg jsonb_array_elements jsonb_array_elements_text jsonb_array_length jsonb_build_array
    jsonb_build_object jsonb_each jsonb_each_text jsonb_extract_path jsonb_extract_path_text jsonb_object_agg
    jsonb_path_exists jsonb_path_query jsonb_path_query_first jsonb_populate_record jsonb_set jsonb_typeof
    julianday lag last_value lead least length ln log lower lpad ltrim make_interval max md5 min mod now ntile
    nullif octet_length overlay percent_rank percentile_cont percentile_disc pg_advisory_xact_lock
    pg_control_checkpoint pg_control_recovery pg_control_system pg_current_wal_flush_lsn pg_current_wal_insert_lsn
    pg_current_xact_id pg_is_in_recovery pg_last_wal_replay_lsn pg_postmaster_start_time pg_try_advisory_xact_lock
    pg_walfile_name position power random rank regexp_matches regexp_replace repeat
    replace reverse round row_number rpad rtrim sign split_part sqrt starts_with stddev strftime string_agg
    string_to_array strpos substr substring sum to_char to_date to_json to_jsonb to_regclass to_timestamp to_tsvector
    translate trim trunc typeof unnest upper var_pop variance websearch_to_tsquery
"""
_HARMLESS_BEFORE_A_BRACKET = frozenset(_HARMLESS.split())
# What a PRAGMA of SQLite may be asked about; anything else that is given to one sets it.
PRAGMAS_THAT_ASK = frozenset(
    {
        "foreign_key_check",
        "foreign_key_list",
        "index_info",
        "index_list",
        "index_xinfo",
        "integrity_check",
        "quick_check",
        "table_info",
        "table_list",
        "table_xinfo",
    }
)


class Aftermath(IntEnum):
    """What a statement may leave in the session that has sent it; the more, the greater.

    Attributes:
        NONE: nothing: it reads or writes rows, and calls nothing but SQL's usual functions.
        RESET: what the database's own reset of a session undoes: a setting, a role, a temporary table, a lock.
        LASTING: what only the session's end undoes.
    """

    NONE = 0
    RESET = 1
    LASTING = 2


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


def _transaction_control_in(sql: str, dialect: Dialect) -> str | None:
    for statement in statements_in(tokens(sql, dialect)):
        words = words_of(statement)
        control = transaction_control(words)
        if control and _OF_SAVEPOINTS.isdisjoint([" ".join(words[:count]) for count in (1, 2, 3)]):
            return control
    return None


transaction_controls = Remembered(_transaction_control_in)
"""By which words any statement of a text, in a driver's notation too, begins or ends a whole transaction, if one does:
``transaction_controls[sql, dialect]``."""


def aftermath_of(words: Sequence[str], dialect: Dialect) -> Aftermath:
    """Return what a statement may leave behind, which is not told by what it begins with: a function may do anything.

    >>> from cloudpub_models.sql.dialects import POSTGRESQL
    >>> aftermath_of("select count ( * ) from users".split(), POSTGRESQL).name
    'NONE'
    >>> aftermath_of("select set_config ( 'role' , 'audit' , false )".split(), POSTGRESQL).name
    'RESET'
    """
    if not dialect.functions_change_sessions:
        return Aftermath.LASTING if _changes_connection(words) else Aftermath.NONE
    position = command_position(words)
    command = "".join(words[position : position + 1])
    if command == "load" or not _OUTLASTS_A_RESET.isdisjoint(map(plain, words)):
        return Aftermath.LASTING
    if command == "declare" and "hold" not in words and "for" in words:
        # It ends with its transaction; what its query does may stay.
        return aftermath_of(words[words.index("for") + 1 :], dialect)
    if command in _OF_A_CURSOR or list(words[position : position + 2]) == ["set", "transaction"]:
        return Aftermath.NONE
    into = command == "select" and "into" in words
    return Aftermath.RESET if command not in _ROWS or into or _calls_others(words) else Aftermath.NONE


def _changes_connection(words: Sequence[str]) -> bool:
    """Return whether a statement of SQLite changes its connection, and not only rows and tables that all see."""
    position = command_position(words)
    command = "".join(words[position : position + 1])
    if command == "pragma":
        name = plain(words[position + (3 if words[position + 2 : position + 3] == ["."] else 1)])
        return not {"=", "("}.isdisjoint(words) and name not in PRAGMAS_THAT_ASK
    temporary = any(first in _TEMPORARY and second == "." for first, second in pairwise(map(plain, words)))
    created = command == "create" and not _TEMPORARY.isdisjoint(words[position + 1 : position + 2])
    return command in ("attach", "detach") or temporary or created


def _calls_others(words: Sequence[str]) -> bool:
    """Return whether a statement calls a function that is none of the usual ones; rather one too many."""
    for position, (word, following) in enumerate(pairwise(words)):
        if following != "(" or not (word.startswith('"') or word.isidentifier()):
            continue
        # INSERT INTO users (…)
        before = words[position - 1] if position else ""
        if before != "into" and (before == "." or word not in _HARMLESS_BEFORE_A_BRACKET):
            return True
    return False


def _aftermath_of_text(sql: str, dialect: Dialect) -> Aftermath:
    found = [aftermath_of(words_of(statement), dialect) for statement in statements_in(tokens(sql, dialect))]
    return max(found, default=Aftermath.NONE)


aftermaths = Remembered(_aftermath_of_text)
"""What a text, in a driver's notation too, may leave behind: ``aftermaths[sql, dialect]``."""
