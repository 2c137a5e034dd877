"""Pony: entities on the same tables, a ``db_session`` for each call.

It has no upsert and no stream, and inserts one row a statement: the large batch would only repeat the small one, ten
times as long. It reads before it updates.
"""

# What each method is, `benchmarks.operations` says.
# ruff: noqa: D102

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from pony import orm
from pony.orm import dbapiprovider

from benchmarks.data import Batch
from benchmarks.databases import SQLITE_PRAGMAS
from benchmarks.library import Library

db = orm.Database()


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


class User(db.Entity):
    """An account."""

    _table_ = "users"
    id = orm.PrimaryKey(int, auto=True)
    uuid = orm.Required(UUID, default=uuid4)
    email = orm.Required(str)
    password_hash = orm.Required(str)
    created_at = orm.Required(datetime, 6, default=_now)
    updated_at = orm.Required(datetime, 6, default=_now)
    functions = orm.Set("Function")


class UserInformation(db.Entity):
    """An account's profile; Pony knows no reference to a column that is not the primary key."""

    _table_ = "user_information"
    id = orm.PrimaryKey(int, auto=True)
    uuid = orm.Required(UUID, default=uuid4)
    user_id = orm.Required(UUID)
    first_name = orm.Required(str)
    last_name = orm.Required(str)
    role = orm.Required(str)


class Function(db.Entity):
    """A function."""

    _table_ = "functions"
    id = orm.PrimaryKey(int, auto=True)
    uuid = orm.Required(UUID, default=uuid4)
    user = orm.Required(User, column="user_id")
    name = orm.Required(str)
    status = orm.Required(str, default="active")
    active_deployment_id = orm.Optional(int)
    analysis_result = orm.Optional(orm.Json)
    created_at = orm.Required(datetime, 6, default=_now)
    updated_at = orm.Required(datetime, 6, default=_now)
    deployments = orm.Set("FunctionDeployment")
    logs = orm.Set("FunctionLog")


class FunctionDeployment(db.Entity):
    """A version of a function."""

    _table_ = "function_deployments"
    id = orm.PrimaryKey(int, auto=True)
    uuid = orm.Required(UUID, default=uuid4)
    function = orm.Required(Function, column="function_id")
    version = orm.Required(int)
    image_tag = orm.Required(str)
    s3_key = orm.Required(str)
    status = orm.Required(str)
    is_active = orm.Required(bool, default=False)
    build_logs = orm.Optional(orm.LongStr, nullable=True, lazy=False)
    deployed_at = orm.Required(datetime, 6, default=_now)


class FunctionLog(db.Entity):
    """A line that a function logged."""

    _table_ = "function_logs"
    id = orm.PrimaryKey(int, auto=True)
    uuid = orm.Required(UUID, default=uuid4)
    function = orm.Required(Function, column="function_id")
    level = orm.Required(str)
    message = orm.Required(orm.LongStr, lazy=False)
    timestamp = orm.Required(datetime, 6, default=_now)


class Pony(Library):
    """Pony."""

    name = "pony"
    title = "Pony"
    package = "pony"

    def open(self) -> None:
        if self.database.dialect == "sqlite":
            _keep_uuids_as_text()
            db.on_connect(provider="sqlite")(_set_pragmas)
            db.bind(provider="sqlite", filename=self.database.target)
        else:
            db.bind(provider="postgres", dsn=self.database.target)
        db.generate_mapping(create_tables=False, check_tables=False)

    def close(self) -> None:
        db.disconnect()

    def column(self, row: Any, table: str, name: str) -> Any:
        if table == "function_deployments" and name == "function_id":
            return row.function.id
        return super().column(row, table, name)

    def find_by_id(self, id: int) -> Any:
        with orm.db_session:
            return Function.get(id=id)

    def find_by_uuid(self, uuid: Any) -> Any:
        with orm.db_session:
            return Function.get(uuid=uuid)

    def find_20(self, user_id: int) -> Any:
        with orm.db_session:
            query = orm.select(f for f in Function if f.user.id == user_id)
            return query.order_by(orm.desc(Function.created_at))[:20].to_list()

    def find_1000(self, argument: None) -> Any:
        with orm.db_session:
            return orm.select(f for f in Function).order_by(Function.id)[:].to_list()

    def insert(self, row: dict[str, Any]) -> Any:
        with orm.db_session:
            return Function(
                user=row["user_id"],
                name=row["name"],
                status=row["status"],
                analysis_result=row["analysis_result"],
            )

    def update_by_id(self, argument: tuple[int, dict[str, Any]]) -> Any:
        id, changes = argument
        with orm.db_session:
            function = Function[id]
            function.set(updated_at=_now(), **changes)
            return function

    def count(self, user_id: int) -> Any:
        with orm.db_session:
            return orm.count(f for f in Function if f.user.id == user_id)

    def exists(self, argument: tuple[int, str]) -> Any:
        user_id, name = argument
        with orm.db_session:
            return orm.exists(f for f in Function if f.user.id == user_id and f.name == name)

    def include(self, functions: int) -> Any:
        with orm.db_session:
            query = orm.select(f for f in Function if f.id <= functions).order_by(Function.id)
            return query.prefetch(Function.deployments)[:].to_list()

    def included_deployments(self, function: Any) -> list[Any]:
        return sorted(function.deployments, key=lambda deployment: deployment.id)

    def builder(self, user_id: int) -> Any:
        with orm.db_session:
            query = orm.select(
                (f.name, f.created_at, f.user.email, information.first_name, deployment.version)
                for f in Function
                for information in UserInformation
                for deployment in f.deployments
                if information.user_id == f.user.uuid and f.user.id == user_id and deployment.is_active
            )
            return query.order_by(orm.desc(2))[:20].to_list()

    def batch_insert(self, batch: Batch) -> Any:
        with orm.db_session:
            return [
                FunctionLog(
                    function=row["function_id"],
                    level=row["level"],
                    message=row["message"],
                    timestamp=row["timestamp"],
                )
                for row in batch.naive_rows
            ]

    batch_insert_returning = batch_insert


def _set_pragmas(_db: Any, connection: Any) -> None:
    for name, value in SQLITE_PRAGMAS.items():
        connection.execute(f"PRAGMA {name} = {value}")


def _keep_uuids_as_text() -> None:
    """Have Pony read and write UUIDs as our schema keeps them on SQLite; it would use bytes."""
    converter = dbapiprovider.UuidConverter
    converter.py2sql = lambda self, value: str(value)
    converter.sql2py = lambda self, value: UUID(value) if isinstance(value, str) else value
