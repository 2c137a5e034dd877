"""Checks of the tables, the same on both databases: migrations, drift, indexes that are missing or there twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from cloudpub_models.cli.commands.doctor.verdicts import Check, Verdict, error, notice, ok, warning
from cloudpub_models.cli.given.servers import databases_of_invocations
from cloudpub_models.cli.shown.counted import counted
from cloudpub_models.component import Component
from cloudpub_models.connection import Database
from cloudpub_models.entity.fields import TimestampField, name_of_part
from cloudpub_models.entity.stored_forms import utc_now
from cloudpub_models.errors import CloudpubError
from cloudpub_models.platform.rollups import counting
from cloudpub_models.platform.rollups.switching import has_triggers
from cloudpub_models.schema.catalogue.catalogue import Table
from cloudpub_models.schema.catalogue.read import read_catalogue
from cloudpub_models.schema.drift.compare import find_drift
from cloudpub_models.schema.drift.definition import expected_catalogue
from cloudpub_models.schema.migrations.migrator import Migrator
from cloudpub_models.schema.search_index import faulty_tables

# A consumer that has left something waiting for so long has stopped, and is not just slow.
_PATIENCE = timedelta(days=1)
_MENDED, _COUNTED = "cloudpub rollup on, then cloudpub rollup", "cloudpub rollup, from cron"
# Below this nobody minds a log; above it, one that takes more than all else is worth a word.
_NOTABLE_BYTES = 100_000_000
_NOTABLE_SHARE = 0.5
# Since when on a table is recorded is never pruned.
_OLDEST = {
    "changes": "SELECT changed_at AS moment FROM changes WHERE operation NOT IN ('S', 'E') ORDER BY id LIMIT 1",
    "outbox": "SELECT created_at AS moment FROM outbox ORDER BY id LIMIT 1",
}


def components(database: Database) -> Iterator[Verdict]:
    """Say whose tables are meant."""
    yield ok(", ".join(f"{one.name} ({counted(len(one.models), 'table')})" for one in database.components))


def migrations(database: Database, components: Iterable[Component]) -> Iterator[Verdict]:
    """Say which of some components' migrations are pending, and whether files and database agree on the others."""
    statuses = [status for status in Migrator(database.engine, components).status() if status.state != "foreign"]
    broken = [status for status in statuses if status.is_broken]
    pending = [status.name for status in statuses if status.state == "pending"]
    none_applied = len(pending) == len(statuses)
    for status in broken:
        yield error(
            f"{status.name} is {status.state}: files and database do not agree", "'cloudpub migrate up' says what to do"
        )
    if pending and none_applied and _has_own_tables(database):
        yield warning(
            "the models' tables are there, but no migration is recorded: something else has made them",
            "cloudpub migrate adopt",
        )
    elif pending:
        message = f"{len(pending)} of {len(statuses)} not applied: {', '.join(pending)}"
        yield (error if none_applied else warning)(message, "cloudpub migrate up --plan, then cloudpub migrate up")
    if not broken and not pending:
        yield ok(f"all {len(statuses)} applied, the last {statuses[-1].name}")


def drift(database: Database) -> Iterator[Verdict]:
    """Compare the database with the models."""
    if not _has_own_tables(database):
        yield error("none of the models' tables is there", "cloudpub migrate up")
        return
    differences = find_drift(database.engine, database.models)
    for difference in differences:
        yield (error if difference.blocking else warning)(
            difference.description,
            "\n".join(difference.statements) or "no single statement mends it: see cloudpub migrate check",
        )
    if not differences:
        yield ok("the database is what the models say")


def foreign_keys_without_index(database: Database) -> Iterator[Verdict]:
    """Find references that no index serves: deleting a row that they point to reads their whole table.

    Those for which the models ask for an index are left to ``drift``.
    """
    expected = expected_catalogue(database.engine.sql_dialect, database.models).tables
    dialect = database.engine.sql_dialect
    tables = read_catalogue(database.engine).tables
    found = not any(table.foreign_keys for table in tables.values())
    for table in tables.values():
        served = _index_beginnings(table)
        for key in table.foreign_keys:
            if any(columns[: len(key.columns)] == key.columns for columns in served):
                continue
            found = True
            if table.name in expected and key.columns in _index_beginnings(expected[table.name]):
                continue
            columns = ", ".join(key.columns)
            create = "CREATE INDEX" if table.partitioned_by else dialect.create_index
            yield warning(
                f"{table.name} ({columns}) refers to {key.table} without an index: deleting from {key.table} reads all "
                f"of {table.name}",
                f"{create} {dialect.quote(name_of_part(table.name, key.columns, 'idx'))} "
                f"ON {dialect.quote(table.name)} ({', '.join(map(dialect.quote, key.columns))});",
            )
    if not found:
        yield ok("every foreign key has one")


def indexes_twice(database: Database) -> Iterator[Verdict]:
    """Find indexes over the same columns as a constraint or another index: they only cost."""
    quote = database.engine.sql_dialect.quote
    for table in read_catalogue(database.engine).tables.values():
        seen: dict[tuple[str, ...], str] = {unique.columns: "its UNIQUE constraint" for unique in table.uniques}
        seen[table.primary_key] = "its primary key"
        for index in table.indexes:
            other = index.name if index.partial else seen.setdefault(index.columns, index.name)
            if other != index.name:
                yield notice(
                    f"{index.name} on {table.name} is over the same columns as {other}",
                    f"DROP INDEX {quote(index.name)};",
                )


def indexes_of_words(database: Database) -> Iterator[Verdict]:
    """Find indexes of words that do not serve: searches read the texts themselves."""
    for table in faulty_tables(database.engine, database.models):
        yield warning(
            f"the index of words of {table} is not up to its table: searches do without it",
            f"cloudpub search index on {table}",
        )


def history(database: Database) -> Iterator[Verdict]:
    """Say whether changes are recorded, and which tables have triggers that do not record what they should."""
    recorded = database.history.tables
    faulty = database.history.faulty_tables()
    for table in faulty:
        yield error(
            f"the triggers of {table} are gone, old or do not fit it: changes may be lost", "cloudpub history on"
        )
    if recorded and not faulty:
        yield ok(f"the changes of {counted(len(recorded), 'table')} are recorded")


def consumers(database: Database) -> Iterator[Verdict]:
    """Find consumers of feeds that have stopped: what they have yet to read is kept for them."""
    found = database.history.consumers()
    stopped = [consumer for consumer in found if consumer.has_stopped(_PATIENCE)]
    for consumer in stopped:
        read = f"read last {consumer.read_at:%Y-%m-%d %H:%M} UTC" if consumer.read_at else "has never read"
        yield warning(
            f"the consumer {consumer.name} {read}: {consumer.waiting:,} of {consumer.source} wait, which prune keeps",
            f"start it again, or cloudpub history remove-consumer '{consumer.name}'",
        )
    if found and not stopped:
        yield ok(f"{counted(len(found), 'consumer')} of feeds: none has stopped")


def size_of_log(database: Database, size: Callable[[str], int], whole: int) -> Iterator[Verdict]:
    """Say how large the log of changes and the outbox are, and which command makes one smaller that is too large.

    Args:
        database: the database.
        size: gives the bytes that a table takes with its indexes.
        whole: how many the database takes.
    """
    if not database.history.since:
        return
    for source, oldest in _OLDEST.items():
        row = database.raw_query_single(oldest)
        if row is None:
            continue
        since: Any = TimestampField().python_value(row["moment"])
        found = size(source)
        message = f"{source} takes {found / 1e6:,.1f} MB, {found / whole:.0%} of the database, since {since:%Y-%m-%d}"
        if found > _NOTABLE_BYTES and found > whole * _NOTABLE_SHARE:
            days = max(1, (utc_now() - since).days // 2)
            yield notice(message, f"cloudpub history prune --source {source} --older-than {days}d")
        else:
            yield ok(message)


def rollups(database: Database) -> Iterator[Verdict]:
    """Say how far invocations are counted, on each server, and whether what changes them is noticed."""
    try:
        databases = databases_of_invocations(database)
    except CloudpubError:
        return  # which is said of the servers
    having = [each for each in databases if counting.is_on(each)]
    for each in databases if having else ():
        where = f"{each.url}: " if len(databases) > 1 else ""
        yield from _rollups_of(each, where) if each in having else [error(f"{where}has none, as others have", _MENDED)]


def _rollups_of(database: Database, where: str) -> Iterator[Verdict]:
    if not has_triggers(database):
        yield error(
            f"{where}triggers of function_invocations are gone or not as they should be: changes go unnoticed", _MENDED
        )
        return
    counted_until = counting.state_of(database).counted_until
    message = f"{where}invocations are counted until {counted_until:%Y-%m-%d %H:%M} UTC"
    if counted_until == counting.BEGINNING:
        yield warning(f"{where}none of the invocations is counted yet: statistics read all rows", _COUNTED)
    elif datetime.now(UTC) - counted_until > _PATIENCE:
        yield warning(f"{message} only: statistics read the rows since then", _COUNTED)
    else:
        yield ok(f"{message}; {counted(counting.marks_of(database), 'mark')} of later changes")


CHECKS: tuple[Check, ...] = (
    ("history", history),
    ("rollups", rollups),
    ("history", consumers),
    ("drift", drift),
    ("indexes", foreign_keys_without_index),
    ("indexes", indexes_twice),
    ("indexes", indexes_of_words),
)


def _has_own_tables(database: Database) -> bool:
    names = {model._meta.table_name for model in database.models}
    return bool(names & set(read_catalogue(database.engine, names).tables))


def _index_beginnings(table: Table) -> list[tuple[str, ...]]:
    indexed = [index.columns for index in table.indexes if not index.partial]
    return [*indexed, *(unique.columns for unique in table.uniques), table.primary_key]
