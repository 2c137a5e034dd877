"""Transactions, and how databases are opened."""

from __future__ import annotations

from typing import Any

from cloudpub_models import Database
from cloudpub_models.errors import CloudpubError
from tests.abuse.world import World

from .accepted import never, one_of
from .door import Doors

DOORS = Doors()


@DOORS.door(
    "Database.transaction(isolation)",
    "Database.run_transaction(isolation)",
    harmless=("SERIALIZABLE", "read committed"),
    accepts=one_of("SERIALIZABLE", "READ COMMITTED", "REPEATABLE READ", any_case=True),
)
def _(world: World, given: str) -> Any:
    with world.database.transaction(isolation=given):
        pass
    world.database.run_transaction(lambda connection: None, isolation=given)


@DOORS.door("Database.__init__(url)", "Database.initialize(url)", harmless=(), accepts=never)
def _(world: World, given: str) -> Any:
    try:
        Database().initialize(given)
    except CloudpubError:
        Database(given)


@DOORS.door("Database.__init__(options)", "Database.initialize(options)", harmless=(), accepts=never)
def _(world: World, given: str) -> Any:
    try:
        Database().initialize("sqlite:///:memory:", **{given: 1})
    except CloudpubError:
        Database("sqlite:///:memory:", statement_timeout=given)
