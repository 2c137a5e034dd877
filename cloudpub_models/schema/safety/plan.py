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

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import peewee

from cloudpub_models.entity.binding import current_database, sql_dialect_of
from cloudpub_models.errors import CloudpubError, MigrationError
from cloudpub_models.schema.catalogue.read import read_facts, reader_of
from cloudpub_models.schema.migrations.migrator import Migrator
from cloudpub_models.schema.migrations.run import session_of
from cloudpub_models.schema.migrations.scripts import Direction
from cloudpub_models.schema.safety.hazards import Hazard, HazardFinder
from cloudpub_models.sql.text.statements import command_of, statements_in, transaction_control, words_of
from cloudpub_models.sql.text.tokens import tokens

_READING = frozenset({"select", "values", "show", "explain", "table"})
_WRITING = frozenset({"insert", "update", "delete", "merge"})
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

    >>> [first, *_] = plan_migrations(Migrator(peewee.SqliteDatabase(":memory:"), database.components[0]), "up")
    >>> first.name, first.statements[0].sql.split(" (")[0]
    ('0001_initial', 'CREATE TABLE users')
    """
    database = migrator.database
    if database.in_transaction():
        raise MigrationError("expected no open transaction: a plan has one of its own; end it first")
    scripts = migrator.scripts_to_apply(target) if direction == "up" else migrator.scripts_to_revert(target)
    modules = [(script.name, script.load(direction)) for script in scripts]
    if not modules:
        return []
    with reader_of(sql_dialect_of(database)).nothing_kept(database) as stage:
        recorder = _Recorder(stage, sends_everything=stage is not database)
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
    schema_migrator = session_of(recorder.database, 0).schema_migrator()
    recorder.begin()
    with recorder.listening():
        try:
            with current_database.bound_to(recorder.database):
                getattr(module, direction)(schema_migrator, recorder.database)
        except Exception as error:  # noqa: BLE001 - a script may raise anything
            first_line = (str(error).strip().splitlines() or [""])[0]
            stopped = f"{type(error).__name__}: {first_line}"
    sent: Counter[str] = Counter()
    for sql, times in recorder.recorded:
        sent[sql] += times
    statements = []
    for sql, times in recorder.recorded:
        hazards = finder.hazards(sql, in_transaction=in_transaction)
        if sent[sql] == schema_migrator.lossless[sql]:
            # All of them are the migrator's own, which has kept the rows.
            hazards = tuple(hazard for hazard in hazards if hazard.severity != "destructive")
        statements.append(PlannedStatement(sql, times, hazards))
    tried = recorder.sends_everything
    return PlannedMigration(name, in_transaction, tuple(statements), recorder.doubt, stopped, tried)


class _Recorder:
    """Stands between a script and the database that it is tried on."""

    def __init__(self, database: peewee.Database, *, sends_everything: bool) -> None:
        """Try scripts on ``database``.

        Args:
            database: in a transaction of which nothing is kept.
            sends_everything: whether what changes something is sent as well.
        """
        self.database = database
        self.sends_everything = sends_everything
        self._dialect = sql_dialect_of(database)
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
        statements = self._statements(sql)
        # Statements of triggers come as comments.
        if self._sending or not statements or transaction_control(statements[0]) or _reads(statements[0]):
            return
        self.doubt = _PAST_THE_PLAN
        self._record(sql)

    def _statements(self, sql: str) -> list[list[str]]:
        return [words_of(statement) for statement in statements_in(tokens(sql, self._dialect))]

    def _send(self, sql: str, params: Sequence[Any] | None) -> Any:
        self._sending = True
        try:
            return self._send_statement(sql, params)
        finally:
            self._sending = False

    def _execute_sql(self, sql: str, params: Sequence[Any] | None = None) -> Any:
        statements = self._statements(sql)
        if any(transaction_control(words) and not _is_savepoint(words) for words in statements):
            self.doubt = _ENDS_TRANSACTION
            if len(statements) == 1:
                return _NoRows()
        elif len(statements) == 1 and _is_savepoint(statements[0]):
            return self._send(sql, params)
        elif len(statements) == 1 and _reads(statements[0]):
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


def _reads(words: Sequence[str]) -> bool:
    """Whether a statement is worth sending as a query; one that writes all the same is refused by the database."""
    command = command_of(words)
    if words[0] == "with":
        return command in _READING and _WRITING.isdisjoint(words)
    return command in _READING or (command == "pragma" and "=" not in words)


def _is_savepoint(words: Sequence[str]) -> bool:
    return words[0] in ("savepoint", "release") or (words[0] == "rollback" and "to" in words)


def _is_refused_write(error: Exception) -> bool:
    """Whether PostgreSQL refused a statement because the transaction is read-only."""
    driver_error = getattr(error, "orig", None) or error.__cause__
    return getattr(driver_error, "pgcode", None) == "25006"
