"""Old rows thrown away in batches, each of which goes on where the one before ended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from cloudpub_models import Component, Database, Managers, PrunedManager
from cloudpub_models.entity import BigAutoField, Entity, TextField, TimestampField
from cloudpub_models.errors import ConfigurationError, InvalidQueryError, InvalidValueError
from cloudpub_models.schema import create_all
from tests.schema.partitions.days import with_days

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


class Reading(Entity):
    id = BigAutoField()
    place = TextField()
    taken_at = TimestampField(index=True)

    class Meta:
        table_name = "pruned_readings"
        partitioned_by = "taken_at"


@pytest.fixture
def garden(backend, request):
    """Managers of a database with nothing but readings, one for each of ten days that have been."""
    url = "sqlite:///:memory:" if backend == "sqlite" else request.getfixturevalue("empty_postgresql_url")
    database = Database(url, components=(Component("garden", [Reading]),), platform=False)
    create_all(database.engine, [Reading])
    garden = Managers(database)
    yield garden
    database.close()


def read_for_ten_days(garden, begin):
    days = [begin + timedelta(days=number) for number in range(10)]
    garden.pruned_readings.batch_insert({"place": "oak", "taken_at": day} for day in days)


def test_a_table_of_ones_own_by_the_moment_that_its_model_names(garden, backend):
    assert isinstance(garden.pruned_readings, PrunedManager)
    read_for_ten_days(garden, BEGIN)
    told = []
    assert garden.pruned_readings.prune(BEGIN + timedelta(days=7), 3, progress=told.append) == 7
    assert told == [3, 6, 7]
    assert [row.taken_at.day for row in garden.pruned_readings.find_all(order_by="taken_at")] == [8, 9, 10]
    assert garden.pruned_readings.prune(timedelta(0)) == 3


@pytest.mark.parametrize("backend", ["postgresql"])
def test_the_partitions_of_a_table_of_ones_own_are_emptied(garden, backend):
    begin = with_days(garden.database, "pruned_readings", 10)
    read_for_ten_days(garden, begin)
    sent = []
    stop = garden.database.on_query(lambda query: sent.append(query.sql.split()[0]))
    assert garden.pruned_readings.prune(begin + timedelta(days=7)) == 7
    stop()
    assert (sent.count("TRUNCATE"), sent.count("DELETE")) == (7, 1)
    assert len(garden.database.partitions("pruned_readings")) == 10 + 4 - 7
    assert garden.pruned_readings.count() == 3


def test_a_moment_that_a_model_does_not_have_is_named(database):
    class Forgotten(Entity):
        id = BigAutoField()

        class Meta:
            partitioned_by = "taken_at"

    with pytest.raises(ConfigurationError, match="Meta.partitioned_by of Forgotten to be a TimestampField"):
        Managers(database).for_model(Forgotten)
