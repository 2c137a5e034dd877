"""What became of a transaction whose COMMIT got no answer.

PostgreSQL keeps the status of recent transactions by their ids. After a crash that is not enough: the id of a
transaction of which nothing had reached the disk is given out a second time, and a "committed" may be the other's. So
a transaction remembers, beside its id, since when the server has counted its statistics: a crash loses them and begins
anew, a clean restart does not. After a failover too, ids that had not reached the new server are given out again, on
another timeline. And a standby knows of nothing that it has not received yet, so that it is not believed.

Of two crashes a server knows the second only, and the id may have been given out again between them. So after a crash
a "committed" is believed only where the server was asked from the loss on until it answered, with no time for another.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from cloudpub_models.connection.engine import open_engine_of
from cloudpub_models.errors import (
    CommitOutcome,
    ConfigurationError,
    ConnectionFailedError,
    ConnectionLostError,
    InvalidValueError,
)

_COUNTING_SINCE = "pg_stat_get_bgwriter_stat_reset_time()"

# Sent along with BEGIN, in the same round trip. A standby gives out no ids, and nothing can be lost on it.
_TIMELINE = "substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)"
MARK_QUERY = (
    "SELECT CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_xact_id() END, "
    f"{_COUNTING_SINCE}, CASE WHEN pg_is_in_recovery() THEN NULL ELSE {_TIMELINE} END, pg_backend_pid()"
)
# Where the timeline is known. A standby that is promoted keeps its sessions; a primary that is to be a standby has to
# start anew, and begins no other timeline before.
MARK_ON_TIMELINE_QUERY = f"SELECT pg_current_xact_id(), {_COUNTING_SINCE}"

# What a server answers to these that knows no such function, keeps it from the role, or does not have it yet, as
# YugabyteDB does with some (https://www.postgresql.org/docs/current/errcodes-appendix.html).
SAYS_NOTHING = frozenset({"0A000", "42501", "42883"})

# Asked outside of a transaction, where a pooler's sessions have settings of their own for how a moment is written.
_STATUS_QUERY = (
    "SELECT CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_xact_status(%s::xid8) END, "
    f"to_char({_COUNTING_SINCE} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US+00'), "
    f"CASE WHEN pg_is_in_recovery() THEN NULL ELSE {_TIMELINE} END"
)

# The checkpoint that ends a recovery knows the first id to be given out again; one that begins where it ends is that
# one, or the one of a shutdown, which is older than the server's start.
_FIRST_ID_AFTER_RECOVERY_QUERY = """
    SELECT next_xid FROM pg_control_checkpoint()
    WHERE redo_lsn = checkpoint_lsn AND checkpoint_time >= date_trunc('second', pg_postmaster_start_time())
"""

_PAUSE_SECONDS = 0.02
# How long after the loss, or after it was last asked in vain, a server is still asked at once.
_AT_ONCE_SECONDS = 1.0

Fetch = Callable[[str, Sequence[Any] | None], list[tuple[Any, ...]]]


class TransactionMark(NamedTuple):
    """By what a transaction is known to the server afterwards."""

    id: str
    counting_since: str | None
    timeline: str | None


# Of a transaction on a server that says nothing of them.
UNMARKED = TransactionMark("", None, None)


class OutcomeQuestion:
    """Asks what became of a transaction, also in another process: an error that holds it can be pickled.

    Args:
        mark: the transaction.
        fetch: runs a query on a connection that works; none where the question was pickled.
        patience: see ``outcome_of``.
        url: of the database, without a password.
    """

    def __init__(self, mark: TransactionMark, fetch: Fetch | None, patience: float, url: str) -> None:
        self._mark = mark
        self._fetch = fetch
        self._patience = patience
        self._url = url
        self._asked_until = time.monotonic() if fetch is not None else float("-inf")

    def __call__(self) -> CommitOutcome:
        """Return what became of the transaction.

        Raises:
            ConfigurationError: the question was pickled, and its database is not open here.
            ConnectionFailedError: the database cannot be reached.
        """
        fetch = self._fetch
        if fetch is None:
            engine = open_engine_of(self._url)
            if engine is None:
                raise ConfigurationError(
                    f"expected a process that has {self._url} open; got one that has not: open it, or call resolve() "
                    "where the error was raised"
                )
            fetch = engine.fetch
        at_once = time.monotonic() - self._asked_until < _AT_ONCE_SECONDS
        try:
            return outcome_of(self._mark, fetch, self._patience, at_once=at_once)
        finally:
            if at_once:
                self._asked_until = time.monotonic()

    def __reduce__(self) -> tuple[Any, ...]:
        return OutcomeQuestion, (self._mark, None, self._patience, self._url)


def outcome_of(mark: TransactionMark, fetch: Fetch, patience: float, *, at_once: bool = True) -> CommitOutcome:
    """Ask the server what became of a transaction.

    Args:
        mark: the transaction.
        fetch: runs a query on a connection that works.
        patience: for how many seconds to wait for a server that restarts or has not noticed yet that the client is
            gone.
        at_once: whether the connection was lost just now, so that the server cannot have crashed twice since.
    """
    if mark == UNMARKED:
        return "unknown"
    deadline = time.monotonic() + patience
    while True:
        try:
            outcome = _ask(mark, fetch, at_once)
        except (ConnectionLostError, ConnectionFailedError) as error:
            if time.monotonic() > deadline or not getattr(error, "transient", True):
                raise
            outcome = None
        if outcome is not None:
            return outcome
        if time.monotonic() > deadline:
            return "pending"
        time.sleep(_PAUSE_SECONDS)


def _ask(mark: TransactionMark, fetch: Fetch, at_once: bool) -> CommitOutcome | None:
    """Return the outcome, or None while the transaction is in progress, or a standby answers."""
    try:
        status, counting_since, timeline = fetch(_STATUS_QUERY, (mark.id,))[0]
    except InvalidValueError:
        # "is in the future": the server crashed before anything of the transaction had reached the disk.
        return "rolled back"
    if timeline is None or status == "in progress":
        return None
    if status == "aborted":
        return "rolled back"
    here = status == "committed" and timeline == mark.timeline
    if here and (
        _is_same_moment(counting_since, mark.counting_since) or (at_once and _is_from_before_the_crash(mark, fetch))
    ):
        return "committed"
    return "unknown"


def _is_same_moment(text: str | None, other: str | None) -> bool:
    """Compare moments: fractions of a second that end in zeros are written in two ways."""
    if text is None or other is None:
        return text is other
    try:
        return datetime.fromisoformat(text) == datetime.fromisoformat(other)
    except ValueError:
        # By a style of dates that raw SQL has set; what it says is not known.
        return False


def _is_from_before_the_crash(mark: TransactionMark, fetch: Fetch) -> bool:
    rows = fetch(_FIRST_ID_AFTER_RECOVERY_QUERY, None)
    if not rows:
        return False
    epoch, _, number = rows[0][0].partition(":")
    return int(mark.id) < (int(epoch) << 32 | int(number))
