"""How PostgreSQL records: one generic function for each table, which sees all columns that a row has.

INSERT and DELETE are recorded for a statement at once, from its transition table; UPDATE row by row, since joining the
old rows of a statement to its new ones has no statistics to go by. What has changed in a row is looked for under the
names of the model's columns, which takes half as long as a query over all that the row has; that query is for columns
of which nobody has told. A log written by one who may not touch it: the functions run with the rights of who switched
recording on, and with a search path of their own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import peewee

from cloudpub_models.entity.fields import name_of_part
from cloudpub_models.history.tables import (
    LOG_COLUMNS,
    SECRET,
    RecordedTable,
    key_expressions,
    rows,
    tables_with_triggers,
    trigger_name,
)
from cloudpub_models.schema.statements import fetch_value, run
from cloudpub_models.sql.dialects import POSTGRESQL
from cloudpub_models.sql.statement import PreparableSql
from cloudpub_models.sql.values import text_literal

json_separators = (", ", ": ")
events = ("insert", "update", "delete", "truncate")
_ROWS_OF = {"insert": "NEW", "delete": "OLD"}
_ARRAY = "jsonb_build_array({})::text"

_LOG = (
    """
    CREATE TABLE IF NOT EXISTS changes (
        id BIGINT GENERATED ALWAYS AS IDENTITY,
        transaction_id XID8 NOT NULL,
        changed_at TIMESTAMP NOT NULL,
        table_name TEXT NOT NULL,
        row_id BIGINT,
        row_key TEXT,
        operation "char" NOT NULL,
        old_values JSONB,
        new_values JSONB,
        actor TEXT,
        details JSONB,
        PRIMARY KEY (transaction_id, id)
    )
    """,
    "CREATE INDEX IF NOT EXISTS changes_row_id_idx ON changes (table_name, row_id, id)",
    "CREATE INDEX IF NOT EXISTS changes_changed_at_idx ON changes USING brin (changed_at)",
    "CREATE UNIQUE INDEX IF NOT EXISTS changes_id_idx ON changes (id)",
    "REVOKE UPDATE, DELETE, TRUNCATE ON changes FROM PUBLIC",
    # A transaction has its number before its messages have theirs, as feeds expect.
    """
    CREATE TABLE IF NOT EXISTS outbox (
        transaction_id XID8 NOT NULL DEFAULT pg_current_xact_id(),
        id BIGINT GENERATED ALWAYS AS IDENTITY,
        topic TEXT NOT NULL,
        payload JSONB,
        created_at TIMESTAMP NOT NULL DEFAULT timezone('utc', clock_timestamp()),
        PRIMARY KEY (transaction_id, id)
    )
    """,
    "CREATE UNIQUE INDEX IF NOT EXISTS outbox_id_idx ON outbox (id)",
    """
    CREATE TABLE IF NOT EXISTS feed_positions (
        name TEXT PRIMARY KEY,
        source TEXT NOT NULL,
        position TEXT NOT NULL,
        started_at TIMESTAMP NOT NULL,
        read_at TIMESTAMP
    )
    """,
)

# Made with the first table that needs it: every change would pay for it.
_KEY_INDEX = (
    "CREATE INDEX IF NOT EXISTS changes_row_key_idx ON changes (table_name, row_key, id) WHERE row_key IS NOT NULL"
)

_FUNCTION = """
CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = {schema}, pg_temp AS $change$
DECLARE
    who text := nullif(current_setting('cloudpub.actor', true), '');
    about jsonb := nullif(current_setting('cloudpub.details', true), '')::jsonb;
    moment timestamp := timezone('utc', clock_timestamp());
    old_row jsonb;
    new_row jsonb;
    before jsonb;
    after jsonb;
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO changes (transaction_id, changed_at, table_name, row_id, row_key, operation, actor, details)
        SELECT pg_current_xact_id(), moment, {name}, {number}, {key}, 'I', who, about FROM changed_rows AS r;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO changes
            (transaction_id, changed_at, table_name, row_id, row_key, operation, old_values, actor, details)
        SELECT pg_current_xact_id(), moment, {name}, {number}, {key}, 'D', to_jsonb(r) - {secrets}, who, about
        FROM changed_rows AS r;
    ELSIF TG_OP = 'TRUNCATE' THEN
        INSERT INTO changes (transaction_id, changed_at, table_name, operation, actor, details)
        VALUES (pg_current_xact_id(), moment, {name}, 'T', who, about);
    ELSE
        old_row := to_jsonb(OLD);
        new_row := to_jsonb(NEW);
        before := '{{}}';
        after := '{{}}';
        {compared}
        IF old_row - {known} <> '{{}}' THEN
            SELECT before || coalesce(jsonb_object_agg(b.key, b.value), '{{}}'),
                after || coalesce(jsonb_object_agg(b.key, new_row -> b.key), '{{}}')
            INTO before, after
            FROM jsonb_each(old_row - {known}) AS b WHERE new_row -> b.key IS DISTINCT FROM b.value;
        END IF;
        IF before <> '{{}}' THEN
            INSERT INTO changes (transaction_id, changed_at, table_name, row_id, row_key, operation, old_values,
                new_values, actor, details)
            VALUES (pg_current_xact_id(), moment, {name}, {old_number}, {old_key}, 'U', before, after, who, about);
        END IF;
    END IF;
    RETURN NULL;
END
$change$
"""

_COMPARED = """
        IF old_row -> {column} IS DISTINCT FROM new_row -> {column} THEN
            before := before || jsonb_build_object({column}, {before});
            after := after || jsonb_build_object({column}, {after});
        END IF;
"""

_TRIGGERS = """
    SELECT c.relname::text, t.tgname::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE c.relnamespace = current_schema()::regnamespace AND t.tgenabled IN ('O', 'A') AND NOT t.tgisinternal
"""

# A position is a snapshot. A server's life ends with what it may not have kept of its last transactions: when it
# crashes, and its counters begin anew, or follows another timeline. A standby has no snapshot that names what runs.
_PRESENT = PreparableSql("""
    SELECT pg_current_snapshot()::text, CASE WHEN NOT pg_is_in_recovery() THEN
        concat(substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8), pg_stat_get_bgwriter_stat_reset_time())
    END
""")
# The order is the index's, so that the planner needs no statistics to see that there is little.
_CHANGED_ROWS = """(
    SELECT pg_current_snapshot()::text, table_name, row_id, operation::text FROM changes
    WHERE transaction_id {} ORDER BY transaction_id, id LIMIT %s
)"""
_BEGUN_SINCE = _CHANGED_ROWS.format(">= %s::xid8")
_RUNNING_THEN = _CHANGED_ROWS.format("= ANY (%s::xid8[])")
_NONE_RUNNING, _SOME_RUNNING = PreparableSql(_BEGUN_SINCE), PreparableSql(f"{_BEGUN_SINCE} UNION ALL {_RUNNING_THEN}")

# What is taken back: all changes of every transaction that had not made its last one at that moment.
_PAST_CHANGES = """
    taken_back AS MATERIALIZED (
        SELECT c.* FROM changes AS c
        WHERE c.transaction_id IN (SELECT l.transaction_id FROM changes AS l WHERE l.changed_at > %s)
    )
"""

_PAST_ROWS = """
    SELECT r.* FROM {table} AS r
    WHERE NOT EXISTS (SELECT 1 FROM taken_back AS c WHERE c.table_name = {name} AND {same_row})
    UNION ALL
    SELECT (p.past).* FROM (
        SELECT jsonb_populate_record(
            NULL::{table}, coalesce(to_jsonb(r), '{{}}') || coalesce(c.old_values, '{{}}')
        ) AS past
        FROM (
            SELECT c.row_id, c.row_key, (array_agg(c.operation ORDER BY c.id))[1] AS first_operation,
                jsonb_object_agg(v.key, v.value ORDER BY c.id DESC) FILTER (WHERE v.key IS NOT NULL) AS old_values
            FROM taken_back AS c LEFT JOIN LATERAL jsonb_each(c.old_values) AS v ON true
            WHERE c.table_name = {name} AND c.operation IN ('I', 'U', 'D')
            GROUP BY c.row_id, c.row_key
        ) AS c LEFT JOIN {table} AS r ON {same_row}
        WHERE c.first_operation <> 'I'
        OFFSET 0
    ) AS p
"""


def log(database: peewee.Database) -> list[str]:
    """Return the statements that make the log where it is not there."""
    return list(_LOG)


def has_log(database: peewee.Database) -> bool:
    """Return whether a database has the log, and not just a table of its name."""
    query = "SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass('changes')"
    return {name for (name,) in rows(database, query)} >= set(LOG_COLUMNS)


def columns(database: peewee.Database, table: str) -> tuple[str, ...]:
    """Return none: the triggers take a row as a whole."""
    return ()


def triggers(database: peewee.Database, table: RecordedTable) -> dict[str, list[str]]:
    """Return the triggers of a table by name, each with the statements that make it in place of another."""
    quoted = POSTGRESQL.quote(table.name)
    function = POSTGRESQL.quote(_function_name(table.name))
    made = {}
    for event in events:
        name = trigger_name(table.name, event)
        rows_of = f"REFERENCING {_ROWS_OF[event]} TABLE AS changed_rows " if event in _ROWS_OF else ""
        # Images of rows are compared: some types, as json, have no equality.
        each = "FOR EACH ROW WHEN (OLD.* *<> NEW.*)" if event == "update" else "FOR EACH STATEMENT"
        made[name] = [
            f"CREATE OR REPLACE TRIGGER {POSTGRESQL.quote(name)} AFTER {event.upper()} ON {quoted} "
            f"{rows_of}{each} EXECUTE FUNCTION {function}()"
        ]
    needed = [_function(database, table)] if table.by_number else [_KEY_INDEX, _function(database, table)]
    made[trigger_name(table.name, "insert")][:0] = needed
    return made


def current(database: peewee.Database, table: RecordedTable) -> bool:
    """Return whether a table has its triggers as they should be."""
    body = _function(database, table).split("$change$")[1]
    kept = rows(
        database, "SELECT prosrc FROM pg_proc WHERE oid = to_regproc(?)", POSTGRESQL.quote(_function_name(table.name))
    )
    return table.name in tables_with_triggers(database) and kept == [(body,)]


def without_triggers(table: str) -> list[str]:
    """Return the statements that take the triggers of a table away."""
    return [f"DROP FUNCTION IF EXISTS {POSTGRESQL.quote(_function_name(table))}() CASCADE"]


def all_triggers(database: peewee.Database) -> list[tuple[str, str]]:
    """Return the enabled triggers of all tables, each as the table's name and its own."""
    return [(table, name) for table, name in rows(database, _TRIGGERS)]


def note(database: peewee.Database, mark: str, table: str) -> None:
    """Write into the log that something has happened to a whole table."""
    run(
        database,
        "INSERT INTO changes (transaction_id, changed_at, table_name, operation) "
        "VALUES (pg_current_xact_id(), timezone('utc', clock_timestamp()), %s, %s)",
        (table, mark),
    )


def computed_columns(database: peewee.Database, table: str) -> frozenset[str]:
    """Return the columns of a table that the log has and that the database computes itself."""
    query = "SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass(?) AND attgenerated <> ''"
    return frozenset(name for (name,) in rows(database, query, POSTGRESQL.quote(table)))


def blob_from(text: str) -> bytes:
    """Return the bytes that the log has as a text."""
    return bytes.fromhex(text.removeprefix("\\x"))


def value_to_restore(value: Any, column_type: str) -> Any:
    """Return a value of the log as a statement takes it for a column of a type."""
    is_document = isinstance(value, dict) or column_type.lower() in ("json", "jsonb")
    return json.dumps(value) if is_document and value is not None else value


def present_position() -> str:
    """Return the query for the present position and the life of the server."""
    return _PRESENT


def changed_rows(position: Any, limit: int) -> tuple[str, Sequence[Any]]:
    """Return the query for what has changed since a position, with its values."""
    _, end, running = position.split(":")
    if not running:
        return _NONE_RUNNING, (end, limit)
    return _SOME_RUNNING, (end, limit, f"{{{running}}}", limit)


def past_changes() -> str:
    """Return the common table expressions that ``past_rows`` builds on; the one parameter is the moment."""
    return _PAST_CHANGES


def past_rows(table: RecordedTable, columns: Mapping[str, peewee.Field[Any]]) -> str:
    """Return a query for the rows of a table as they were, of which ``past_changes`` are taken back."""
    number, key = key_expressions("r", table, POSTGRESQL, _ARRAY)
    same_row = f"c.row_id = {number}" if table.by_number else f"c.row_key = {key}"
    return _PAST_ROWS.format(table=POSTGRESQL.quote(table.name), name=text_literal(table.name), same_row=same_row)


def _function(database: peewee.Database, table: RecordedTable) -> str:
    number, key = key_expressions("r", table, POSTGRESQL, _ARRAY)
    old_number, old_key = key_expressions("OLD", table, POSTGRESQL, _ARRAY)
    compared = [column for column in dict.fromkeys((*table.modelled, *table.secrets)) if column not in table.touched]
    return _FUNCTION.format(
        function=POSTGRESQL.quote(_function_name(table.name)),
        schema=POSTGRESQL.quote(fetch_value(database, "SELECT current_schema()::text")),
        name=text_literal(table.name),
        number=number,
        key=key,
        old_number=old_number,
        old_key=old_key,
        secrets=_texts(table.secrets),
        known=_texts(dict.fromkeys((*table.modelled, *table.touched, *table.secrets))),
        compared="".join(_compared(table, column) for column in compared).strip(),
    )


def _compared(table: RecordedTable, column: str) -> str:
    """Return what records whether a column has changed, and of a secret one nothing else."""
    secret = f"{text_literal(SECRET)}::text"
    name = f"{text_literal(column)}::text"
    before, after = (secret, secret) if column in table.secrets else (f"old_row -> {name}", f"new_row -> {name}")
    return _COMPARED.format(column=name, before=before, after=after)


def _function_name(table: str) -> str:
    return name_of_part(table, ["record"], "change")


def _texts(texts: Iterable[str]) -> str:
    return f"ARRAY[{', '.join(map(text_literal, texts))}]::text[]"
