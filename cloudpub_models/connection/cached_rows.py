"""Rows kept in memory until the change log says that they have changed; see ``Database.session(cached=True)``.

For: lookups of one row by a unique column. What they give was so at some moment not before their unit of work began.

The cache has a position in the log. Of what it holds, everything that has changed is behind that: a row is read after
the position was reached, and is not taken where something was found to have changed meanwhile. So whoever asks the log
what is behind the position, and has those rows forgotten, may take the others as they are.

Not for: rows that meet conditions, rows that are not there, what an open transaction reads.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast
from uuid import UUID

import peewee

from cloudpub_models.connection.options import Options
from cloudpub_models.connection.results import Row
from cloudpub_models.connection.scopes import ThreadState
from cloudpub_models.connection.sender import SentStatement
from cloudpub_models.errors import HistoryError

if TYPE_CHECKING:
    from cloudpub_models.history.tables import Kind

# Going through more changes than these takes longer than to read rows again.
_MOST_CHANGES = 1_000
UNCHANGEABLE = frozenset((type(None), bool, int, float, str, bytes, Decimal, UUID, date, datetime, time, timedelta))
"""The types of values that instances may share; of others each could change what the next one gets."""

_CHANGES = frozenset("IUDT")

Key = tuple[str, Sequence[Any]]


class Reader(Protocol):
    """What is asked of an engine."""

    @property
    def options(self) -> Options:
        """Its options."""
        ...

    def fetch(self, sql: str, parameters: Sequence[Any] | None) -> list[Row]:
        """Run one statement and return its rows."""
        ...

    def this_thread(self) -> ThreadState:
        """Return what is kept for this thread."""
        ...

    def mark_of_writes(self) -> object:
        """Return what is another once this thread may have written anything; ``None`` where it reads for itself."""
        ...


class KeptRow(list[Row]):
    """What a lookup has found: a list of one row.

    Attributes:
        decoded: a loader, and what it has made of the row's values where instances may share them.
    """

    __slots__ = ("decoded",)

    def __init__(self, rows: Iterable[Row]) -> None:
        super().__init__(rows)
        self.decoded: tuple[object, dict[str, Any] | None] = (None, None)


class _Entry(NamedTuple):
    """A row, and which one of its table it is."""

    rows: KeptRow
    table: str
    row_id: Any


class _Fill:
    """Reading a row that is to be kept, by one thread or several at once.

    Attributes:
        count: how many threads are at it.
        void: whether what they read is not to be kept.
        rows: what the first of them has read.
    """

    __slots__ = ("count", "rows", "void")

    def __init__(self) -> None:
        self.count = 0
        self.void = False
        self.rows: list[Row] | None = None


class CachedRows:
    """What lookups have found, for all threads of a process.

    Args:
        most: how many lookups are kept; the one that was used longest ago goes first.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        # Reentrant, since a signal's handler may look something up too.
        self._lock = threading.RLock()
        self.found: OrderedDict[Key, _Entry] = OrderedDict()
        self._keys: dict[str, dict[Any, set[Key]]] = {}
        self._fills: dict[Key, _Fill] = {}
        self._kind: Kind | None = None
        self._recorded: frozenset[str] = frozenset()
        self._position: Any = None
        self._life: str | None = None
        # Connections that have been open since in that life, and end with it.
        self._known: weakref.WeakSet[Any] = weakref.WeakSet()
        self._beginnings = 0

    def after_fork_in_child(self) -> None:
        """Begin with nothing, whatever the parent's threads were at."""
        self.__init__(self._most)  # type: ignore[misc]

    @property
    def has_begun(self) -> bool:
        """Whether it has a position, from which on it knows what changes."""
        return self._position is not None

    def holds(self, table: str) -> bool:
        """Return whether the rows of a table may be kept."""
        return table in self._recorded

    def catch_up(self, engine: Reader) -> bool:
        """Forget all that has changed by now; return whether the database can tell.

        Raises:
            HistoryError: the database does not record its changes.
        """
        while True:
            with self._lock:
                beginning, position = self._beginnings, self._position
            connection = engine.this_thread().connection
            if position is None or connection not in self._known or engine.options.transaction_pooler:
                present, life = _present_position(engine)
                if life is None:
                    return False
                recorded = _recorded_tables(engine) if position is None else self._recorded
                with self._lock:
                    if beginning != self._beginnings:
                        continue
                    if position is None:
                        self._begin(present, life, recorded, connection)
                        return True
                    if life != self._life:
                        self._empty()
                        continue
                    self._known.add(connection)
            if self._kind is None:
                self._kind = _kind_of(engine)
            found = engine.fetch(*self._kind.changed_rows(position, _MOST_CHANGES + 1))
            changes = [change for change in found if change[-1] is not None]
            with self._lock:
                if beginning != self._beginnings:
                    continue
                if not self._forget(changes):
                    self._empty()
                    continue
                # Another thread may have been further ahead.
                if found and self._position == position:
                    self._position = found[0][0]
                return True

    def begin_fill(self, key: Key) -> _Fill:
        """Take note that a row is about to be read, before it is."""
        with self._lock:
            fill = self._fills.setdefault(key, _Fill())
            fill.count += 1
            return fill

    def end_fill(self, key: Key, fill: _Fill, rows: list[Row] | None, table: str, key_position: int) -> None:
        """Keep what was read, unless something has changed meanwhile.

        Args:
            key: the lookup.
            fill: what ``begin_fill`` gave.
            rows: what was read; ``None`` where that failed.
            table: the table.
            key_position: where its primary key stands in a row.
        """
        with self._lock:
            fill.count -= 1
            if not fill.count:
                del self._fills[key]
            if rows is None or fill.void:
                return
            if fill.rows is not None and fill.rows != rows:
                # Nobody is to get the older of two that were read at once after somebody has had the other.
                fill.void = True
                self._drop(key)
                return
            fill.rows = rows
            if len(rows) == 1 and UNCHANGEABLE.issuperset(map(type, rows[0])):
                self._keep(key, _Entry(KeptRow(rows), table, rows[0][key_position]))

    def _keep(self, key: Key, entry: _Entry) -> None:
        self.found[key] = entry
        self._keys.setdefault(entry.table, {}).setdefault(entry.row_id, set()).add(key)
        if len(self.found) > self._most:
            # In one step: those who find something move it without the lock.
            self._forget_key(*self.found.popitem(last=False))

    def _drop(self, key: Key) -> None:
        entry = self.found.pop(key, None)
        if entry is not None:
            self._forget_key(key, entry)

    def _forget_key(self, key: Key, entry: _Entry) -> None:
        keys = self._keys[entry.table][entry.row_id]
        keys.discard(key)
        if not keys:
            del self._keys[entry.table][entry.row_id]

    def _forget(self, changes: Sequence[Row]) -> bool:
        """Forget the rows of changes; return whether that is enough."""
        if not changes:
            return True
        self._refuse_fills()
        if len(changes) > _MOST_CHANGES:
            return False
        for _, table, row_id, operation in changes:
            if operation not in _CHANGES:
                # Recording has begun or ended, or what was recorded earlier is gone.
                return False
            rows = self._keys.get(table, {})
            self._drop_all([rows.get(row_id, set())] if row_id is not None else rows.values())
        return True

    def _drop_all(self, rows: Iterable[set[Key]]) -> None:
        for key in [key for keys in rows for key in keys]:
            self._drop(key)

    def _refuse_fills(self) -> None:
        for fill in self._fills.values():
            fill.void = True

    def _begin(self, position: Any, life: str, recorded: frozenset[str], connection: Any) -> None:
        self._beginnings += 1
        self._position, self._life, self._recorded = position, life, recorded
        self._known.add(connection)

    def _empty(self) -> None:
        self._beginnings += 1
        self._position = self._life = None
        self._recorded = frozenset()
        self._known.clear()
        self.found.clear()
        self._keys.clear()
        self._refuse_fills()


class CachedReading:
    """One unit of work that may take rows from memory.

    Args:
        engine: the database.
        cache: its rows.
    """

    __slots__ = ("_cache", "_can", "_engine", "_mark", "_mark_of_writes")

    def __init__(self, engine: Reader, cache: CachedRows) -> None:
        self._engine = engine
        self._mark_of_writes = engine.mark_of_writes
        self._cache = cache
        self._can = True
        # What the connection's mark was when the cache was up to date for this unit of work.
        self._mark: object = None

    def look_up(self, sent: SentStatement) -> list[Row]:
        """Return the row that a lookup finds, from memory where that is known to be right."""
        key = sent.sql, sent.values
        mark = self._mark_of_writes() if self._can else None
        if mark is None:
            return self._engine.fetch(*key)
        found = self._cache.found
        entry = found.get(key)
        if entry is not None and mark != self._mark:
            self._catch_up()
            entry = found.get(key)
        if entry is None:
            return self._fetch_and_keep(key, sent)
        try:
            found.move_to_end(key)
        except KeyError:
            # Another thread has just forgotten it; it was right when this unit of work began all the same.
            return entry.rows
        return entry.rows

    def read(self, way: str, sql: str, values: Any) -> Any:
        """Send a statement of a manager that writes nothing, by an engine's method."""
        known = self._mark is not None and self._mark_of_writes() == self._mark
        found = getattr(self._engine, way)(sql, values)
        if known:
            self._mark = self._mark_of_writes()
        return found

    def _fetch_and_keep(self, key: Key, sent: SentStatement) -> list[Row]:
        cache = self._cache
        table, key_position = sent.tables[0], cast("int", sent.key_position)
        if not cache.has_begun:
            self._catch_up()
        if not cache.holds(table):
            rows: list[Row] = self.read("fetch", *key)
            return rows
        fill = cache.begin_fill(key)
        found: list[Row] | None = None
        try:
            rows = found = self.read("fetch", *key)
        finally:
            cache.end_fill(key, fill, found, table, key_position)
        return rows

    def _catch_up(self) -> None:
        self._can = self._cache.catch_up(self._engine)
        self._mark = self._mark_of_writes()


def _present_position(engine: Reader) -> tuple[Any, str | None]:
    """Return the present position in the log, and the life of the server."""
    ((position, life),) = engine.fetch(_kind_of(engine).present_position(), None)
    return position, life


def _recorded_tables(engine: Reader) -> frozenset[str]:
    from cloudpub_models.history.recording import recorded_tables

    recorded = recorded_tables(cast("peewee.Database", engine))
    if not recorded:
        raise HistoryError(
            "expected a database that records its changes, to keep rows in memory; got one that does not: switch that "
            "on with history.enable() or 'cloudpub history on', or leave cached out"
        )
    return recorded


def _kind_of(engine: Reader) -> Kind:
    from cloudpub_models.history.tables import kind_of

    return kind_of(cast("peewee.Database", engine))
