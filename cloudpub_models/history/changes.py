"""Reading the change log: what has happened to a row, or in a transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, cast

import peewee

from cloudpub_models.entity.base import secret_columns
from cloudpub_models.entity.binding import current_database
from cloudpub_models.errors import HistoryError
from cloudpub_models.history.recording import recorded_tables
from cloudpub_models.history.tables import SECRET, changes_in, key_from, kind_of, log_of, of_row, recorded_table, rows

Operation = Literal["insert", "update", "delete", "truncate"]

_OPERATIONS: dict[str, Operation] = {"I": "insert", "U": "update", "D": "delete", "T": "truncate"}


@dataclass(frozen=True)
class Change:
    """One change of one row, as the log has it.

    Attributes:
        id: its number; later changes of a row have higher ones.
        transaction_id: the number of the transaction that made it.
        at: when it was made.
        actor: who made it, where ``Database.acting_as`` said so.
        details: what else was said there.
        table: the table.
        row_id: the row's primary key; a tuple where that has several columns.
        operation: what was done; a ``"truncate"`` is one change of all rows.
        before: the values that an update changed, or all that a deleted row had; ``"***"`` stands for a secret.
        after: the values that an update has set.
    """

    id: int
    transaction_id: int
    at: datetime
    actor: str | None
    details: dict[str, Any]
    table: str
    row_id: Any
    operation: Operation
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)


def changes_of_row(
    database: peewee.Database,
    model: type[peewee.Model],
    key: Any,
    *,
    since: datetime | None = None,
    limit: int | None = None,
) -> list[Change]:
    """Return the changes of a row, the newest first."""
    table = recorded_table(database, model)
    _require_in_log(database, table.name)
    log = log_of(database)
    query = changes_in(log).where(of_row(database, log, table, model, key))
    if since is not None:
        query = query.where(log.changed_at > since)
    return read(database, query.order_by(log.id.desc()).limit(limit), [model])


def key_of_deleted(database: peewee.Database, model: type[peewee.Model], column: str, stored: Any) -> Any:
    """Return the primary key of the row that was deleted last with a value in a column; ``None`` where none was."""
    table = recorded_table(database, model)
    _require_in_log(database, table.name)
    found = rows(
        database,
        "SELECT row_id, row_key FROM changes WHERE table_name = ? AND operation = 'D' AND old_values ->> ? = ? "
        "ORDER BY id DESC LIMIT 1",
        table.name,
        column,
        stored,
    )
    return key_from(table, model, *found[0]) if found else None


def changes_of_transaction(
    database: peewee.Database, models: Iterable[type[peewee.Model]], transaction_id: int
) -> list[Change]:
    """Return the changes that a transaction has made, in their order."""
    require_log(database)
    log = log_of(database)
    query = changes_in(log).where(log.transaction_id == transaction_id, log.operation.in_(list(_OPERATIONS)))
    return read(database, query.order_by(log.id), models)


def read(database: peewee.Database, query: Any, models: Iterable[type[peewee.Model]]) -> list[Change]:
    """Return the changes that a query on the log finds, with the values that Python has for them."""
    by_table: Mapping[str, Any] = {model._meta.table_name: model for model in models}
    changes = []
    for row in query:
        model = by_table.get(row.table_name)
        key = row.row_id
        if model is not None and row.row_key is not None:
            key = key_from(recorded_table(database, model), model, row.row_id, row.row_key)
        changes.append(
            Change(
                id=row.id,
                transaction_id=row.transaction_id,
                at=row.changed_at,
                actor=row.actor,
                details=row.details or {},
                table=row.table_name,
                row_id=key,
                operation=_OPERATIONS[row.operation],
                before=python_values(database, model, row.old_values or {}),
                after=python_values(database, model, row.new_values or {}),
            )
        )
    return changes


def difference(
    database: peewee.Database, model: type[peewee.Model], key: Any, since: datetime
) -> dict[str, tuple[Any, Any]]:
    """Return column → its value at a moment and its value by the last change, for what has changed in between."""
    found: dict[str, tuple[Any, Any]] = {}
    changes = changes_of_row(database, model, key, since=since)
    # An insert keeps no values: those of a row that came back are in the row.
    is_back = any(change.operation == "delete" for change in changes) and changes[0].operation != "delete"
    present = _present_values(database, model, key) if is_back else {}
    for change in changes:
        for column, before in change.before.items():
            latest = found[column][1] if column in found else change.after.get(column, present.get(column))
            found[column] = (before, latest)
    return {column: pair for column, pair in found.items() if pair[0] != pair[1] or SECRET in pair}


def _present_values(database: peewee.Database, model: Any, key: Any) -> dict[str, Any]:
    fields = model._meta.sorted_fields
    query = model.select(*fields).where(model._meta.primary_key == key).tuples()
    names = [field.column_name for field in fields]
    return {name: value for row in query.execute(database) for name, value in zip(names, row, strict=True)}


def forget_row(database: peewee.Database, model: type[peewee.Model], key: Any) -> int:
    """Empty the values of a row's changes, and return how many they were."""
    table = recorded_table(database, model)
    _require_in_log(database, table.name)
    log = log_of(database)
    its_changes = of_row(database, log, table, model, key)
    with database.atomic():
        # What has values from afterwards has those from before as well.
        log.update(new_values={}).where(its_changes, log.new_values.is_null(False)).execute()
        return int(log.update(old_values={}).where(its_changes, log.old_values.is_null(False)).execute())


def require_log(database: peewee.Database) -> None:
    """Raise HistoryError unless a database records changes, or did so before recording was switched off."""
    if not kind_of(database).has_log(database):
        raise HistoryError(
            "expected a database that records changes; got one that never did: call history.enable(), or run cloudpub "
            "history on"
        )


def _require_in_log(database: peewee.Database, table: str) -> None:
    """Raise HistoryError unless the changes of a table are recorded, or were before recording was switched off."""
    has_log = kind_of(database).has_log(database)
    log = log_of(database)
    if not has_log or not log.select().where(log.table_name == table).exists():
        require_recorded(database, table)


def require_recorded(database: peewee.Database, table: str) -> None:
    """Raise HistoryError unless the changes of a table are recorded."""
    recorded = recorded_tables(database)
    if table not in recorded:
        hint = (
            f"those are {', '.join(sorted(recorded))}"
            if recorded
            else "none are: call history.enable(), or run cloudpub history on"
        )
        raise HistoryError(f"expected a table whose changes are recorded; got {table}: {hint}")


def python_values(database: peewee.Database, model: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values of the log as Python has them: as they are where no column or type is there for them any more."""
    if model is None or not values:
        return dict(values)
    columns = cast("Mapping[str, Any]", model._meta.columns)
    hidden = secret_columns(model)
    with current_database.bound_to(database):
        return {
            name: value if name in hidden or name not in columns else _python_value(database, columns[name], value)
            for name, value in values.items()
        }


def _python_value(database: peewee.Database, column: Any, value: Any) -> Any:
    raw = float(value) if isinstance(value, Decimal) and not isinstance(column, peewee.DecimalField) else value
    if isinstance(column, peewee.BlobField) and isinstance(value, str):
        raw = kind_of(database).blob_from(value)
    elif isinstance(column, peewee.DateTimeField) and isinstance(value, str):
        raw = value.replace("T", " ")
    with suppress(ValueError, TypeError, peewee.PeeweeException):
        return column.python_value(raw)
    return value
