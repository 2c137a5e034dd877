"""Leases on rows of any table: taken, renewed, ended, each by one statement and the database's clock.

A lease is known by a token that is random for each time that a row is taken, so that no worker takes another's for its
own: neither one of the same name, nor itself after it has slept. A row has one line in the table ``leases``, which is
taken over when its time is up.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import uuid4

import peewee

from cloudpub_models.entity.binding import sql_dialect_of
from cloudpub_models.sql.dialects import Dialect
from cloudpub_models.sql.nodes.expressions import NamedTable
from cloudpub_models.sql.values import text_literal
from cloudpub_models.work.tables import send

_NOT_HELD = """
    NOT EXISTS (SELECT 1 FROM leases WHERE leases.table_name = {name} AND leases.row_key = CAST({key} AS TEXT)
    AND leases.expires_at > {now})
"""
_TAKE = """
    INSERT INTO leases (table_name, row_key, token, holder, attempts, expires_at)
    SELECT ?, CAST({key} AS TEXT), ?, ?, 1, {later} FROM {table} WHERE {key} = ?
    ON CONFLICT (table_name, row_key) DO UPDATE SET token = excluded.token, holder = excluded.holder,
    attempts = leases.attempts + 1, expires_at = excluded.expires_at WHERE leases.expires_at <= {now}
    RETURNING row_key, attempts
"""
_OWN = "table_name = ? AND row_key = ? AND token = ?"
_RENEW = "UPDATE leases SET expires_at = {later} WHERE {own} AND expires_at > {now}"
_GIVE_BACK = "UPDATE leases SET expires_at = {now} WHERE {own} AND expires_at > {now}"
_END = "DELETE FROM leases WHERE {own}"


class Held(NamedTuple):
    """A lease that was taken.

    Attributes:
        table: the name of the row's table.
        row_key: the row's primary key, as text.
        token: what tells this lease from all others.
        attempts: how many leases the row has had, this one among them, since one was finished.
    """

    table: str
    row_key: str
    token: str
    attempts: int

    @property
    def own(self) -> tuple[str, str, str]:
        """The values by which its line is found."""
        return self.table, self.row_key, self.token


def not_held(table: NamedTable, key: str, dialect: Dialect) -> str:
    """Return the condition of the rows of a table on which nobody has a lease.

    Args:
        table: the table, as the query names it.
        key: the column of its primary key.
        dialect: the database's.
    """
    name = text_literal(table.full_name)
    column = f"{dialect.quote(table.known_as)}.{dialect.quote(key)}"
    return " ".join(_NOT_HELD.format(name=name, key=column, now=dialect.now).split())


def take(
    database: peewee.Database, table: NamedTable, key: str, value: Any, *, holder: str, seconds: float
) -> Held | None:
    """Take the lease on a row, or return ``None`` where somebody has it.

    Args:
        database: the database, in a transaction.
        table: the row's table.
        key: the column of its primary key.
        value: the row's, encoded.
        holder: who takes it.
        seconds: for how long.
    """
    dialect = sql_dialect_of(database)
    quoted = ".".join(map(dialect.quote, filter(None, (table.schema, table.name))))
    sql = _TAKE.format(
        key=dialect.quote(key), table=quoted, later=dialect.seconds_from_now.format("?"), now=dialect.now
    )
    token = str(uuid4())
    row = send(database, sql, table.full_name, token, holder, seconds, value).fetchone()
    return None if row is None else Held(table.full_name, row[0], token, row[1])


def renew(database: peewee.Database, held: Held, seconds: float) -> bool:
    """Have a lease last some seconds from now on; return whether it had not run out."""
    dialect = sql_dialect_of(database)
    sql = _RENEW.format(later=dialect.seconds_from_now.format("?"), own=_OWN, now=dialect.now)
    return bool(send(database, sql, seconds, *held.own).rowcount == 1)


def give_back(database: peewee.Database, held: Held) -> None:
    """Let a lease be over, if it is not, so that the next one may be taken at once."""
    send(database, _GIVE_BACK.format(own=_OWN, now=sql_dialect_of(database).now), *held.own)


def end(database: peewee.Database, held: Held) -> bool:
    """Take a lease away for good; return whether nobody else had taken it over."""
    return bool(send(database, _END.format(own=_OWN), *held.own).rowcount == 1)
