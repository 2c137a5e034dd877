"""Peewee on its own: plain models on the same tables, one connection kept, defaults left to the database.

Rows are inserted in parts of a thousand, inside a transaction, as its documentation advises.
"""

# What each method is, `benchmarks.operations` says.
# ruff: noqa: D102

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import peewee
from psycopg2.extensions import parse_dsn

from benchmarks.data import Batch
from benchmarks.databases import SQLITE_PRAGMAS
from benchmarks.library import Library

_ROWS_PER_STATEMENT = 1000


class UuidField(peewee.UUIDField):
    """A UUID in the text that the schema has on SQLite, with dashes; PostgreSQL takes the same."""

    def db_value(self, value: Any) -> Any:
        return str(value) if isinstance(value, UUID) else value


class User(peewee.Model):
    """An account."""

    uuid = UuidField()
    email = peewee.CharField()
    password_hash = peewee.CharField()
    created_at = peewee.DateTimeField()
    updated_at = peewee.DateTimeField()

    class Meta:
        """Its table."""

        table_name = "users"


class UserInformation(peewee.Model):
    """An account's profile."""

    uuid = UuidField()
    user = peewee.ForeignKeyField(User, field="uuid", backref="information")
    first_name = peewee.CharField()
    last_name = peewee.CharField()
    role = peewee.CharField()

    class Meta:
        """Its table."""

        table_name = "user_information"


class Function(peewee.Model):
    """A function."""

    uuid = UuidField()
    user = peewee.ForeignKeyField(User, backref="functions")
    name = peewee.CharField()
    status = peewee.CharField()
    active_deployment_id = peewee.IntegerField(null=True)
    analysis_result = peewee.JSONField(null=True)
    created_at = peewee.DateTimeField()
    updated_at = peewee.DateTimeField()

    class Meta:
        """Its table."""

        table_name = "functions"


class FunctionDeployment(peewee.Model):
    """A version of a function."""

    uuid = UuidField()
    function = peewee.ForeignKeyField(Function, backref="deployments")
    version = peewee.IntegerField()
    image_tag = peewee.CharField()
    s3_key = peewee.CharField()
    status = peewee.CharField()
    is_active = peewee.BooleanField()
    build_logs = peewee.TextField(null=True)
    deployed_at = peewee.DateTimeField()

    class Meta:
        """Its table."""

        table_name = "function_deployments"


class FunctionLog(peewee.Model):
    """A line that a function logged."""

    uuid = UuidField()
    function = peewee.ForeignKeyField(Function, backref="logs")
    level = peewee.CharField()
    message = peewee.TextField()
    timestamp = peewee.DateTimeField()

    class Meta:
        """Its table."""

        table_name = "function_logs"


class FunctionInvocation(peewee.Model):
    """A call of a function."""

    uuid = UuidField()
    function = peewee.ForeignKeyField(Function, backref="invocations")
    status = peewee.CharField()
    duration_ms = peewee.IntegerField(null=True)
    error = peewee.TextField(null=True)
    timestamp = peewee.DateTimeField()

    class Meta:
        """Its table."""

        table_name = "function_invocations"


MODELS = (User, UserInformation, Function, FunctionDeployment, FunctionLog, FunctionInvocation)


class Peewee(Library):
    """Peewee."""

    name = "peewee"
    title = "Peewee"
    package = "peewee"

    def open(self) -> None:
        self.peewee: Any
        if self.database.dialect == "sqlite":
            self.peewee = peewee.SqliteDatabase(self.database.target, pragmas=SQLITE_PRAGMAS, returning_clause=True)
        else:
            self.peewee = peewee.PostgresqlDatabase(None)
            settings = parse_dsn(self.database.target)
            self.peewee.init(settings.pop("dbname"), **settings)
        self.peewee.bind(MODELS)
        self.peewee.connect()

    def close(self) -> None:
        self.peewee.close()

    def find_by_id(self, id: int) -> Any:
        return Function.get_by_id(id)

    def find_by_uuid(self, uuid: Any) -> Any:
        return Function.get(Function.uuid == uuid)

    def find_20(self, user_id: int) -> Any:
        return list(
            Function.select().where(Function.user == user_id).order_by(Function.created_at.desc()).limit(20).execute()
        )

    def find_1000(self, argument: None) -> Any:
        return list(Function.select().order_by(Function.id).execute())

    def insert(self, row: dict[str, Any]) -> Any:
        return next(iter(Function.insert(**row).returning(Function).execute()))

    def update_by_id(self, argument: tuple[int, dict[str, Any]]) -> Any:
        id, changes = argument
        changes = changes | {"updated_at": datetime.now(UTC).replace(tzinfo=None)}
        return next(iter(Function.update(**changes).where(Function.id == id).returning(Function).execute()))

    def upsert(self, row: dict[str, Any]) -> Any:
        row = row | {"updated_at": datetime.now(UTC).replace(tzinfo=None)}
        query = Function.insert(**row).on_conflict(
            conflict_target=(Function.user, Function.name),
            preserve=(Function.status, Function.analysis_result, Function.updated_at),
        )
        return next(iter(query.returning(Function).execute()))

    def count(self, user_id: int) -> Any:
        return Function.select().where(Function.user == user_id).count()

    def exists(self, argument: tuple[int, str]) -> Any:
        return Function.select().where(Function.user == argument[0], Function.name == argument[1]).exists()

    def include(self, functions: int) -> Any:
        return peewee.prefetch(
            Function.select().where(Function.id <= functions).order_by(Function.id),
            FunctionDeployment.select().order_by(FunctionDeployment.id),
        )

    def builder(self, user_id: int) -> Any:
        query = (
            Function.select(
                Function.name,
                Function.created_at,
                User.email,
                UserInformation.first_name,
                FunctionDeployment.version,
            )
            .join(User, on=Function.user == User.id)
            .join(UserInformation, on=UserInformation.user == User.uuid)
            .join(FunctionDeployment, on=FunctionDeployment.function == Function.id)
            .where(Function.user == user_id, FunctionDeployment.is_active == True)  # noqa: E712 - an expression
            .order_by(Function.created_at.desc())
            .limit(20)
        )
        return list(query.dicts())

    def batch_insert(self, batch: Batch) -> None:
        with self.peewee.atomic():
            for rows in peewee.chunked(batch.naive_rows, _ROWS_PER_STATEMENT):
                FunctionLog.insert_many(rows).execute()

    batch_insert_large = batch_insert

    def batch_insert_returning(self, batch: Batch) -> Any:
        returned: list[Any] = []
        with self.peewee.atomic():
            for rows in peewee.chunked(batch.naive_rows, _ROWS_PER_STATEMENT):
                returned += FunctionLog.insert_many(rows).returning(FunctionLog).execute()
        return returned

    def iterate(self, rows: int) -> Iterator[Any]:
        query = FunctionInvocation.select().where(FunctionInvocation.id <= rows)
        if self.database.dialect == "sqlite":
            return iter(query.iterator())
        return self._stream(query)

    def _stream(self, query: Any) -> Iterator[Any]:
        # Its server-side cursors are playhouse's; they need that database class, and a transaction.
        from playhouse.postgres_ext import PostgresqlExtDatabase, ServerSide

        if not isinstance(self.peewee, PostgresqlExtDatabase):
            self.peewee.close()
            settings = parse_dsn(self.database.target)
            self.peewee = PostgresqlExtDatabase(settings.pop("dbname"), **settings)
            self.peewee.bind(MODELS)
            self.peewee.connect()
            query = query.bind(self.peewee)
        with self.peewee.atomic():
            yield from ServerSide(query)
