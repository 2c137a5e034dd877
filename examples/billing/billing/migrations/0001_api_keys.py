"""API keys."""

from typing import Any

from cloudpub_models.entity import AutoField, CharField, Entity, ForeignKey, TimestampField, UuidField


class Account(Entity):
    """What is needed of the platform's table."""

    id = AutoField()

    class Meta:
        """Its table."""

        table_name = "users"


class ApiKey(Entity):
    """The table as it is made here, whatever becomes of the model."""

    id = AutoField()
    uuid = UuidField(unique=True)
    user = ForeignKey(Account, on_delete="CASCADE")
    name = CharField(max_length=100)
    key_hash = CharField(max_length=255)
    created_at = TimestampField()
    updated_at = TimestampField(touched_on_update=True)

    class Meta:
        """Its table."""

        table_name = "api_keys"
        indexes = ((("user", "name"), True),)


def up(migrator: Any, db: Any) -> None:
    """Make the table, with its indexes and triggers."""
    db.create_tables([ApiKey])


def down(migrator: Any, db: Any) -> None:
    """Drop it."""
    db.drop_tables([ApiKey])
