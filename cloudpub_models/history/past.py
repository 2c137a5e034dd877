"""The rows of recorded tables as they were at a moment, as common table expressions that stand before a query.

Each has the name of its table, so that a query for the table's rows finds those of the moment. A transaction counts as
past when its last change was at or before the moment: half of one is never seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

import peewee

from cloudpub_models.entity.binding import sql_dialect_of
from cloudpub_models.entity.stored_forms import timestamp_to_text
from cloudpub_models.errors import HistoryError, InvalidValueError
from cloudpub_models.history.changes import require_recorded
from cloudpub_models.history.recording import recorded_since
from cloudpub_models.history.tables import kind_of, log_of, recorded_table
from cloudpub_models.sql.identifiers import shown


class PastTables(NamedTuple):
    """What has a query see the rows of a moment.

    Attributes:
        prefix: the text to stand before the query.
        values: those of its parameters, which come first.
        tables: the tables that it knows.
    """

    prefix: str
    values: tuple[str, ...]
    tables: frozenset[str]


def past_tables(database: peewee.Database, models: Iterable[type[peewee.Model]], moment: datetime) -> PastTables:
    """Return what has a query see the rows of a moment, of all tables whose changes since then are known.

    Args:
        database: the database.
        models: the models of its tables.
        moment: the moment, aware.

    Raises:
        InvalidValueError: the moment has no time zone.
        HistoryError: nothing is recorded since then.
    """
    stored = timestamp_to_text(moment)
    since = recorded_since(database)
    known = [model for model in models if since.get(model._meta.table_name, moment) < moment]
    known = [model for model in known if model._meta.table_name in since]
    lost = _lost_since(database, known, moment) if known else frozenset()
    known = [model for model in known if model._meta.table_name not in lost]
    kind, quote = kind_of(database), sql_dialect_of(database).quote
    parts = [kind.past_changes()]
    for model in known:
        rows = kind.past_rows(recorded_table(database, model), model._meta.columns)
        parts.append(f"{quote(model._meta.table_name)} AS ({rows})")
    return PastTables(f"WITH {', '.join(parts)} ", (stored,), frozenset(model._meta.table_name for model in known))


def require_known(database: peewee.Database, table: str, moment: datetime) -> None:
    """Raise HistoryError unless the log knows all changes of a table since a moment."""
    if isinstance(moment, str):
        raise InvalidValueError(
            f"expected an aware datetime; got {shown(moment)}: pass what datetime.fromisoformat() makes of it"
        )
    timestamp_to_text(moment)
    require_recorded(database, table)
    since = recorded_since(database).get(table)
    if since is None or since >= moment:
        raise HistoryError(
            f"expected a moment since which the changes of {table} are recorded; got {moment.isoformat()}: "
            f"they are since {'never' if since is None else since.isoformat()}"
        )
    log = log_of(database)
    if log.select().where(log.table_name == table, log.operation == "T", log.changed_at > moment).exists():
        raise HistoryError(
            f"expected a moment after {table} was emptied by TRUNCATE, which keeps no rows; got {moment.isoformat()}"
        )


def require_same_keys(database: peewee.Database, model: type[peewee.Model], moment: datetime) -> None:
    """Raise HistoryError where a row of a table has got another primary key since a moment."""
    table = model._meta.table_name
    if table in _lost_since(database, [model], moment):
        raise HistoryError(
            f"expected a moment after a row of {table} got another primary key, which tells no longer whose older "
            f"changes are its own; got {moment.isoformat()}"
        )


def _lost_since(database: peewee.Database, models: Iterable[type[peewee.Model]], moment: datetime) -> frozenset[str]:
    """Return the tables that were emptied at once since a moment, or of which a row has got another primary key."""
    log, kind = log_of(database), kind_of(database)
    is_lost = log.operation == "T"
    for model in models:
        meta: Any = model._meta
        for key in meta.get_primary_keys():
            has_other_key = kind.has_member(log.old_values, key.column_name)
            is_lost |= (log.table_name == meta.table_name) & (log.operation == "U") & has_other_key
    lost = log.select(log.table_name).where(log.changed_at > moment, is_lost).distinct().tuples()
    return frozenset(table for (table,) in lost)
