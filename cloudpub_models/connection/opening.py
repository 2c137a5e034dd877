"""Which engine a database gets: found by its dialect, in the room of that name, when the database is first used."""

from __future__ import annotations

from importlib import import_module
from typing import NamedTuple

from cloudpub_models.connection.engine import Engine
from cloudpub_models.connection.options import Options
from cloudpub_models.connection.url import DatabaseUrl


class Elsewhere(NamedTuple):
    """Tables whose rows another database has, so that no statement here may name them.

    Attributes:
        tables: their names.
        hint: what to do to have the rows, as the end of a message.
        is_server: whether this is one of several databases that have rows of some tables, each some of them.
    """

    tables: frozenset[str]
    hint: str
    is_server: bool = False


def open_engine(url: DatabaseUrl, options: Options, elsewhere: Elsewhere | None = None) -> Engine:
    """Return an engine for a database; it connects when it is used.

    No program imports the driver of a database that it does not use.

    Args:
        url: where it is.
        options: how it is opened.
        elsewhere: what other databases have of it; ``None`` where it has all its rows.

    Raises:
        ConfigurationError: the driver is not installed.
    """
    opened: Engine = import_module(f"cloudpub_models.connection.{url.dialect}").open_engine(url, options, elsewhere)
    return opened
