"""The demo's tour: one small function for each of the library's usage patterns, in the specification's order.

The demo shows a function's docstring and body, runs it, and shows what it sent and returned. A function takes what it
needs by name: ``database`` and ``managers``, ``user`` and ``function`` (a user of the demo and the busiest of their
functions), ``since`` (thirty days before the demo's "now"), and what the steps before it have returned. What the tour
writes hangs on one function, ``TOUR_FUNCTION``, so that it can be removed again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from peewee import Model

from cloudpub_models import (
    Change,
    Database,
    Function,
    FunctionDeployment,
    FunctionLog,
    Managers,
    PaginatedResult,
    User,
    errors,
)

TOUR_FUNCTION = "invoices"

Row = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """One call to show.

    Attributes:
        code: the function that makes it; its docstring is the step's title.
        result: the name that its result gets, for the reader and for later steps.
        bars: the columns to draw as a bar chart, label and value; a table when ``None``.
    """

    code: Callable[..., Any]
    result: str
    bars: tuple[str, str] | None = None


@dataclass(frozen=True)
class Chapter:
    """One usage pattern."""

    title: str
    steps: tuple[Step, ...]


def find_by_uuid(managers: Managers, user: User) -> User | None:
    """Find by public UUID."""
    return managers.users.find_by_uuid(user.uuid)


def find_all(managers: Managers, user: User) -> list[Function]:
    """Find with conditions."""
    return managers.functions.find_all(
        {"user_id": user.id, "status": "active"},
        order_by="created_at",
        order_direction="DESC",
        limit=10,
    )


def insert(managers: Managers, user: User) -> Function:
    """Insert, and get the whole row back."""
    return managers.functions.insert(
        {"user_id": user.id, "name": "my-function", "status": "active"},
    )


def update(managers: Managers, created: Function) -> Function | None:
    """Update."""
    return managers.functions.update_by_id(
        created.id,
        {"status": "inactive"},
    )


def delete(managers: Managers, created: Function) -> bool:
    """Delete."""
    return managers.functions.delete_by_id(created.id)


def count(managers: Managers, user: User) -> int:
    """Count."""
    return managers.functions.count(
        {"user_id": user.id, "status": "active"},
    )


def query_with_joins(managers: Managers, since: datetime) -> list[Row]:
    """Functions and their deployments, counted."""
    query = (
        managers.functions.query("f")
        .select(["f.id", "f.name", "u.email", "COUNT(fd.id) AS deployment_count"])
        .join("users u", "f.user_id", "u.id")
        .left_join("function_deployments fd", "f.id", "fd.function_id")
        .where("f.status", "active")
        .where("f.updated_at", since, operator=">")
        .where("u.email", "%@demo.cloudpub.example", operator="LIKE")
        .group_by("f.id, u.email")
        .order_by("deployment_count, f.id", direction="DESC")
        .limit(5)
    )
    return managers.functions.execute_query(query)


def has_many(managers: Managers, function: Function) -> list[Model]:
    """One to many: a function's deployments."""
    return managers.functions.has_many(
        "function_deployments",
        "function_id",
        function.id,
        order_by="version",
        order_direction="DESC",
    )


def belongs_to(managers: Managers, function: Function) -> Model | None:
    """Belongs to: a function's user."""
    return managers.functions.belongs_to("users", "user_id", function.user_id)


def many_to_many(managers: Managers, user: User) -> list[Model]:
    """Many to many: an organization's members."""
    membership = managers.organization_members.find_one({"user_id": user.uuid})
    return managers.organizations.many_to_many(
        "users",
        pivot_table="organization_members",
        foreign_key="organization_id",
        related_key="user_id",
        parent_id=membership.organization_id if membership else None,
        order_by="email",
    )


def join_query(managers: Managers, user: User) -> list[Row]:
    """Join two tables."""
    return managers.functions.join_query(
        "users",
        "functions.user_id = users.id",
        select=["functions.name", "functions.status", "users.email"],
        where={"functions.status": "active", "users.id": user.id},
        order_by="functions.name",
    )


def raw_sql(database: Database, user: User) -> list[Row]:
    """With named parameters."""
    return database.raw_query_all(
        """
        SELECT f.id, f.name, COUNT(fd.id) AS deployment_count
        FROM functions f
        LEFT JOIN function_deployments fd ON f.id = fd.function_id
        WHERE f.user_id = @user_id
        GROUP BY f.id, f.name
        HAVING COUNT(fd.id) > @min_deployments
        """,
        {"user_id": user.id, "min_deployments": 1},
    )


def transaction(database: Database, user: User) -> Row:
    """Two rows, or none."""
    with database.transaction() as connection:
        [invoices] = connection.execute(
            """
            INSERT INTO functions (user_id, name)
            VALUES (@user_id, @name)
            RETURNING id
            """,
            {"user_id": user.id, "name": "invoices"},
        )
        [deployment] = connection.execute(
            """
            INSERT INTO function_deployments (function_id, version, image_tag, s3_key)
            VALUES (@id, 1, @image_tag, @s3_key)
            RETURNING id, function_id, version, status, deployed_at
            """,
            {"id": invoices["id"], "image_tag": "invoices:1", "s3_key": "invoices/1"},
        )
    return deployment


def rollback(database: Database, managers: Managers, user: User) -> Row:
    """An error rolls everything back."""
    refused = None
    try:
        with database.transaction():
            managers.functions.insert({"user_id": user.id, "name": "never-seen"})
            managers.functions.insert({"user_id": user.id, "name": "invoices"})
    except errors.UniqueViolationError as error:
        refused = error
    exists = managers.functions.exists({"user_id": user.id, "name": "never-seen"})
    return {"refused": refused, "never-seen exists": exists}


def batch_insert(managers: Managers, deployed: Row) -> int:
    """Insert many rows, from any iterable."""
    id = deployed["function_id"]
    return managers.function_logs.batch_insert(
        [
            {"function_id": id, "level": "info", "message": "Log 1"},
            {"function_id": id, "level": "error", "message": "Log 2"},
            {"function_id": id, "level": "warn", "message": "Log 3"},
        ]
    )


def find_logs(managers: Managers, deployed: Row) -> list[FunctionLog]:
    """They are there."""
    return managers.function_logs.find_all(
        {"function_id": deployed["function_id"]},
        order_by="id",
    )


def upsert(managers: Managers, user: User) -> Function:
    """Update a row, or insert it."""
    return managers.functions.upsert(
        {"user_id": user.id, "name": "invoices", "status": "inactive"},
        conflict_columns=["user_id", "name"],
    )


def paginate(managers: Managers) -> PaginatedResult[FunctionDeployment]:
    """The second page, newest first."""
    return managers.function_deployments.paginate(
        page=2,
        page_size=5,
        where={"status": "success"},
        order_by="deployed_at",
        order_direction="DESC",
    )


def statistics(database: Database, function: Function, since: datetime) -> Row | None:
    """One function in the last 30 days."""
    return database.raw_query_single(
        """
        SELECT
            COUNT(*) AS total_invocations,
            COUNT(CASE WHEN status = 'success' THEN 1 END) AS successful,
            AVG(duration_ms) AS avg_duration,
            MAX(duration_ms) AS max_duration
        FROM function_invocations
        WHERE function_id = @function_id
          AND timestamp >= @since
        """,
        {"function_id": function.id, "since": since},
    )


def busiest(managers: Managers, since: datetime) -> list[Row]:
    """The busiest functions."""
    query = (
        managers.function_invocations.query("i")
        .select(["f.name", "COUNT(*) AS calls", "COUNT(i.error) AS failed"])
        .select(["AVG(i.duration_ms) AS average_ms", "MAX(i.duration_ms) AS longest_ms"])
        .select("u.email")
        .join("functions f", "i.function_id", "f.id")
        .join("users u", "f.user_id", "u.id")
        .where("i.timestamp", since, operator=">=")
        .where("u.email", "%@demo.cloudpub.example", operator="LIKE")
        .group_by("f.name, u.email")
        .order_by("calls", direction="DESC")
        .limit(6)
    )
    return managers.function_invocations.execute_query(query)


def calls_by_hour(database: Database, function: Function, since: datetime) -> list[Row]:
    """Its calls by hour of the day."""
    return database.raw_query_all(
        """
        SELECT substr(CAST(timestamp AS TEXT), 12, 2) AS hour, COUNT(*) AS calls
        FROM function_invocations
        WHERE function_id = @function_id AND timestamp >= @since
        GROUP BY substr(CAST(timestamp AS TEXT), 12, 2)
        ORDER BY hour
        """,
        {"function_id": function.id, "since": since},
    )


def record_changes(database: Database) -> tuple[str, ...]:
    """Have the database record who changes what."""
    database.history.enable()
    return database.history.tables


def act(database: Database, managers: Managers, invoices: Function) -> Function | None:
    """Change a row, and say who does."""
    with database.acting_as("user:zeynep", reason="ticket 41"):
        return managers.functions.update_by_id(
            invoices.id,
            {"status": "active"},
        )


def history(managers: Managers, invoices: Function) -> list[Change]:
    """Who changed what, and when."""
    return managers.functions.history(invoices.id)


def delete_preview(managers: Managers, invoices: Function) -> dict[str, int]:
    """Look at what would go with a row."""
    return managers.functions.delete_preview({"id": invoices.id})


def delete_again(managers: Managers, invoices: Function) -> bool:
    """Delete it."""
    return managers.functions.delete_by_id(invoices.id)


def undelete(managers: Managers, invoices: Function) -> dict[str, int]:
    """Bring back what is recorded of it."""
    return managers.functions.undelete(invoices.uuid).counts


CHAPTERS = (
    Chapter(
        "Create, read, update, delete",
        (
            Step(find_by_uuid, "found"),
            Step(find_all, "functions"),
            Step(insert, "created"),
            Step(update, "updated"),
            Step(delete, "deleted"),
            Step(count, "active"),
        ),
    ),
    Chapter("Query builder", (Step(query_with_joins, "rows"),)),
    Chapter(
        "Relationships",
        (
            Step(has_many, "deployments"),
            Step(belongs_to, "owner"),
            Step(many_to_many, "members"),
            Step(join_query, "rows"),
        ),
    ),
    Chapter("Raw SQL", (Step(raw_sql, "rows"),)),
    Chapter("Transactions", (Step(transaction, "deployed"), Step(rollback, "outcome"))),
    Chapter("Batch insert", (Step(batch_insert, "written"), Step(find_logs, "logs"))),
    Chapter("Upsert", (Step(upsert, "invoices"),)),
    Chapter("Pagination", (Step(paginate, "page"),)),
    Chapter(
        "Analytics",
        (
            Step(statistics, "stats"),
            Step(busiest, "rows"),
            Step(calls_by_hour, "hours", bars=("hour", "calls")),
        ),
    ),
    Chapter(
        "History",
        (
            Step(record_changes, "recorded"),
            Step(act, "changed"),
            Step(history, "changes"),
            Step(delete_preview, "would_go"),
            Step(delete_again, "gone"),
            Step(undelete, "back"),
        ),
    ),
)
