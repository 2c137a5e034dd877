"""The order of the checks, and what becomes of one that fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from cloudpub_models.cli.commands.doctor.diagnosis import Finding, Level
from cloudpub_models.connection import Database
from cloudpub_models.errors import CloudpubError

# A round trip that takes longer makes every statement slow, whatever the database does.
_SLOW_ROUND_TRIP_SECONDS = 0.02


def examine(database: Database, directory: Path | None = None) -> Iterator[Finding]:
    """Yield what there is to say about a database, check by check; nothing is changed.

    Args:
        database: the database.
        directory: where its migrations are; this package's own when ``None``.
    """
    try:
        yield _connection(database)
    except CloudpubError as error:
        yield Finding("connection", Level.ERROR, str(error))
        return
    for name, check in _checks(database, directory):
        try:
            yield from check()
        except CloudpubError as error:
            yield Finding(name, Level.WARNING, f"could not be examined: {error}")


def _connection(database: Database) -> Finding:
    with database.session():
        database.ping()
        started = time.perf_counter()
        database.ping()
        seconds = time.perf_counter() - started
    milliseconds = f"{seconds * 1000:.1f}" if seconds >= 0.0001 else "under 0.1"
    message = f"answers; a round trip takes {milliseconds} ms"
    if seconds > _SLOW_ROUND_TRIP_SECONDS:
        return Finding(
            "connection", Level.NOTICE, message, "every statement waits for that: run workers near the server"
        )
    return Finding("connection", Level.OK, message)


def _checks(database: Database, directory: Path | None) -> Iterator[tuple[str, Callable[[], Iterator[Finding]]]]:
    if database.dialect == "postgresql":
        from cloudpub_models.cli.commands.doctor import postgresql_checks

        yield "versions", lambda: postgresql_checks.versions(database)
        yield from _schema_checks(database, directory)
        yield "indexes", lambda: postgresql_checks.invalid_indexes(database)
        yield "indexes", lambda: postgresql_checks.index_use(database)
        yield "statistics", lambda: postgresql_checks.never_analysed(database)
        yield "time-outs", lambda: postgresql_checks.time_limits(database)
        yield "time zone", lambda: postgresql_checks.time_zone(database)
        yield "encoding", lambda: postgresql_checks.encoding(database)
    else:
        from cloudpub_models.cli.commands.doctor import sqlite_checks

        yield "versions", lambda: sqlite_checks.versions(database)
        yield from _schema_checks(database, directory)
        yield "settings", lambda: sqlite_checks.settings(database)
        yield "encoding", lambda: sqlite_checks.encoding(database)
        yield "file", lambda: sqlite_checks.space(database)
        yield "integrity", lambda: sqlite_checks.integrity(database)


def _schema_checks(database: Database, directory: Path | None) -> Iterator[tuple[str, Callable[[], Iterator[Finding]]]]:
    from cloudpub_models.cli.commands.doctor import schema_checks

    yield "migrations", lambda: schema_checks.migrations(database, directory)
    yield "drift", lambda: schema_checks.drift(database)
    yield "indexes", lambda: schema_checks.foreign_keys_without_index(database)
    yield "indexes", lambda: schema_checks.indexes_twice(database)
