"""Unmanaged Django models on our tables."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import uuid4

from django.db import models


def utc_now() -> datetime:
    """Return the time as the tables keep it."""
    return datetime.now(UTC).replace(tzinfo=None)


class UuidField(models.UUIDField):
    """A UUID in the text that the schema has on SQLite, with dashes."""

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        """Return the value as the driver takes it."""
        prepared_value = super().get_db_prep_value(value, connection, prepared)
        return str(self.to_python(prepared_value)) if connection.vendor == "sqlite" else prepared_value


class User(models.Model):
    """An account."""

    id = models.AutoField(primary_key=True)
    uuid = UuidField(default=uuid4, unique=True)
    email = models.CharField(max_length=255)
    password_hash = models.CharField(max_length=255)
    created_at = models.DateTimeField(default=utc_now)
    updated_at = models.DateTimeField(default=utc_now)

    class Meta:
        """Its table."""

        db_table, managed = "users", False


class UserInformation(models.Model):
    """An account's profile."""

    id = models.AutoField(primary_key=True)
    uuid = UuidField(default=uuid4)
    user = models.OneToOneField(User, models.DO_NOTHING, to_field="uuid", related_name="information")
    first_name = models.CharField(max_length=100)
    last_name = models.CharField(max_length=100)
    role = models.CharField(max_length=50)

    class Meta:
        """Its table."""

        db_table, managed = "user_information", False


class Function(models.Model):
    """A function."""

    id = models.AutoField(primary_key=True)
    uuid = UuidField(default=uuid4)
    user = models.ForeignKey(User, models.DO_NOTHING, related_name="functions")
    name = models.CharField(max_length=255)
    status = models.CharField(max_length=50, default="active")
    active_deployment_id = models.IntegerField(null=True)
    analysis_result = models.JSONField(null=True)
    created_at = models.DateTimeField(default=utc_now)
    updated_at = models.DateTimeField(default=utc_now)

    class Meta:
        """Its table."""

        db_table, managed = "functions", False


class FunctionDeployment(models.Model):
    """A version of a function."""

    id = models.AutoField(primary_key=True)
    uuid = UuidField(default=uuid4)
    function = models.ForeignKey(Function, models.DO_NOTHING, related_name="deployments")
    version = models.IntegerField()
    image_tag = models.CharField(max_length=255)
    s3_key = models.CharField(max_length=500)
    status = models.CharField(max_length=50)
    is_active = models.BooleanField(default=False)
    build_logs = models.TextField(null=True)
    deployed_at = models.DateTimeField(default=utc_now)

    class Meta:
        """Its table."""

        db_table, managed = "function_deployments", False
        ordering: ClassVar[list[str]] = ["id"]


class FunctionLog(models.Model):
    """A line that a function logged."""

    id = models.AutoField(primary_key=True)
    uuid = UuidField(default=uuid4)
    function = models.ForeignKey(Function, models.DO_NOTHING, related_name="logs")
    level = models.CharField(max_length=20)
    message = models.TextField()
    timestamp = models.DateTimeField(default=utc_now)

    class Meta:
        """Its table."""

        db_table, managed = "function_logs", False


class FunctionInvocation(models.Model):
    """A call of a function."""

    id = models.AutoField(primary_key=True)
    uuid = UuidField(default=uuid4)
    function = models.ForeignKey(Function, models.DO_NOTHING, related_name="invocations")
    status = models.CharField(max_length=50)
    duration_ms = models.IntegerField(null=True)
    error = models.TextField(null=True)
    timestamp = models.DateTimeField(default=utc_now)

    class Meta:
        """Its table."""

        db_table, managed = "function_invocations", False
