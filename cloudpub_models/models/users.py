"""Users and what is known about them: `User`, `UserInformation`, `Role`."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING
from uuid import UUID

from cloudpub_models.entity import (
    AutoField,
    CharField,
    Entity,
    EnumField,
    Index,
    ModelSelect,
    OneToOneKey,
    TextField,
    TimestampField,
    UuidField,
)

if TYPE_CHECKING:
    from cloudpub_models.models.functions import Function
    from cloudpub_models.models.organizations import Organization


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
    functions: ModelSelect[Function]

    class Meta:
        """Table and constraints."""

        table_name = "users"
        # Addresses are looked up whatever their case.
        indexes = (Index("users_lower_idx", "users", ("LOWER(email)",)),)


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
