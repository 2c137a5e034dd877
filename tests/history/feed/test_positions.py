"""The rows that say how far consumers have read, and the tables that they and messages stand in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from cloudpub_models import Database, errors
from cloudpub_models.history.feed.positions import all_positions, begin, forget, has_positions, keep


@pytest.mark.parametrize("table", ["outbox", "feed_positions"])
def test_a_table_of_somebody_else_is_left_alone(database: Database, table: str) -> None:
    database.raw_execute(f"CREATE TABLE {table} (mail TEXT)")
    try:
        with pytest.raises(errors.HistoryError, match=f"expected a database without a table {table} of its own"):
            database.history.enable()
        assert database.history.tables == ()
        assert database.history.consumers() == []
    finally:
        database.raw_execute(f"DROP TABLE {table}")


def test_a_log_that_was_there_before_gets_them(database: Database) -> None:
    database.history.enable()
    database.raw_execute("DROP TABLE outbox")
    database.raw_execute("DROP TABLE feed_positions")
    assert not has_positions(database.engine)
    assert database.history.enable() == ()
    assert has_positions(database.engine)
    database.publish("topic")


def test_a_position_is_kept_moved_and_forgotten(recorded: Database) -> None:
    engine = recorded.engine
    begin(engine, "a", "changes", {"id": 1})
    ((name, source, position, started_at, read_at),) = all_positions(engine)
    assert (name, source, position, read_at) == ("a", "changes", {"id": 1}, None)
    assert abs(started_at - datetime.now(UTC)) < timedelta(seconds=5)
    keep(engine, "a", {"id": 2})
    ((_, _, position, _, read_at),) = all_positions(engine)
    assert position == {"id": 2}
    assert read_at is not None
    assert read_at >= started_at
    begin(engine, "a", "outbox", {"id": 0})
    assert [row[1:3] for row in all_positions(engine)] == [("outbox", {"id": 0})]
    forget(engine, "a")
    assert all_positions(engine) == []
