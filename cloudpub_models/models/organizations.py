"""Organizations and who belongs to them: `Organization`, `OrganizationMember`."""

from __future__ import annotations

from uuid import UUID

from cloudpub_models.entity import (
    AutoField,
    CharField,
    Entity,
    ForeignKey,
    ModelSelect,
    OneToOneKey,
    TimestampField,
    UuidField,
    many_to_many,
)
from cloudpub_models.models.users import User


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
    members: ModelSelect[User]
    memberships: ModelSelect[OrganizationMember]

    class Meta:
        """Table and constraints."""

        table_name = "organizations"


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


many_to_many(OrganizationMember.organization, OrganizationMember.user, "members", backref="organization")
