"""Leases on rows, and receipts for what was done once."""

from typing import Any

from cloudpub_models.entity import CharField, CompositeKey, Entity, IntegerField, TextField, TimestampField, UuidField


class Lease(Entity):
    """The table as it is made here, whatever becomes of the model."""

    table_name = CharField(max_length=127)
    row_key = TextField()
    token = UuidField()
    holder = CharField(max_length=255)
    attempts = IntegerField()
    expires_at = TimestampField()

    class Meta:
        """Its table."""

        table_name = "leases"
        primary_key = CompositeKey("table_name", "row_key")


class Receipt(Entity):
    """The table as it is made here."""

    key = CharField(max_length=255, primary_key=True)
    created_at = TimestampField()

    class Meta:
        """Its table."""

        table_name = "receipts"


def up(migrator: Any, db: Any) -> None:
    """Make the tables."""
    db.create_tables([Lease, Receipt])


def down(migrator: Any, db: Any) -> None:
    """Drop them."""
    db.drop_tables([Receipt, Lease])
