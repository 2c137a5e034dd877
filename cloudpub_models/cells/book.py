"""What is written down of cells: on the main database who has which bucket, on each server which one it is.

Both have a table ``cell_servers``, with the UUID of the platform. On main it names all servers that are known, main
itself as number 0; on a server only that one. ``cell_deletions`` has the keys of rows of main that were deleted.

The table ``cells`` on main is the map: of each bucket the server that has it; while it is moved, the step of that, and
the other server, where none of its rows are to be read. Each change gives the map a higher version. A server knows, in
the sequence ``cell_map``, of which version it was told last; it admits nothing by an older one. A sequence, since all
see its number at once, whatever their snapshot.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple
from uuid import UUID

from cloudpub_models.cells.buckets import first_id
from cloudpub_models.connection import Database
from cloudpub_models.errors import MigrationError
from cloudpub_models.manager.sending import send_command, send_query
from cloudpub_models.sql.render.handwritten import put_together

MAIN: Final = 0

_IS_THERE = "SELECT TO_REGCLASS('cell_servers') IS NOT NULL AS is_there"
_SERVERS = "SELECT platform, server FROM cell_servers ORDER BY server"
_MAP = "SELECT bucket, server, other, step, version FROM cells ORDER BY bucket"
_TABLE_OF_SERVERS = "CREATE TABLE cell_servers (platform UUID NOT NULL, server INTEGER PRIMARY KEY)"
_NAME_SERVER = "INSERT INTO cell_servers (platform, server) VALUES (@platform, @server)"
_TABLES_OF_MAIN = (
    """
    CREATE TABLE cells (
        bucket INTEGER PRIMARY KEY,
        server INTEGER NOT NULL,
        other INTEGER,
        step VARCHAR,
        version BIGINT NOT NULL DEFAULT 1
    )
    """,
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

# Several at once may not take the same version.
_KEEP_MAP = "LOCK TABLE cells IN SHARE ROW EXCLUSIVE MODE"
_VERSION = "SELECT MAX(version) AS version FROM cells"
_PUBLISH = """
    UPDATE cells SET server = @server, other = @other, step = @step, version = @version
    WHERE bucket IN @buckets
"""

# What a server needs to know by which map it is asked. The lock's first number is theirs alone; the second is the
# version that was told when it was taken, so that whoever tells of another waits for nobody who comes later.
_LOCK_CLASS: Final = 0x63656C6C
_ADMITTING = (
    "CREATE SEQUENCE cell_map",
    """
    CREATE FUNCTION cells_bucket(key BIGINT) RETURNS INTEGER LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CAST(((key * 2654435761) % 4294967296) >> 22 AS INTEGER) $$
    """,
    """
    CREATE FUNCTION cells_admit(version BIGINT, writes BOOLEAN) RETURNS VOID LANGUAGE plpgsql AS $admit$
    DECLARE told BIGINT;
    BEGIN
        LOOP
            SELECT last_value INTO told FROM cell_map;
            IF version < told THEN
                RAISE EXCEPTION 'expected a call by map % of who has which rows; got one by map %: make it again',
                    told, version
                    USING ERRCODE = 'CP001';
            END IF;
            EXIT WHEN NOT writes;
            PERFORM pg_advisory_xact_lock_shared({lock_class}, CAST(told AS INTEGER));
            EXIT WHEN told = (SELECT last_value FROM cell_map);
        END LOOP;
        IF writes THEN
            PERFORM set_config('cloudpub.cells', CAST(version AS TEXT), true);
        END IF;
    END
    $admit$
    """,
    "CREATE TABLE cell_changes (id BIGSERIAL PRIMARY KEY, table_name VARCHAR NOT NULL, key BIGINT NOT NULL)",
)
_TELL = "SELECT SETVAL('cell_map', GREATEST(@version, (SELECT last_value FROM cell_map))) AS told"
_TOLD = "SELECT last_value AS version FROM cell_map"
_HAS_OLDER_WRITERS = """
    SELECT EXISTS (
        SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = {lock_class} AND objsubid = 2 AND granted
        AND objid <> CAST(@version AS oid)
        AND database = (SELECT oid FROM pg_database WHERE datname = CURRENT_DATABASE())
    ) AS has_writers
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
# Who was admitted knows whose rows they are; what goes with a row of main that is deleted is swept elsewhere.
_REFUSE_ROWS = """
    CREATE OR REPLACE FUNCTION cells_refuse() RETURNS trigger LANGUAGE plpgsql AS $refuse$
    BEGIN
        IF pg_trigger_depth() > 1 OR CURRENT_SETTING('cloudpub.cells', true) <> '' THEN
            RETURN NULL;
        END IF;
        RAISE EXCEPTION 'expected a program that is told history=; got a write to %, whose rows are on other servers: '
            'open the database with history=', TG_TABLE_NAME
            USING ERRCODE = 'feature_not_supported';
    END
    $refuse$
"""
_REFUSING = """
    CREATE OR REPLACE TRIGGER cells_refuse BEFORE INSERT OR UPDATE OR DELETE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION cells_refuse()
"""

_HAS_ROWS = "SELECT EXISTS (SELECT 1 FROM {table}) AS has_rows"
_REFERENCES = """
    SELECT QUOTE_IDENT(conname) AS name FROM pg_constraint
    WHERE conrelid = TO_REGCLASS(@table) AND contype = 'f' AND conparentid = 0
"""
_TRIGGERS = """
    SELECT CAST(tgname AS TEXT) AS name FROM pg_trigger
    WHERE tgrelid = TO_REGCLASS(@table) AND NOT tgisinternal AND tgenabled <> 'D' ORDER BY tgname
"""
_SIZE = """
    SELECT CAST(COALESCE(SUM(GREATEST(reltuples, 0)), 0) AS BIGINT) AS rows,
        CAST(COALESCE(SUM(PG_TOTAL_RELATION_SIZE(c.oid)), 0) AS BIGINT) AS bytes
    FROM pg_class c WHERE c.relkind = 'r' AND (
        c.oid = TO_REGCLASS(@table) OR c.oid IN (SELECT relid FROM PG_PARTITION_TREE(TO_REGCLASS(@table)))
    )
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


class Cell(NamedTuple):
    """What the map says of a bucket.

    Attributes:
        server: the number of the server that has it.
        other: that of the one where none of its rows are to be read; ``None`` where all are where they belong.
        step: how far its move has come; ``None`` for one that is not moved.
        version: that of the map when this was written down.
    """

    server: int
    other: int | None
    step: str | None
    version: int


class DistributedTable(NamedTuple):
    """A table whose rows are on the servers, by names as statements have them.

    Attributes:
        name: its name.
        id: its column of ids.
        key: its column by which it is distributed.
        referred: the table that it refers to by the column by which it is distributed.
        referred_key: what it refers to there.
    """

    name: str
    id: str
    key: str
    referred: str
    referred_key: str


def servers_in(database: Database) -> dict[int, UUID]:
    """Return the numbers of the servers that a database has written down, with the platform's UUID."""
    if not send_query(database, _IS_THERE)[0]["is_there"]:
        return {}
    return {row["server"]: row["platform"] for row in send_query(database, _SERVERS)}


def map_in(database: Database) -> list[Cell]:
    """Return what the map says of each bucket."""
    return [Cell(row["server"], row["other"], row["step"], row["version"]) for row in send_query(database, _MAP)]


def publish(
    database: Database, known: int, buckets: Sequence[int], server: int, other: int | None, step: str | None
) -> int:
    """Change the map, in a transaction, and return its version from then on.

    Args:
        database: the main database.
        known: the version that is changed.
        buckets: the buckets that are changed.
        server: see ``Cell``.
        other: see ``Cell``.
        step: see ``Cell``.

    Raises:
        MigrationError: somebody else has changed it.
    """
    send_command(database, _KEEP_MAP)
    version: int = send_query(database, _VERSION, writes=True)[0]["version"]
    if version != known:
        raise MigrationError(
            f"expected nobody else to move buckets; got map {version} instead of {known}: look for who does, and do it "
            "again"
        )
    values = {"server": server, "other": other, "step": step, "version": version + 1, "buckets": tuple(buckets)}
    send_command(database, _PUBLISH, values)
    return version + 1


def tell(server: Database, version: int) -> None:
    """Have a server admit nothing any more that is sent by a map from before a version."""
    send_query(server, _TELL, {"version": version}, writes=True)


def has_older_writers(server: Database, version: int) -> bool:
    """Return whether something is under way that was admitted before a server was told of a version, and may write."""
    asked = put_together(_HAS_OLDER_WRITERS, lock_class=str(_LOCK_CLASS))
    return bool(send_query(server, asked, {"version": version})[0]["has_writers"])


def has_rows(database: Database, table: DistributedTable) -> bool:
    """Return whether a table has any rows."""
    return bool(send_query(database, put_together(_HAS_ROWS, table=table.name))[0]["has_rows"])


def triggers_of(database: Database, table: DistributedTable) -> list[str]:
    """Return the names of the triggers of a table."""
    return [row["name"] for row in send_query(database, _TRIGGERS, {"table": table.name})]


def size_of(database: Database, table: DistributedTable) -> tuple[int, int]:
    """Return how many rows a table had when the server last counted, and how many bytes it takes."""
    found = send_query(database, _SIZE, {"table": table.name})[0]
    return found["rows"], found["bytes"]


def told_version(database: Database) -> int:
    """Return of which version of the map a server was told last."""
    return int(send_query(database, _TOLD)[0]["version"])


def begin_book(database: Database, platform: UUID, tables: Sequence[DistributedTable]) -> None:
    """Make the tables of the main database, and what notes deletions there."""
    send_command(database, _TABLE_OF_SERVERS)
    name_server(database, platform, MAIN)
    schema = send_query(database, _SCHEMA)[0]["name"]
    referred = {table.referred: table.referred_key for table in tables}
    (key,) = set(referred.values())
    for statement in (*_TABLES_OF_MAIN, put_together(_NOTE_DELETIONS, schema=schema, key=key)):
        send_command(database, statement)
    for name in referred:
        send_command(database, put_together(_NOTING, table=name))
    _begin_admitting(database)


def refuse_rows(database: Database, tables: Sequence[DistributedTable]) -> None:
    """Have the main database refuse programs that do not know that rows are on other servers."""
    send_command(database, _REFUSE_ROWS)
    for table in tables:
        send_command(database, put_together(_REFUSING, table=table.name))


def _begin_admitting(database: Database) -> None:
    for statement in _ADMITTING:
        send_command(database, put_together(statement, lock_class=str(_LOCK_CLASS)))


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
    _begin_admitting(database)
    send_command(database, _TABLE_OF_SERVERS)
    name_server(database, platform, server)


def deletions_in(database: Database, behind: int, limit: int) -> list[Deletion]:
    """Return the first deletions of main that are written down behind an entry."""
    rows = send_query(database, _DELETIONS, {"behind": behind, "limit": limit})
    return [Deletion(row["id"], row["table_name"], row["key"]) for row in rows]


def forget_deletions(database: Database, ids: Sequence[int]) -> None:
    """Strike out deletions, but for those of the last hour: somebody may not have known of them, and added rows."""
    send_command(database, _FORGET_DELETIONS, {"ids": tuple(ids)})
