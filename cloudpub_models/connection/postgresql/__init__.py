"""What only PostgreSQL needs: its engine, its connections and their pool."""

from __future__ import annotations

from cloudpub_models.connection.engine import Engine
from cloudpub_models.connection.options import Options
from cloudpub_models.connection.url import DatabaseUrl
from cloudpub_models.errors import ConfigurationError


def open_engine(url: DatabaseUrl, options: Options) -> Engine:
    """Return an engine for a PostgreSQL database; it connects when it is used.

    Raises:
        ConfigurationError: the driver is not installed, or a replica is no PostgreSQL server.
    """
    try:
        from cloudpub_models.connection.postgresql.engine import PostgresqlEngine
        from cloudpub_models.connection.postgresql.prepared import PreparingEngine
    except ImportError as error:
        raise ConfigurationError(
            f"expected the PostgreSQL driver; got {error}: run 'pip install psycopg2-binary'"
        ) from error
    if not options.replicas:
        return (PreparingEngine if options.prepared else PostgresqlEngine)(url.target, url.masked, options)
    for replica in options.replicas:
        if replica.dialect != url.dialect:
            raise ConfigurationError(
                f"expected the URLs of PostgreSQL servers in replicas=; got {replica.masked!r}: a replica is a standby "
                "of the database's own server"
            )
    from cloudpub_models.connection.postgresql.replicas.routing import RoutingEngine, RoutingPreparingEngine

    return (RoutingPreparingEngine if options.prepared else RoutingEngine)(url.target, url.masked, options)
