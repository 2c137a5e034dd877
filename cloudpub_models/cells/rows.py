"""The rows of some buckets on one server: read, copied to another, made equal there, and deleted.

A row travels as JSON that the one server has made and the other reads by the names of columns, so that nothing here
has to know what a value is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from cloudpub_models.cells.book import DistributedTable
from cloudpub_models.connection import Database
from cloudpub_models.manager.sending import send_command, send_query
from cloudpub_models.sql.render.handwritten import put_together

# The keys of a table, each found behind the one before it by the index: of a function there are many rows.
_KEYS = """
    WITH RECURSIVE each_one (key) AS (
        SELECT MIN({key}) FROM {table}
        UNION ALL
        SELECT (SELECT MIN({key}) FROM {table} WHERE {key} > each_one.key) FROM each_one WHERE each_one.key IS NOT NULL
    )
    SELECT key FROM each_one WHERE cells_bucket(key) IN @buckets ORDER BY key
"""
_ROWS = "SELECT CAST(ROW_TO_JSON(found) AS TEXT) AS text FROM {table} AS found WHERE {key} IN @keys"
_ROWS_BY_ID = """
    SELECT CAST(ROW_TO_JSON(found) AS TEXT) AS text FROM {table} AS found
    WHERE {id} IN @ids AND cells_bucket({key}) IN @buckets
"""
_ADD = """
    INSERT INTO {table} ({columns})
    SELECT {columns} FROM JSON_POPULATE_RECORDSET(CAST(NULL AS {table}), CAST(@rows AS JSON))
"""
_COLUMNS = """
    SELECT STRING_AGG(QUOTE_IDENT(attname), ', ' ORDER BY attnum) AS names FROM pg_attribute
    WHERE attrelid = TO_REGCLASS(@table) AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
"""
_DELETE_BY_ID = "DELETE FROM {table} WHERE {id} IN @ids AND cells_bucket({key}) IN @buckets"
_DELETE_SOME = """
    DELETE FROM {table} WHERE {id} IN (SELECT {id} FROM {table} WHERE {key} IN @keys LIMIT @limit)
"""

_NOTE_CHANGES = """
    CREATE OR REPLACE FUNCTION cell_changes_note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = {schema}, pg_temp AS $note$
    DECLARE
        changed TEXT;
        is_moved BOOLEAN;
        changes TEXT[] :=
            CASE TG_OP WHEN 'INSERT' THEN '{{come}}' WHEN 'DELETE' THEN '{{gone}}' ELSE '{{gone,come}}' END;
    BEGIN
        FOREACH changed IN ARRAY changes LOOP
            -- What goes with a row that is deleted, and who was admitted, knows when to wait.
            IF pg_trigger_depth() = 1 AND COALESCE(CURRENT_SETTING('cloudpub.cells', true), '') = '' THEN
                EXECUTE FORMAT('SELECT EXISTS (SELECT FROM %I WHERE cells_bucket(%I) = ANY ($1))', changed, TG_ARGV[2])
                INTO is_moved USING CAST(TG_ARGV[0] AS INTEGER[]);
                IF is_moved THEN
                    RAISE EXCEPTION 'expected a write by the map of who has which rows, while those of % are moved; '
                        'got one that says nothing of it: send it by managers.cells.on_server_of()', TG_ARGV[3]
                        USING ERRCODE = 'feature_not_supported';
                END IF;
            END IF;
            EXECUTE FORMAT(
                'INSERT INTO cell_changes (table_name, key) SELECT $1, %I FROM %I WHERE cells_bucket(%I) = ANY ($2)',
                TG_ARGV[1], changed, TG_ARGV[2]
            ) USING TG_ARGV[3], CAST(TG_ARGV[0] AS INTEGER[]);
        END LOOP;
        RETURN NULL;
    END
    $note$
"""
_NOTING = """
    CREATE OR REPLACE TRIGGER {name} AFTER {event} ON {table} REFERENCING {changes}
    FOR EACH STATEMENT EXECUTE FUNCTION cell_changes_note('{{{buckets}}}', '{id}', '{key}', '{table}')
"""
_EVENTS = {
    "INSERT": "NEW TABLE AS come",
    "UPDATE": "OLD TABLE AS gone NEW TABLE AS come",
    "DELETE": "OLD TABLE AS gone",
}
_NOTING_NOW = """
    SELECT CAST(tgname AS TEXT) AS name FROM pg_trigger
    WHERE tgrelid = TO_REGCLASS(@table) AND tgname LIKE 'cell_changes%' AND tgenabled <> 'D'
"""
# To drop it would have to wait for everybody who reads.
_END_NOTING = "ALTER TABLE {table} DISABLE TRIGGER {name}"
_DROP_TRIGGER = "DROP TRIGGER IF EXISTS {name} ON {table}"
# Whoever comes behind the one who waits for a table waits too.
_WITHOUT_WAITING = "SET LOCAL lock_timeout = '100ms'"
_FORGET_CHANGES = "TRUNCATE cell_changes"
_SCHEMA = "SELECT QUOTE_IDENT(CURRENT_SCHEMA()) AS name"
_TAKE_CHANGES = """
    DELETE FROM cell_changes WHERE id IN (SELECT id FROM cell_changes ORDER BY id LIMIT @limit)
    RETURNING table_name, key
"""


def keys_of_buckets(server: Database, table: str, key: str, buckets: Sequence[int]) -> list[int]:
    """Return the keys, each once, by which rows of a table are in some buckets.

    Args:
        server: the server.
        table: the table's name.
        key: the column of keys, by which there is an index.
        buckets: the buckets.
    """
    asked = put_together(_KEYS, table=table, key=key)
    return [row["key"] for row in send_query(server, asked, {"buckets": tuple(buckets)})]


def streamed_texts(server: Database, sql: str, values: dict[str, Any], chunk_size: int) -> Iterator[list[str]]:
    """Yield what a query of one text a row gives, as of one moment, so many rows at a time."""
    asked, bound = server.engine.bind_parameters(sql, values)
    for rows in server.engine.stream(asked, bound, chunk_size):
        yield [text for (text,) in rows]


class RowsOfBuckets(NamedTuple):
    """The rows of some buckets on a server, in all tables whose rows are distributed.

    Attributes:
        server: the server.
        buckets: the buckets.
        tables: the tables.
    """

    server: Database
    buckets: tuple[int, ...]
    tables: Sequence[DistributedTable]

    def begin_noting(self) -> None:
        """Have changes of the rows noted, in a transaction, for which those under way have to end."""
        schema = send_query(self.server, _SCHEMA)[0]["name"]
        send_command(self.server, put_together(_NOTE_CHANGES, schema=schema))
        listed = ",".join(map(str, self.buckets))
        for table in self.tables:
            for event, changes in _EVENTS.items():
                parts = {"name": _trigger(event), "event": event, "changes": changes, "buckets": listed}
                send_command(self.server, put_together(_NOTING, table=table.name, id=table.id, key=table.key, **parts))
        send_command(self.server, _FORGET_CHANGES)

    def end_noting(self) -> None:
        """Have no changes noted any more, and forget what was, in a transaction."""
        for table in self.tables:
            for trigger in send_query(self.server, _NOTING_NOW, {"table": table.name}):
                send_command(self.server, put_together(_END_NOTING, name=trigger["name"], table=table.name))
        send_command(self.server, _FORGET_CHANGES)

    def drop_triggers(self) -> None:
        """Drop what has noted changes, which is switched off, if nobody reads just now; it is in the way of partitions.

        Raises:
            LockNotAvailableError: somebody does.
        """
        with self.server.transaction():
            send_command(self.server, _WITHOUT_WAITING)
            for table in self.tables:
                for event in _EVENTS:
                    send_command(self.server, put_together(_DROP_TRIGGER, name=_trigger(event), table=table.name))

    def noted(self, limit: int) -> dict[str, list[int]]:
        """Return table → the ids of rows that have changed, of the first changes noted, and forget those.

        Args:
            limit: of how many changes.
        """
        found: dict[str, list[int]] = defaultdict(list)
        for row in send_query(self.server, _TAKE_CHANGES, {"limit": limit}, writes=True):
            found[row["table_name"]].append(row["key"])
        return found

    def keys_in(self, table: DistributedTable) -> list[int]:
        """Return the keys by which rows of a table are in the buckets."""
        return keys_of_buckets(self.server, table.name, table.key, self.buckets)

    def stream(self, table: DistributedTable, chunk_size: int) -> Iterator[list[str]]:
        """Yield the rows of a table as of one moment, some at a time."""
        keys = self.keys_in(table)
        if not keys:
            return
        asked = put_together(_ROWS, table=table.name, key=table.key)
        yield from streamed_texts(self.server, asked, {"keys": tuple(keys)}, chunk_size)

    def by_ids(self, table: DistributedTable, ids: Sequence[int]) -> list[str]:
        """Return those rows of a table that have one of some ids."""
        asked = put_together(_ROWS_BY_ID, table=table.name, id=table.id, key=table.key)
        found = send_query(self.server, asked, {"ids": tuple(ids), "buckets": self.buckets})
        return [row["text"] for row in found]

    def add(self, table: DistributedTable, rows: Sequence[str]) -> None:
        """Add rows of another server."""
        if not rows:
            return
        columns = send_query(self.server, _COLUMNS, {"table": table.name})[0]["names"]
        values = {"rows": f"[{','.join(rows)}]"}
        send_command(self.server, put_together(_ADD, table=table.name, columns=columns), values)

    def replace(self, table: DistributedTable, ids: Sequence[int], rows: Sequence[str]) -> None:
        """Have those that have one of some ids be rows of another server, and no others."""
        with self.server.transaction():
            asked = put_together(_DELETE_BY_ID, table=table.name, id=table.id, key=table.key)
            send_command(self.server, asked, {"ids": tuple(ids), "buckets": self.buckets})
            self.add(table, rows)

    def delete(self, at_once: int) -> int:
        """Delete the rows, so many at a time, and return how many there were."""
        deleted = 0
        for table in self.tables:
            keys = tuple(self.keys_in(table))
            asked = put_together(_DELETE_SOME, table=table.name, id=table.id, key=table.key)
            gone = at_once if keys else 0
            while gone == at_once:
                gone = send_command(self.server, asked, {"keys": keys, "limit": at_once})
                deleted += gone
        return deleted


def _trigger(event: str) -> str:
    return f"cell_changes_{event.lower()}"
