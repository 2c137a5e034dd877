"""The tables of billing."""

from __future__ import annotations

from enum import StrEnum

from cloudpub_models import User
from cloudpub_models.entity import (
    AutoField,
    CharField,
    Entity,
    EnumField,
    ForeignKey,
    IntegerField,
    JsonField,
    ModelSelect,
    TimestampField,
    UuidField,
)


class InvoiceStatus(StrEnum):
    """How far an invoice has come."""

    OPEN = "open"
    SENT = "sent"


class ApiKey(Entity):
    """A key with which somebody's programs sign in."""

    secret_columns = frozenset({"key_hash"})

    id = AutoField()
    uuid = UuidField(unique=True)
    user = ForeignKey(User, backref="api_keys", on_delete="CASCADE")
    name = CharField(max_length=100)
    key_hash = CharField(max_length=255)
    scopes = JsonField(null=True)
    created_at = TimestampField()
    updated_at = TimestampField(touched_on_update=True)

    user_id: int  # for type checkers, as all that Peewee adds
    invoices: ModelSelect[Invoice]

    class Meta:
        """Its table."""

        table_name = "api_keys"
        indexes = ((("user", "name"), True),)


class Invoice(Entity):
    """What a key's use in one month costs."""

    id = AutoField()
    number = CharField(max_length=20, unique=True)
    api_key = ForeignKey(ApiKey, backref="invoices", on_delete="CASCADE")
    cents = IntegerField()
    status = EnumField(InvoiceStatus, default=InvoiceStatus.OPEN)
    issued_at = TimestampField()

    api_key_id: int

    class Meta:
        """Its table."""

        table_name = "invoices"
