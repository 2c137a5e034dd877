"""Text for moments and UUIDs in raw SQL finds and writes the same on both databases, whatever form it has."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import peewee
import pytest

from cloudpub_models import Component, Database, Managers
from cloudpub_models.models import User

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
KEY = UUID("550e8400-e29b-41d4-a716-446655440000")

MOMENTS = [
    "2024-05-01T12:00:00Z",
    "2024-05-01T14:00:00+02:00",
    "2024-05-01 12:00:00",
    "2024-05-01 12:00",
    "2024-05-01T12:00:00.000",
    "2024-05-01 07:00:00.000000-05:00",
]
KEYS = [str(KEY).upper(), KEY.hex, f"{{{KEY}}}", str(KEY)]


@pytest.fixture
def user(managers: Managers) -> User:
    return managers.users.insert({"email": "ada@x", "password_hash": "h", "uuid": KEY, "created_at": NOON})


def number(database: Database, condition: str, **values: Any) -> int:
    row = database.raw_query_single(f"SELECT COUNT(*) AS n FROM users WHERE {condition}", values)
    assert row is not None
    return int(row["n"])


@pytest.mark.parametrize("moment", MOMENTS)
def test_every_text_of_a_moment_is_that_moment(database: Database, user: User, moment: str) -> None:
    conditions = {
        "created_at = @t": 1,
        "@t = users.created_at": 1,
        "created_at >= @t": 1,
        "created_at > @t": 0,
        "created_at < @t": 0,
        "created_at IN @t": 1,
        "created_at BETWEEN @t AND @t": 1,
        "created_at != @t": 0,
    }
    for condition, expected in conditions.items():
        given: Any = (moment,) if " IN " in condition else moment
        assert number(database, condition, t=given) == expected, condition


def test_a_day_is_its_midnight(database: Database, managers: Managers) -> None:
    managers.users.insert({"email": "a", "password_hash": "h", "created_at": datetime(2024, 5, 1, tzinfo=UTC)})
    assert number(database, "created_at = @t", t="2024-05-01") == 1
    assert number(database, "created_at <= @t", t="2024-05-01") == 1


@pytest.mark.parametrize("key", KEYS)
def test_every_text_of_a_uuid_is_that_uuid(database: Database, user: User, key: str) -> None:
    assert number(database, "uuid = @u", u=key) == 1
    assert number(database, "uuid IN @u", u=(key, str(UUID(int=5)))) == 1
    assert number(database, "uuid <> @u", u=key) == 0


def test_what_is_written_is_what_columns_hold(database: Database, managers: Managers) -> None:
    database.raw_execute(
        "INSERT INTO users (uuid, email, password_hash, created_at) VALUES (@u, @e, 'h', @t)",
        {"u": str(KEY).upper(), "e": "2024-05-01T12:00:00Z", "t": "2024-05-01T14:00:00+02:00"},
    )
    found = managers.users.find_one({"uuid": KEY, "created_at": NOON})
    # A text stays a text.
    assert found is not None
    assert found.email == "2024-05-01T12:00:00Z"
    database.raw_execute("UPDATE users SET created_at = @t WHERE uuid = @u", {"t": "2024-05-02", "u": KEY.hex})
    assert managers.users.count({"created_at": datetime(2024, 5, 2, tzinfo=UTC)}) == 1
    with database.transaction() as connection:
        assert connection.execute("SELECT id FROM users WHERE uuid = @u", {"u": KEY.hex.upper()}) == [{"id": found.id}]
    assert managers.users.raw("SELECT * FROM users WHERE uuid = @u", {"u": KEY.hex}) == [found]
    assert len(list(database.raw_query_iter("SELECT 1 AS a FROM users WHERE uuid = @u", {"u": KEY.hex}))) == 1


@pytest.mark.parametrize("text", ["2024-05-01 and more", "2024-13-01", "{" + "-" * 32 + "}"])
@pytest.mark.parametrize("backend", ["sqlite"])
@pytest.mark.usefixtures("backend", "user")
def test_what_is_neither_stays_as_it_is(database: Database, text: str) -> None:
    assert number(database, "created_at = @t OR uuid = @u", t=text, u=text) == 0
    # Nor is it NULL, to which nothing is unequal.
    assert number(database, "NOT (created_at = @t OR uuid = @u)", t=text, u=text) == 1


def test_columns_of_ones_own_models_are_known_and_those_that_disagree_are_left_alone(
    backend: str, database_url: str
) -> None:
    class Ticket(peewee.Model):
        uuid = peewee.UUIDField()
        created_at = peewee.CharField()

        class Meta:
            table_name = "tickets"

    database = Database(database_url, components=(Component("support", [Ticket]),))
    if backend == "sqlite":
        database.migrate()
    with database.engine.bind_ctx([Ticket]):
        Ticket.create_table()
        Ticket.create(uuid=KEY, created_at="2024-05-01T12:00:00Z")
        find = "SELECT COUNT(*) AS n FROM tickets WHERE "
        assert database.raw_query_all(f"{find} uuid = @u", {"u": str(KEY).upper()}) == [{"n": 1}]
        assert database.raw_query_all(f"{find} created_at = @t", {"t": "2024-05-01T12:00:00Z"}) == [{"n": 1}]
        if backend == "sqlite":
            assert database.raw_query_all(f"{find} NOT (uuid = @u)", {"u": "none"}) == [{"n": 1}]
        both = "SELECT COUNT(*) AS n FROM tickets t LEFT JOIN users u ON FALSE WHERE t.created_at = @t"
        assert database.raw_query_all(both, {"t": "2024-05-01T12:00:00Z"}) == [{"n": 1}]
        Ticket.drop_table()
    database.close()
