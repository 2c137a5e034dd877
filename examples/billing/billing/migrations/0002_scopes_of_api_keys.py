"""What an API key is for."""

from typing import Any

from cloudpub_models.entity import JsonField


def up(migrator: Any, db: Any) -> None:
    """Add the column."""
    migrator.migrate(migrator.add_column("api_keys", "scopes", JsonField(null=True)))


def down(migrator: Any, db: Any) -> None:
    """Drop it."""
    migrator.migrate(migrator.drop_column("api_keys", "scopes"))
