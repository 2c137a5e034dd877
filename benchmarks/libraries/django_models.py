"""Django's ORM: unmanaged models on the same tables, one connection kept.

UUIDs and timestamps of new rows are made in Python, as is usual there. Its UPDATE returns no row, so the row is read
again; its upsert is ``bulk_create(update_conflicts=True)``, one statement.
"""

# What each method is, `benchmarks.operations` says.
# ruff: noqa: D102

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import django
from django.conf import settings
from psycopg2.extensions import parse_dsn

from benchmarks.data import Batch
from benchmarks.databases import SQLITE_PRAGMAS, BenchmarkDatabase
from benchmarks.library import Library


class Django(Library):
    """Django's ORM."""

    name = "django"
    title = "Django"
    package = "Django"

    def open(self) -> None:
        # Django wants to know its database before models can be declared.
        settings.configure(
            DATABASES={"default": connection_settings(self.database)},
            USE_TZ=False,
            INSTALLED_APPS=["benchmarks.libraries.django_tables"],
        )
        django.setup()
        from django.db import connection, transaction

        from benchmarks.libraries.django_tables import models

        self.connection = connection
        self.transaction = transaction
        self.models = models
        self.functions = models.Function.objects
        connection.ensure_connection()

    def close(self) -> None:
        self.connection.close()

    def included_deployments(self, function: Any) -> list[Any]:
        return list(function.deployments.all())

    def find_by_id(self, id: int) -> Any:
        return self.functions.get(id=id)

    def find_by_uuid(self, uuid: Any) -> Any:
        return self.functions.get(uuid=uuid)

    def find_20(self, user_id: int) -> Any:
        return list(self.functions.filter(user_id=user_id).order_by("-created_at")[:20])

    def find_1000(self, argument: None) -> Any:
        return list(self.functions.order_by("id"))

    def insert(self, row: dict[str, Any]) -> Any:
        return self.functions.create(**row)

    def update_by_id(self, argument: tuple[int, dict[str, Any]]) -> Any:
        id, changes = argument
        self.functions.filter(id=id).update(updated_at=_now(), **changes)
        return self.functions.get(id=id)

    def upsert(self, row: dict[str, Any]) -> Any:
        return self.functions.bulk_create(
            [self.models.Function(**row)],
            update_conflicts=True,
            unique_fields=["user", "name"],
            update_fields=["status", "analysis_result", "updated_at"],
        )[0]

    def count(self, user_id: int) -> Any:
        return self.functions.filter(user_id=user_id).count()

    def exists(self, argument: tuple[int, str]) -> Any:
        return self.functions.filter(user_id=argument[0], name=argument[1]).exists()

    def include(self, functions: int) -> Any:
        return list(self.functions.filter(id__lte=functions).order_by("id").prefetch_related("deployments"))

    def builder(self, user_id: int) -> Any:
        from django.db.models import F

        query = self.functions.filter(user_id=user_id, deployments__is_active=True).order_by("-created_at")
        return list(
            query.values(
                "name",
                "created_at",
                email=F("user__email"),
                first_name=F("user__information__first_name"),
                version=F("deployments__version"),
            )[:20]
        )

    def batch_insert(self, batch: Batch) -> Any:
        log = self.models.FunctionLog
        with self.transaction.atomic():
            return log.objects.bulk_create([log(**row) for row in batch.naive_rows])

    batch_insert_large = batch_insert
    # The ids come back anyway.
    batch_insert_returning = batch_insert

    def iterate(self, rows: int) -> Iterator[Any]:
        return iter(self.models.FunctionInvocation.objects.filter(id__lte=rows).iterator(chunk_size=2000))


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def connection_settings(database: BenchmarkDatabase) -> dict[str, Any]:
    """Return what Django wants to know of a database."""
    if database.dialect == "sqlite":
        commands = "; ".join(f"PRAGMA {name} = {value}" for name, value in SQLITE_PRAGMAS.items())
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": database.target,
            "OPTIONS": {"init_command": commands},
        }
    parts = parse_dsn(database.target)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.get("dbname"),
        "USER": parts.get("user", ""),
        "PASSWORD": parts.get("password", ""),
        "HOST": parts.get("host", ""),
        "PORT": parts.get("port", ""),
    }
