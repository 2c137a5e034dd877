"""What only PostgreSQL needs: its engine, its connections and their pool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloudpub_models.connection.engine import Engine
from cloudpub_models.connection.opening import Elsewhere
from cloudpub_models.connection.options import Options
from cloudpub_models.connection.url import DatabaseUrl
from cloudpub_models.errors import ConfigurationError

if TYPE_CHECKING:
    from cloudpub_models.connection.postgresql.engine import PostgresqlEngine


def open_engine(url: DatabaseUrl, options: Options, elsewhere: Elsewhere | None = None) -> Engine:
    """Return an engine for a PostgreSQL database; it connects when it is used.

    Args:
        url: where it is.
        options: how it is opened.
        elsewhere: what other databases have of it; ``None`` where it has all its rows.

    Raises:
        ConfigurationError: the driver is not installed, or a replica or a server of history is no PostgreSQL server.
    """
    try:
        from cloudpub_models.connection.postgresql.engine import PostgresqlEngine
        from cloudpub_models.connection.postgresql.prepared import PreparingEngine
    except ImportError as error:
        raise ConfigurationError(
            f"expected the PostgreSQL driver; got {error}: run 'pip install psycopg2-binary'"
        ) from error
    kind: type[PostgresqlEngine] = PreparingEngine if options.prepared else PostgresqlEngine
    if options.replicas:
        kind = _routing_engine(url, options)
    for server in options.history:
        if server.dialect != url.dialect:
            raise ConfigurationError(
                f"expected the URLs of PostgreSQL servers in history=; got {server.masked!r}: what a database has of "
                "its history elsewhere is on servers of its own kind"
            )
    if elsewhere is None:
        return kind(url.target, url.masked, options)
    from cloudpub_models.connection.postgresql.elsewhere import kept_apart

    if elsewhere.is_server:
        from cloudpub_models.connection.postgresql.admission import admitted

        kind = admitted(kind)
    engine = kept_apart(kind)(url.target, url.masked, options)
    engine.elsewhere = elsewhere
    return engine


def _routing_engine(url: DatabaseUrl, options: Options) -> type[PostgresqlEngine]:
    from psycopg2.extensions import parse_dsn

    for replica in options.replicas:
        if replica.dialect != url.dialect:
            raise ConfigurationError(
                f"expected the URLs of PostgreSQL servers in replicas=; got {replica.masked!r}: a replica is a standby "
                "of the database's own server"
            )
        settings = parse_dsn(replica.target)
        if "," in settings.get("host", settings.get("hostaddr", "")):
            raise ConfigurationError(
                f"expected one server in each URL of replicas=; got several in {replica.masked!r}: give each a URL of "
                "its own"
            )
    from cloudpub_models.connection.postgresql.replicas.routing import RoutingEngine, RoutingPreparingEngine

    return RoutingPreparingEngine if options.prepared else RoutingEngine
