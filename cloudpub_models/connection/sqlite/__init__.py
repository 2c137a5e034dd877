"""What only SQLite needs: its engine."""

from __future__ import annotations

from cloudpub_models.connection.engine import Engine
from cloudpub_models.connection.options import Options
from cloudpub_models.connection.url import DatabaseUrl


def open_engine(url: DatabaseUrl, options: Options) -> Engine:
    """Return an engine for a SQLite database; it connects when it is used."""
    from cloudpub_models.connection.sqlite.engine import SqliteEngine

    return SqliteEngine(url.target, url.masked, options)
