"""Taking changes back: a whole transaction, or the deletion of a row with what went with it.

What is taken back is itself recorded. Values are put back as the log has them, not as the models see them, so that
columns which only another program knows come back too.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from types import MappingProxyType
from typing import Any, NamedTuple, NoReturn

import peewee
from peewee import fn

from cloudpub_models.entity.base import secret_columns
from cloudpub_models.errors import HistoryConflictError, HistoryError, NotFoundError
from cloudpub_models.history.changes import require_recorded
from cloudpub_models.history.recording import require_recording
from cloudpub_models.history.tables import (
    SECRET,
    ChangedRow,
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

# Of rows named by their keys, and of values that are written; SQLite takes 32,766 parameters.
_ROWS_AT_ONCE = 10_000
_VALUES_AT_ONCE = 30_000


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
    require_recording(database)
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
        for change in changes:
            restorer.require_same_key(change)
        restorer.lock(changes)
        if not force:
            _require_unchanged_since(log, transaction_id, changes)
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
    referring = _by_reference(changes, models)
    yield last
    gone = [last]
    taken = {last.id}
    for parent in gone:
        found = {
            change.id: change
            for column, value in parent.old_values.items()
            if not isinstance(value, dict | list)
            for change in referring.get((parent.table_name, column, value), ())
        }
        for change in sorted(found.values(), key=lambda change: -change.id):
            if change.id in taken:
                continue
            if change.operation == "U" and all(value is not None for value in change.new_values.values()):
                continue
            taken.add(change.id)
            yield change
            if change.operation == "D":
                gone.append(change)


def _by_reference(changes: Sequence[Any], models: Mapping[str, Any]) -> dict[tuple[str, str, Any], list[Any]]:
    """Return the changes that took a reference away, by the table, the column and the value that it referred to."""
    found: dict[tuple[str, str, Any], list[Any]] = {}
    for change in changes:
        model = models.get(change.table_name) if change.operation in "UD" else None
        for key in model._meta.refs if model is not None else ():
            value = change.old_values.get(key.column_name)
            if value is not None:
                target = key.rel_model._meta.table_name, key.rel_field.column_name, value
                found.setdefault(target, []).append(change)
    return found


def _require_unchanged_since(log: Any, transaction_id: int, changes: Sequence[Any]) -> None:
    """Raise HistoryConflictError where what a transaction has changed was changed again since."""
    conflicts: dict[str, None] = {}
    later = _later_changes(log, transaction_id, changes)
    for change in changes if later else ():
        for other in later.get(_place(change), ()):
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


def _later_changes(log: Any, transaction_id: int, changes: Sequence[Any]) -> dict[tuple[Any, ...], list[Any]]:
    """Return the changes of each row behind the last one that a transaction has made of it, in their order."""
    found: dict[tuple[Any, ...], list[Any]] = {}
    # By the number and by the text: each has an index of its own.
    for key in ("row_id", "row_key"):
        if all(getattr(change, key) is None for change in changes):
            continue
        own, column = log.alias("own"), getattr(log, key)
        own_key = getattr(own, key)
        last = (
            own.select(own.table_name, own_key, fn.MAX(own.id).alias("id"))
            .where(own.transaction_id == transaction_id, own_key.is_null(False))
            .group_by(own.table_name, own_key)
            .alias("last")
        )
        same_row = (log.table_name == last.c.table_name) & (column == getattr(last.c, key))
        later = log.select(
            log.table_name, log.row_id, log.row_key, log.operation, log.old_values, log.transaction_id
        ).join(last, on=same_row & (log.id > last.c.id))
        for change in later.order_by(log.id):
            found.setdefault(_place(change), []).append(change)
    return found


def _place(change: Any) -> tuple[str, int | None, str | None]:
    return change.table_name, change.row_id, change.row_key


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
        self._kind = kind_of(database)
        self._instead: Mapping[int, Mapping[str, Any]] = {}
        self._deleted: dict[tuple[str, str, Any], list[Any]] = {}
        self._insertions: dict[tuple[str, ...], Any] = {}
        self._begun: set[int] = set()
        self._waiting: list[_Waiting] = []
        self._tables: dict[str, RecordedTable] = {}
        self._columns: dict[str, dict[str, Any]] = {}
        self._computed: dict[str, frozenset[str]] = {}
        self._there: dict[str, bool] = {}

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
        self._deleted = self._by_value([change for change in changes if change.operation == "D"])
        self._insertions = {self._row(change): change for change in changes if change.operation == "I"}
        # What one operation has done one after the other is taken back together: in between nothing else was changed.
        for operation, following in groupby(changes, lambda change: change.operation):
            if operation == "I":
                self._take_out(following, force=force)
            elif operation == "U":
                self._change_back(list(following), only_where_null)
            else:
                self._put_back(following)
                self._fill_in()
        for row in self._waiting:
            self.left_out |= {f"{row.table}.{key.column_name}": None for key in row.references}

    def _count(self, table: str, touched: Any) -> None:
        if touched:
            self.counts[table] += int(touched)

    def _change_back(self, changes: Sequence[Any], only_where_null: bool) -> None:
        """Give rows the values back that they had."""
        if len(changes) == 1:
            self._count(changes[0].table_name, self._change_row_back(changes[0], only_where_null))
            return
        try:
            with self.database.atomic():
                changed = self._change_sets_back(changes, only_where_null)
        except peewee.IntegrityError:
            # Where rows have passed a unique value on, each gives it back before the one behind it takes it.
            changed = Counter()
            for change in changes:
                changed[change.table_name] += self._change_row_back(change, only_where_null)
        for name, count in changed.items():
            self._count(name, count)

    def _change_sets_back(self, changes: Sequence[Any], only_where_null: bool) -> Counter[str]:
        """Give rows their values back, those of a table together that get the same columns back."""
        sets: dict[tuple[int, str, tuple[str, ...]], list[ChangedRow]] = {}
        changed: Counter[str] = Counter()
        times: Counter[tuple[str, int]] = Counter()
        for change in changes:
            name = change.table_name
            if not self._recorded(name).by_number:
                changed[name] += self._change_row_back(change, only_where_null)
                continue
            values = self._values(name, change.old_values)
            if values:
                # A row that was changed twice gets what it had between its changes first.
                times[name, change.row_id] += 1
                of_set = times[name, change.row_id], name, tuple(values)
                sets.setdefault(of_set, []).append(ChangedRow(change.id, change.row_id, values))
        for (_, name, columns), rows in sorted(sets.items(), key=lambda item: item[0][0]):
            for some in _in_parts(rows, _VALUES_AT_ONCE // (len(columns) + 1)):
                changed[name] += self._kind.change_back(self.database, self._recorded(name), some, only_where_null)
        return changed

    def _change_row_back(self, change: Any, only_where_null: bool) -> int:
        """Give one row the values back that it had, and return how many rows that has changed."""
        name = change.table_name
        values = self._values(name, change.old_values)
        if not values:
            return 0
        table = self._table(name)
        condition = self._same_row(table, change)
        for column in values if only_where_null else ():
            condition &= getattr(table.c, column).is_null()
        return int(table.update(_by_column(table, values)).where(condition).execute(self.database))

    def _put_back(self, changes: Iterable[Any]) -> None:
        """Put deleted rows back, after those of the same transaction to which they refer."""
        for rows in self._not_begun(changes):
            self._begun |= {change.id for change in rows}
            self._put_back_rows(rows[0].table_name, rows)

    def _put_back_rows(self, name: str, changes: Sequence[Any]) -> None:
        rows = {change.id: self._row_to_put_back(change) for change in changes}
        missing: dict[int, dict[Any, Any]] = {}
        for key in self.models[name]._meta.refs:
            column = key.column_name
            wanted = {row[column] for row in rows.values() if row.get(column) is not None}
            lacking = wanted - self._values_there(key, wanted)
            if not key.null:
                target = key.rel_model._meta.table_name, key.rel_field.column_name
                self._put_back(change for value in lacking for change in self._deleted.get((*target, value), ())[:1])
                continue
            for change_id, row in rows.items():
                if row.get(column) in lacking:
                    missing.setdefault(change_id, {})[key] = row.pop(column)
        recorded = self._recorded(name)
        for change_id, references in missing.items():
            # The update that fills them in would touch these; a value of its own is kept.
            row = rows[change_id]
            touched = {column: row.pop(column) for column in recorded.touched if column in row}
            self._waiting.append(_Waiting(name, {column: row[column] for column in recorded.keys}, references, touched))
        table = self._table(name)
        by_columns: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for row in rows.values():
            by_columns.setdefault(tuple(row), []).append(row)
        for columns, alike in by_columns.items():
            named = [getattr(table.c, column) for column in columns]
            for some in _in_parts(alike, max(1, _VALUES_AT_ONCE // len(columns))):
                table.insert([tuple(row.values()) for row in some], columns=named).execute(self.database)
        self._count(name, len(changes))

    def _row_to_put_back(self, change: Any) -> dict[str, Any]:
        name = change.table_name
        values = self._values(name, change.old_values) | dict(self._instead.get(change.id, {}))
        for column in self._recorded(name).secrets:
            if column not in values and column in self._columns_of(name):
                self.left_out[f"{name}.{column}"] = None
                if not self._columns_of(name)[column].null:
                    values[column] = DELETED_SECRET
        return values

    def _fill_in(self) -> None:
        """Fill in the references of rows that were put back before what they refer to, where that is there by now."""
        wanted: dict[tuple[str, str], tuple[Any, set[Any]]] = {}
        for row in self._waiting:
            for key, value in row.references.items():
                wanted.setdefault((row.table, key.column_name), (key, set()))[1].add(value)
        there = {place: self._values_there(key, values) for place, (key, values) in wanted.items()}
        waiting, self._waiting = self._waiting, []
        for row in waiting:
            if not all(value in there[row.table, key.column_name] for key, value in row.references.items()):
                self._waiting.append(row)
                continue
            table = self._table(row.table)
            values = {key.column_name: value for key, value in row.references.items()} | row.touched
            table.update(_by_column(table, values)).where(_all_of(table, row.key)).execute(self.database)

    def require_same_key(self, change: Any) -> None:
        """Raise HistoryError where a change has given its row another primary key."""
        if change.operation == "U" and not set(self._recorded(change.table_name).keys).isdisjoint(change.old_values):
            raise HistoryError(
                f"expected changes of rows that have kept their primary key; got one of {change.table_name} "
                f"{change.row_key if change.row_id is None else change.row_id}, which has another: give it back by SQL"
            )

    def lock(self, changes: Sequence[Any]) -> None:
        """Lock the rows that were changed: a transaction that has changed one, too, is waited for and then seen."""
        if not self.database.for_update:
            return
        numbers: dict[str, list[int]] = {}
        for change in changes:
            if self._recorded(change.table_name).by_number:
                numbers.setdefault(change.table_name, []).append(change.row_id)
            else:
                self._lock(change.table_name, self._same_row(self._table(change.table_name), change))
        for name, ids in numbers.items():
            key = getattr(self._table(name).c, self._recorded(name).keys[0])
            for some in _in_parts(ids, _ROWS_AT_ONCE):
                self._lock(name, self._kind.among(key, some))

    def _lock(self, name: str, rows: Any) -> None:
        self._table(name).select(peewee.SQL("1")).where(rows).for_update().execute(self.database)

    def _take_out(self, changes: Iterable[Any], *, force: bool) -> None:
        """Delete rows that were inserted, after those of the same transaction that refer to them.

        Raises:
            HistoryConflictError: other rows have come to refer to one of them.
        """
        for rows in self._not_begun(changes):
            self._begun |= {change.id for change in rows}
            name = rows[0].table_name
            self._take_out(self._inserted_behind(name, rows, force=force), force=force)
            table = self._table(name)
            for condition in self._rows(table, rows):
                self._count(name, table.delete().where(condition).execute(self.database))

    def _inserted_behind(self, name: str, changes: Sequence[Any], *, force: bool) -> list[Any]:
        """Return the insertions of the rows that refer to inserted rows of a table."""
        inserted_into = {row[0] for row in self._insertions}
        inserted, own = [], {self._row(change): change for change in changes}
        table = self._table(name)
        own_keys = [getattr(table.c, key) for key in self._recorded(name).keys]
        for key in self.models[name]._meta.backrefs:
            child_name = key.model._meta.table_name
            # Of a table into which nothing was inserted any row is a stranger; one is enough.
            strange = child_name not in inserted_into
            if (strange and force) or not self._has(child_name):
                continue
            child = self._table(child_name).alias("referring")
            column = getattr(child.c, key.column_name)
            keys = [getattr(child.c, part.column_name) for part in key.model._meta.get_primary_keys()] or [column]
            same = column == getattr(table.c, key.rel_field.column_name)
            for condition in self._rows(table, changes):
                found = table.select(*own_keys, *keys).join(child, on=same).where(condition)
                for values in (found.limit(1) if strange else found).tuples().execute(self.database):
                    referred, referring = values[: len(own_keys)], values[len(own_keys) :]
                    change = self._insertions.get((child_name, *map(str, referring)))
                    if change is not None:
                        inserted.append(change)
                    elif not force:
                        _refuse_reference(own[name, *map(str, referred)], child_name)
        return inserted

    def _not_begun(self, changes: Iterable[Any]) -> Iterator[list[Any]]:
        """Yield changes that were not taken back yet, those of a table together where its rows are independent."""
        by_table: dict[str, list[Any]] = {}
        for change in changes:
            by_table.setdefault(change.table_name, []).append(change)
        for name, of_table in by_table.items():
            self._recorded(name)
            model = self.models[name]
            refers_to_itself = any(key.rel_model is model for key in model._meta.refs)
            for rows in ([change] for change in of_table) if refers_to_itself else (of_table,):
                left = {change.id: change for change in rows if change.id not in self._begun}
                if left:
                    yield list(left.values())

    def _by_value(self, deletions: Iterable[Any]) -> dict[tuple[str, str, Any], list[Any]]:
        """Return deletions by what others may refer to: the table, the column and its value."""
        found: dict[tuple[str, str, Any], list[Any]] = {}
        for change in deletions:
            model = self.models.get(change.table_name)
            columns = {key.rel_field.column_name for key in model._meta.backrefs} if model is not None else ()
            for column in columns:
                place = change.table_name, column, change.old_values.get(column)
                found.setdefault(place, []).append(change)
        return found

    def _values_there(self, key: Any, values: Iterable[Any]) -> set[Any]:
        """Return those of some values of a foreign key to which there is a row."""
        target = self._table(key.rel_model._meta.table_name)
        column = getattr(target.c, key.rel_field.column_name)
        found = set()
        for some in _in_parts(list(values), _ROWS_AT_ONCE):
            rows = target.select(column).where(column.in_(some)).tuples().execute(self.database)
            found |= {str(value) for (value,) in rows}
        return {value for value in values if str(value) in found}

    def _has(self, name: str) -> bool:
        """Return whether the database has a table: the process may know models that have none."""
        if name not in self._there:
            self._there[name] = has_table(self.database, name)
        return self._there[name]

    def _rows(self, table: Any, changes: Sequence[Any]) -> Iterator[Any]:
        """Yield the conditions by which the changed rows of a table are found, as few as may be."""
        recorded = self._recorded(changes[0].table_name)
        if not recorded.by_number:
            yield from (self._same_row(table, change) for change in changes)
            return
        column = getattr(table.c, recorded.keys[0])
        for some in _in_parts([change.row_id for change in changes], _ROWS_AT_ONCE):
            yield self._kind.among(column, some)

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
                values[column] = self._kind.value_to_restore(value, columns[column].data_type)
        return values

    def _same_row(self, table: Any, change: Any) -> Any:
        keys = zip(self._recorded(change.table_name).keys, self._key(change), strict=True)
        return _all_of(table, dict(keys))

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
            self._computed[name] = self._kind.computed_columns(self.database, name)
        return self._computed[name]

    def _table(self, name: str) -> Any:
        return peewee.Table(name)


def _refuse_reference(change: Any, referring: str) -> NoReturn:
    row = change.row_key if change.row_id is None else change.row_id
    raise HistoryConflictError(
        f"expected a row to which nothing refers; got {change.table_name} {row}, to which rows of {referring} have "
        "come to refer: take those back first, or say force=True"
    )


def _in_parts(items: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _by_column(table: Any, values: Mapping[str, Any]) -> dict[Any, Any]:
    return {getattr(table.c, column): value for column, value in values.items()}


def _all_of(table: Any, values: Mapping[str, Any]) -> Any:
    column, *others = values.items()
    condition = getattr(table.c, column[0]) == column[1]
    for name, value in others:
        condition &= getattr(table.c, name) == value
    return condition
