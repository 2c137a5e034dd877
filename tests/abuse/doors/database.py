"""Transactions, and how databases are opened."""

from __future__ import annotations

from typing import Any

from cloudpub_models import Database, User
from cloudpub_models.errors import CloudpubError
from tests.abuse.world import World

from .accepted import never, one_of
from .door import Doors

DOORS = Doors()

LEVELS = ("SERIALIZABLE", "READ COMMITTED", "REPEATABLE READ")
LOCKS = ("DEFERRED", "IMMEDIATE", "EXCLUSIVE")


@DOORS.door(
    "Database.transaction(isolation)",
    "Database.run_transaction(isolation)",
    harmless=("SERIALIZABLE", "read committed"),
    accepts=one_of(*LEVELS, any_case=True),
)
def _(world: World, given: str) -> Any:
    with world.database.transaction(isolation=given):
        pass
    world.database.run_transaction(lambda connection: None, isolation=given)


@DOORS.door(
    "Database.atomic(kind)",
    "Database.atomic(named_kind)",
    harmless=("SERIALIZABLE", "read committed", "IMMEDIATE", "exclusive"),
    accepts=one_of(*LEVELS, *LOCKS, any_case=True),
)
def _(world: World, given: str) -> Any:
    # Each database has one kind first, and knows the other one by its name.
    is_lock = given.upper() in LOCKS
    first_is_lock = world.database.dialect == "sqlite"
    for name in ("lock_type", "isolation_level"):
        if given.upper() in LEVELS + LOCKS and (name == "lock_type") is not is_lock:
            continue
        with world.database.atomic(**{name: given}):
            pass
    if is_lock is first_is_lock:
        with world.database.atomic(given):
            pass


@DOORS.door("Database.at_least(token)", harmless=("",), accepts=one_of(""))
def _(world: World, given: str) -> Any:
    with world.database.at_least(given):
        pass


@DOORS.door("Database.reading_from(source)", harmless=("primary",), accepts=one_of("primary", "replica"))
def _(world: World, given: str) -> Any:
    with world.database.reading_from(given):
        pass


@DOORS.door("Database.partition(table)", "Database.partitions(table)", harmless=(), accepts=never)
def _(world: World, given: str) -> Any:
    try:
        world.database.partitions(given)
    except CloudpubError:
        world.database.partition(given)


@DOORS.door("Database.partition(way)", harmless=(), accepts=never)
def _(world: World, given: Any) -> Any:
    world.database.partition("function_logs", way=given)


@DOORS.door("Database.partition(width)", harmless=(), accepts=never)
def _(world: World, given: str) -> Any:
    world.database.partition("function_logs", given)


@DOORS.door("Database.bind(models)", harmless=(), accepts=never)
def _(world: World, given: str) -> Any:
    world.database.bind([User, given])


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
