"""The original backend's own tables, and the platform's with the columns that it has added.

Its columns are as they are there: most moments may be NULL and are ``CURRENT_TIMESTAMP`` by default, some keep a time
zone. The three models at the end are for reading and writing; they belong to no component, since the tables do already.
"""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from cloudpub_models import Function, FunctionInvocation, User
from cloudpub_models.entity import (
    AutoField,
    BooleanField,
    CharField,
    Default,
    Entity,
    EnumField,
    ForeignKey,
    JsonField,
    ServerDefault,
    TextField,
    TimestampField,
    UuidField,
)

CURRENT_TIMESTAMP = ServerDefault(postgresql="CURRENT_TIMESTAMP", sqlite="CURRENT_TIMESTAMP")


class ZonedTimestampField(TimestampField):
    """A moment in a column that keeps the time zone, so that the session's does not matter."""

    field_type = "TIMESTAMPTZ"


class Validity(StrEnum):
    """For how long a key is good."""

    HOUR = "1h"
    DAY = "1d"
    WEEK = "1w"
    MONTH = "1m"
    FOREVER = "forever"


class FunctionDeployLog(Entity):
    """What a deployment of a function has logged; the backend's table in place of ``function_logs``."""

    shown_columns = ("level",)

    id = AutoField()
    uuid = UuidField(unique=True)
    function = ForeignKey(
        Function, field="uuid", column_name="function_uuid", backref="deploy_logs", on_delete="CASCADE"
    )
    level = CharField(max_length=20)
    message = JsonField()
    timestamp = TimestampField(null=True, server_default=CURRENT_TIMESTAMP, index=True)

    class Meta:
        """Its table."""

        table_name = "function_deploy_logs"


class ApiKey(Entity):
    """A key with which calls of a function are signed."""

    secret_columns = frozenset({"private_key_hash"})
    shown_columns = ("name", "validity", "is_active")

    id = AutoField()
    uuid = UuidField(unique=True)
    function = ForeignKey(Function, field="uuid", column_name="function_uuid", backref="api_keys", on_delete="CASCADE")
    public_key = TextField()
    private_key_hash = CharField(max_length=255, null=True)
    validity = EnumField(Validity, max_length=20)
    expires_at = ZonedTimestampField(null=True)
    is_active = BooleanField(null=True, constraints=[Default("TRUE")])
    name = CharField(max_length=255, null=True)
    created_at = ZonedTimestampField(null=True, server_default=CURRENT_TIMESTAMP)
    revoked_at = ZonedTimestampField(null=True)

    class Meta:
        """Its table."""

        table_name = "api_keys"


class Log(Entity):
    """What the backend itself has logged."""

    shown_columns = ("level", "action")

    id = AutoField()
    uuid = UuidField(unique=True)
    level = CharField(max_length=20)
    message = JsonField()
    action = TextField(index=True)
    created_at = TimestampField(null=True, server_default=CURRENT_TIMESTAMP, index=True)

    class Meta:
        """Its table."""

        table_name = "logs"


class EmailVerificationOtp(Entity):
    """The code that was sent to an address, so that its owner can prove it."""

    secret_columns = frozenset({"otp_hash", "salt"})

    id = AutoField()
    user = ForeignKey(User, field="uuid", column_name="user_uuid", on_delete="CASCADE", backref="verifications")
    otp_hash = CharField(max_length=255)
    salt = CharField(max_length=255)
    created_at = TimestampField(null=True, server_default=CURRENT_TIMESTAMP)

    user_id: UUID

    class Meta:
        """Its table."""

        table_name = "email_verification_otps"


class BackendUser(User):
    """A user with what the backend knows beside."""

    is_email_verified = BooleanField(default=False)
    onboarding_complete = BooleanField(null=True)

    class Meta:
        """The platform's table."""

        table_name = "users"


class BackendFunction(Function):
    """A function with what the backend knows beside."""

    skip_signing = BooleanField(null=True)

    class Meta:
        """The platform's table."""

        table_name = "functions"


class BackendInvocation(FunctionInvocation):
    """An invocation with what the backend records beside."""

    request_info = JsonField(null=True)
    result = TextField(null=True)
    success = BooleanField(null=True)
    logs = JsonField(null=True)

    class Meta:
        """The platform's table."""

        table_name = "function_invocations"
