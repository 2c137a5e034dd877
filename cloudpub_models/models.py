"""The platform's eight tables as Peewee models.

Peewee's own calls on them use the process's default database, unless another is bound. What is done with their rows is
decided in ``platform``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING
from uuid import UUID

from peewee import SQL

import cloudpub_models.connection.default  # noqa: F401 - which answers Peewee's own calls
from cloudpub_models.entity import (
    AutoField,
    BigAutoField,
    BooleanField,
    CharField,
    Default,
    Entity,
    EnumField,
    ForeignKey,
    Index,
    IntegerField,
    JsonField,
    ModelSelect,
    OneToOneKey,
    TextField,
    TimestampField,
    UuidField,
    forward_foreign_key,
    many_to_many,
)
from cloudpub_models.entity.lower_case import AsciiLower

if TYPE_CHECKING:
    from peewee import ManyToManyQuery


class Role(StrEnum):
    """What a user is on the platform; the database checks it."""

    DEVELOPER = "developer"
    TEAM = "team"
    SUB_TEAM_DEVELOPER = "sub_team_developer"


class User(Entity):
    """An account. ``id`` stays inside; ``uuid`` is what others see."""

    secret_columns = frozenset({"password_hash"})
    shown_columns = ("email",)

    id = AutoField()
    uuid = UuidField(unique=True)
    email = CharField(max_length=255, unique=True)
    password_hash = CharField(max_length=255)
    created_at = TimestampField()
    updated_at = TimestampField(touched_on_update=True)

    information: UserInformation | None
    organization: Organization | None
    organizations: ManyToManyQuery[Organization]
    functions: ModelSelect[Function]

    class Meta:
        """Table and constraints."""

        table_name = "users"
        tracked = True


# An address is one account's, whatever its case, and looked up so.
User.add_index(Index("users_email_lower_key", "users", (AsciiLower(User.email),), unique=True))


class UserInformation(Entity):
    """A user's profile; at most one for each user."""

    shown_columns = ("first_name", "last_name", "role")

    id = AutoField()
    uuid = UuidField(unique=True)
    user = OneToOneKey(User, field="uuid", backref="information", on_delete="CASCADE")
    first_name = CharField(max_length=100)
    last_name = CharField(max_length=100)
    phone_number = CharField(max_length=20, null=True)
    country = CharField(max_length=100, null=True)
    city = CharField(max_length=100, null=True)
    address = TextField(null=True)
    zip_code = CharField(max_length=20, null=True)
    avatar = TextField(null=True)
    role = EnumField(Role, max_length=50, index=True)
    created_at = TimestampField()
    updated_at = TimestampField(touched_on_update=True)

    user_id: UUID

    class Meta:
        """Table and constraints."""

        table_name = "user_information"
        owner = "user"
        tracked = True


class Organization(Entity):
    """A group of users with an owner."""

    shown_columns = ("name",)

    id = AutoField()
    uuid = UuidField(unique=True)
    name = CharField(max_length=255, unique=True)
    owner = ForeignKey(User, field="uuid", backref="owned_organizations", on_delete="CASCADE")
    created_at = TimestampField()
    updated_at = TimestampField(touched_on_update=True)

    owner_id: UUID
    members: ManyToManyQuery[User]
    memberships: ModelSelect[OrganizationMember]

    class Meta:
        """Table and constraints."""

        table_name = "organizations"
        owner = "owner"
        tracked = True
        searchable = ("name",)


class OrganizationMember(Entity):
    """One user's membership; a user belongs to one organization at most."""

    shown_columns = ("organization_id", "user_id")

    id = AutoField()
    organization = ForeignKey(Organization, field="uuid", backref="memberships", on_delete="CASCADE")
    user = OneToOneKey(User, field="uuid", backref="membership", on_delete="CASCADE")
    joined_at = TimestampField()

    organization_id: UUID
    user_id: UUID

    class Meta:
        """Table and constraints."""

        table_name = "organization_members"
        owner = "user"
        tracked = True


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
        owner = "user"
        tracked = True
        searchable = ("name",)
        indexes = (
            (("user", "name"), True),
            # A user's functions of one status, the newest first.
            (("user", "status", "created_at"), False),
        )


class GivenVersion(Entity):
    """The highest version that a function has given to a deployment, which may be gone by now.

    Bookkeeping of ``deploy()`` beside the platform's tables: it takes no part in relations and in what others see.
    """

    function_id = IntegerField(primary_key=True)
    version = IntegerField()

    class Meta:
        """Table and constraints."""

        table_name = "cloudpub_given_versions"
        constraints = (
            SQL(
                "CONSTRAINT cloudpub_given_versions_function_id_fkey "
                "FOREIGN KEY (function_id) REFERENCES functions (id) ON DELETE CASCADE"
            ),
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
        owner = "function"
        tracked = True
        bookkeeping = (GivenVersion,)
        indexes = (
            (("function", "version"), True),
            # What is to be built, however many deployments have been.
            (("status", "id"), False),
        )


class FunctionLog(Entity):
    """One line that a function logged."""

    shown_columns = ("level",)

    id = BigAutoField()
    uuid = UuidField(unique=True, time_from="timestamp")
    function = ForeignKey(Function, backref="logs", on_delete="CASCADE")
    level = CharField(max_length=20)
    message = TextField()
    timestamp = TimestampField(index=True)

    function_id: int

    class Meta:
        """Table and constraints."""

        table_name = "function_logs"
        searchable = ("message",)
        owner = "function"
        partitioned_by = "timestamp"
        distributed_by = "function"
        # A function's latest lines, page by page; the level at the end sorts out the others without reading their rows.
        indexes = ((("function", "timestamp", "id", "level"), False),)


class FunctionInvocation(Entity):
    """One call of a function: how it ended and how long it took."""

    shown_columns = ("status", "duration_ms")

    id = BigAutoField()
    uuid = UuidField(unique=True, time_from="timestamp")
    function = ForeignKey(Function, backref="invocations", on_delete="CASCADE")
    status = CharField(max_length=50)
    duration_ms = IntegerField(null=True)
    error = TextField(null=True)
    timestamp = TimestampField(index=True)

    function_id: int

    class Meta:
        """Table and constraints."""

        table_name = "function_invocations"
        owner = "function"
        partitioned_by = "timestamp"
        distributed_by = "function"
        # A function's latest invocations, and all that the statistics count, which need not read the table for it.
        indexes = ((("function", "timestamp", "id", "status", "duration_ms"), False),)


many_to_many(OrganizationMember.organization, OrganizationMember.user, "members", backref="organization")

ALL_MODELS: tuple[type[Entity], ...] = (
    User,
    UserInformation,
    Organization,
    OrganizationMember,
    Function,
    FunctionDeployment,
    FunctionLog,
    FunctionInvocation,
)
"""Every model, each after those it refers to (only ``Function`` and ``FunctionDeployment`` refer to each other)."""
