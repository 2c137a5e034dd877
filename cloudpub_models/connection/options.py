"""The options of a database, their defaults and what each one is for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

from cloudpub_models.connection.url import DatabaseUrl, parse_url
from cloudpub_models.errors import ConfigurationError, did_you_mean
from cloudpub_models.sql.identifiers import shown
from cloudpub_models.sql.records import Record

if TYPE_CHECKING:
    from cloudpub_models.connection.cursor_seal import CursorSeal

Causality = Literal["process", "thread"]
_CAUSALITIES = get_args(Causality)


class Options(Record):
    """How a database is opened and how long it may take; all times are seconds, and 0 means no limit.

    Attributes:
        max_connections: PostgreSQL: how many connections the process opens at most.
        pool_timeout: PostgreSQL: how long a call waits for one of them to be free, or for its turn to open one: after
            failed attempts at most five a second are made by the whole process.
        connect_timeout: PostgreSQL: how long opening a connection may take (libpq knows whole seconds, two at least),
            and how long ``run_transaction`` waits for a server that restarts or has too many clients.
        statement_timeout: PostgreSQL: how long one statement may run.
        lock_timeout: PostgreSQL: how long one statement may wait for a lock.
        idle_in_transaction_timeout: PostgreSQL: how long an open transaction may stay without a statement.
        tcp_user_timeout: PostgreSQL: how long sent data may stay unacknowledged before the connection counts as lost.
        busy_timeout: SQLite: how long a statement waits while another connection writes.
        application_name: PostgreSQL: what ``pg_stat_activity`` shows.
        transaction_pooler: PostgreSQL: whether the URL leads to a pooler that lends a session for one transaction only,
            such as PgBouncer with ``pool_mode = transaction``. Then nothing of a session is set or relied on: the three
            limits above hold inside transactions, by ``SET LOCAL``; outside them the role's (``ALTER ROLE … SET``).
            Migrations are refused, since their lock belongs to a session.
        slow_query: from how long on a statement is warned about in the log ``cloudpub_models.queries``; ``None`` warns
            about none.
        prepared: PostgreSQL: whether the managers' statements are prepared, once for each connection, so that the
            server need not parse and plan them at each call. SQLite's driver does so in any case. Refused together with
            ``transaction_pooler``, which may give each transaction another session.
        cursor_key: what seals the cursors of pages, given as a key or a list of some: the first seals, all open.
            ``None`` takes those of ``$CLOUDPUB_CURSOR_KEY``, and seals none where there are none.
        require_owner: whether managers of all rows are refused that are not asked for by ``managers.unrestricted()``.
        row_security: PostgreSQL: whether the managers of an owner's rows, and those of ``managers.unrestricted()``, say
            so with every statement, for which ``cloudpub guard on`` has the database ask. A role that row security does
            not hold is refused.
        rollups: whether statistics of invocations are read from rollups, where ``cloudpub rollup on`` has made them.
        replicas: PostgreSQL: the URLs of standbys that may answer what managers read outside transactions, each of one
            server. Refused together with ``transaction_pooler``.
        replica_max_lag: how old what a replica shows may be; ``None`` for any age.
        replica_wait: how long a read waits for a replica that has not seen enough, before it goes to the primary.
        replica_causality: whose writes a read has to see: those of the whole ``"process"``, or of its own ``"thread"``.
        primary_share: how many of the reads that a replica could answer the primary answers all the same, from 0 to 1.
        cached_rows: how many rows the process keeps in memory for ``session(cached=True)``; 0 keeps none.
        history: PostgreSQL: the URLs of the servers that have the rows of logs and invocations, as
            ``managers.cells.initialize()`` has prepared them. Refused together with ``row_security`` and
            ``transaction_pooler``. The log of changes is another history.
    """

    max_connections: int = 20
    pool_timeout: float = 10
    connect_timeout: float = 5
    statement_timeout: float = 30
    lock_timeout: float = 5
    idle_in_transaction_timeout: float = 60
    tcp_user_timeout: float = 15
    busy_timeout: float = 5
    application_name: str = "cloudpub_models"
    transaction_pooler: bool = False
    slow_query: float | None = None
    prepared: bool = False
    cursor_key: CursorSeal | None = None
    require_owner: bool = False
    row_security: bool = False
    rollups: bool = False
    replicas: tuple[DatabaseUrl, ...] = ()
    replica_max_lag: float | None = 10
    replica_wait: float = 0
    replica_causality: Causality = "process"
    primary_share: float = 0
    cached_rows: int = 0
    history: tuple[DatabaseUrl, ...] = ()

    @classmethod
    def from_keywords(cls, keywords: dict[str, Any]) -> Options:
        """Return the options named, checked, with the defaults for the rest.

        Raises:
            ConfigurationError: an option is unknown or its value out of range.
        """
        for name, value in keywords.items():
            if name not in cls._fields:
                raise ConfigurationError(
                    f"expected an option of a database; got {shown(name)}: {did_you_mean(name, cls._fields)}"
                )
            if name == "cursor_key":
                keywords = keywords | {name: None if value is None else _cursor_seal(value)}
            elif name in ("replicas", "history"):
                keywords = keywords | {name: _urls(name, value)}
            elif name == "replica_causality":
                if not isinstance(value, str) or value not in _CAUSALITIES:
                    raise ConfigurationError(
                        f"expected 'process' or 'thread' for the database option {name}; got {shown(value)}"
                    )
            else:
                _check_option(name, value, getattr(cls, name))
        options = cls(**keywords)
        if options.prepared and options.transaction_pooler:
            raise ConfigurationError(
                "expected prepared=True or transaction_pooler=True; got both: a prepared statement belongs to a "
                "session, and behind a transaction pooler the next transaction may get another one"
            )
        if options.replicas and options.transaction_pooler:
            raise ConfigurationError(
                "expected replicas= or transaction_pooler=True; got both: behind a transaction pooler nobody knows "
                "whether a standby that answers is the one that was asked how far it has come"
            )
        for name in ("row_security", "transaction_pooler") if options.history else ():
            if getattr(options, name):
                raise ConfigurationError(
                    f"expected history= or {name}=True; got both: what that needs is not on the servers of history"
                )
        return options


def _cursor_seal(keys: Any) -> CursorSeal:
    from cloudpub_models.connection.cursor_seal import CursorSeal

    return CursorSeal(keys)


def _urls(name: str, urls: Any) -> tuple[DatabaseUrl, ...]:
    if isinstance(urls, str) or not isinstance(urls, Sequence):
        raise ConfigurationError(f"expected a list of URLs for the database option {name}; got {shown(urls)}")
    return tuple(map(parse_url, urls))


def _check_option(name: str, value: Any, default: Any) -> None:
    if value is None and (default is None or name == "replica_max_lag"):
        return
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise ConfigurationError(f"expected True or False for the database option {name}; got {shown(value)}")
        return
    if isinstance(default, str):
        if not isinstance(value, str) or any(c == "\0" or "\ud800" <= c <= "\udfff" for c in value):
            raise ConfigurationError(f"expected text for the database option {name}; got {shown(value)}")
        return
    number = int if name in ("max_connections", "cached_rows") else (int, float)
    smallest = 1 if name == "max_connections" else 0
    if isinstance(value, bool) or not isinstance(value, number) or not smallest <= value < 10**7:
        raise ConfigurationError(
            f"expected a number of at least {smallest} for the database option {name}; got {shown(value)}"
        )
    if name == "primary_share" and value > 1:
        raise ConfigurationError(f"expected a number from 0 to 1 for the database option {name}; got {shown(value)}")
