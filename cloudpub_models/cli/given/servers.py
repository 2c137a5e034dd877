"""The databases in which the invocations of a named one are."""

from __future__ import annotations

from cloudpub_models.connection import Database
from cloudpub_models.platform.registry import Managers


def databases_of_invocations(database: Database) -> list[Database]:
    """Return the servers of ``--history`` that have invocations, or may be given some; without any, the database.

    Raises:
        ConfigurationError: the servers are not those that were prepared.
    """
    return Managers(database).cells.every_server() if database.history_servers else [database]
