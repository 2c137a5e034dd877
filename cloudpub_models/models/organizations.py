"""Organizations and who belongs to them: `Organization`, `OrganizationMember`."""

from __future__ import annotations

from uuid import UUID, uuid4

from peewee import AutoField, CharField, ModelSelect

from cloudpub_models.entity.base import Entity
from cloudpub_models.entity.fields import RANDOM_UUID, UTC_NOW, ForeignKey, TimestampField, UuidField
from cloudpub_models.entity.relations import ManyThrough, OneThrough, OneToOneKey, relate
from cloudpub_models.entity.stored_forms import utc_now
from cloudpub_models.models.users import User


class Organization(Entity):
    """A group of users with an owner."""

    shown_columns = ("name",)

    id = AutoField()
    uuid = UuidField(unique=True, default=uuid4, server_default=RANDOM_UUID)
    name = CharField(max_length=255, unique=True)
    owner = ForeignKey(User, field="uuid", backref="owned_organizations", on_delete="CASCADE")
    created_at = TimestampField(default=utc_now, server_default=UTC_NOW)
    updated_at = TimestampField(default=utc_now, server_default=UTC_NOW, touched_on_update=True)

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
    joined_at = TimestampField(default=utc_now, server_default=UTC_NOW)

    organization_id: UUID
    user_id: UUID

    class Meta:
        """Table and constraints."""

        table_name = "organization_members"


relate(Organization, "members", ManyThrough(near=OrganizationMember.organization, far=OrganizationMember.user))
relate(User, "organization", OneThrough(near=OrganizationMember.user, far=OrganizationMember.organization))
