"""The tables of leases and receipts, as a component that a database is opened with where they are wanted."""

from __future__ import annotations

from cloudpub_models.component import Component
from cloudpub_models.entity import CharField, CompositeKey, Entity, IntegerField, TextField, TimestampField, UuidField


class LeaseRow(Entity):
    """Who works on which row of another table, and until when."""

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
    """What has been done, and when."""

    key = CharField(max_length=255, primary_key=True)
    created_at = TimestampField()

    class Meta:
        """Its table."""

        table_name = "receipts"


component = Component("cloudpub_work", models=(LeaseRow, Receipt), migrations="cloudpub_models.work.migrations")
