"""What only SQLite needs: its engine."""

from __future__ import annotations

from cloudpub_models.connection.engine import Engine
from cloudpub_models.connection.opening import Elsewhere
from cloudpub_models.connection.options import Options
from cloudpub_models.connection.url import DatabaseUrl
from cloudpub_models.errors import ConfigurationError


def open_engine(url: DatabaseUrl, options: Options, _elsewhere: Elsewhere | None = None) -> Engine:
    """Return an engine for a SQLite database; it connects when it is used.

    Raises:
        ConfigurationError: other servers are to have its history.
    """
    if options.history:
        raise ConfigurationError(
            f"expected PostgreSQL, to have history on several servers; got {url.masked!r}: leave history= out, one "
            "file has all"
        )
    from cloudpub_models.connection.sqlite.engine import SqliteEngine

    return SqliteEngine(url.target, url.masked, options)
