"""A component of somebody's own with two tables: one refers to the platform's users, the other to the first."""

from __future__ import annotations

from uuid import UUID

import peewee
from peewee import AutoField, CharField, IntegerField

from cloudpub_models import Component, User
from cloudpub_models.dto.base import Dto
from cloudpub_models.entity.base import Entity
from cloudpub_models.entity.fields import TimestampField, UuidField
from cloudpub_models.entity.relations import ForeignKey


class ApiKey(Entity):
    secret_columns = frozenset({"key_hash"})

    id = AutoField()
    uuid = UuidField(unique=True)
    # No attribute of User, which other tests look at.
    user = ForeignKey(User, backref="+", on_delete="CASCADE")
    name = CharField(max_length=100)
    key_hash = CharField(max_length=255)
    created_at = TimestampField()

    class Meta:
        table_name = "api_keys"
        indexes = ((("user", "name"), True),)
        owner = "user"
        searchable = ("name",)


class Charge(peewee.Model):
    """As Peewee's own users write them: no entity, and a key of its own."""

    number = CharField(max_length=20, primary_key=True)
    api_key = peewee.ForeignKeyField(ApiKey, backref="charges", on_delete="CASCADE")
    cents = IntegerField()

    class Meta:
        table_name = "charges"
        owner = "api_key"


class ApiKeyDto(Dto):
    """A key to the API, without what it opens."""

    uuid: UUID
    name: str


component = Component("billing", models=(ApiKey, Charge), after=("cloudpub",), dtos={ApiKey: ApiKeyDto})
