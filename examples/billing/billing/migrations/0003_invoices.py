"""Invoices."""

from enum import StrEnum
from typing import Any

from cloudpub_models.entity import AutoField, CharField, Entity, EnumField, ForeignKey, IntegerField, TimestampField


class InvoiceStatus(StrEnum):
    """What the column may hold."""

    OPEN = "open"
    SENT = "sent"


class ApiKey(Entity):
    """What is needed of it here."""

    id = AutoField()

    class Meta:
        """Its table."""

        table_name = "api_keys"


class Invoice(Entity):
    """The table as it is made here."""

    id = AutoField()
    number = CharField(max_length=20, unique=True)
    api_key = ForeignKey(ApiKey, on_delete="CASCADE")
    cents = IntegerField()
    status = EnumField(InvoiceStatus, default=InvoiceStatus.OPEN)
    issued_at = TimestampField()

    class Meta:
        """Its table."""

        table_name = "invoices"


def up(migrator: Any, db: Any) -> None:
    """Make the table."""
    db.create_tables([Invoice])


def down(migrator: Any, db: Any) -> None:
    """Drop it."""
    db.drop_tables([Invoice])
