"""Old rows thrown away in batches, each of which goes on where the one before ended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from cloudpub_models.errors import InvalidQueryError, InvalidValueError

BEGIN = datetime(2024, 5, 1, tzinfo=UTC)


@pytest.fixture
def log_at(managers):
    """Writes a line for each of some minutes; several may have one time."""
    user = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    function = managers.functions.insert({"user_id": user.id, "name": "resize"})

    def write(*minutes):
        managers.function_logs.batch_insert(
            {
                "function_id": function.id,
                "level": "info",
                "message": str(minute),
                "timestamp": BEGIN + timedelta(minutes=minute),
            }
            for minute in minutes
        )

    return write


def test_the_oldest_go_first_and_the_moment_itself_stays(managers, log_at, statements):
    log_at(4, 0, 3, 1, 1, 1, 2)
    del statements[:]
    told = []
    assert managers.function_logs.prune(BEGIN + timedelta(minutes=3), 2, progress=told.append) == 5
    assert told == [2, 4, 5]
    assert sorted(log.message for log in managers.function_logs.find_all()) == ["3", "4"]
    # Nor does a first batch that has room for all of them take it.
    assert managers.function_logs.prune(BEGIN + timedelta(minutes=4), 10) == 1
    assert [log.message for log in managers.function_logs.find_all()] == ["4"]


@pytest.mark.usefixtures("plain_tables")
def test_each_batch_begins_where_the_last_one_ended(managers, log_at, statements, backend):
    log_at(0, 1, 2)
    del statements[:]
    managers.function_logs.prune(BEGIN + timedelta(minutes=9), 2)
    assert len(statements) == 2
    assert ["timestamp >= " in sql for sql in statements.sql] == [False, True]
    assert all(("FOR UPDATE SKIP LOCKED" in sql) == (backend == "postgresql") for sql in statements.sql)


@pytest.mark.usefixtures("plain_tables")
def test_nothing_that_is_old_is_one_statement(managers, log_at, statements):
    log_at(5)
    del statements[:]
    told = []
    assert managers.function_logs.prune(BEGIN, 10, progress=told.append) == 0
    assert (len(statements), told) == (1, [])


@pytest.mark.parametrize(
    ("older_than", "batch_size", "error"),
    [
        (datetime(2024, 5, 1), 10, InvalidValueError),
        (timedelta(days=-1), 10, InvalidValueError),
        ("yesterday", 10, InvalidValueError),
        (BEGIN, 0, InvalidQueryError),
        (BEGIN, True, InvalidQueryError),
    ],
)
def test_what_is_no_moment_or_no_size_sends_nothing(managers, statements, older_than, batch_size, error):
    with pytest.raises(error):
        managers.function_logs.prune(older_than, batch_size)
    assert list(statements) == []
