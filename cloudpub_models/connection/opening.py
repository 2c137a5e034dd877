"""Which engine a database gets: found by its dialect, in the room of that name, when the database is first used."""

from __future__ import annotations

from importlib import import_module

from cloudpub_models.connection.engine import Engine
from cloudpub_models.connection.options import Options
from cloudpub_models.connection.url import DatabaseUrl


def open_engine(url: DatabaseUrl, options: Options) -> Engine:
    """Return an engine for a database; it connects when it is used.

    No program imports the driver of a database that it does not use.

    Raises:
        ConfigurationError: the driver is not installed.
    """
    opened: Engine = import_module(f"cloudpub_models.connection.{url.dialect}").open_engine(url, options)
    return opened
