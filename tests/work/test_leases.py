"""What is sent for a lease: each step of its life, and names that have to be quoted."""

from __future__ import annotations

import pytest

from cloudpub_models import Database, Managers
from cloudpub_models.sql import POSTGRESQL, SQLITE
from cloudpub_models.sql.nodes.expressions import NamedTable
from cloudpub_models.work.leases import Held, end, give_back, not_held, renew, take
from tests.work.databases import run_out

FUNCTIONS = NamedTable("functions")


@pytest.fixture
def key(database: Database) -> int:
    """The key of a function."""
    managers = Managers(database)
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    return managers.functions.insert({"user_id": ada.id, "name": "resize"}).id


def taken(database: Database, key: int, table: NamedTable = FUNCTIONS) -> Held | None:
    with database.transaction():
        return take(database.engine, table, "id", key, holder="here", seconds=60)


def test_the_condition_of_free_rows() -> None:
    assert not_held(FUNCTIONS, "id", SQLITE) == (
        "NOT EXISTS (SELECT 1 FROM leases WHERE leases.table_name = 'functions' AND leases.row_key = "
        "CAST(functions.id AS TEXT) AND leases.expires_at > strftime('%Y-%m-%d %H:%M:%f000', 'now'))"
    )
    assert not_held(NamedTable("it's", schema="audit"), "user", POSTGRESQL) == (
        "NOT EXISTS (SELECT 1 FROM leases WHERE leases.table_name = 'audit.it''s' AND leases.row_key = "
        'CAST("it\'s"."user" AS TEXT) AND leases.expires_at > timezone(\'utc\', clock_timestamp()))'
    )


def test_a_row_is_taken_once_and_again_when_its_time_is_up(database: Database, key: int) -> None:
    first = taken(database, key)
    assert first is not None
    assert (first.table, first.row_key, first.attempts) == ("functions", str(key), 1)
    assert taken(database, key) is None
    run_out(Managers(database))
    second = taken(database, key)
    assert second is not None
    assert (second.own[:2], second.attempts) == (first.own[:2], 2)
    assert second.token != first.token


def test_a_row_that_is_gone_is_not_taken(database: Database, key: int) -> None:
    assert taken(database, key + 1) is None
    assert Managers(database).leases.count() == 0  # type: ignore[attr-defined]


def test_only_the_token_renews_and_ends(database: Database, key: int) -> None:
    held = taken(database, key)
    assert held is not None
    other = held._replace(token="3bfa396c-e2b0-411f-8ebf-ad64acc6d136")
    assert (renew(database.engine, other, 60), renew(database.engine, held, 60)) == (False, True)
    give_back(database.engine, other)
    assert taken(database, key) is None
    assert (end(database.engine, other), end(database.engine, held), end(database.engine, held)) == (False, True, False)


def test_what_was_given_back_is_over(database: Database, key: int) -> None:
    held = taken(database, key)
    assert held is not None
    give_back(database.engine, held)
    assert renew(database.engine, held, 60) is False
    assert taken(database, key) is not None


@pytest.mark.parametrize("backend", ["postgresql"])
def test_a_table_of_another_schema(database: Database) -> None:
    database.raw_execute("CREATE SCHEMA audit")
    database.raw_execute("CREATE TABLE audit.functions (id INT PRIMARY KEY)")
    database.raw_execute("INSERT INTO audit.functions VALUES (7)")
    held = taken(database, 7, NamedTable("functions", schema="audit"))
    assert held is not None
    assert (held.table, held.row_key) == ("audit.functions", "7")
