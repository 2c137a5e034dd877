"""How SQLite records: triggers generated for each table, which name its columns, one row at a time.

A trigger may call no function of Python's: the connection of another program would not have it and could write no more.
So who acts, and which transaction it is, comes from a table of one row, ``change_context``, which the engine fills when
a transaction begins and empties before it commits. Where it is empty, a statement and its cascades have one number,
since SQLite reads ``sqlite_sequence`` once for each statement that a program sends.

Values are kept as SQLite stores them; a blob as its text_literal, ``x'…'``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import peewee

from cloudpub_models.entity.fields import UTC_NOW
from cloudpub_models.history.tables import (
    LOG_COLUMNS,
    SECRET,
    ChangedRow,
    RecordedTable,
    key_expressions,
    rows,
    trigger_name,
)
from cloudpub_models.schema.statements import run
from cloudpub_models.sql.blobs import BLOB_FUNCTION, blob_of_literal
from cloudpub_models.sql.dialects import SQLITE
from cloudpub_models.sql.values import text_literal

json_separators = (",", ":")
events = ("insert", "update", "delete")
migrations_take_triggers = True
_ARRAY = "json_array({})"

_LOG = (
    """
    CREATE TABLE IF NOT EXISTS changes (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        transaction_id INTEGER NOT NULL,
        changed_at TEXT NOT NULL,
        table_name TEXT NOT NULL,
        row_id INTEGER,
        row_key TEXT,
        operation TEXT NOT NULL,
        old_values TEXT,
        new_values TEXT,
        actor TEXT,
        details TEXT
    )
    """,
    "CREATE INDEX IF NOT EXISTS changes_row_id_idx ON changes (table_name, row_id, id)",
    "CREATE INDEX IF NOT EXISTS changes_row_key_idx ON changes (table_name, row_key, id) WHERE row_key IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS changes_transaction_id_idx ON changes (transaction_id)",
    "CREATE INDEX IF NOT EXISTS changes_changed_at_idx ON changes (changed_at)",
    """
    CREATE TABLE IF NOT EXISTS change_context (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        transaction_id INTEGER NOT NULL,
        actor TEXT,
        details TEXT
    )
    """,
    f"""
    CREATE TABLE IF NOT EXISTS outbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        topic TEXT NOT NULL,
        payload TEXT,
        created_at TEXT NOT NULL DEFAULT ({UTC_NOW.expression(SQLITE)})
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS feed_positions (
        name TEXT PRIMARY KEY,
        source TEXT NOT NULL,
        position TEXT NOT NULL,
        started_at TEXT NOT NULL,
        read_at TEXT
    )
    """,
)

# The context is looked up once, which shows where many rows are inserted.
_RECORD = (
    "INSERT INTO changes (transaction_id, changed_at, table_name, row_id, row_key, operation, old_values, new_values, "
    "actor, details) SELECT coalesce(context.transaction_id, "
    "(SELECT seq FROM sqlite_sequence WHERE name = 'changes') + 1, 1), {now}, {table}, {number}, {key}, {operation}, "
    "{before}, {after}, context.actor, context.details "
    "FROM (SELECT 1) LEFT JOIN change_context AS context ON context.one = 1"
)

# A position is the number of the last change, since there is one writer at a time. One that the log has never reached
# is of another file.
_LAST = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'changes'), 0) AS last"
_PRESENT = f"{_LAST}, 'always'"
_CHANGED_ROWS = f"""
    SELECT p.last, c.table_name, c.row_id, coalesce(c.operation, CASE WHEN p.last < ? THEN 'lost' END)
    FROM ({_LAST}) AS p LEFT JOIN (
        SELECT table_name, row_id, operation FROM changes WHERE id > ? ORDER BY id LIMIT ?
    ) AS c
"""  # noqa: S608 - nothing of it is given

# The oldest change of a row that names a column has the value that it had. Whether there was a row is what is left of
# there being one when its insertions and deletions are taken back, in whatever order: a trigger of somebody else's may
# change a row before its insertion is recorded.
_PAST_CHANGES = """
    taken_back AS MATERIALIZED (
        SELECT * FROM changes
        WHERE transaction_id IN (SELECT transaction_id FROM changes WHERE changed_at > ?)
    ),
    changed_rows AS MATERIALIZED (
        SELECT table_name, row_id, row_key, sum((operation = 'I') - (operation = 'D')) AS came FROM taken_back
        WHERE operation IN ('I', 'U', 'D') GROUP BY table_name, row_id, row_key
    ),
    first_values AS MATERIALIZED (
        SELECT c.table_name, c.row_id, c.row_key, v.key AS name, v.value AS value, min(c.id) AS id
        FROM taken_back AS c, json_each(c.old_values) AS v
        WHERE c.operation IN ('U', 'D') GROUP BY c.table_name, c.row_id, c.row_key, v.key
    )
"""

_NOTED = {
    "now": UTC_NOW.expression(SQLITE),
    "table": "?",
    "number": "NULL",
    "key": "NULL",
    "operation": "?",
    "before": "NULL",
    "after": "NULL",
}


def log(database: peewee.Database) -> list[str]:
    """Return the statements that make the log where it is not there."""
    return list(_LOG)


def has_log(database: peewee.Database) -> bool:
    """Return whether a database has the log, and not just a table of its name."""
    query = "SELECT name FROM pragma_table_info('changes')"
    return {name for (name,) in rows(database, query)} >= set(LOG_COLUMNS)


def columns(database: peewee.Database, table: str) -> tuple[str, ...]:
    """Return the columns of a table that can be written."""
    query = "SELECT name FROM pragma_table_xinfo(?) WHERE hidden = 0"
    return tuple(name for (name,) in rows(database, query, table))


def triggers(database: peewee.Database, table: RecordedTable) -> dict[str, list[str]]:
    """Return the triggers of a table by name, each with the statements that make it in place of another."""
    kept = [column for column in table.columns if column not in table.touched]
    changed = " OR ".join(map(_differs, kept))
    shown = [column for column in table.columns if column not in table.secrets]
    bodies = {
        "insert": ("", _record(table, "NEW", "I", "NULL", "NULL")),
        "update": (
            f"WHEN {changed} ",
            _record(table, "OLD", "U", _changed(table, kept, "OLD"), _changed(table, kept, "NEW")),
        ),
        "delete": ("", _record(table, "OLD", "D", _object(_named(column, "OLD") for column in shown), "NULL")),
    }
    made = {}
    for event, (condition, body) in bodies.items():
        name = trigger_name(table.name, event)
        made[name] = [
            f"DROP TRIGGER IF EXISTS {SQLITE.quote(name)}",
            f"CREATE TRIGGER {SQLITE.quote(name)} AFTER {event.upper()} ON {SQLITE.quote(table.name)} FOR EACH ROW "
            f"{condition}BEGIN {body}; END",
        ]
    return made


def current(database: peewee.Database, table: RecordedTable) -> bool:
    """Return whether a table has its triggers as they should be."""
    query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?"
    kept = dict(rows(database, query, table.name))
    return all(kept.get(name) == made[-1] for name, made in triggers(database, table).items())


def complete(database: peewee.Database, table: RecordedTable) -> bool:
    """Return whether a table's triggers record all that they should."""
    return current(database, table)


def without_triggers(table: str) -> list[str]:
    """Return the statements that take the triggers of a table away."""
    return [f"DROP TRIGGER IF EXISTS {SQLITE.quote(trigger_name(table, event))}" for event in events]


def all_triggers(database: peewee.Database) -> list[tuple[str, str]]:
    """Return the triggers of all tables, each as the table's name and its own."""
    query = "SELECT tbl_name, name FROM sqlite_master WHERE type = 'trigger'"
    return [(table, name) for table, name in rows(database, query)]


def note(database: peewee.Database, mark: str, table: str) -> None:
    """Write into the log that something has happened to a whole table."""
    run(database, _RECORD.format(**_NOTED), (table, mark))


def computed_columns(database: peewee.Database, table: str) -> frozenset[str]:
    """Return none: they are not in the log."""
    return frozenset()


def blob_from(text: str) -> bytes:
    """Return the bytes that the log has as a text."""
    return blob_of_literal(text)


def value_to_restore(value: Any, column_type: str) -> Any:
    """Return a value of the log as a statement takes it for a column of a type."""
    is_blob = isinstance(value, str) and value.startswith("x'") and "BLOB" in (column_type or "BLOB").upper()
    if isinstance(value, Decimal):
        return float(value)
    return blob_from(value) if is_blob else value


def change_back(
    database: peewee.Database, table: RecordedTable, rows: Sequence[ChangedRow], only_where_null: bool
) -> int:
    """Give some rows of a table the values back that they had, and return how many were changed."""
    name, key, *columns = (SQLITE.quote(part) for part in (table.name, table.keys[0], *rows[0].values))
    given = ", ".join(f"{column} = v.column{number}" for number, column in enumerate(columns, 2))
    values = ", ".join([f"(?{', ?' * len(columns)})"] * len(rows))
    where_null = "".join(f" AND r.{column} IS NULL" for column in columns) if only_where_null else ""
    return int(
        run(
            database,
            f"UPDATE {name} AS r SET {given} FROM (VALUES {values}) AS v "  # noqa: S608 - names of a table
            f"WHERE r.{key} = v.column1{where_null}",
            [value for row in rows for value in (row.row_id, *row.values.values())],
        ).rowcount
    )


def present_position() -> str:
    """Return the query for the present position, and that there is one life."""
    return _PRESENT


def changed_rows(position: Any, limit: int) -> tuple[str, Sequence[Any]]:
    """Return the query for what has changed since a position, with its values."""
    return _CHANGED_ROWS, (position, position, limit)


def among(column: Any, numbers: Sequence[int]) -> Any:
    """Return the condition that a column has one of some numbers, of which a statement has one parameter."""
    members = peewee.fn.json_each(json.dumps(list(numbers)))
    return column.in_(peewee.NodeList((peewee.SQL("(SELECT value FROM"), members, peewee.SQL(")"))))


def has_member(document: peewee.Field[Any], name: str) -> Any:
    """Return the condition that a document of the log has a member."""
    return peewee.fn.json_type(document, f'$."{name}"').is_null(False)


def past_changes() -> str:
    """Return the common table expressions that ``past_rows`` builds on; the one parameter is the moment."""
    return _PAST_CHANGES


def past_rows(table: RecordedTable, columns: Mapping[str, peewee.Field[Any]]) -> str:
    """Return a query for the rows of a table as they were, of which ``past_changes`` are taken back."""
    name, own = text_literal(table.name), f"main.{SQLITE.quote(table.name)}"
    number, key = key_expressions("r", table, SQLITE, _ARRAY)
    same_row = f"c.row_id = {number}" if table.by_number else f"c.row_key = {key}"
    same_change = "v.row_id = c.row_id" if table.by_number else "v.row_key = c.row_key"
    untouched = ", ".join([f"r.{SQLITE.quote(column)}" for column in columns])
    first = f"first_values AS v WHERE v.table_name = {name} AND {same_change} AND v.name"
    past = ", ".join([_past_value(column, field, first) for column, field in columns.items()])
    return (
        f"SELECT {untouched} FROM {own} AS r "  # noqa: S608 - names of a model
        f"WHERE NOT EXISTS (SELECT 1 FROM changed_rows AS c WHERE c.table_name = {name} AND {same_row}) "
        f"UNION ALL SELECT {past} FROM changed_rows AS c LEFT JOIN {own} AS r ON {same_row} "
        f"WHERE c.table_name = {name} AND (r.{SQLITE.quote(table.keys[0])} IS NOT NULL) > c.came"
    )


def _past_value(column: str, field: peewee.Field[Any], first: str) -> str:
    quoted = SQLITE.quote(column)
    recorded = f"{BLOB_FUNCTION}(v.value)" if isinstance(field, peewee.BlobField) else "v.value"
    # A value may have been NULL, so its being there is what counts.
    value = (
        f"CASE WHEN EXISTS (SELECT 1 FROM {first} = {text_literal(column)}) "  # noqa: S608 - names of a model
        f"THEN (SELECT {recorded} FROM {first} = {text_literal(column)}) ELSE r.{quoted} END"
    )
    # Decimals are compared as texts with what has the affinity of a number, as their column has.
    return f"CAST({value} AS NUMERIC) AS {quoted}" if isinstance(field, peewee.DecimalField) else f"{value} AS {quoted}"


def _record(table: RecordedTable, row: str, operation: str, before: str, after: str) -> str:
    number, key = key_expressions(row, table, SQLITE, _ARRAY)
    return _RECORD.format(
        now=UTC_NOW.expression(SQLITE),
        table=text_literal(table.name),
        number=number,
        key=key,
        operation=text_literal(operation),
        before=before,
        after=after,
    )


def _changed(table: RecordedTable, columns: Iterable[str], row: str) -> str:
    return _object(f"{_named(column, row, column in table.secrets)} WHERE {_differs(column)}" for column in columns)


def _differs(column: str) -> str:
    return f"OLD.{SQLITE.quote(column)} IS NOT NEW.{SQLITE.quote(column)}"


def _object(members: Iterable[str]) -> str:
    """Return an expression for a JSON object of members that are there."""
    listed = " UNION ALL ".join(members)
    text = "'{' || coalesce(group_concat(json_quote(name) || ':' || value), '') || '}'"
    return f"(SELECT {text} FROM ({listed}))"  # noqa: S608 - names of a table


def _named(column: str, row: str, is_secret: bool = False) -> str:
    value = f"{row}.{SQLITE.quote(column)}"
    # JSON cannot hold a blob, a writer must not fail for that; and json_quote() keeps 15 digits of a number.
    shown = (
        f"CASE typeof({value}) WHEN 'blob' THEN json_quote('x''' || hex({value}) || '''') "
        f"WHEN 'real' THEN replace(printf('%!.17g', {value}), 'Inf', '9e999') ELSE json_quote({value}) END"
    )
    hidden = f"json_quote({text_literal(SECRET)})"
    return f"SELECT {text_literal(column)} AS name, {hidden if is_secret else shown} AS value"
