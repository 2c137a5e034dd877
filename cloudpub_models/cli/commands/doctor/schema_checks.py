"""Checks of the schema, the same on both databases: migrations, drift, indexes that are missing or there twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cloudpub_models.cli.commands.doctor.diagnosis import Finding, Level
from cloudpub_models.connection import Database
from cloudpub_models.entity.fields import name_of_part
from cloudpub_models.platform.component import component
from cloudpub_models.schema.catalogue.catalogue import Table
from cloudpub_models.schema.catalogue.read import read_catalogue
from cloudpub_models.schema.drift.compare import find_drift
from cloudpub_models.schema.drift.definition import expected_catalogue
from cloudpub_models.schema.migrations.migrator import Migrator


def migrations(database: Database, directory: Path | None = None) -> Iterator[Finding]:
    """Say which migrations are pending, and whether files and database agree on the others."""
    migrator = Migrator(database.engine, component if directory is None else component.with_migrations(directory))
    statuses = migrator.status()
    broken = [status for status in statuses if status.is_broken]
    pending = [status.name for status in statuses if status.state == "pending"]
    for status in broken:
        yield Finding(
            "migrations",
            Level.ERROR,
            f"{status.name} is {status.state}: files and database do not agree",
            "'cloudpub migrate up' says what to do",
        )
    if pending and len(pending) == len(statuses) and _own_tables(database):
        yield Finding(
            "migrations",
            Level.WARNING,
            "the platform's tables are there, but no migration is recorded: something else has made them",
            "cloudpub migrate adopt",
        )
    elif pending:
        level = Level.ERROR if len(pending) == len(statuses) else Level.WARNING
        yield Finding(
            "migrations",
            level,
            f"{len(pending)} of {len(statuses)} not applied: {', '.join(pending)}",
            "cloudpub migrate up --plan, then cloudpub migrate up",
        )
    if not broken and not pending:
        yield Finding("migrations", Level.OK, f"all {len(statuses)} applied, the last {statuses[-1].name}")


def drift(database: Database) -> Iterator[Finding]:
    """Compare the database with the models."""
    if not _own_tables(database):
        yield Finding("drift", Level.ERROR, "none of the platform's tables is there", "cloudpub migrate up")
        return
    differences = find_drift(database.engine, database.models)
    for difference in differences:
        yield Finding(
            "drift",
            Level.ERROR if difference.blocking else Level.WARNING,
            difference.description,
            " ".join(difference.statements) or "no single statement mends it: see cloudpub migrate check",
        )
    if not differences:
        yield Finding("drift", Level.OK, "the database is what the models say")


def foreign_keys_without_index(database: Database) -> Iterator[Finding]:
    """Find references that no index serves: deleting a row that they point to reads their whole table.

    Those for which the models ask for an index are left to `drift`.
    """
    expected = expected_catalogue(database.engine.sql_dialect, database.models).tables
    create = "CREATE INDEX CONCURRENTLY" if database.dialect == "postgresql" else "CREATE INDEX"
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
            yield Finding(
                "indexes",
                Level.WARNING,
                f"{table.name} ({columns}) refers to {key.table} without an index: deleting from {key.table} reads all "
                f"of {table.name}",
                f"{create} {name_of_part(table.name, key.columns, 'idx')} ON {table.name} ({columns});",
            )
    if not found:
        yield Finding("indexes", Level.OK, "every foreign key has one")


def indexes_twice(database: Database) -> Iterator[Finding]:
    """Find indexes over the same columns as a constraint or another index: they only cost."""
    for table in read_catalogue(database.engine).tables.values():
        seen: dict[tuple[str, ...], str] = {unique.columns: "its UNIQUE constraint" for unique in table.uniques}
        seen[table.primary_key] = "its primary key"
        for index in table.indexes:
            if index.partial:
                continue
            other = seen.setdefault(index.columns, index.name)
            if other != index.name:
                yield Finding(
                    "indexes",
                    Level.NOTICE,
                    f"{index.name} on {table.name} is over the same columns as {other}",
                    f"DROP INDEX {index.name};",
                )


def _own_tables(database: Database) -> bool:
    names = {model._meta.table_name for model in database.models}
    return bool(names & set(read_catalogue(database.engine, names).tables))


def _index_beginnings(table: Table) -> list[tuple[str, ...]]:
    indexed = [index.columns for index in table.indexes if not index.partial]
    return [*indexed, *(unique.columns for unique in table.uniques), table.primary_key]
