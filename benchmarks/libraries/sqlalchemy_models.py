"""SQLAlchemy 2: declarative models, one ORM session on a connection that commits each statement.

The session's instances are let go after each call: it would answer the next one from its identity map otherwise.
"""

# What each method is, `benchmarks.operations` says.
# ruff: noqa: D102

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg2
from sqlalchemy import (
    JSON,
    DateTime,
    Dialect,
    FetchedValue,
    ForeignKey,
    String,
    TypeDecorator,
    Uuid,
    create_engine,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload

from benchmarks.data import Batch
from benchmarks.databases import SQLITE_PRAGMAS
from benchmarks.library import Library


class DashedUuid(TypeDecorator[uuid.UUID]):
    """A UUID in the text that the schema has on SQLite, with dashes."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> uuid.UUID | None:
        return None if value is None else uuid.UUID(value)


UuidColumn = Uuid().with_variant(DashedUuid(), "sqlite")
JsonColumn = JSON().with_variant(JSONB(), "postgresql")


class Base(DeclarativeBase):
    """What the models have in common."""

    type_annotation_map = {uuid.UUID: UuidColumn, dict[str, Any]: JsonColumn, datetime: DateTime()}


class User(Base):
    """An account."""

    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    uuid: Mapped[uuid.UUID] = mapped_column(server_default=FetchedValue())
    email: Mapped[str]
    password_hash: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=FetchedValue())
    updated_at: Mapped[datetime] = mapped_column(server_default=FetchedValue())


class UserInformation(Base):
    """An account's profile."""

    __tablename__ = "user_information"
    id: Mapped[int] = mapped_column(primary_key=True)
    uuid: Mapped[uuid.UUID] = mapped_column(server_default=FetchedValue())
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.uuid"))
    first_name: Mapped[str]
    last_name: Mapped[str]
    role: Mapped[str]


class Function(Base):
    """A function."""

    __tablename__ = "functions"
    id: Mapped[int] = mapped_column(primary_key=True)
    uuid: Mapped[uuid.UUID] = mapped_column(server_default=FetchedValue())
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str]
    status: Mapped[str] = mapped_column(server_default=FetchedValue())
    active_deployment_id: Mapped[int | None]
    analysis_result: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = mapped_column(server_default=FetchedValue())
    updated_at: Mapped[datetime] = mapped_column(server_default=FetchedValue())
    deployments: Mapped[list[FunctionDeployment]] = relationship(order_by="FunctionDeployment.id")


class FunctionDeployment(Base):
    """A version of a function."""

    __tablename__ = "function_deployments"
    id: Mapped[int] = mapped_column(primary_key=True)
    uuid: Mapped[uuid.UUID] = mapped_column(server_default=FetchedValue())
    function_id: Mapped[int] = mapped_column(ForeignKey("functions.id"))
    version: Mapped[int]
    image_tag: Mapped[str]
    s3_key: Mapped[str]
    status: Mapped[str]
    is_active: Mapped[bool]
    build_logs: Mapped[str | None]
    deployed_at: Mapped[datetime] = mapped_column(server_default=FetchedValue())


class FunctionLog(Base):
    """A line that a function logged."""

    __tablename__ = "function_logs"
    id: Mapped[int] = mapped_column(primary_key=True)
    uuid: Mapped[uuid.UUID] = mapped_column(server_default=FetchedValue())
    function_id: Mapped[int] = mapped_column(ForeignKey("functions.id"))
    level: Mapped[str]
    message: Mapped[str]
    timestamp: Mapped[datetime] = mapped_column(server_default=FetchedValue())


class FunctionInvocation(Base):
    """A call of a function."""

    __tablename__ = "function_invocations"
    id: Mapped[int] = mapped_column(primary_key=True)
    uuid: Mapped[uuid.UUID] = mapped_column(server_default=FetchedValue())
    function_id: Mapped[int] = mapped_column(ForeignKey("functions.id"))
    status: Mapped[str]
    duration_ms: Mapped[int | None]
    error: Mapped[str | None]
    timestamp: Mapped[datetime] = mapped_column(server_default=FetchedValue())


class SqlAlchemy(Library):
    """SQLAlchemy's ORM."""

    name = "sqlalchemy"
    title = "SQLAlchemy"
    package = "SQLAlchemy"

    def open(self) -> None:
        if self.database.dialect == "sqlite":
            engine = create_engine("sqlite://", creator=self._connect_sqlite)
        else:
            engine = create_engine("postgresql+psycopg2://", creator=lambda: psycopg2.connect(self.database.target))
        self.engine = engine
        self.session = Session(engine.execution_options(isolation_level="AUTOCOMMIT"))
        # Takes a connection, and keeps it for all calls.
        self.session.execute(select(1))

    def _connect_sqlite(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.database.target)
        for name, value in SQLITE_PRAGMAS.items():
            connection.execute(f"PRAGMA {name} = {value}")
        return connection

    def close(self) -> None:
        self.session.close()
        self.engine.dispose()

    def find_by_id(self, id: int) -> Any:
        found = self.session.get(Function, id)
        self.session.expunge_all()
        return found

    def find_by_uuid(self, uuid: Any) -> Any:
        found = self.session.scalars(select(Function).where(Function.uuid == uuid)).one_or_none()
        self.session.expunge_all()
        return found

    def find_20(self, user_id: int) -> Any:
        query = select(Function).where(Function.user_id == user_id).order_by(Function.created_at.desc()).limit(20)
        found = self.session.scalars(query).all()
        self.session.expunge_all()
        return found

    def find_1000(self, argument: None) -> Any:
        found = self.session.scalars(select(Function).order_by(Function.id)).all()
        self.session.expunge_all()
        return found

    def insert(self, row: dict[str, Any]) -> Any:
        function = Function(**row)
        self.session.add(function)
        self.session.flush()
        self.session.expunge_all()
        return function

    def update_by_id(self, argument: tuple[int, dict[str, Any]]) -> Any:
        id, changes = argument
        query = update(Function).where(Function.id == id).returning(Function)
        updated = self.session.scalars(
            query.values(updated_at=datetime.now(UTC).replace(tzinfo=None), **changes),
            execution_options={"synchronize_session": False},
        ).one()
        self.session.expunge_all()
        return updated

    def upsert(self, row: dict[str, Any]) -> Any:
        dialect: Any = sqlite if self.database.dialect == "sqlite" else postgresql
        query = dialect.insert(Function).values(updated_at=datetime.now(UTC).replace(tzinfo=None), **row)
        query = query.on_conflict_do_update(
            index_elements=(Function.user_id, Function.name),
            set_={name: query.excluded[name] for name in ("status", "analysis_result", "updated_at")},
        ).returning(Function)
        written = self.session.scalars(query).one()
        self.session.expunge_all()
        return written

    def count(self, user_id: int) -> Any:
        return self.session.scalar(select(func.count()).select_from(Function).where(Function.user_id == user_id))

    def exists(self, argument: tuple[int, str]) -> Any:
        query = select(Function.id).where(Function.user_id == argument[0], Function.name == argument[1])
        return bool(self.session.scalar(select(query.exists())))

    def include(self, functions: int) -> Any:
        query = (
            select(Function)
            .where(Function.id <= functions)
            .order_by(Function.id)
            .options(selectinload(Function.deployments))
        )
        found = self.session.scalars(query).all()
        self.session.expunge_all()
        return found

    def builder(self, user_id: int) -> Any:
        query = (
            select(
                Function.name,
                Function.created_at,
                User.email,
                UserInformation.first_name,
                FunctionDeployment.version,
            )
            .join(User, Function.user_id == User.id)
            .join(UserInformation, UserInformation.user_id == User.uuid)
            .join(FunctionDeployment, FunctionDeployment.function_id == Function.id)
            .where(Function.user_id == user_id, FunctionDeployment.is_active.is_(True))
            .order_by(Function.created_at.desc())
            .limit(20)
        )
        return self.session.execute(query).all()

    def batch_insert(self, batch: Batch) -> None:
        with Session(self.engine) as session, session.begin():
            session.execute(insert(FunctionLog), batch.naive_rows)

    batch_insert_large = batch_insert

    def batch_insert_returning(self, batch: Batch) -> Any:
        query = insert(FunctionLog).returning(FunctionLog, sort_by_parameter_order=True)
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            return session.scalars(query, batch.naive_rows).all()

    def iterate(self, rows: int) -> Iterator[Any]:
        query = select(FunctionInvocation).where(FunctionInvocation.id <= rows)
        with Session(self.engine) as session:
            yield from session.scalars(query.execution_options(yield_per=2000))
