"""What is written down of cells: on the main database who has which bucket, on each server which one it is.

Both have a table ``cell_servers``, with the UUID of the platform. On main it names all servers that are known, main
itself as number 0; on a server only that one. ``cell_deletions`` has the keys of rows of main that were deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple
from uuid import UUID

from cloudpub_models.cells.buckets import first_id
from cloudpub_models.connection import Database
from cloudpub_models.manager.sending import send_command, send_query
from cloudpub_models.sql.render.handwritten import put_together

MAIN: Final = 0

_IS_THERE = "SELECT TO_REGCLASS('cell_servers') IS NOT NULL AS is_there"
_SERVERS = "SELECT platform, server FROM cell_servers ORDER BY server"
_BUCKETS = "SELECT bucket, server FROM cells ORDER BY bucket"
_TABLE_OF_SERVERS = "CREATE TABLE cell_servers (platform UUID NOT NULL, server INTEGER PRIMARY KEY)"
_NAME_SERVER = "INSERT INTO cell_servers (platform, server) VALUES (@platform, @server)"
_TABLES_OF_MAIN = (
    "CREATE TABLE cells (bucket INTEGER PRIMARY KEY, server INTEGER NOT NULL)",
    """
    CREATE TABLE cell_deletions (
        id BIGSERIAL PRIMARY KEY,
        table_name VARCHAR NOT NULL,
        key BIGINT NOT NULL,
        deleted_at TIMESTAMP NOT NULL DEFAULT (CURRENT_TIMESTAMP AT TIME ZONE 'UTC')
    )
    """,
)
_GIVE_BUCKETS = """
    INSERT INTO cells (bucket, server) SELECT number - 1, CAST(server AS INTEGER)
    FROM UNNEST(STRING_TO_ARRAY(@servers, ',')) WITH ORDINALITY AS given(server, number)
"""

_SCHEMA = "SELECT QUOTE_IDENT(CURRENT_SCHEMA()) AS name"
# Whoever deletes, by whatever way, need not have rights to the table of deletions.
_NOTE_DELETIONS = """
    CREATE OR REPLACE FUNCTION cell_deletions_note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = {schema}, pg_temp AS $note$
    BEGIN
        INSERT INTO cell_deletions (table_name, key) SELECT TG_TABLE_NAME, {key} FROM gone;
        RETURN NULL;
    END
    $note$
"""
_NOTING = """
    CREATE OR REPLACE TRIGGER cell_deletions_note AFTER DELETE ON {table}
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION cell_deletions_note()
"""
_REFUSE_ROWS = """
    CREATE OR REPLACE FUNCTION cells_refuse() RETURNS trigger LANGUAGE plpgsql AS $refuse$
    BEGIN
        RAISE EXCEPTION 'the rows of % are on other servers: open the database with history=', TG_TABLE_NAME
            USING ERRCODE = 'feature_not_supported';
    END
    $refuse$
"""
_REFUSING = """
    CREATE OR REPLACE TRIGGER cells_refuse BEFORE INSERT ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION cells_refuse()
"""

_HAS_ROWS = "SELECT EXISTS (SELECT 1 FROM {table}) AS has_rows"
_REFERENCES = """
    SELECT QUOTE_IDENT(conname) AS name FROM pg_constraint
    WHERE conrelid = TO_REGCLASS(@table) AND contype = 'f' AND conparentid = 0
"""
_DROP_REFERENCE = "ALTER TABLE {table} DROP CONSTRAINT {name}"
_GIVE_IDS = "SELECT SETVAL(PG_GET_SERIAL_SEQUENCE(@table, @column), @first, false) AS first"

_DELETIONS = "SELECT id, table_name, key FROM cell_deletions WHERE id > @behind ORDER BY id LIMIT @limit"
_FORGET_DELETIONS = """
    DELETE FROM cell_deletions
    WHERE id IN @ids AND deleted_at < (CURRENT_TIMESTAMP AT TIME ZONE 'UTC') - INTERVAL '1 hour'
"""


class Deletion(NamedTuple):
    """A row of main that was deleted.

    Attributes:
        id: of the entry.
        table: the name of the row's table.
        key: what rows of other servers referred to it by.
    """

    id: int
    table: str
    key: int


class DistributedTable(NamedTuple):
    """A table whose rows are on the servers, by names as statements have them.

    Attributes:
        name: its name.
        id: its column of ids.
        referred: the table that it refers to by the column by which it is distributed.
        referred_key: what it refers to there.
    """

    name: str
    id: str
    referred: str
    referred_key: str


def servers_in(database: Database) -> dict[int, UUID]:
    """Return the numbers of the servers that a database has written down, with the platform's UUID."""
    if not send_query(database, _IS_THERE)[0]["is_there"]:
        return {}
    return {row["server"]: row["platform"] for row in send_query(database, _SERVERS)}


def buckets_in(database: Database) -> list[int]:
    """Return the number of the server of each bucket."""
    return [row["server"] for row in send_query(database, _BUCKETS)]


def has_rows(database: Database, table: DistributedTable) -> bool:
    """Return whether a table has any rows."""
    return bool(send_query(database, put_together(_HAS_ROWS, table=table.name))[0]["has_rows"])


def begin_book(database: Database, platform: UUID, tables: Sequence[DistributedTable]) -> None:
    """Make the tables of the main database, and what notes deletions there and refuses rows."""
    send_command(database, _TABLE_OF_SERVERS)
    name_server(database, platform, MAIN)
    schema = send_query(database, _SCHEMA)[0]["name"]
    referred = {table.referred: table.referred_key for table in tables}
    (key,) = set(referred.values())
    for statement in (*_TABLES_OF_MAIN, put_together(_NOTE_DELETIONS, schema=schema, key=key), _REFUSE_ROWS):
        send_command(database, statement)
    for name in referred:
        send_command(database, put_together(_NOTING, table=name))
    for table in tables:
        send_command(database, put_together(_REFUSING, table=table.name))


def name_server(database: Database, platform: UUID, server: int) -> None:
    """Write down the number of a server."""
    send_command(database, _NAME_SERVER, {"platform": platform, "server": server})


def give_buckets(database: Database, servers: Iterable[int]) -> None:
    """Write down for each bucket the number of its server."""
    send_command(database, _GIVE_BUCKETS, {"servers": ",".join(map(str, servers))})


def prepare_server(database: Database, platform: UUID, server: int, tables: Sequence[DistributedTable]) -> None:
    """Take references from the tables of a server, have it give ids of its own, and write down which one it is."""
    for table in tables:
        for reference in send_query(database, _REFERENCES, {"table": table.name}):
            send_command(database, put_together(_DROP_REFERENCE, table=table.name, name=reference["name"]))
        send_query(
            database, _GIVE_IDS, {"table": table.name, "column": table.id, "first": first_id(server)}, writes=True
        )
    send_command(database, _TABLE_OF_SERVERS)
    name_server(database, platform, server)


def deletions_in(database: Database, behind: int, limit: int) -> list[Deletion]:
    """Return the first deletions of main that are written down behind an entry."""
    rows = send_query(database, _DELETIONS, {"behind": behind, "limit": limit})
    return [Deletion(row["id"], row["table_name"], row["key"]) for row in rows]


def forget_deletions(database: Database, ids: Sequence[int]) -> None:
    """Strike out deletions, but for those of the last hour: somebody may not have known of them, and added rows."""
    send_command(database, _FORGET_DELETIONS, {"ids": tuple(ids)})
