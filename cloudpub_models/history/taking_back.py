"""Taking changes back: a whole transaction, or the deletion of a row with what went with it.

What is taken back is itself recorded. Values are put back as the log has them, not as the models see them, so that
columns which only another program knows come back too.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import peewee

from cloudpub_models.entity.base import secret_columns
from cloudpub_models.errors import HistoryConflictError, HistoryError, NotFoundError
from cloudpub_models.history.changes import require_recorded
from cloudpub_models.history.recording import recorded_tables
from cloudpub_models.history.tables import (
    SECRET,
    RecordedTable,
    changes_in,
    has_table,
    kind_of,
    log_of,
    of_row,
    recorded_table,
)

DELETED_SECRET = "!deleted"
"""What a secret column that may not be NULL gets back: the log has never had its value."""

_LOCKED_AT_ONCE = 10_000


@dataclass(frozen=True)
class TakenBack:
    """What was taken back.

    Attributes:
        row_id: the primary key of the row that was asked for; ``None`` for a whole transaction.
        counts: how many rows of which tables were put back, changed back or deleted again.
        left_out: what could not be put back, as ``table.column``: columns that are gone, references to rows that are
            gone, and secrets, which are not kept.
    """

    row_id: Any = None
    counts: dict[str, int] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def undo(
    database: peewee.Database, models: Iterable[type[peewee.Model]], transaction_id: int, *, force: bool = False
) -> TakenBack:
    """Take back all that a transaction has changed; see ``Database.undo``."""
    if not recorded_tables(database):
        raise HistoryError("expected a database that records changes; got one that does not: see history on")
    log = log_of(database)
    restorer = _Restorer(database, models)
    with database.atomic():
        changes = list(changes_in(log).where(log.transaction_id == transaction_id).order_by(log.id.desc()))
        if not changes:
            raise HistoryError(
                f"expected a transaction that the log knows; got {transaction_id}: it has changed nothing that is "
                "recorded, is not over, or was pruned"
            )
        if any(change.operation not in "IUD" for change in changes):
            raise HistoryError(
                f"expected a transaction whose rows the log has kept; got {transaction_id}, which emptied a whole "
                "table or switched recording on or off"
            )
        restorer.lock(changes)
        if not force:
            _require_unchanged_since(log, changes)
        restorer.take_back(changes, force=force)
    return TakenBack(None, dict(restorer.counts), tuple(restorer.left_out))


def undelete(
    database: peewee.Database,
    models: Iterable[type[peewee.Model]],
    model: type[peewee.Model],
    key: Any,
    changes: Mapping[str, Any],
) -> TakenBack:
    """Bring a deleted row back, and the rows that went with it; see ``Manager.undelete``."""
    table = recorded_table(database, model)
    require_recorded(database, table.name)
    log = log_of(database)
    restorer = _Restorer(database, models)
    with database.atomic():
        last = changes_in(log).where(of_row(database, log, table, model, key)).order_by(log.id.desc()).first()
        if last is None or last.operation != "D":
            state = "is not in the log" if last is None else "is there"
            raise NotFoundError(f"expected a deleted row of {table.name}; got {key}, which {state}", table=table.name)
        if not last.old_values:
            raise HistoryError(f"expected a row whose values the log has; got {table.name} {key}, which was forgotten")
        of_transaction = list(changes_in(log).where(log.transaction_id == last.transaction_id).order_by(log.id.desc()))
        gone = list(_gone_with(last, of_transaction, restorer.models))
        restorer.take_back(gone, only_where_null=True, instead={last.id: changes})
    return TakenBack(key, dict(restorer.counts), tuple(restorer.left_out))


def _gone_with(last: Any, changes: Sequence[Any], models: Mapping[str, Any]) -> Iterator[Any]:
    """Yield a deletion, and of its transaction what refers to the row: deletions, and references set to NULL.

    Each comes behind the row that it refers to.
    """
    yield last
    gone = [last]
    taken = {last.id}
    for parent in gone:
        for change in changes:
            if change.id in taken or change.operation not in "UD":
                continue
            if any(_refers(change, column, key, parent) for column, key in _references(models, change, parent)):
                if change.operation == "U" and all(value is not None for value in change.new_values.values()):
                    continue
                taken.add(change.id)
                yield change
                if change.operation == "D":
                    gone.append(change)


def _references(models: Mapping[str, Any], change: Any, parent: Any) -> Iterator[tuple[str, str]]:
    """Yield the columns of a change's table that refer to a parent's, with the columns that they refer to."""
    model = models.get(change.table_name)
    for key in model._meta.refs if model is not None else ():
        if key.rel_model._meta.table_name == parent.table_name:
            yield key.column_name, key.rel_field.column_name


def _refers(change: Any, column: str, key: str, parent: Any) -> bool:
    value = change.old_values.get(column)
    return value is not None and value == parent.old_values.get(key)


def _require_unchanged_since(log: Any, changes: Sequence[Any]) -> None:
    """Raise HistoryConflictError where what a transaction has changed was changed again since."""
    conflicts: dict[str, None] = {}
    newest: dict[tuple[Any, ...], Any] = {}
    for change in changes:
        newest.setdefault((change.table_name, change.row_id, change.row_key), change)
    for change in changes:
        last = newest[change.table_name, change.row_id, change.row_key]
        same_row = log.row_key == change.row_key if change.row_id is None else log.row_id == change.row_id
        later = log.select().where(log.table_name == change.table_name, same_row, log.id > last.id)
        for other in later.order_by(log.id):
            columns = (
                sorted(set(other.old_values) & set(change.old_values))
                if (other.operation, change.operation) == ("U", "U")
                else [{"I": "inserted", "U": "changed", "D": "deleted"}.get(other.operation, "emptied")]
            )
            for column in columns:
                row = change.row_key if change.row_id is None else change.row_id
                conflicts[f"{change.table_name} {row} ({column}, transaction {other.transaction_id})"] = None
    if conflicts:
        raise HistoryConflictError(
            f"expected rows that nobody has changed since; got {'; '.join(conflicts)}: undo that first, or say "
            "force=True"
        )


class _Waiting(NamedTuple):
    """A row that was put back without references to rows that were not there yet.

    Attributes:
        table: its table.
        key: its primary key.
        references: the values of its foreign keys.
        touched: the values of columns that an update would touch.
    """

    table: str
    key: dict[str, Any]
    references: dict[Any, Any]
    touched: dict[str, Any]


class _Restorer:
    """Takes changes back, one after the other, but for deleted rows: one that others refer to comes before them."""

    def __init__(self, database: peewee.Database, models: Iterable[type[peewee.Model]]) -> None:
        self.database = database
        self.models: dict[str, Any] = {model._meta.table_name: model for model in models}
        self.counts: Counter[str] = Counter()
        self.left_out: dict[str, None] = {}
        self._instead: Mapping[int, Mapping[str, Any]] = {}
        self._deletions: list[Any] = []
        self._insertions: dict[tuple[str, ...], Any] = {}
        self._begun: set[int] = set()
        self._waiting: list[_Waiting] = []
        self._tables: dict[str, RecordedTable] = {}
        self._columns: dict[str, dict[str, Any]] = {}
        self._computed: dict[str, frozenset[str]] = {}

    def take_back(
        self,
        changes: Sequence[Any],
        *,
        only_where_null: bool = False,
        force: bool = False,
        instead: Mapping[int, Mapping[str, Any]] = MappingProxyType({}),
    ) -> None:
        """Take changes back.

        Args:
            changes: rows of the log, the newest first.
            only_where_null: have a column that an update has set to NULL get its value back only where it still is.
            force: delete a row that was inserted though others have come to refer to it.
            instead: for some deletions, by their number, values that the row gets in place of its own, as a statement
                takes them.
        """
        self._instead = instead
        self._deletions = [change for change in changes if change.operation == "D"]
        self._insertions = {self._row(change): change for change in changes if change.operation == "I"}
        for change in changes:
            if change.operation == "I":
                self._take_out(change, force=force)
            elif change.operation == "U":
                self._change_back(change, only_where_null)
            else:
                self._put_back(change)
                self._fill_in()
        for row in self._waiting:
            self.left_out |= {f"{row.table}.{key.column_name}": None for key in row.references}

    def _count(self, table: str, touched: Any) -> None:
        if touched:
            self.counts[table] += int(touched)

    def _change_back(self, change: Any, only_where_null: bool) -> None:
        values = self._values(change.table_name, change.old_values)
        if not values:
            return
        table = self._table(change.table_name)
        condition = self._same_row(change)
        for column in values if only_where_null else ():
            condition &= getattr(table.c, column).is_null()
        self._count(change.table_name, table.update(_by_column(table, values)).where(condition).execute(self.database))

    def _put_back(self, change: Any) -> None:
        if change.id in self._begun:
            return
        self._begun.add(change.id)
        name = change.table_name
        values = self._values(name, change.old_values) | dict(self._instead.get(change.id, {}))
        recorded = self._recorded(name)
        for column in recorded.secrets:
            if column not in values and column in self._columns_of(name):
                self.left_out[f"{name}.{column}"] = None
                if not self._columns_of(name)[column].null:
                    values[column] = DELETED_SECRET
        references = {}
        for key in self.models[name]._meta.refs:
            column = key.column_name
            if values.get(column) is None or self._is_there(key, values[column]):
                continue
            if key.null:
                references[key] = values.pop(column)
            else:
                self._put_back_referred(change, key)
        if references:
            # The update that fills them in would touch these; a value of its own is kept.
            touched = {column: values.pop(column) for column in recorded.touched if column in values}
            self._waiting.append(
                _Waiting(name, {column: values[column] for column in recorded.keys}, references, touched)
            )
        table = self._table(name)
        table.insert(_by_column(table, values)).execute(self.database)
        self._count(name, 1)

    def _fill_in(self) -> None:
        """Fill in the references of rows that were put back before what they refer to, where that is there by now."""
        for row in list(self._waiting):
            if all(self._is_there(key, value) for key, value in row.references.items()):
                self._waiting.remove(row)
                table = self._table(row.table)
                values = {key.column_name: value for key, value in row.references.items()} | row.touched
                table.update(_by_column(table, values)).where(_all_of(table, row.key)).execute(self.database)

    def _put_back_referred(self, change: Any, key: Any) -> None:
        """Put the row back first that a deleted one refers to."""
        target = key.rel_model._meta.table_name
        for parent in self._deletions:
            if parent.table_name == target and _refers(change, key.column_name, key.rel_field.column_name, parent):
                self._put_back(parent)

    def lock(self, changes: Sequence[Any]) -> None:
        """Lock the rows that were changed: a transaction that has changed one, too, is waited for and then seen."""
        if not self.database.for_update:
            return
        numbers: dict[str, list[int]] = {}
        for change in changes:
            if self._recorded(change.table_name).by_number:
                numbers.setdefault(change.table_name, []).append(change.row_id)
            else:
                self._lock(change.table_name, self._same_row(change))
        for name, ids in numbers.items():
            key = getattr(self._table(name).c, self._recorded(name).keys[0])
            for start in range(0, len(ids), _LOCKED_AT_ONCE):
                self._lock(name, key.in_(ids[start : start + _LOCKED_AT_ONCE]))

    def _lock(self, name: str, rows: Any) -> None:
        self._table(name).select(peewee.SQL("1")).where(rows).for_update().execute(self.database)

    def _take_out(self, change: Any, *, force: bool) -> None:
        """Delete a row that was inserted, after those of the same transaction that refer to it.

        Raises:
            HistoryConflictError: other rows have come to refer to it.
        """
        if change.id in self._begun:
            return
        self._begun.add(change.id)
        name = change.table_name
        self._recorded(name)
        table = self._table(name)
        for key in self.models[name]._meta.backrefs:
            # The process may know models that have no table in this database.
            if not has_table(self.database, key.model._meta.table_name):
                continue
            child = self._table(key.model._meta.table_name)
            referred = table.select(getattr(table.c, key.rel_field.column_name)).where(self._same_row(change))
            column = getattr(child.c, key.column_name)
            keys = [getattr(child.c, own.column_name) for own in key.model._meta.get_primary_keys()]
            for values in child.select(*keys or [column]).where(column.in_(referred)).tuples().execute(self.database):
                inserted = self._insertions.get((key.model._meta.table_name, *map(str, values)))
                if inserted is not None:
                    self._take_out(inserted, force=force)
                elif not force:
                    row = change.row_key if change.row_id is None else change.row_id
                    raise HistoryConflictError(
                        f"expected a row to which nothing refers; got {name} {row}, to which rows of "
                        f"{key.model._meta.table_name} have come to refer: take those back first, or say force=True"
                    )
        self._count(name, table.delete().where(self._same_row(change)).execute(self.database))

    def _is_there(self, key: Any, value: Any) -> bool:
        target = self._table(key.rel_model._meta.table_name)
        column = getattr(target.c, key.rel_field.column_name)
        return bool(target.select(column).where(column == value).exists(self.database))

    def _values(self, name: str, old_values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values that can be put back, as a statement takes them."""
        columns = self._columns_of(name)
        # What the database computes itself it computes again.
        old_values = {column: value for column, value in old_values.items() if column not in self._computed_in(name)}
        hidden = secret_columns(self.models[name]) if name in self.models else frozenset()
        values = {}
        for column, value in old_values.items():
            if column not in columns or (column in hidden and value == SECRET):
                self.left_out[f"{name}.{column}"] = None
            else:
                values[column] = kind_of(self.database).value_to_restore(value, columns[column].data_type)
        return values

    def _same_row(self, change: Any) -> Any:
        recorded = self._recorded(change.table_name)
        keys = zip(recorded.keys, self._key(change), strict=True)
        return _all_of(self._table(change.table_name), dict(keys))

    def _row(self, change: Any) -> tuple[str, ...]:
        """Return what tells a row apart from all others."""
        return change.table_name, *map(str, self._key(change))

    def _key(self, change: Any) -> list[Any]:
        by_number = self._recorded(change.table_name).by_number
        return [change.row_id] if by_number else list(json.loads(change.row_key))

    def _recorded(self, name: str) -> RecordedTable:
        if name not in self._tables:
            if name not in self.models:
                raise HistoryError(
                    f"expected a table of the components; got {name}, which no component here has: open the database "
                    "with the component that it belongs to"
                )
            self._tables[name] = recorded_table(self.database, self.models[name])
        return self._tables[name]

    def _columns_of(self, name: str) -> dict[str, Any]:
        if name not in self._columns:
            self._columns[name] = {column.name: column for column in self.database.get_columns(name)}
        return self._columns[name]

    def _computed_in(self, name: str) -> frozenset[str]:
        if name not in self._computed:
            self._computed[name] = kind_of(self.database).computed_columns(self.database, name)
        return self._computed[name]

    def _table(self, name: str) -> Any:
        return peewee.Table(name)


def _by_column(table: Any, values: Mapping[str, Any]) -> dict[Any, Any]:
    return {getattr(table.c, column): value for column, value in values.items()}


def _all_of(table: Any, values: Mapping[str, Any]) -> Any:
    column, *others = values.items()
    condition = getattr(table.c, column[0]) == column[1]
    for name, value in others:
        condition &= getattr(table.c, name) == value
    return condition
