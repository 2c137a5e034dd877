"""Leases: a row is one worker's for a while, which a heartbeat prolongs and after which its effects are refused.

What is sent to the table of leases is the business of ``work``; what is sent to the rows goes the managers' own way.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from types import TracebackType
from typing import Any, Generic, Literal, NoReturn, TypeVar

import peewee

from cloudpub_models.connection import Database
from cloudpub_models.connection.transactions import Connection
from cloudpub_models.errors import (
    CloudpubError,
    InvalidQueryError,
    InvalidValueError,
    LeaseLostError,
    RefusedQueryError,
)
from cloudpub_models.manager.arguments.conditions import Filter, WhereOf
from cloudpub_models.manager.arguments.order import Order, OrderBy, OrderWithValues
from cloudpub_models.manager.arguments.shape import Conditions
from cloudpub_models.manager.columns.table import Column
from cloudpub_models.manager.finding import Finding
from cloudpub_models.manager.sending import send
from cloudpub_models.manager.statements.pages import complete_order
from cloudpub_models.manager.statements.shapes import Select
from cloudpub_models.sql.identifiers import shown
from cloudpub_models.sql.nodes.conditions import RawCondition
from cloudpub_models.sql.values import check_text
from cloudpub_models.work.leases import Held, end, give_back, not_held, renew, take
from cloudpub_models.work.tables import LONGEST_TEXT, raise_missing

M = TypeVar("M", bound=peewee.Model)

_SHORTEST, _LONGEST = 0.1, 31 * 24 * 3600.0
# How often another worker may be faster before a call says that it has found nothing.
_ATTEMPTS = 10
# Three renewals may fail before a lease runs out, and more where the first one did.
_RENEWALS, _HURRIED_RENEWALS = 3, 10

_log = logging.getLogger("cloudpub_models")


class Lease(Generic[M]):
    """A row that is one worker's until the lease runs out; what ``Manager.lease`` gives.

    As a context manager it renews itself, by a thread, until its block ends. A block that ends by itself gives the row
    back, unless it was finished; one that an error ends leaves the lease to run out, so that the row is not tried again
    at once.

    Attributes:
        row: the row, as it was when the lease was taken.
        attempts: how many leases the row has had, this one among them, since one of them was finished.
        holder: who has it, as the table of leases says.
        seconds: how long it lasts from each renewal on.
    """

    def __init__(
        self,
        database: Database,
        row: M,
        held: Held,
        locked: tuple[Select[M], Any],
        *,
        holder: str,
        seconds: float,
        at_most: float | None,
        begun: float,
    ) -> None:
        self.row = row
        self.attempts = held.attempts
        self.holder = holder
        self.seconds = seconds
        self._database = database
        self._held = held
        self._locked = locked
        # By this process's clock, from before the statement was sent: never later than the database's.
        self._lasts_until = begun + seconds
        self._renewed_until = None if at_most is None else begun + at_most
        self._end: Literal["finished", "given back", "lost"] | None = None
        self._lock = threading.RLock()
        self._stopping = threading.Event()

    def __repr__(self) -> str:
        end = f", {self._end}" if self._end else ""
        return f"<Lease of {self._held.table} {self._held.row_key} by {self.holder}{end}>"

    @property
    def lost(self) -> bool:
        """Whether it has run out or gone to another worker, as far as is known here; work may stop then.

        >>> with managers.functions.lease({"status": "active"}, seconds=60) as lease:
        ...     lease.lost
        False
        """
        return self._end == "lost" or (self._end is None and monotonic() >= self._lasts_until)

    def renew(self) -> None:
        """Have it last ``seconds`` from now on, as its context manager does by itself.

        Raises:
            LeaseLostError: it is over.

        >>> lease = managers.functions.lease({"status": "active"}, seconds=60)
        >>> lease.renew(), lease.release()
        (None, None)
        >>> lease.renew()
        Traceback (most recent call last):
        ...
        cloudpub_models.errors.LeaseLostError: expected a lease that lasts; got <Lease ..., given back>...

        ``UPDATE leases SET expires_at = … WHERE table_name = … AND row_key = … AND token = … AND expires_at > …``
        """
        with self._lock:
            self._require_held()
            sent = monotonic()
            if not renew(self._database.engine, self._held, self.seconds):
                self._lose()
            self._lasts_until = sent + self.seconds

    @contextmanager
    def finish(self) -> Iterator[Connection]:
        """Return a transaction that keeps what is done in it only while the lease is held, and ends the lease.

        The row is locked meanwhile. Where the block fails, nothing of it is kept and the lease goes on.

        Returns:
            a context manager, which gives the transaction's connection.

        Raises:
            LeaseLostError: the lease is over; the block does not run, or nothing of it is kept.
            InvalidQueryError: a transaction is open in this thread.

        >>> with managers.functions.lease({"status": "active"}, seconds=60) as lease:
        ...     with lease.finish():
        ...         _ = managers.functions.update_by_id(lease.row.id, {"status": "inactive"})

        ``SELECT id FROM … WHERE id = @param_0 FOR NO KEY UPDATE``
        ``UPDATE leases SET expires_at = …``, what the block sends, ``DELETE FROM leases WHERE …``
        """
        # The heartbeat waits meanwhile: the row that it would renew is this transaction's.
        with self._lock:
            self._require_held()
            _refuse_transaction(self._database, "finish()")
            with self._database.transaction() as connection:
                request, key = self._locked
                if self._database.engine.sql_dialect.row_locks:
                    # In the order in which lease() locks: first the row, then its lease.
                    send(self._database, request, [key])
                if not renew(self._database.engine, self._held, self.seconds):
                    self._lose()
                yield connection
                # Whatever the block has committed or rolled back, nothing is kept behind another worker's back.
                if not end(self._database.engine, self._held):
                    self._lose()
            self._end = "finished"
            self._stopping.set()

    def release(self) -> None:
        """Give the row back, so that another worker may have it at once; nothing where the lease is over.

        >>> lease = managers.functions.lease({"status": "active"}, seconds=60)
        >>> lease.release(), managers.functions.lease({"status": "active"}, seconds=60).attempts
        (None, 2)

        ``UPDATE leases SET expires_at = … WHERE table_name = … AND row_key = … AND token = … AND expires_at > …``
        """
        self._stopping.set()
        with self._lock:
            if self._end is None:
                give_back(self._database.engine, self._held)
                self._end = "given back"

    def __enter__(self) -> Lease[M]:
        self._require_held()
        name = f"lease of {self._held.table} {self._held.row_key}"
        threading.Thread(target=self._keep, name=name, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopping.set()
        if error is None:
            self.release()

    def _keep(self) -> None:
        """Renew the lease until it ends."""
        pause = self.seconds / _RENEWALS
        while not self._stopping.wait(pause):
            if self._renewed_until is not None and monotonic() >= self._renewed_until:
                _log.warning("%r is not renewed any more: its work takes longer than it may", self)
                return
            try:
                with self._lock:
                    if self._stopping.is_set():
                        return
                    self.renew()
                pause = self.seconds / _RENEWALS
            except LeaseLostError as error:
                _log.warning("%s", error)
                return
            except CloudpubError as error:
                _log.warning("%r could not be renewed: %s", self, error)
                pause = self.seconds / _HURRIED_RENEWALS

    def _require_held(self) -> None:
        if self._end is not None:
            raise LeaseLostError(f"expected a lease that lasts; got {self!r}: take one anew")

    def _lose(self) -> NoReturn:
        self._end = "lost"
        self._stopping.set()
        raise LeaseLostError(
            f"expected a lease that lasts; got {self!r}: it has run out, so that nothing done under it is kept and "
            "another worker may have the row"
        )


class Leasing(Finding[M, Filter], Generic[M, Filter]):
    """Takes leases."""

    def lease(
        self,
        where: WhereOf[Filter],
        *,
        seconds: float,
        order_by: OrderBy = None,
        at_most: float | None = None,
        holder: str | None = None,
    ) -> Lease[M] | None:
        """Take a row for a while, so that no other worker has it, and return the lease; ``None`` where there is none.

        The row itself is not changed. A worker that dies or hangs gives it to the next one by doing nothing: its lease
        runs out, by the database's clock, and what it does later is refused. Rows that another worker has, or is
        taking, are skipped, not waited for.

        Args:
            where: which rows may be taken, as for ``find_all``.
            seconds: how long the lease lasts unless it is renewed, from 0.1 to 31 days.
            order_by: which rows to take first, as for ``find_all``; the primary key when left out.
            at_most: for how many seconds it is renewed by itself, so that work that hangs is taken over as well; as
                long as the block runs when left out.
            holder: who takes it, for people to read; the machine and the process when left out.

        Raises:
            InvalidQueryError: the primary key is not one column, or a transaction is open in this thread.
            InvalidValueError: a length of time is none, or the holder no text.
            UnknownTableError: the database has no table of leases.

        >>> lease = managers.functions.lease({"status": "active"}, seconds=60, order_by="id")
        >>> lease.row.status, lease.attempts
        ('active', 1)
        >>> managers.functions.lease({"status": "active"}, seconds=60)  # nobody else gets the row

        ``SELECT id FROM … WHERE status = @param_0 AND (NOT EXISTS (SELECT 1 FROM leases WHERE …)) ORDER BY id
        LIMIT @param_1 FOR UPDATE SKIP LOCKED``
        ``INSERT INTO leases (…) SELECT … ON CONFLICT (table_name, row_key) DO UPDATE SET …``
        ``SELECT id, … FROM … WHERE status = @param_0 AND id = @param_1``
        """
        seconds = _checked_seconds(seconds, "seconds")
        longest = None if at_most is None else _checked_seconds(at_most, "at_most")
        name = _this_process() if holder is None else check_text(holder, "the holder", longest=LONGEST_TEXT)
        if len(self.table.key_names) != 1:
            raise InvalidQueryError(
                f"expected a table with a primary key of one column to take a lease on; got {self.table.name}"
            )
        _refuse_transaction(self.database, "lease()")
        order = complete_order(order_by, "ASC", self.table, self.database.engine)
        if self.scope is not None:
            self._hold_order(order)
        conditions = self._conditions(where)
        for _ in range(_ATTEMPTS):
            begun = monotonic()
            with self.database.transaction(isolation="READ COMMITTED"):
                key = self._first_free(conditions, order)
                if key is None:
                    return None
                taken = self._take(conditions, key, name, seconds)
            if taken is not None:
                held, row = taken
                locked = self._lock, key
                return Lease(
                    self.database, row, held, locked, holder=name, seconds=seconds, at_most=longest, begun=begun
                )
        return None

    def _first_free(self, conditions: Conditions, order: Order) -> Any:
        """Return the key, encoded, of the first row on which nobody has a lease, and lock it; ``None`` for none."""
        dialect, (shape, values), key = self.database.engine.sql_dialect, conditions, self._own_key
        free = RawCondition(not_held(self.table.node, key.name, dialect))
        chosen = self._statements.present.select(
            (*shape, free), columns=(key.name,), order=order, limit=True, lock="FOR UPDATE SKIP LOCKED"
        )
        ordering = order.values if isinstance(order, OrderWithValues) else ()
        try:
            rows = chosen.load(send(self.database, chosen, [*values, *ordering, 1]))
        except RefusedQueryError as error:
            raise_missing(error, ("leases",))
        return key.encode(rows[0].__data__[key.field.name]) if rows else None

    def _take(self, conditions: Conditions, key: Any, holder: str, seconds: float) -> tuple[Held, M] | None:
        """Take the lease on a row and read it; ``None`` where another worker has been faster.

        What was found free may have been leased, and finished, since that statement began; these see it.
        """
        engine, (shape, values) = self.database.engine, conditions
        held = take(engine, self.table.node, self._own_key.name, key, holder=holder, seconds=seconds)
        if held is None:
            return None
        whole = self._statements.present.select((*shape, (self._own_key.name, "=")))
        rows = whole.load(send(self.database, whole, [*values, key]))
        if not rows:
            end(engine, held)
            return None
        return held, rows[0]

    @property
    def _own_key(self) -> Column:
        return self.table.columns[self.table.key_names[0]]

    @property
    def _lock(self) -> Select[M]:
        """What locks a row by its key."""
        name = self._own_key.name
        statements = self._statements.present
        return statements.select(((name, "="),), columns=(name,), lock="FOR NO KEY UPDATE")


def _refuse_transaction(database: Database, what: str) -> None:
    """Raise InvalidQueryError where a transaction is open in this thread, which would hide a lease from others."""
    if database.engine.scopes():
        raise InvalidQueryError(
            f"expected no open transaction; got {what} inside of one: others see a lease once it is committed, so call "
            "it outside"
        )


def _checked_seconds(seconds: Any, name: str) -> float:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not _SHORTEST <= seconds <= _LONGEST:
        raise InvalidValueError(
            f"expected {name} to be a number from {_SHORTEST} to {int(_LONGEST)} (31 days); got {shown(seconds)}"
        )
    return float(seconds)


def _this_process() -> str:
    import socket

    return f"{socket.gethostname()}:{os.getpid()}"[:LONGEST_TEXT]
