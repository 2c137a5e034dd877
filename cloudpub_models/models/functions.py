"""Functions, their deployments, and what they leave behind: logs and invocations."""

from __future__ import annotations

from cloudpub_models.entity import (
    AutoField,
    BooleanField,
    CharField,
    Default,
    Entity,
    ForeignKey,
    IntegerField,
    JsonField,
    ModelSelect,
    TextField,
    TimestampField,
    UuidField,
    forward_foreign_key,
)
from cloudpub_models.models.users import User


class Function(Entity):
    """A user's cloud function."""

    shown_columns = ("name", "status")

    id = AutoField()
    uuid = UuidField(unique=True)
    user = ForeignKey(User, backref="functions", on_delete="CASCADE")
    name = CharField(max_length=255)
    status = CharField(max_length=50, default="active", constraints=[Default("'active'")])
    # Functions and deployments refer to each other, so one of the two has to look ahead.
    active_deployment: ForeignKey[FunctionDeployment | None] = forward_foreign_key(
        "FunctionDeployment", null=True, backref="active_for", on_delete="SET NULL"
    )
    analysis_result = JsonField(null=True)
    created_at = TimestampField()
    updated_at = TimestampField(touched_on_update=True)

    user_id: int
    active_deployment_id: int | None
    deployments: ModelSelect[FunctionDeployment]
    logs: ModelSelect[FunctionLog]
    invocations: ModelSelect[FunctionInvocation]

    class Meta:
        """Table and constraints."""

        table_name = "functions"
        indexes = (
            (("user", "name"), True),
            # A user's functions of one status, the newest first.
            (("user", "status", "created_at"), False),
        )


class FunctionDeployment(Entity):
    """One version of a function, built and possibly active."""

    shown_columns = ("version", "status")

    id = AutoField()
    uuid = UuidField(unique=True)
    function = ForeignKey(Function, backref="deployments", on_delete="CASCADE")
    version = IntegerField(index=True)
    image_tag = CharField(max_length=255)
    s3_key = CharField(max_length=500)
    status = CharField(max_length=50, default="building", constraints=[Default("'building'")])
    is_active = BooleanField(default=False, index=True, constraints=[Default("FALSE")])
    build_logs = TextField(null=True)
    deployed_at = TimestampField()

    function_id: int
    active_for: ModelSelect[Function]

    class Meta:
        """Table and constraints."""

        table_name = "function_deployments"
        indexes = (
            (("function", "version"), True),
            # What is to be built, however many deployments have been.
            (("status", "id"), False),
        )


class FunctionLog(Entity):
    """One line that a function logged."""

    shown_columns = ("level",)

    id = AutoField()
    uuid = UuidField(unique=True)
    function = ForeignKey(Function, backref="logs", on_delete="CASCADE")
    level = CharField(max_length=20)
    message = TextField()
    timestamp = TimestampField(index=True)

    function_id: int

    class Meta:
        """Table and constraints."""

        table_name = "function_logs"
        # A function's latest lines, page by page; the level at the end sorts out the others without reading their rows.
        indexes = ((("function", "timestamp", "id", "level"), False),)


class FunctionInvocation(Entity):
    """One call of a function: how it ended and how long it took."""

    shown_columns = ("status", "duration_ms")

    id = AutoField()
    uuid = UuidField(unique=True)
    function = ForeignKey(Function, backref="invocations", on_delete="CASCADE")
    status = CharField(max_length=50)
    duration_ms = IntegerField(null=True)
    error = TextField(null=True)
    timestamp = TimestampField(index=True)

    function_id: int

    class Meta:
        """Table and constraints."""

        table_name = "function_invocations"
        # A function's latest invocations, and all that the statistics count, which need not read the table for it.
        indexes = ((("function", "timestamp", "id", "status", "duration_ms"), False),)
