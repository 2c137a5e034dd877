"""What is changed in a table while its rows are copied: noted, made up for in the copy, and at last written in both.

Triggers, on statements, note which rows were changed: after whatever has changed them, and in its transaction. A note
is appended, and taken away when the copy has been made equal: of one that comes later, for the same row, nothing is
lost. Once the copy has caught up, the same triggers write each change into it at once, so that no transaction that
begins from then on can tell the two tables apart. Where the copy is then given partition by partition to another table,
they write into both of these. One that began before does not see what was copied last, and goes on
noting.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

import peewee

from cloudpub_models.entity.fields import name_of_part
from cloudpub_models.schema.partitions.definition import send
from cloudpub_models.schema.partitions.statements import PartitionedTable, within, written_columns
from cloudpub_models.schema.statements import fetch, fetch_value, run
from cloudpub_models.sql.dialects import POSTGRESQL
from cloudpub_models.sql.values import text_literal

MARK = "what is changed while rows are copied into partitions"
"""The comment that the table has in which changed rows are noted."""

_EVENTS = {
    "INSERT": "NEW TABLE AS added",
    "UPDATE": "OLD TABLE AS removed NEW TABLE AS added",
    "DELETE": "OLD TABLE AS removed",
    "TRUNCATE": "",
}
# Few rows are looked up in many: what the server knows of the many may be too old for it to see that.
_LOOKING_UP = ("enable_hashjoin", "enable_mergejoin", "enable_seqscan", "jit")

_NOTE = """
    CASE TG_OP
    WHEN 'INSERT' THEN INSERT INTO {journal} SELECT {key}, {moment} FROM added;
    WHEN 'UPDATE' THEN
        INSERT INTO {journal} SELECT {key}, {moment} FROM removed UNION SELECT {key}, {moment} FROM added;
    WHEN 'DELETE' THEN INSERT INTO {journal} SELECT {key}, {moment} FROM removed;
    ELSE INSERT INTO {journal} VALUES (NULL, NULL);
    END CASE;
"""
_WRITE = """
    IF NOT pg_visible_in_snapshot('{since}', pg_current_snapshot()) THEN
        {note}
        RETURN NULL;
    END IF;
    IF TG_OP = 'TRUNCATE' THEN TRUNCATE {copies}; END IF;
    IF TG_OP IN ('UPDATE', 'DELETE') THEN
        {deletions}
        -- What was made up for since a transaction began, it does not see.
        IF current_setting('transaction_isolation') NOT LIKE 'read %' AND found <> (SELECT count(*) FROM removed) THEN
            RAISE EXCEPTION 'could not serialize access due to concurrent update'
                USING ERRCODE = 'serialization_failure', HINT = 'The transaction might succeed if retried.';
        END IF;
    END IF;
    IF TG_OP IN ('INSERT', 'UPDATE') THEN
        {insertions}
    END IF;
"""
_DELETE = """
        DELETE FROM {copy} AS c USING removed AS r WHERE c.{key} = r.{key} AND c.{moment} = r.{moment};
        GET DIAGNOSTICS more = ROW_COUNT;
        found := found + more;
"""
_INSERT = "INSERT INTO {copy} ({columns}) SELECT {columns} FROM added WHERE {condition};"


class Journal(NamedTuple):
    """The journal of a table that is copied.

    Attributes:
        table: the table.
        key: the column of its primary key.
    """

    table: PartitionedTable
    key: str

    @property
    def name(self) -> str:
        """The name of the table in which changed rows are noted."""
        return self.table.partition_name("journal")

    @property
    def copy(self) -> str:
        """The name of the table into which the rows are copied."""
        return self.table.partition_name("new")

    @property
    def whole(self) -> str:
        """The name of the table to which the copy's partitions are given, and which then takes the table's name."""
        return self.table.partition_name("whole")

    @property
    def triggers(self) -> dict[str, str]:
        """The names of the triggers by what they are told of."""
        return {event: name_of_part(self.table.name, ["p", event.lower()], "noted") for event in _EVENTS}

    def make(self, database: peewee.Database) -> None:
        """Make what changed rows are noted in, while nobody notes any."""
        columns = self._names()
        run(
            database,
            "CREATE TABLE {journal} AS SELECT {key}, {moment} FROM {table} WITH NO DATA".format_map(columns),
        )
        run(database, "COMMENT ON TABLE {journal} IS {mark}".format(**columns, mark=text_literal(MARK)))
        self._make_function(database, _NOTE.format_map(columns))

    def begin(self, database: peewee.Database) -> None:
        """Have all changes noted: those that are under way are over by then, and nobody writes until the commit."""
        for event, tables in _EVENTS.items():
            trigger, referencing = POSTGRESQL.quote(self.triggers[event]), f"REFERENCING {tables} " if tables else ""
            run(
                database,
                f"CREATE TRIGGER {trigger} AFTER {event} ON {self.table.quoted} {referencing}FOR EACH STATEMENT "
                f"EXECUTE FUNCTION {self._function}()",
            )
            run(database, f"ALTER TABLE {self.table.quoted} ENABLE ALWAYS TRIGGER {trigger}")

    def is_longer_than(self, database: peewee.Database, rows: int) -> bool:
        """Return whether more rows are noted than so many."""
        name = POSTGRESQL.quote(self.name)
        return bool(fetch(database, f"SELECT 1 FROM {name} OFFSET {rows} LIMIT 1"))  # noqa: S608 - quoted, a number

    def make_up(self, database: peewee.Database, copied: str, copy: str | None = None) -> None:
        """Make the copy equal to the table where rows are noted.

        All of its statements have to see the same: that of one moment, or of a table that nobody writes.

        Args:
            database: the database, in a transaction.
            copied: the condition that rows meet which are copied already; others will be.
            copy: the name of the table that has the copy, where that is not ``copy``.
        """
        copy = copy or self.copy
        columns = self._names() | {"copy": POSTGRESQL.quote(copy)}
        look_up(database)
        if fetch(database, "SELECT 1 FROM {journal} WHERE {key} IS NULL LIMIT 1".format_map(columns)):
            run(database, "TRUNCATE {copy}".format_map(columns))
        # They stand in the statement, so that few partitions are planned.
        query = "SELECT min({moment})::text, max({moment})::text FROM {journal}"
        ((earliest, latest),) = fetch(database, query.format_map(columns))
        if earliest is None:
            run(database, "DELETE FROM {journal}".format_map(columns))
            return
        # All that go first: of what is unique, one row may have what another one had.
        run(
            database,
            "DELETE FROM {copy} AS c USING (SELECT DISTINCT {key}, {moment} FROM {journal}) AS j "  # noqa: S608 - quoted
            "WHERE c.{key} = j.{key} AND c.{moment} = j.{moment} "
            "AND c.{moment} BETWEEN {earliest} AND {latest}".format(
                **columns, earliest=text_literal(earliest), latest=text_literal(latest)
            ),
        )
        written = written_columns(database, copy)
        send(
            database,
            "INSERT INTO {copy} ({written}) SELECT {written} FROM {table} "  # noqa: S608 - quoted
            "WHERE {key} IN (SELECT {key} FROM {journal}) AND {copied}".format(
                **columns, written=written, copied=copied
            ),
        )
        run(database, "DELETE FROM {journal}".format_map(columns))

    def write_at_once(self, database: peewee.Database) -> str:
        """Have changes written into the copy from now on, which is equal; nobody else writes until the commit.

        Transactions that began before and have one snapshot to their end go on noting what they change.

        Returns:
            since when: the transaction's id.
        """
        since = str(fetch_value(database, "SELECT pg_current_xact_id()::text"))
        self._write_into(database, since, {self.copy: "true"})
        return since

    def write_into_both(self, database: peewee.Database, since: str, edge: datetime | None) -> None:
        """Have changes written where their rows are by now; nobody else writes until the commit.

        Args:
            database: the database, in a transaction.
            since: what ``write_at_once`` has returned.
            edge: before when rows are in partitions that the whole has by now; ``None`` where it has all of them.
        """
        column = self.table.column
        targets = {self.whole: within(column, None, edge)}
        if edge is not None:
            targets[self.copy] = within(column, edge, None)
        self._write_into(database, since, targets)

    def _write_into(self, database: peewee.Database, since: str, targets: Mapping[str, str]) -> None:
        """Have changes written into tables, each with the condition that its rows meet."""
        names, quote = self._names(), POSTGRESQL.quote
        columns = written_columns(database, self.copy)
        insertions = [
            _INSERT.format(copy=quote(name), columns=columns, condition=condition)
            for name, condition in targets.items()
        ]
        body = _WRITE.format(
            **names,
            since=since,
            note=_NOTE.format_map(names),
            copies=", ".join(map(quote, targets)),
            deletions="".join([_DELETE.format_map(names | {"copy": quote(name)}) for name in targets]),
            insertions="\n        ".join(insertions),
        )
        self._make_function(database, body)

    def end(self, database: peewee.Database, table: str) -> None:
        """Have changes of a table noted no more; nobody else is in it until the commit.

        Args:
            database: the database, in a transaction.
            table: what the table is called by now.
        """
        for trigger in self.triggers.values():
            run(database, f"DROP TRIGGER IF EXISTS {POSTGRESQL.quote(trigger)} ON {POSTGRESQL.quote(table)}")

    def drop(self, database: peewee.Database) -> None:
        """Drop what changed rows were noted in, of which nothing is left then."""
        run(database, f"DROP TABLE {POSTGRESQL.quote(self.name)}")
        run(database, f"DROP FUNCTION {self._function}()")

    @property
    def _function(self) -> str:
        return POSTGRESQL.quote(self.table.partition_name("note"))

    def _make_function(self, database: peewee.Database, body: str) -> None:
        schema = POSTGRESQL.quote(fetch_value(database, "SELECT current_schema()::text"))
        settings = " ".join([f"SET {name} = off" for name in _LOOKING_UP])
        text = text_literal(f"DECLARE found bigint := 0; more bigint;\nBEGIN\n{body}\nRETURN NULL;\nEND")
        send(
            database,
            f"CREATE OR REPLACE FUNCTION {self._function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
            f"SET search_path = {schema}, pg_temp {settings} AS {text}",
        )

    def _names(self) -> dict[str, str]:
        quote = POSTGRESQL.quote
        return {
            "table": self.table.quoted,
            "journal": quote(self.name),
            "copy": quote(self.copy),
            "key": quote(self.key),
            "moment": quote(self.table.column),
        }


def look_up(database: peewee.Database) -> None:
    """Have the statements of a transaction find few rows of many by their indexes."""
    for name in _LOOKING_UP:
        run(database, f"SET LOCAL {name} = off")
