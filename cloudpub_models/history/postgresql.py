"""How PostgreSQL records: a function for each table, made for the columns that it has, which sees others too.

INSERT and DELETE are recorded for a statement at once, from its transition table, so that many rows cost little; UPDATE
row by row, since joining the old rows of a statement to its new ones has no statistics to go by. What a deletion
deletes by references counts to its statement, in each table once. A row's columns are compared one by one, which takes
half as long as comparing them as JSON. Where a table was altered since and nobody has told, they are compared as JSON,
whatever they are by now. A log written by one who may not touch it: the functions run with the rights of who switched
recording on, and with a search path of their own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import peewee

from cloudpub_models.entity.fields import name_of_part
from cloudpub_models.history.tables import (
    LOG_COLUMNS,
    SECRET,
    ChangedRow,
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
migrations_take_triggers = False
_REFERENCING = {"insert": "REFERENCING NEW TABLE AS inserted ", "delete": "REFERENCING OLD TABLE AS deleted "}
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

# Each column's name and type, and whether its type has an equality that takes no two values for one that differ.
_COLUMNS = """
    SELECT json_agg(json_build_array(
        a.attname, format_type(a.atttypid, a.atttypmod),
        coalesce(l.collisdeterministic, true) AND (t.typtype = 'e' OR t.typnamespace = 'pg_catalog'::regnamespace
            AND t.typname IN ('bool', 'bytea', 'date', 'float4', 'float8', 'int2', 'int4', 'int8', 'jsonb', 'numeric',
                'text', 'time', 'timestamp', 'timestamptz', 'uuid', 'varchar'))
    ) ORDER BY a.attnum)::text
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_collation l ON l.oid = a.attcollation
    WHERE a.attrelid = {} AND a.attnum > 0 AND NOT a.attisdropped
"""
_MADE_FOR = "-- made for "

# The one that says it is immutable is asked while an expression is planned, and costs nothing from then on. That
# expression has the table as a constant, by its number, and so is planned anew whenever the table is altered. The other
# one looks with a snapshot of its own, since that of the statement may be older than an alteration for which it has
# waited; where a transaction has one snapshot to its end, nobody can tell.
_COLUMNS_FUNCTIONS = (
    f"""
CREATE OR REPLACE FUNCTION changes_columns_now(of_table regclass) RETURNS text VOLATILE LANGUAGE sql
AS $columns$
    SELECT CASE WHEN current_setting('transaction_isolation') LIKE 'read %' THEN ({_COLUMNS.format("of_table")}) END
$columns$
""",
    """
CREATE OR REPLACE FUNCTION changes_columns(of_table regclass) RETURNS text IMMUTABLE LANGUAGE sql
AS 'SELECT changes_columns_now(of_table)'
""",
)

# What is recorded depends on no setting of the session that writes, and no writer fails for a JSON text that JSONB
# cannot hold: of that, the character 0 becomes the one that stands for what is unknown.
_DOCUMENT_FUNCTION = r"""
CREATE OR REPLACE FUNCTION changes_document(of_value anyelement) RETURNS jsonb STABLE LANGUAGE plpgsql
SET extra_float_digits = 1 SET bytea_output = 'hex' SET intervalstyle = 'postgres'
AS $document$
BEGIN
    RETURN to_jsonb(of_value);
EXCEPTION WHEN untranslatable_character THEN
    RETURN regexp_replace(to_json(of_value)::text, $t$(?<!\\)((\\\\)*)\\u0000$t$, $t$\1\\ufffd$t$, 'g')::jsonb;
END
$document$
"""

# Types whose values become the same JSON in every session.
_STEADY_TYPES = frozenset(
    (
        "bigint",
        "boolean",
        "character varying",
        "date",
        "integer",
        "jsonb",
        "numeric",
        "smallint",
        "text",
        "time without time zone",
        "timestamp without time zone",
        "uuid",
    )
)

_BODY = """{made_for}
DECLARE
    who text;
    about jsonb;
    moment timestamp;
    old_row jsonb;
    new_row jsonb;
    before jsonb;
    after jsonb;
    number bigint;
    key text;
BEGIN
    -- Where a row is deleted, there is often none that refers to it.
    IF TG_OP = 'DELETE' THEN
        IF NOT EXISTS (SELECT FROM deleted) THEN
            RETURN NULL;
        END IF;
    END IF;
    who := nullif(current_setting('cloudpub.actor', true), '');
    moment := timezone('utc', clock_timestamp());
    IF who IS NOT NULL THEN
        about := nullif(current_setting('cloudpub.details', true), '')::jsonb;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        IF {is_made_for_it} THEN
            before := '{{}}';
            after := '{{}}';
            {compared}
            {key_of_old};
        ELSE
            old_row := changes_document(OLD);
            new_row := changes_document(NEW);
            SELECT coalesce(jsonb_object_agg(b.key, b.value), '{{}}'),
                coalesce(jsonb_object_agg(b.key, new_row -> b.key), '{{}}')
            INTO before, after
            FROM jsonb_each(old_row - {touched}) AS b WHERE new_row -> b.key IS DISTINCT FROM b.value;
            {hidden}
            {key_in_row};
        END IF;
        IF before <> '{{}}' THEN
            INSERT INTO changes (transaction_id, changed_at, table_name, row_id, row_key, operation, old_values,
                new_values, actor, details)
            VALUES (pg_current_xact_id(), moment, {name}, number, key, 'U', before, after, who, about);
        END IF;
    ELSIF TG_OP = 'INSERT' THEN
        INSERT INTO changes (transaction_id, changed_at, table_name, row_id, row_key, operation, actor, details)
        SELECT pg_current_xact_id(), moment, {name}, {number}, {key}, 'I', who, about FROM inserted AS r;
    ELSIF TG_OP = 'DELETE' THEN
        IF {is_made_for_it} THEN
            INSERT INTO changes
                (transaction_id, changed_at, table_name, row_id, row_key, operation, old_values, actor, details)
            SELECT pg_current_xact_id(), moment, {name}, {number}, {key}, 'D', {whole_row}(r){but_secrets}, who, about
            FROM deleted AS r;
        ELSE
            FOR old_row IN SELECT changes_document(r) FROM deleted AS r LOOP
                {key_in_row};
                INSERT INTO changes
                    (transaction_id, changed_at, table_name, row_id, row_key, operation, old_values, actor, details)
                VALUES (pg_current_xact_id(), moment, {name}, number, key, 'D', old_row{but_secrets}, who, about);
            END LOOP;
        END IF;
    ELSE
        INSERT INTO changes (transaction_id, changed_at, table_name, operation, actor, details)
        VALUES (pg_current_xact_id(), moment, {name}, 'T', who, about);
    END IF;
    RETURN NULL;
END
"""

# Whether the table has the columns that its function was made for.
_IS_MADE_FOR_IT = (
    "((CASE WHEN TG_OP IS NULL THEN {table} END) IS NULL) = (changes_columns({table}) IS NOT DISTINCT FROM {columns})"
)

_COMPARED = """
            IF {old} IS DISTINCT FROM {new} THEN
                before := before || jsonb_build_object({column}, {before});
                after := after || jsonb_build_object({column}, {after});
            END IF;
"""
_HIDDEN = f"{text_literal(SECRET)}::text"
_SECRET_HIDDEN = """
            IF before ? {column} THEN
                before := before || jsonb_build_object({column}, {hidden});
                after := after || jsonb_build_object({column}, {hidden});
            END IF;
"""

# A backslash, or a byte by its octal digits.
_ESCAPED = re.compile(rb"\\(?:\\|([0-7]{3}))")

# Those of partitions are their table's.
_TRIGGERS = """
    SELECT c.relname::text, t.tgname::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE c.relnamespace = current_schema()::regnamespace AND t.tgenabled IN ('O', 'A') AND NOT t.tgisinternal
      AND NOT c.relispartition
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

# Whether there was a row is what is left of there being one when its insertions and deletions are taken back, in
# whatever order: a trigger of somebody else's may change a row before its insertion is recorded.
_PAST_ROWS = """
    SELECT r.* FROM {table} AS r
    WHERE NOT EXISTS (SELECT 1 FROM taken_back AS c WHERE c.table_name = {name} AND {same_row})
    UNION ALL
    SELECT (p.past).* FROM (
        SELECT jsonb_populate_record(
            NULL::{table}, coalesce(to_jsonb(r), '{{}}') || coalesce(c.old_values, '{{}}')
        ) AS past
        FROM (
            SELECT c.row_id, c.row_key,
                count(DISTINCT c.id) FILTER (WHERE c.operation = 'I')
                    - count(DISTINCT c.id) FILTER (WHERE c.operation = 'D') AS came,
                jsonb_object_agg(v.key, v.value ORDER BY c.id DESC) FILTER (WHERE v.key IS NOT NULL) AS old_values
            FROM taken_back AS c LEFT JOIN LATERAL jsonb_each(c.old_values) AS v ON true
            WHERE c.table_name = {name} AND c.operation IN ('I', 'U', 'D')
            GROUP BY c.row_id, c.row_key
        ) AS c LEFT JOIN {table} AS r ON {same_row}
        WHERE CASE WHEN {is_there} THEN 1 ELSE 0 END > c.came
        OFFSET 0
    ) AS p
"""


_CHANGE_BACK = """
    UPDATE {table} AS r SET {values}
    FROM changes AS c CROSS JOIN LATERAL jsonb_populate_record(NULL::{table}, c.old_values) AS p
    WHERE c.id = ANY (%s) AND r.{key} = c.row_id{where_null}
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
        # No WHEN: the function compares the rows, and PostgreSQL would read such a condition anew for each statement.
        each = "FOR EACH ROW" if event == "update" else f"{_REFERENCING.get(event, '')}FOR EACH STATEMENT"
        made[name] = [
            f"CREATE OR REPLACE TRIGGER {POSTGRESQL.quote(name)} AFTER {event.upper()} ON {quoted} "
            f"{each} EXECUTE FUNCTION {function}()"
        ]
    needed = [*_COLUMNS_FUNCTIONS, _DOCUMENT_FUNCTION, _function(database, table)]
    made[trigger_name(table.name, "insert")][:0] = needed if table.by_number else [_KEY_INDEX, *needed]
    return made


def current(database: peewee.Database, table: RecordedTable) -> bool:
    """Return whether a table has its triggers as they should be."""
    return _kept_body(database, table.name) == _body(table, _present(database, table.name))


def complete(database: peewee.Database, table: RecordedTable) -> bool:
    """Return whether a table's triggers record all that they should: of other columns than they were made for, too."""
    kept = _kept_body(database, table.name) or ""
    number, _, columns = kept.partition("\n")[0].removeprefix(_MADE_FOR).partition(" ")
    # Whatever somebody has put in its place is no function of ours.
    with suppress(ValueError, TypeError, AttributeError):
        return kept == _body(table, _MadeFor(number, columns))
    return False


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
    """Return the bytes that the log has as a text, in either of PostgreSQL's two ways to write them."""
    if text.startswith("\\x"):
        return bytes.fromhex(text[2:])
    return _ESCAPED.sub(lambda found: bytes([int(found[1] or b"134", 8)]), text.encode())


def value_to_restore(value: Any, column_type: str) -> Any:
    """Return a value of the log as a statement takes it for a column of a type."""
    is_document = isinstance(value, dict) or column_type.lower() in ("json", "jsonb")
    return json.dumps(value) if is_document and value is not None else value


def change_back(
    database: peewee.Database, table: RecordedTable, rows: Sequence[ChangedRow], only_where_null: bool
) -> int:
    """Give some rows of a table the values back that they had, and return how many were changed.

    The values do not leave the server: the log has them as JSON, and the table knows their types.
    """
    name, key, *columns = (_quoted_in_statement(part) for part in (table.name, table.keys[0], *rows[0].values))
    sql = _CHANGE_BACK.format(
        table=name,
        key=key,
        values=", ".join(f"{column} = p.{column}" for column in columns),
        where_null="".join(f" AND r.{column} IS NULL" for column in columns) if only_where_null else "",
    )
    return int(run(database, sql, ([row.change_id for row in rows],)).rowcount)


def present_position() -> str:
    """Return the query for the present position and the life of the server."""
    return _PRESENT


def changed_rows(position: Any, limit: int) -> tuple[str, Sequence[Any]]:
    """Return the query for what has changed since a position, with its values."""
    _, end, running = position.split(":")
    if not running:
        return _NONE_RUNNING, (end, limit)
    return _SOME_RUNNING, (end, limit, f"{{{running}}}", limit)


def among(column: Any, numbers: Sequence[int]) -> Any:
    """Return the condition that a column has one of some numbers, of which a statement has one parameter."""
    return column == peewee.fn.ANY(peewee.Value(list(numbers), unpack=False))


def has_member(document: peewee.Field[Any], name: str) -> Any:
    """Return the condition that a document of the log has a member."""
    return peewee.fn.jsonb_exists(document, name)


def past_changes() -> str:
    """Return the common table expressions that ``past_rows`` builds on; the one parameter is the moment."""
    return _PAST_CHANGES


def past_rows(table: RecordedTable, columns: Mapping[str, peewee.Field[Any]]) -> str:
    """Return a query for the rows of a table as they were, of which ``past_changes`` are taken back."""
    number, key = key_expressions("r", table, POSTGRESQL, _ARRAY)
    same_row = f"c.row_id = {number}" if table.by_number else f"c.row_key = {key}"
    is_there = f"r.{POSTGRESQL.quote(table.keys[0])} IS NOT NULL"
    return _PAST_ROWS.format(
        table=POSTGRESQL.quote(table.name), name=text_literal(table.name), same_row=same_row, is_there=is_there
    )


class _MadeFor(NamedTuple):
    """What a function has been made for: the table's number in the catalogue, and its columns as JSON."""

    number: str
    columns: str


def _present(database: peewee.Database, table: str) -> _MadeFor:
    of_table = "to_regclass(?)"
    query = f"SELECT {of_table}::oid::text, ({_COLUMNS.format(of_table)})"
    quoted = POSTGRESQL.quote(table)
    return _MadeFor(*rows(database, query, quoted, quoted)[0])


def _kept_body(database: peewee.Database, table: str) -> str | None:
    query = "SELECT prosrc FROM pg_proc WHERE oid = to_regproc(?)"
    found = rows(database, query, POSTGRESQL.quote(_function_name(table)))
    return found[0][0] if found and table in tables_with_triggers(database) else None


def _function(database: peewee.Database, table: RecordedTable) -> str:
    schema = POSTGRESQL.quote(fetch_value(database, "SELECT current_schema()::text"))
    return (
        f"CREATE OR REPLACE FUNCTION {POSTGRESQL.quote(_function_name(table.name))}() RETURNS trigger "
        f"LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp "
        f"AS {text_literal(_body(table, _present(database, table.name)))}"
    )


def _body(table: RecordedTable, made_for: _MadeFor) -> str:
    """Return what the function of a table does."""
    number, key = key_expressions("r", table, POSTGRESQL, _ARRAY)
    old_number, old_key = key_expressions("OLD", table, POSTGRESQL, _ARRAY)
    in_row = [f"old_row -> {text_literal(column)}" for column in table.keys]
    columns = [(column, _is_steady(of_type), is_plain) for column, of_type, is_plain in json.loads(made_for.columns)]
    return _BODY.format(
        made_for=f"{_MADE_FOR}{made_for.number} {made_for.columns}",
        is_made_for_it=_IS_MADE_FOR_IT.format(
            table=f"{text_literal(made_for.number)}::regclass", columns=text_literal(made_for.columns)
        ),
        name=text_literal(table.name),
        number=number,
        key=key,
        key_of_old=f"number := {old_number}" if table.by_number else f"key := {old_key}",
        key_in_row=(
            f"number := ({in_row[0]})::bigint" if table.by_number else f"key := {_ARRAY.format(', '.join(in_row))}"
        ),
        whole_row="to_jsonb" if all(is_steady for _, is_steady, _ in columns) else "changes_document",
        but_secrets=f" - {_texts(table.secrets)}" if table.secrets else "",
        touched=_texts(table.touched),
        compared="".join(
            _compared(column, is_steady=is_steady, is_plain=is_plain, is_secret=column in table.secrets)
            for column, is_steady, is_plain in columns
            if column not in table.touched
        ).strip(),
        hidden="".join(_SECRET_HIDDEN.format(column=text_literal(column), hidden=_HIDDEN) for column in table.secrets),
    )


def _is_steady(of_type: str) -> bool:
    """Return whether a type, perhaps with a length, has values that become the same JSON in every session."""
    return of_type.partition("(")[0] in _STEADY_TYPES


def _compared(column: str, *, is_steady: bool, is_plain: bool, is_secret: bool) -> str:
    """Return what records whether a column has changed, and of a secret one nothing else."""
    old, new = (f"{row}.{POSTGRESQL.quote(column)}" for row in ("OLD", "NEW"))
    old_document, new_document = (value if is_steady else f"changes_document({value})" for value in (old, new))
    return _COMPARED.format(
        old=old if is_plain else old_document,
        new=new if is_plain else new_document,
        column=text_literal(column),
        before=_HIDDEN if is_secret else old_document,
        after=_HIDDEN if is_secret else new_document,
    )


def _function_name(table: str) -> str:
    return name_of_part(table, ["record"], "change")


def _quoted_in_statement(name: str) -> str:
    """Return a name as it stands in a statement with parameters."""
    return POSTGRESQL.quote(name).replace("%", "%%")


def _texts(texts: Iterable[str]) -> str:
    return f"ARRAY[{', '.join(map(text_literal, texts))}]::text[]"
