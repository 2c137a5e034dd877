"""Old rows of a table that only grows, thrown away: the managers of such tables are made with it.

Partitions whose time is over are emptied as a whole, other rows deleted in batches. Each batch finds its rows through
the index on their moment, from where the one before it ended: what has been deleted stays in PostgreSQL's index until
a vacuum that may have to wait for others, and would be passed again by every batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Generic, TypeVar
from uuid import UUID

import peewee

from cloudpub_models.connection import Database
from cloudpub_models.entity.base import loaded_values
from cloudpub_models.entity.partitioned import partition_column
from cloudpub_models.entity.stored_forms import utc_now
from cloudpub_models.entity.time_ordered import time_of
from cloudpub_models.manager.arguments.conditions import Filter, WhereOf
from cloudpub_models.manager.arguments.order import Order
from cloudpub_models.manager.arguments.shape import Shape
from cloudpub_models.manager.manager import Manager
from cloudpub_models.manager.scope import Scope
from cloudpub_models.manager.sending import require_value, send
from cloudpub_models.manager.writing import Changes, Data
from cloudpub_models.platform.days import KnownDays, days_around
from cloudpub_models.platform.periods import moment
from cloudpub_models.sql.nodes.conditions import During
from cloudpub_models.sql.values import check_count

M = TypeVar("M", bound=peewee.Model)

_WINDOWS_DAYS = (2, 16, 128)


class PrunedManager(Manager[M, Data, Changes, Filter], Generic[M, Data, Changes, Filter]):
    """The operations on a table whose old rows are thrown away, by the moment that its model names.

    ``Managers`` has one for each model that says ``partitioned_by`` in its ``Meta``, with partitions or without.
    """

    # Triggers that need not see rows go, since what they do for that is done before.
    _triggers_told: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, model: type[M], database: Database | None = None, *, scope: Scope | None = None) -> None:
        super().__init__(model, database, scope=scope)
        self._moment = partition_column(model)
        self._known_days = KnownDays(self._moment)

    def prune(
        self,
        older_than: datetime | timedelta,
        batch_size: int = 1000,
        *,
        progress: Callable[[int], object] | None = None,
    ) -> int:
        """Delete old rows, the oldest first, in batches, so that nobody who adds rows meanwhile has to wait for long.

        Where the table has partitions, those all of whose rows are old are emptied at once, which gives the disk back;
        not inside a transaction, nor by another role than the table's owner, nor where each row's deletion is recorded
        or row security holds the role: then their rows are deleted like all others.

        Every batch is a transaction of its own: what has been deleted stays deleted when a later one fails. Inside a
        transaction of the caller's they are all part of that. Several may prune at the same time; rows that somebody
        else has locked are left to them.

        Args:
            older_than: rows from before this moment go; a timedelta is an age, measured when the call begins.
            batch_size: how many rows are deleted at a time.
            progress: called after each batch with the number of rows deleted so far.

        Returns:
            how many rows were deleted.

        Raises:
            InvalidValueError: ``older_than`` is naive, negative, or neither a datetime nor a timedelta.
            InvalidQueryError: ``batch_size`` is not a positive integer.

        >>> from datetime import timedelta
        >>> managers.function_logs.prune(timedelta(days=30)), managers.function_invocations.prune(timedelta(days=90))
        (0, 0)

        ``DELETE FROM function_logs WHERE id = ANY(ARRAY(SELECT id FROM function_logs WHERE timestamp < @param_0
        ORDER BY timestamp LIMIT @param_1 FOR UPDATE SKIP LOCKED)) RETURNING timestamp``, once for each batch
        """
        check_count(batch_size, "batch_size", smallest=1)
        name, encode = self._moment, self.table.columns[self._moment].encode
        before = self._pruned_before(moment(older_than, "older_than"))
        partitioned = self._is_partitioned
        # The rows of one owner are in all partitions.
        deleted = self._empty_partitions(before, progress) if partitioned and self.scope is None else 0
        cutoff = encode(before)
        shape: Shape = ((name, "<"),)
        values = [cutoff]

        def delete(_connection: object) -> list[Any]:
            return self._delete_first((shape, values), ((name, "ASC"),), batch_size, (name,), partitioned=partitioned)

        while True:
            rows = self.database.run_transaction(delete)
            deleted += len(rows)
            if progress is not None and rows:
                progress(deleted)
            if len(rows) < batch_size:
                return deleted
            latest = max(loaded_values(row)[name] for row in rows)
            shape, values = ((name, ">="), (name, "<")), [encode(latest), cutoff]

    def _pruned_before(self, cutoff: datetime) -> datetime:
        """Return before when rows may go where those before a moment are to."""
        return cutoff

    def find_by_id(self, id: Any, *, id_column: str = "id", select: Sequence[str] | None = None) -> M | None:
        """Return the row with this id, or ``None``; as in every table.

        Where there are partitions, an id is looked for first in the days in which rows of such ids were found before.

        Args:
            id: the internal id; for a public one see ``find_by_uuid``.
            id_column: the column to look in, one that is unique.
            select: the columns to load; all of them when left out.

        Raises:
            InvalidValueError: the id does not fit the column, as a UUID does not fit an integer one.

        >>> line = managers.function_logs.append(resize, "info", "request")
        >>> managers.function_logs.find_by_id(line.id) == line
        True
        """
        if (
            type(id) is not int
            or (id_column,) != self.table.key_names
            or select is not None
            or not self._is_partitioned
        ):
            return super().find_by_id(id, id_column=id_column, select=select)
        days = self._known_days.of(id)
        found = None if days is None else self._find_during(days, id_column, self.table.columns[id_column].encode(id))
        if found is None:
            found = super().find_by_id(id, id_column=id_column)
            if found is not None:
                self._known_days.note(id, loaded_values(found)[self._moment])
        return found

    def get_by_id(self, id: Any, *, id_column: str = "id", select: Sequence[str] | None = None) -> M:
        """Return the row with this id, where there has to be one.

        Args:
            id: as for ``find_by_id``.
            id_column: as for ``find_by_id``.
            select: as for ``find_by_id``.

        Raises:
            NotFoundError: there is none.
            InvalidValueError: the id does not fit the column.

        >>> line = managers.function_logs.append(resize, "info", "request")
        >>> managers.function_logs.get_by_id(line.id) == line
        True

        As ``find_by_id``
        """
        return self._required(self.find_by_id(id, id_column=id_column, select=select), {id_column: id})

    def find_by_uuid(self, uuid: UUID | str) -> M | None:
        """Return the row with this public UUID, or ``None``; as in every table.

        Where there are partitions, a UUID that begins with a time is looked for around that time first.

        Raises:
            InvalidValueError: the text is no UUID.

        >>> line = managers.function_logs.append(resize, "info", "request")
        >>> managers.function_logs.find_by_uuid(line.uuid) == line
        True
        """
        require_value(uuid, "uuid")
        column = self.table.columns.get("uuid")
        if column is not None and getattr(column.field, "time_from", None) == self._moment:
            encoded = column.encode(uuid)
            began = time_of(UUID(encoded))
            days = None if began is None else days_around(began, self._moment)
            if days is not None and self._is_partitioned:
                found = self._find_during(days, "uuid", encoded)
                if found is not None:
                    return found
        return super().find_by_uuid(uuid)

    def get_by_uuid(self, uuid: UUID | str) -> M:
        """Return the row with this public UUID, where there has to be one.

        Raises:
            NotFoundError: there is none.
            InvalidValueError: the text is no UUID.

        >>> line = managers.function_logs.append(resize, "info", "request")
        >>> managers.function_logs.get_by_uuid(line.uuid) == line
        True

        As ``find_by_uuid``
        """
        return self._required(self.find_by_uuid(uuid), {"uuid": uuid})

    def _find_during(self, days: During, name: str, encoded: Any) -> M | None:
        """Return the row of some days with a value in a column, as it is stored."""
        statements = self._statements.present
        own, values = self._held_to_one()
        query = statements.select_held(name, (days, *own))
        rows = query.load(send(self.database, query, (encoded, *values)))
        return rows[0] if rows else None

    def _find_first_during(self, days: During, where: WhereOf[Filter], order: Order, limit: int) -> list[M]:
        """Return the first rows of some days that meet conditions, so many at most."""
        shape, values = self._conditions(where)
        query = self._statements.present.select_during(days, shape, order)
        return query.load(send(self.database, query, [*values, limit]))

    @property
    def _is_partitioned(self) -> bool:
        # What these managers would refuse is refused before the table is asked about.
        _ = self._statements.present
        return self.database.engine.is_partitioned(self.table.name)

    def _windows(self) -> Iterator[datetime | None]:
        """Yield since when to look for the latest rows, earlier each time, and ``None`` at last, for all of them.

        So few partitions are read where the latest rows are recent; a table that has none is read at once.
        """
        if self._is_partitioned:
            now = utc_now()
            yield from (now - timedelta(days=days) for days in _WINDOWS_DAYS)
        yield None

    def _empty_partitions(self, before: datetime, progress: Callable[[int], object] | None) -> int:
        """Empty the partitions all of whose rows are from before a moment, and return how many rows they had."""
        from cloudpub_models.schema.partitions.dropping import empty_before
        from cloudpub_models.schema.partitions.statements import PartitionedTable

        table = PartitionedTable(self.table.name, self._moment)
        return empty_before(self.database.engine, table, before, told=self._triggers_told, progress=progress)
