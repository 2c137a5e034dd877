"""What is over and what is not, as PostgreSQL's snapshots have it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest

from cloudpub_models import Database, Managers, errors
from cloudpub_models.history.feed.postgresql import _with_running

pytestmark = pytest.mark.parametrize("backend", ["postgresql"])


class Other:
    """A program that the library knows nothing of."""

    def __init__(self, url: str) -> None:
        self.connection = psycopg2.connect(url)
        self.cursor = self.connection.cursor()

    def begin(self) -> None:
        self.cursor.execute("SELECT pg_current_xact_id()")

    def rename(self, id: int, name: str) -> None:
        self.cursor.execute("UPDATE functions SET name = %s WHERE id = %s", (name, id))

    def commit(self) -> None:
        self.connection.commit()


@pytest.fixture
def others(recorded: Database, database_url: str) -> Iterator[list[Other]]:
    started = [Other(database_url) for _ in range(3)]
    yield started
    for other in started:
        other.connection.close()


@pytest.fixture
def ids(managers: Managers) -> list[int]:
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    made = [managers.functions.insert({"user_id": ada.id, "name": f"f{number}"}).id for number in range(3)]
    names(managers.database)
    return made


def names(database: Database, **options: Any) -> list[str]:
    with database.feed("names", **options) as batch:
        return [change.after.get("name", change.operation) for change in batch]


def test_a_row_changes_in_the_order_of_its_commits(recorded: Database, ids: list[int], others: list[Other]) -> None:
    """The transaction that began first commits last, while another one is running."""
    first, running, last = others
    for other in (first, running, last):
        other.begin()
    last.rename(ids[0], "one")
    last.commit()
    first.rename(ids[0], "two")
    first.commit()
    assert names(recorded) == ["one", "two"]
    running.rename(ids[0], "three")
    running.commit()
    assert names(recorded) == ["three"]


def test_nothing_waits_for_a_long_transaction(recorded: Database, ids: list[int], others: list[Other]) -> None:
    long, short, _ = others
    long.rename(ids[0], "long")
    for name in ("a", "b"):
        short.rename(ids[1], name)
        short.commit()
        assert names(recorded) == [name]
    long.commit()
    assert names(recorded) == ["long"]
    assert names(recorded) == []


def test_what_has_a_lower_number_and_commits_later_is_not_lost(
    recorded: Database, ids: list[int], others: list[Other]
) -> None:
    """Also where the snapshot does not name it, since none that began later is over."""
    early, late, _ = others
    late.begin()
    early.begin()
    early.rename(ids[0], "early")
    late.rename(ids[1], "late")
    late.commit()
    assert names(recorded) == ["late"]
    early.commit()
    assert names(recorded) == ["early"]


def test_a_transaction_is_not_torn_by_a_limit(recorded: Database, ids: list[int], others: list[Other]) -> None:
    """Those whose numbers mix come one after the other, in the order of their last changes."""
    one, other, _ = others
    one.rename(ids[0], "one, first")
    other.rename(ids[1], "other, first")
    one.rename(ids[2], "one, second")
    other.rename(ids[1], "other, second")
    other.commit()
    one.commit()
    assert names(recorded, limit=3) == ["one, first", "one, second"]
    assert names(recorded, limit=3) == ["other, first", "other, second"]


def test_a_batch_that_was_begun_is_gone_on_with(recorded: Database, ids: list[int], others: list[Other]) -> None:
    """What commits meanwhile comes behind it, though it has lower numbers."""
    late, writer, _ = others
    late.rename(ids[0], "late")
    for name in ("a", "b", "c"):
        writer.rename(ids[1], name)
        writer.commit()
    assert names(recorded, limit=1) == ["a"]
    late.commit()
    assert [names(recorded, limit=1) for _ in range(4)] == [["b"], ["c"], ["late"], []]


def test_what_a_consumer_changes_itself_comes_to_it_later(
    recorded: Database, managers: Managers, ids: list[int], others: list[Other]
) -> None:
    """Its own transaction counts as over in its own snapshot, when a later one is."""
    other = others[0]

    def meanwhile(query: Any) -> None:
        if query.sql.startswith("BEGIN"):
            other.rename(ids[1], "other")
            other.commit()

    stop = recorded.on_query(meanwhile)
    with recorded.feed("names") as batch:
        stop()
        managers.functions.update_by_id(ids[0], {"name": "own"})
    assert [change.after["name"] for change in batch] == ["other"]
    assert names(recorded) == ["own"]
    assert names(recorded) == []


@pytest.mark.parametrize(
    ("snapshot", "number", "expected"),
    [
        ("10:12:", 12, "10:12:"),
        ("12:12:", 11, "11:12:11"),
        ("10:14:10,12", 11, "10:14:10,11,12"),
        ("11:14:12", 10, "10:14:10,12"),
        ("10:14:10", 10, "10:14:10"),
    ],
)
def test_a_transaction_is_put_among_the_running(backend: str, snapshot: str, number: int, expected: str) -> None:
    assert _with_running(snapshot, number) == expected


def test_a_position_of_another_database_is_refused(recorded: Database, managers: Managers, ids: list[int]) -> None:
    """What was copied or restored was written by a transaction of the database that it is in now."""
    recorded.raw_execute("CREATE TABLE kept AS SELECT * FROM feed_positions")
    try:
        recorded.raw_execute("DELETE FROM feed_positions")
        recorded.raw_execute("INSERT INTO feed_positions SELECT * FROM kept")
    finally:
        recorded.raw_execute("DROP TABLE kept")
    for _ in range(2):
        with pytest.raises(errors.FeedGapError, match="expected a position that was reached in this database; got one"):
            names(recorded)
    recorded.history.move_consumer("names", "oldest")
    assert names(recorded) == ["insert"] * 4


def test_a_position_is_kept_through_vacuum(recorded: Database, ids: list[int]) -> None:
    recorded.raw_execute("VACUUM FREEZE feed_positions")
    recorded.raw_execute("VACUUM FULL feed_positions")
    assert names(recorded) == []


def test_a_large_log_is_read_along_its_numbers(recorded: Database, managers: Managers, ids: list[int]) -> None:
    """A page costs what is on it, not what is behind it."""
    recorded.raw_execute(
        "INSERT INTO changes (transaction_id, changed_at, table_name, row_id, operation, old_values, new_values) "
        "SELECT (3 + n / 250)::text::xid8, now(), 'users', n, 'U', '{}', '{}' FROM generate_series(1, 100000) AS n"
    )
    recorded.raw_execute("ANALYZE changes")
    sent: list[Any] = []
    stop = recorded.on_query(sent.append)
    with recorded.feed("large", limit=1000) as batch:
        pass
    stop()
    (page,) = [query for query in sent if "WITH ends" in query.sql]
    plan = recorded.engine.execute_sql(
        f"EXPLAIN (ANALYZE, BUFFERS OFF, FORMAT JSON) {page.sql}", page.parameters
    ).fetchone()[0]
    assert 750 <= len(batch) <= 1000
    assert _most_rows(plan[0]["Plan"]) < 3_000


def test_an_empty_batch_looks_at_no_old_row(recorded: Database, managers: Managers, ids: list[int]) -> None:
    """Also where the server has no statistics."""
    recorded.raw_execute(
        "INSERT INTO changes (transaction_id, changed_at, table_name, row_id, operation, old_values, new_values) "
        "SELECT '3'::xid8, now(), 'users', n, 'U', '{}', '{}' FROM generate_series(1, 20000) AS n"
    )
    sent: list[Any] = []
    stop = recorded.on_query(sent.append)
    assert names(recorded) == []
    stop()
    (look,) = [query for query in sent if "min(id)" in query.sql]
    plan = recorded.engine.execute_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {look.sql}", look.parameters).fetchone()[0]
    assert _most_rows(plan[0]["Plan"]) <= 1


def test_a_transaction_larger_than_the_limit_is_read_along(
    recorded: Database, managers: Managers, ids: list[int], others: list[Other]
) -> None:
    """It comes in several batches, with nothing else in between, and what follows comes behind it."""
    large, small, _ = others
    for number in range(5):
        large.rename(ids[0], f"large {number}")
        small.rename(ids[1], f"small {number}")
        small.commit()
    large.commit()
    small.rename(ids[2], "last")
    small.commit()
    batches = []
    while batch := names(recorded, limit=2):
        batches.append(batch)
    assert batches == [
        ["small 0", "small 1"],
        ["small 2", "small 3"],
        ["large 0", "large 1"],
        ["large 2", "large 3"],
        ["large 4", "small 4"],
        ["last"],
    ]


def _most_rows(plan: dict[str, Any]) -> float:
    return max([plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0), *map(_most_rows, plan.get("Plans", []))])
