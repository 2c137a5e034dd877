"""Which engine a database gets: imported and made when it is first used, so that no program imports both drivers."""

from __future__ import annotations

from cloudpub_models.connection.engine import Engine
from cloudpub_models.connection.options import Options
from cloudpub_models.connection.url import DatabaseUrl
from cloudpub_models.errors import ConfigurationError


def open_engine(url: DatabaseUrl, options: Options) -> Engine:
    """Return an engine for a database; it connects when it is used.

    Raises:
        ConfigurationError: the driver is not installed.
    """
    if url.dialect == "sqlite":
        from cloudpub_models.connection.sqlite.engine import SqliteEngine

        return SqliteEngine(url.target, url.masked, options)
    try:
        from cloudpub_models.connection.postgresql.engine import PostgresqlEngine
    except ImportError as error:
        raise ConfigurationError(
            f"the PostgreSQL driver cannot be imported ({error}): run 'pip install psycopg2-binary'"
        ) from error
    if options.prepared:
        from cloudpub_models.connection.postgresql.prepared import PreparingEngine

        return PreparingEngine(url.target, url.masked, options)
    return PostgresqlEngine(url.target, url.masked, options)
