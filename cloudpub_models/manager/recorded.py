"""A manager's rows in the change log: what happened to them, as they were, and back.

The log itself is the business of ``history``; what is sent to the tables goes the managers' own way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

import peewee

from cloudpub_models.errors import InvalidValueError, NotFoundError, UnboundedWriteError
from cloudpub_models.history.changes import Change, changes_of_row, difference, key_of_deleted
from cloudpub_models.history.past import require_known, require_same_keys
from cloudpub_models.history.taking_back import undelete
from cloudpub_models.manager.arguments.conditions import ALL_ROWS, Filter, WhereOf
from cloudpub_models.manager.cascades import columns_to_follow, rows_gone_with
from cloudpub_models.manager.finding import Finding
from cloudpub_models.manager.past import PastRows
from cloudpub_models.manager.sending import require_value
from cloudpub_models.sql.values import check_count

M = TypeVar("M", bound=peewee.Model)


@dataclass(frozen=True)
class Undeleted(Generic[M]):
    """A deleted row that is back.

    Attributes:
        row: the row.
        counts: how many rows of which tables came back, or got a reference back.
        left_out: what could not be put back, as ``table.column``: columns that are gone, references to rows that are
            gone, and secrets, which the log does not keep.
    """

    row: M
    counts: dict[str, int] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


class Recorded(Finding[M, Filter], Generic[M, Filter]):
    """What a manager does with the log of changes."""

    def history(self, id: Any, *, limit: int | None = None) -> list[Change]:
        """Return what has happened to a row, the newest first.

        Args:
            id: its primary key; a tuple where that has several columns. The row may be gone.
            limit: how many changes at most; all when left out.

        Raises:
            HistoryError: the table's changes were never recorded: see ``database.history.enable()``.
            UnguardedError: the manager has a scope.

        >>> _ = database.history.enable()
        >>> _ = managers.functions.update_by_id(resize.id, {"name": "crop"})
        >>> change = managers.functions.history(resize.id)[0]
        >>> change.operation, change.before, change.after
        ('update', {'name': 'resize'}, {'name': 'crop'})

        ``SELECT id, … FROM changes WHERE table_name = 'functions' AND row_id = 1 ORDER BY id DESC``
        """
        self._refuse("history()")
        if limit is not None:
            check_count(limit, "limit")
        return changes_of_row(self.database.engine, self.model, self._key(id), limit=limit)

    def diff(self, id: Any, *, since: datetime) -> dict[str, tuple[Any, Any]]:
        """Return column → (its value then, its value by the last change), for what was changed in between.

        Args:
            id: the row's primary key.
            since: the moment, aware.

        Raises:
            HistoryError: the table's changes are not recorded, or were not at that moment.
            InvalidValueError: the moment has no time zone.
            UnguardedError: the manager has a scope.

        >>> from datetime import UTC, datetime
        >>> from time import sleep
        >>> _ = database.history.enable(), sleep(0.002)
        >>> then = datetime.now(UTC)
        >>> _ = sleep(0.002), managers.functions.update_by_id(resize.id, {"name": "crop"})
        >>> managers.functions.diff(resize.id, since=then)
        {'name': ('resize', 'crop')}
        """
        self._refuse("diff()")
        key = self._key(id)
        require_known(self.database.engine, self.table.name, since)
        return difference(self.database.engine, self.model, key, since)

    def as_of(self, moment: datetime) -> PastRows[M, Filter]:
        """Return the rows of the table as they were, for reading: ``find_by_id``, ``find_all``, ``count`` and so on.

        A transaction counts as past when its last change was at or before the moment. The columns that an update only
        touches (``updated_at``) are as they are today, and so are secrets.

        Args:
            moment: the moment, aware.

        Raises:
            HistoryError: the table's changes are not recorded, or were not at that moment, or a row has got another
                primary key since.
            InvalidValueError: the moment has no time zone.
            UnguardedError: the manager has a scope.

        >>> from datetime import UTC, datetime
        >>> from time import sleep
        >>> _ = database.history.enable(), sleep(0.002)
        >>> then = datetime.now(UTC)
        >>> _ = sleep(0.002), managers.functions.update_by_id(resize.id, {"name": "crop"})
        >>> [function.name for function in managers.functions.as_of(then).find_all()]
        ['resize']

        ``WITH taken_back AS (…), functions AS (…) SELECT id, … FROM functions``
        """
        self._refuse("as_of()")
        require_known(self.database.engine, self.table.name, moment)
        require_same_keys(self.database.engine, self.model, moment)
        return PastRows(self.model, self.database, moment)

    def undelete(self, id: Any, changes: Mapping[str, Any] | None = None) -> Undeleted[M]:
        """Bring a deleted row back with its id, and the rows that the same transaction deleted with it.

        References to it that were set to NULL then, and still are, are set again. What had been deleted before stays
        so. Secret columns are not in the log: a password hash comes back as ``"!deleted"``, which no password matches.

        Args:
            id: its primary key, or the UUID of its column ``uuid``.
            changes: column → another value, where the old one has been taken since.

        Returns:
            the row, and what came back with it.

        Raises:
            NotFoundError: the log knows no such row, or it is there.
            HistoryError: the table's changes are not recorded, or the row's were forgotten.
            UniqueViolationError: another row has one of its values by now.
            UnknownColumnError, InvalidValueError: ``changes`` is malformed.
            UnguardedError: the manager has a scope.

        >>> _ = database.history.enable()
        >>> managers.functions.delete_by_id(resize.id)
        True
        >>> managers.functions.undelete(resize.uuid).row == resize
        True
        """
        self._refuse("undelete()")
        encoded = self.table.encode_row(changes or {})
        keys = [name for name in self.table.key_names if name in encoded]
        if keys:
            raise InvalidValueError(
                f"expected values for columns beside the primary key; got one for {', '.join(keys)}: a row comes back "
                "under its own"
            )
        key = self._deleted_key(id)
        with self.database.transaction():
            back = undelete(self.database.engine, self.database.models, self.model, key, encoded)
            values = key if isinstance(key, tuple) else (key,)
            itself: Any = dict(zip(self.table.key_names, values, strict=True))
            row = self.find_one(itself)
        assert row is not None
        return Undeleted(row, back.counts, back.left_out)

    def delete_preview(self, where: WhereOf[Filter]) -> dict[str, int]:
        """Return how many rows of which tables ``delete`` would delete: those that refer to them too.

        Args:
            where: as for ``delete``.

        Returns:
            table → how many of its rows, the manager's own first; tables of which none would go are left out.

        Raises:
            UnboundedWriteError: there is no condition, and ``ALL_ROWS`` was not said.
            UnguardedError: the manager has a scope.

        >>> managers.users.delete_preview({"id": ada.id})
        {'users': 1, 'organizations': 1, 'functions': 1, 'organization_members': 1}

        ``SELECT COUNT(*) AS count FROM functions WHERE user_id IN @param_0`` and so on, as far as ``ON DELETE CASCADE``
        leads.
        """
        self._refuse("delete_preview()")
        if where is not ALL_ROWS and not self._parsed(where)[0]:
            raise UnboundedWriteError(
                f"expected a condition for delete_preview() of {self.table.name}; got none: say ALL_ROWS for all rows"
            )
        found = self.find_all(where, select=columns_to_follow(self.model))
        if not found:
            return {}
        counts = Counter({self.table.name: len(found)})
        counts.update(rows_gone_with(self.model, found, self.database))
        return dict(counts)

    def _key(self, id: Any) -> Any:
        """Return a primary key as Python has it, or raise InvalidValueError where it is none."""
        names = self.table.key_names
        values = id if isinstance(id, tuple) and len(names) > 1 else (id,)
        # Another number of values is for the log to refuse.
        if len(values) == len(names):
            for name, value in zip(names, values, strict=True):
                self.table.columns[name].encode(require_value(value, name))
        return id

    def _deleted_key(self, id: Any) -> Any:
        """Return the primary key of a deleted row that is named by it or by its UUID."""
        by_number = len(self.table.key_names) == 1 and self.table.columns[self.table.key_names[0]].kind == "integer"
        if not by_number or isinstance(id, int) or "uuid" not in self.table.columns:
            return self._key(id)
        uuid = self.table.columns["uuid"].encode(require_value(id, "uuid"))
        found = key_of_deleted(self.database.engine, self.model, "uuid", uuid)
        if found is None:
            raise NotFoundError(
                f"expected a deleted row of {self.table.name}; got the uuid {uuid}, with which none is in the log",
                table=self.table.name,
            )
        return found
