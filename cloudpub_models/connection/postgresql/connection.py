"""PostgreSQL connections of psycopg2: their settings, the cursor that managers use, and how its values are decoded.

Managers' statements use a cursor whose timestamps, UUIDs and JSON arrive as text, since the loaders parse those faster
than the driver does; raw SQL decodes them by the type that the server reports; Peewee's own statements see the driver's
defaults. Which thread has which connection is decided elsewhere.
"""

from __future__ import annotations

import json
import select
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg2
from psycopg2 import extensions

from cloudpub_models.connection.options import Options
from cloudpub_models.connection.postgresql.commit_outcome import TransactionMark
from cloudpub_models.connection.results import ResultColumns
from cloudpub_models.errors import ConfigurationError, InvalidQueryError, InvalidValueError
from cloudpub_models.sql import POSTGRESQL
from cloudpub_models.sql.text.statements import Aftermath, aftermaths

# Object identifiers of pg_type, fixed by PostgreSQL (src/include/catalog/pg_type.dat).
_TIMESTAMP, _TIMESTAMPTZ, _UUID, _JSON, _JSONB = 1114, 1184, 2950, 114, 3802
# Each with the type of its arrays, and what the driver reads it with.
_TIMES: dict[str, tuple[int, int, Any]] = {
    "date": (1082, 1182, extensions.PYDATE),
    "time": (1083, 1183, extensions.PYTIME),
    "time with time zone": (1266, 1270, extensions.PYTIME),
    "interval": (1186, 1187, extensions.PYINTERVAL),
    "timestamp": (_TIMESTAMP, 1115, extensions.PYDATETIME),
    "timestamp with time zone": (_TIMESTAMPTZ, 1185, extensions.PYDATETIMETZ),
}

_LARGEST_RESULT_KEPT = 1000
# What the loaders read, and how the tokenizer of raw SQL takes a backslash in a string.
_FIXED = {
    "timezone": "UTC",
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "standard_conforming_strings": "on",
}

# What DISCARD ALL does, in one message and without DEALLOCATE ALL. Settings become those of the session's beginning,
# the URL's own among them. The count at the end tells of what others have prepared.
_RESET = (
    "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ROLE; RESET ALL; UNLISTEN *; "
    "SELECT pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES; SELECT COUNT(*) FROM pg_prepared_statements"
)


class PostgresqlConnection(extensions.connection):
    """A driver connection with the little that the pool and the engine remember about it.

    Attributes:
        idle_since: see ``PoolableConnection``; within a block, when its last statement ended.
        asked_at: when its last statement began.
        lent_to: see ``PoolableConnection``.
        transaction_mark: what its open transaction is known by.
        aftermath: what the statements since it was borrowed may have left in its session.
        prepares_from: from when on lookups may be prepared in its session; infinity for never.
        has_own_session: whether its session was found to be nobody else's.
        timeline: the one on which its server writes, once that is known; then it stays the same for its session.
        plans_until: until when its lookups may be planned as they are.
    """

    idle_since: float = 0.0
    asked_at: float = 0.0
    lent_to: int | None = None
    transaction_mark: TransactionMark | None = None
    aftermath: Aftermath = Aftermath.NONE
    prepares_from: float = 0.0
    has_own_session: bool = False
    timeline: str | None = None
    plans_until: float = 0.0
    _kept_cursor: extensions.cursor | None = None

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        # What is prepared: the command that executes each statement, the last one used last; and the names of those
        # that the server still has without need.
        self.prepared: OrderedDict[str, str] = OrderedDict()
        self.outdated: list[str] = []
        # How often in a row each lookup has found its row, sent as it is; and of what is prepared, what is not planned
        # too long ago.
        self.finds: dict[str, int] = {}
        self.ready: dict[str, str] = {}

    def text_cursor(self) -> extensions.cursor:
        """Return a cursor for a statement that gives no rows, without taking it."""
        cursor = self.take_cursor()
        self._kept_cursor = cursor
        return cursor

    def take_cursor(self) -> extensions.cursor:
        """Return a cursor for managers and raw SQL, whose timestamps, UUIDs and JSON arrive as text.

        It is nobody else's until ``keep`` gives it back: a signal handler may send a statement at any time.
        """
        self.asked_at = time.monotonic()
        cursor, self._kept_cursor = self._kept_cursor, None
        if cursor is None or cursor.closed:
            cursor = self.cursor()
            extensions.register_type(extensions.UNICODE, cursor)
            types: Any = cursor.string_types
            types.update(_TYPES)
        return cursor

    def keep(self, cursor: extensions.cursor) -> None:
        """Keep a cursor for the next statement; making one takes long. It holds its last result until then."""
        self.idle_since = time.monotonic()
        if cursor.rowcount <= _LARGEST_RESULT_KEPT:
            self._kept_cursor = cursor


def connection_settings(uri: str, masked_url: str, options: Options) -> dict[str, Any]:
    """Return the driver's keywords for a database: the defaults, then what the URL says."""
    try:
        settings: dict[str, Any] = dict(extensions.parse_dsn(uri))
    except psycopg2.ProgrammingError:
        raise ConfigurationError(
            f"expected a libpq URI such as 'postgresql://user:password@host:5432/name'; got {masked_url!r}"
        ) from None
    if not options.transaction_pooler:
        limits, fixed = (
            " ".join(f"-c {name}={value}" for name, value in each.items()) for each in (_limits(options), _FIXED)
        )
        # What the URL says itself comes last and so wins, but for what this library relies on.
        settings["options"] = f"{limits} {settings.get('options', '')} {fixed}"
    defaults = {
        "connect_timeout": max(2, round(options.connect_timeout)) if options.connect_timeout else 0,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": int(options.tcp_user_timeout * 1000),
        "application_name": options.application_name,
        "client_encoding": "UTF8",
    }
    return defaults | settings | {"client_encoding": "UTF8"}


def settings_of_a_transaction(options: Options) -> str:
    """Return what follows BEGIN in its round trip: behind a transaction pooler, what is not set for the session."""
    if not options.transaction_pooler:
        return ""
    return "".join(f"; SET LOCAL {name} = '{value}'" for name, value in (_limits(options) | _FIXED).items())


def _limits(options: Options) -> dict[str, str]:
    seconds = {
        "statement_timeout": options.statement_timeout,
        "lock_timeout": options.lock_timeout,
        "idle_in_transaction_session_timeout": options.idle_in_transaction_timeout,
    }
    return {name: str(int(value * 1000)) for name, value in seconds.items()}


def is_usable(connection: PostgresqlConnection) -> bool:
    """Ask the server, in one round trip, whether a connection still works."""
    try:
        connection.text_cursor().execute("SELECT 1")
    except psycopg2.Error:
        return False
    return True


def check_settings(connection: PostgresqlConnection) -> None:
    """Refuse a session whose strings are not read as the driver and the tokenizer have to rely on from its beginning.

    The driver looks at the setting once, as it connects, and by it puts the values of all later statements into text.

    Raises:
        ConfigurationError: the server takes a backslash in every string for an escape, and a pooler keeps it at that.
    """
    if connection.get_parameter_status("standard_conforming_strings") == "off":
        connection.close()
        raise ConfigurationError(
            "expected standard_conforming_strings = on; got off from the server: change it there, as by "
            "ALTER DATABASE … SET standard_conforming_strings = on"
        )


def look_at(connection: PostgresqlConnection, sql: str) -> None:
    """Look at a statement that is not by shape before it is sent: may it be, and what may it leave behind?

    Raises:
        InvalidQueryError: it has a backslash, and the session takes those for escapes. Else a setting that a statement
            before it has changed would let a second statement hide in a string of this one.
    """
    # What the server reports of itself, unasked; libpq has it at hand.
    if "\\" in sql and connection.get_parameter_status("standard_conforming_strings") == "off":
        raise InvalidQueryError(
            "expected standard_conforming_strings = on where a statement has a backslash; got off: leave that setting "
            "as it is, and write a string with escapes as E'…'"
        )
    aftermath = aftermaths[sql, POSTGRESQL]
    if aftermath > connection.aftermath:
        connection.aftermath = aftermath


def reset_session(connection: PostgresqlConnection) -> bool:
    """Undo what statements have left in a session, as DISCARD ALL would, but keep what is prepared.

    Returns:
        whether the session is as it was when it began.
    """
    if connection.aftermath is Aftermath.LASTING:
        return False
    cursor = connection.text_cursor()
    try:
        cursor.execute(_RESET)
        (prepared,) = cursor.fetchone() or (None,)
    except psycopg2.Error:
        return False
    connection.aftermath = Aftermath.NONE
    return bool(prepared == len(connection.prepared) + len(connection.outdated))


def discard(connection: PostgresqlConnection) -> None:
    """Close a connection that is not to be used again."""
    try:
        connection.close()
    except psycopg2.Error:
        # It is being thrown away because it is broken; that it also cannot be closed adds nothing.
        return


def has_input(connection: PostgresqlConnection) -> bool:
    """Return whether the server has said something unasked, which it does when it ends the session."""
    poller = select.poll()
    poller.register(connection.fileno(), select.POLLIN)
    return bool(poller.poll(0))


def columns_of(cursor: extensions.cursor) -> ResultColumns:
    """Return the columns of a cursor's result; none where it has no result."""
    return tuple([(column.name, _DECODERS.get(column.type_code)) for column in cursor.description or ()])


def _inexpressible(kind: str, text: str) -> InvalidValueError:
    return InvalidValueError(
        f"expected a value of type {kind} that Python can express; got {text!r} from the database: cast the column "
        "to text"
    )


def _checked(kind: str, read: Any) -> Any:
    """Return what reads a date, time or interval, and refuses what the driver would take for another value."""

    def cast(text: str | None, cursor: Any) -> Any:
        if text is None:
            return None
        # The driver makes the largest date, no time at all and midnight of these.
        if "infinity" in text or text.startswith("24:"):
            raise _inexpressible(kind, text)
        try:
            return read(text, cursor)
        except (ValueError, OverflowError):
            raise _inexpressible(kind, text) from None

    return cast


def _types() -> dict[int, Any]:
    """Return what reads the values of each type: as text what the loaders parse, checked what the driver reads."""
    types: dict[int, Any] = {}
    for kind, (type_code, array_code, read) in _TIMES.items():
        one = types[type_code] = extensions.new_type((type_code,), kind, _checked(kind, read))
        types[array_code] = extensions.new_array_type((array_code,), f"{kind}[]", one)
    return types | dict.fromkeys((_TIMESTAMP, _TIMESTAMPTZ, _UUID, _JSON, _JSONB), extensions.UNICODE)


_TYPES = _types()


def _decode_timestamp(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _inexpressible("timestamp", text) from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


_DECODERS: dict[int, Callable[[str], Any]] = {
    _TIMESTAMP: _decode_timestamp,
    _TIMESTAMPTZ: _decode_timestamp,
    _UUID: UUID,
    _JSON: json.loads,
    _JSONB: json.loads,
}
