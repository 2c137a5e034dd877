"""The backend's tables, and its columns in the platform's, where it has not made them: on laptops and in tests."""

from typing import Any

from cloudpub_models.entity import (
    AutoField,
    BooleanField,
    CharField,
    Check,
    Default,
    Entity,
    ForeignKey,
    JsonField,
    ServerDefault,
    TextField,
    TimestampField,
    UuidField,
)

CURRENT_TIMESTAMP = ServerDefault(postgresql="CURRENT_TIMESTAMP", sqlite="CURRENT_TIMESTAMP")
COLUMNS: dict[str, dict[str, Any]] = {
    "users": {
        "is_email_verified": BooleanField(default=False, constraints=[Default("FALSE")]),
        "onboarding_complete": BooleanField(null=True, constraints=[Default("FALSE")]),
    },
    "functions": {"skip_signing": BooleanField(null=True, constraints=[Default("FALSE")])},
    "function_invocations": {
        "logs": JsonField(null=True),
        "request_info": JsonField(null=True),
        "result": TextField(null=True),
        "success": BooleanField(null=True),
    },
}


class ZonedTimestampField(TimestampField):
    """A moment in a column that keeps the time zone."""

    field_type = "TIMESTAMPTZ"


class Account(Entity):
    """What is needed of the platform's table."""

    uuid = UuidField(primary_key=True)

    class Meta:
        """Its table."""

        table_name = "users"


class Function(Entity):
    """What is needed of the platform's table."""

    uuid = UuidField(primary_key=True)

    class Meta:
        """Its table."""

        table_name = "functions"


class FunctionDeployLog(Entity):
    """As the backend makes it."""

    id = AutoField()
    uuid = UuidField(unique=True)
    function = ForeignKey(Function, column_name="function_uuid", on_delete="CASCADE")
    level = CharField(max_length=20)
    message = JsonField()
    timestamp = TimestampField(null=True, server_default=CURRENT_TIMESTAMP, index=True)

    class Meta:
        """Its table."""

        table_name = "function_deploy_logs"


class ApiKey(Entity):
    """As the backend makes it."""

    id = AutoField()
    uuid = UuidField(unique=True)
    function = ForeignKey(Function, column_name="function_uuid", on_delete="CASCADE")
    public_key = TextField()
    private_key_hash = CharField(max_length=255, null=True)
    validity = CharField(max_length=20)
    expires_at = ZonedTimestampField(null=True)
    is_active = BooleanField(null=True, constraints=[Default("TRUE")])
    name = CharField(max_length=255, null=True)
    created_at = ZonedTimestampField(null=True, server_default=CURRENT_TIMESTAMP)
    revoked_at = ZonedTimestampField(null=True)

    class Meta:
        """Its table."""

        table_name = "api_keys"
        constraints = (Check("validity IN ('1h', '1d', '1w', '1m', 'forever')", "api_keys_validity_check"),)


class Log(Entity):
    """As the backend makes it."""

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
    """As the backend makes it."""

    id = AutoField()
    user = ForeignKey(Account, column_name="user_uuid", on_delete="CASCADE")
    otp_hash = CharField(max_length=255)
    salt = CharField(max_length=255)
    created_at = TimestampField(null=True, server_default=CURRENT_TIMESTAMP)

    class Meta:
        """Its table."""

        table_name = "email_verification_otps"


TABLES = [FunctionDeployLog, ApiKey, Log, EmailVerificationOtp]


def up(migrator: Any, db: Any) -> None:
    """Make the tables, and add the columns."""
    db.create_tables(TABLES)
    for table, columns in COLUMNS.items():
        migrator.migrate(*(migrator.add_column(table, name, field) for name, field in columns.items()))


def down(migrator: Any, db: Any) -> None:
    """Drop them."""
    for table, columns in COLUMNS.items():
        migrator.migrate(*(migrator.drop_column(table, name) for name in columns))
    db.drop_tables(TABLES)
