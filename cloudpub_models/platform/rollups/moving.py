"""Rollups of functions whose invocations are moved from one server to another, both PostgreSQL.

Hours of rows that are kept need nothing: the rows that come leave marks there, and are counted. Hours that are frozen
go as they are, since their rows may be gone. So both servers have the same hours frozen first. A row that is copied
into such an hour is no addition to it, though the server has marked it as one: what the source has takes its place.

Who counts changes the row of the state; its version tells whether anybody has since the hours were copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from cloudpub_models.cells.rows import keys_of_buckets, streamed_texts
from cloudpub_models.connection import Database
from cloudpub_models.errors import ConfigurationError, LockNotAvailableError
from cloudpub_models.manager.sending import send_command, send_query
from cloudpub_models.platform.rollups.counting import count, count_marked, is_on, locked_state_of, state_of
from cloudpub_models.platform.rollups.kinds import kind_of
from cloudpub_models.platform.rollups.postgresql import TRIGGERS
from cloudpub_models.sql.render.handwritten import put_together

_WAIT_SECONDS: Final = 60.0
# While writers wait.
_SHORT_WAIT_SECONDS: Final = 1.0
_ATTEMPTS: Final = 10
_HOURS_AT_ONCE: Final = 2_000

_VERSION = "SELECT kept_since, CAST(xmin AS TEXT) AS version FROM function_invocation_rollups_state"
_LOCK = "SELECT one FROM function_invocation_rollups_state FOR UPDATE"
# Whoever waits to count sees by it that he has to begin anew.
_TOUCH = "UPDATE function_invocation_rollups_state SET one = one"
# Whether two servers have the same, function by function: what was copied before is not copied again.
_SUMS = """
    SELECT function_id, COUNT(*) AS hours, SUM(CAST(HASHTEXTEXTENDED(CAST(r AS TEXT), 0) AS NUMERIC)) AS sum
    FROM function_invocation_rollups AS r
    WHERE function_id IN @keys AND level = 0 AND start < @kept GROUP BY function_id
"""
_FROZEN = """
    SELECT CAST(ROW_TO_JSON(r) AS TEXT) AS text FROM function_invocation_rollups AS r
    WHERE function_id IN @keys AND level = 0 AND start < @kept
"""
_ADDITIONS = """
    SELECT CAST(ROW_TO_JSON(l) AS TEXT) AS text FROM function_invocation_rollups_late AS l
    WHERE function_id IN @keys AND successful IS NOT NULL AND hour < @kept
"""
_ADD_FROZEN = """
    INSERT INTO function_invocation_rollups
    SELECT * FROM JSON_POPULATE_RECORDSET(CAST(NULL AS function_invocation_rollups), CAST(@rows AS JSON))
"""
_ADD_ADDITIONS = """
    INSERT INTO function_invocation_rollups_late
    SELECT * FROM JSON_POPULATE_RECORDSET(CAST(NULL AS function_invocation_rollups_late), CAST(@rows AS JSON))
"""
# By which the days and months of frozen hours are made anew.
_MARK_FROZEN = """
    INSERT INTO function_invocation_rollups_late (function_id, hour)
    SELECT function_id, start FROM function_invocation_rollups
    WHERE function_id IN @keys AND level = 0 AND start < @kept
"""
_FORGET_FROZEN = "DELETE FROM function_invocation_rollups WHERE function_id IN @keys AND level = 0 AND start < @kept"
_FORGET_ADDITIONS = """
    DELETE FROM function_invocation_rollups_late
    WHERE function_id IN @keys AND successful IS NOT NULL AND hour < @kept
"""
_TABLES: Final = ("function_invocation_rollups", "function_invocation_rollups_late")
_FORGET = "DELETE FROM {table} WHERE function_id IN @keys"


class Copied(NamedTuple):
    """When rollups were copied.

    Attributes:
        kept_since: before when hours were frozen, as it is stored.
        source: the version of the state of the server that they came from.
        target: that of the one that has got them.
    """

    kept_since: datetime
    source: str
    target: str


class RollupsAlong:
    """Takes rollups along; see ``cells.along``."""

    triggers = TRIGGERS

    def require_alike(self, source: Database, target: Database) -> None:
        """Raise ConfigurationError where one of two servers has rollups and the other has none."""
        for one, other in ((source, target), (target, source)):
            if is_on(one) and not is_on(other):
                raise ConfigurationError(
                    f"expected rollups on both servers; got {other.url} without: call "
                    "managers.function_invocations.enable_rollups() again, which switches them on where they are off"
                )

    def copy(self, source: Database, target: Database, buckets: Sequence[int]) -> Copied | None:
        """Give the target the frozen hours of some buckets, and return when that was; ``None`` without rollups."""
        if not is_on(source):
            return None
        for _ in range(_ATTEMPTS):
            _freeze_alike(source, target)
            with target.engine.with_all_tables():
                copied = target.run_transaction(
                    lambda _connection: _copy_frozen(source, target, buckets), isolation="REPEATABLE READ"
                )
            if copied is not None:
                return copied
        raise LockNotAvailableError(
            f"expected {source.url} and {target.url} to have the same hours frozen for a moment; got others each time, "
            "as where somebody prunes: do it again later"
        )

    def hand_over(self, source: Database, target: Database, buckets: Sequence[int], copied: Any) -> bool:
        """Give it what has come into frozen hours and is not counted; return ``False`` where somebody has counted."""
        if copied is None:
            return True
        try:
            with source.transaction(), target.transaction():
                return _hand_over_additions(source, target, buckets, copied)
        except LockNotAvailableError:
            return False

    def forget(self, server: Database, buckets: Sequence[int]) -> None:
        """Delete the rollups of some buckets."""
        if is_on(server):
            _forget(server, lambda: _keys(server, buckets))

    def forget_keys(self, server: Database, keys: Sequence[int]) -> None:
        """Delete the rollups of some functions."""
        if is_on(server):
            _forget(server, lambda: tuple(keys))


def _freeze_alike(source: Database, target: Database) -> None:
    kept_since = {server: state_of(server).kept_since for server in (source, target)}
    latest = max(kept_since.values())
    for server, kept in kept_since.items():
        if kept < latest:
            count(server, latest, latest, wait=_WAIT_SECONDS)


def _copy_frozen(source: Database, target: Database, buckets: Sequence[int]) -> Copied | None:
    """Give a server the frozen hours of another; ``None`` where that has other ones frozen by now."""
    state = locked_state_of(target, _WAIT_SECONDS)
    with source.transaction(isolation="REPEATABLE READ", read_only=True):
        of_source, kept = _version(source), _version(target)["kept_since"]
        if of_source["kept_since"] != kept:
            return None
        given, own = _keys(source, buckets), _keys(target, buckets)
        if own:
            send_command(target, _FORGET_ADDITIONS, {"keys": own, "kept": kept})
        there, here = _sums(source, given, kept), _sums(target, own, kept)
        values = {"keys": tuple(key for key in {**there, **here} if there.get(key) != here.get(key)), "kept": kept}
        if values["keys"]:
            for sql in (_MARK_FROZEN, _FORGET_FROZEN):
                send_command(target, sql, values)
            for rows in streamed_texts(source, _FROZEN, values, _HOURS_AT_ONCE):
                send_command(target, _ADD_FROZEN, {"rows": _listed(rows)})
            send_command(target, _MARK_FROZEN, values)
    count_marked(target, state)
    return Copied(kept, of_source["version"], _version(target)["version"])


def _hand_over_additions(source: Database, target: Database, buckets: Sequence[int], copied: Copied) -> bool:
    for server, version in ((source, copied.source), (target, copied.target)):
        kind_of(server).prepare(server, _SHORT_WAIT_SECONDS)
        send_command(server, _LOCK)
        if _version(server)["version"] != version:
            return False
    keys = _keys(source, buckets)
    values = {"keys": keys, "kept": copied.kept_since}
    rows = [row["text"] for row in send_query(source, _ADDITIONS, values)] if keys else []
    own = _keys(target, buckets)
    if own:
        send_command(target, _FORGET_ADDITIONS, {**values, "keys": own})
    if rows:
        send_command(target, _ADD_ADDITIONS, {"rows": _listed(rows)})
    return True


def _forget(server: Database, keys_of: Any) -> None:
    def forget(_connection: object) -> None:
        kind_of(server).prepare(server, _WAIT_SECONDS)
        send_command(server, _TOUCH)
        keys = keys_of()
        for table in _TABLES if keys else ():
            send_command(server, put_together(_FORGET, table=table), {"keys": keys})

    server.run_transaction(forget, isolation="READ COMMITTED")


def _version(server: Database) -> dict[str, Any]:
    return send_query(server, _VERSION, writes=True)[0]


def _sums(server: Database, keys: Sequence[int], kept: datetime) -> dict[int, tuple[int, Any]]:
    found = send_query(server, _SUMS, {"keys": tuple(keys), "kept": kept}) if keys else []
    return {row["function_id"]: (row["hours"], row["sum"]) for row in found}


def _keys(server: Database, buckets: Sequence[int]) -> tuple[int, ...]:
    """Return the functions of buckets of which a server has counted or marked anything."""
    keys = {key for table in _TABLES for key in keys_of_buckets(server, table, "function_id", buckets)}
    return tuple(sorted(keys))


def _listed(rows: Sequence[str]) -> str:
    return f"[{','.join(rows)}]"
