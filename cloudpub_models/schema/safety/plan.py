"""What migrations would send, found by running their scripts without keeping anything.

PostgreSQL: the script runs in a read-only transaction. What it reads is read; everything else is recorded and not sent,
so that no lock is taken that others would feel. What a script reads therefore shows the database as it is now, which
matters where it reads what it has written itself: then the plan says that it may not be all.

SQLite: the script runs on a temporary copy of the database, since Peewee's migrator builds some of its statements from
the schema as it finds it. Making one takes as long, and as much of the disk, as copying the file.

What is recorded is what passes Peewee's ``execute_sql``, and on SQLite also what a script sends to the driver itself;
then the plan says that it is not certain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

import peewee
from playhouse.migrate import SchemaMigrator  # type: ignore[import-untyped]

from cloudpub_models.entity.binding import dialect_of
from cloudpub_models.errors import CloudpubError, MigrationError
from cloudpub_models.schema.catalogue.normal_form import tokens
from cloudpub_models.schema.migrations.migrator import Migrator
from cloudpub_models.schema.migrations.run import load_script, scripts_to_apply, scripts_to_revert
from cloudpub_models.schema.migrations.statements import run
from cloudpub_models.schema.safety.facts import read_facts
from cloudpub_models.schema.safety.hazards import Hazard, HazardFinder

Direction = Literal["up", "down"]

_READING = frozenset({"select", "values", "show", "explain", "table"})
_WRITING = frozenset({"insert", "update", "delete", "merge"})
_CONTROLLING = frozenset({"begin", "start", "commit", "end", "rollback"})
_SAVEPOINTS = frozenset({"savepoint", "release", "rollback"})
_PAST_THE_PLAN = "it sends statements to the driver itself"
_ENDS_TRANSACTION = "it begins or ends transactions itself, so a part of it may stay done where the rest fails"


@dataclass(frozen=True)
class PlannedStatement:
    """One statement of a migration.

    Attributes:
        sql: as the driver would get it, with placeholders for values.
        times: how often it would be sent, one directly after the other.
        hazards: what is to be known about it.
    """

    sql: str
    times: int
    hazards: tuple[Hazard, ...]


@dataclass(frozen=True)
class PlannedMigration:
    """What one migration would do.

    Attributes:
        name: the migration.
        in_transaction: whether all of it is one transaction.
        statements: what it would send, without what it only reads.
        doubt: why this may not be all, or be otherwise, if there is a reason.
        stopped: why the script could not be followed to its end, if it could not.
        tried: whether it was run, on a copy of the database; where it stopped there it will fail.
    """

    name: str
    in_transaction: bool
    statements: tuple[PlannedStatement, ...]
    doubt: str | None = None
    stopped: str | None = None
    tried: bool = False

    @property
    def hazards(self) -> tuple[Hazard, ...]:
        """The hazards of all its statements, each once."""
        return tuple(dict.fromkeys(hazard for statement in self.statements for hazard in statement.hazards))

    @property
    def destroys(self) -> tuple[Hazard, ...]:
        """What it throws away."""
        return tuple(hazard for hazard in self.hazards if hazard.severity == "destructive")


def plan_migrations(migrator: Migrator, direction: Direction, target: str | None = None) -> list[PlannedMigration]:
    """Return what ``Migrator.up`` or ``Migrator.down`` would do; nothing is changed.

    Args:
        migrator: of the database.
        direction: which of the two.
        target: as for those.

    Raises:
        MigrationError: as those do before they run a script.

    >>> [first, *_] = plan_migrations(Migrator(peewee.SqliteDatabase(":memory:")), "up")
    >>> first.name, first.statements[0].sql.split(" (")[0]
    ('0001_initial', 'CREATE TABLE users')
    """
    database = migrator.database
    if database.in_transaction():
        raise MigrationError("expected no open transaction: a plan has one of its own; end it first")
    known = [script.name for script in migrator.scripts()] if direction == "up" else list(migrator.records())
    migrator.require_known(target, known)
    scripts = (scripts_to_apply if direction == "up" else scripts_to_revert)(migrator, target)
    modules = [(script.name, load_script(script, direction)) for script in scripts]
    if not modules:
        return []
    with _nothing_kept(database) as stage:
        recorder = _Recorder(stage)
        finder = HazardFinder(read_facts(stage))
        planned: list[PlannedMigration] = []
        for name, module in modules:
            if planned and planned[-1].stopped:
                planned.append(
                    PlannedMigration(name, True, (), stopped="the one before it was not followed to its end")
                )
                continue
            planned.append(_planned(name, module, direction, recorder, finder))
    return planned


def _planned(
    name: str, module: ModuleType, direction: Direction, recorder: _Recorder, finder: HazardFinder
) -> PlannedMigration:
    in_transaction = bool(getattr(module, "atomic", True)) or recorder.sends_everything
    stopped = None
    recorder.begin()
    with recorder.listening():
        try:
            getattr(module, direction)(SchemaMigrator.from_database(recorder.database), recorder.database)
        except Exception as error:  # noqa: BLE001 - a script may raise anything
            first_line = (str(error).strip().splitlines() or [""])[0]
            stopped = f"{type(error).__name__}: {first_line}"
    statements = tuple(
        PlannedStatement(sql, times, finder.hazards(sql, in_transaction=in_transaction))
        for sql, times in recorder.recorded
    )
    return PlannedMigration(name, in_transaction, statements, recorder.doubt, stopped, recorder.sends_everything)


class _Recorder:
    """Stands between a script and the database that it is tried on."""

    def __init__(self, database: peewee.Database) -> None:
        self.database = database
        self.sends_everything = dialect_of(database) == "sqlite"
        self.recorded: list[tuple[str, int]] = []
        self.doubt: str | None = None
        self._send_statement: Callable[..., Any] = database.execute_sql
        self._anything_withheld = False
        self._sending = False

    def begin(self) -> None:
        """Begin the record of the next migration."""
        self.recorded = []
        self.doubt = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take what is sent through the database inside the block."""
        vars(self.database)["execute_sql"] = self._execute_sql
        connection = self.database.connection() if self.sends_everything else None  # type: ignore[no-untyped-call]
        if connection is not None:
            connection.set_trace_callback(self._traced)
        try:
            yield
        finally:
            del vars(self.database)["execute_sql"]
            if connection is not None:
                connection.set_trace_callback(None)
                if not connection.in_transaction:
                    self.doubt = _ENDS_TRANSACTION
                    connection.execute("BEGIN")

    def _traced(self, sql: str) -> None:
        """Take what SQLite runs without having been sent it through ``execute_sql``."""
        words = tokens(sql)
        # Statements of triggers come as comments.
        if self._sending or not words or words[0] in _CONTROLLING | _SAVEPOINTS or _reads(words):
            return
        self.doubt = _PAST_THE_PLAN
        self._record(sql)

    def _send(self, sql: str, params: Sequence[Any] | None) -> Any:
        self._sending = True
        try:
            return self._send_statement(sql, params)
        finally:
            self._sending = False

    def _execute_sql(self, sql: str, params: Sequence[Any] | None = None) -> Any:
        words = tokens(sql)
        first = words[0] if words else ""
        if first in _SAVEPOINTS and (first != "rollback" or "to" in words):
            return self._send(sql, params)
        if first in _CONTROLLING:
            self.doubt = _ENDS_TRANSACTION
            return _NoRows()
        if _reads(words):
            return self._read(sql, params)
        self._record(sql)
        if self.sends_everything:
            return self._send(sql, params)
        self._anything_withheld = True
        return _NoRows()

    def _read(self, sql: str, params: Sequence[Any] | None) -> Any:
        if self.sends_everything:
            return self._send(sql, params)
        try:
            with self._savepoint():
                cursor = self._send(sql, params)
        except (peewee.PeeweeException, CloudpubError) as error:
            if not _is_refused_write(error):
                raise
            self._record(sql)
            self._anything_withheld = True
            return _NoRows()
        if self._anything_withheld:
            self.doubt = "it reads the database after statements that a plan does not send, so it may do otherwise"
        return cursor

    def _savepoint(self) -> AbstractContextManager[Any]:
        # Its own statements come back here, and pass as what controls transactions.
        return self.database.atomic()

    def _record(self, sql: str) -> None:
        if self.recorded and self.recorded[-1][0] == sql:
            self.recorded[-1] = (sql, self.recorded[-1][1] + 1)
        else:
            self.recorded.append((sql, 1))


class _NoRows:
    """Stands for the cursor of a statement that was not sent."""

    rowcount = 0
    description = None
    lastrowid = None

    def fetchone(self) -> None:
        return None

    def fetchall(self) -> list[Any]:
        return []

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def close(self) -> None:
        pass


class _UndoError(Exception):
    """Leaves the transaction of a plan without a commit."""


@contextmanager
def _nothing_kept(database: peewee.Database) -> Iterator[peewee.Database]:
    """Give a database in a transaction, to try scripts on."""
    if dialect_of(database) == "sqlite":
        with _copied(database) as copy, copy.atomic():
            yield copy
        return
    with suppress(_UndoError), database.atomic():
        run(database, "SET TRANSACTION READ ONLY")
        run(database, "SET LOCAL statement_timeout = 0")
        yield database
        raise _UndoError


@contextmanager
def _copied(database: peewee.Database) -> Iterator[peewee.Database]:
    """Give a copy of a SQLite database, on the disk where it does not fit into a small cache, and nameless."""
    copy = peewee.SqliteDatabase("file:", uri=True)
    copy.connect()
    try:
        with database.connection_context() if database.is_closed() else nullcontext():
            database.connection().backup(copy.connection())  # type: ignore[no-untyped-call]
        yield copy
    finally:
        copy.close()


def _reads(words: Sequence[str]) -> bool:
    """Whether a statement is worth sending as a query; one that writes all the same is refused by the database."""
    first = words[0] if words else ""
    if first == "with":
        return not _WRITING & set(words)
    return first in _READING or (first == "pragma" and "=" not in words)


def _is_refused_write(error: Exception) -> bool:
    """Whether PostgreSQL refused a statement because the transaction is read-only."""
    driver_error = getattr(error, "orig", None) or error.__cause__
    return getattr(driver_error, "pgcode", None) == "25006"
