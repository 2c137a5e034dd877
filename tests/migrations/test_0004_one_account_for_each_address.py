"""The fourth migration: one account for each address whatever its case; what stands in its way is named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import peewee
import pytest

from cloudpub_models.errors import MigrationError
from cloudpub_models.platform.component import component
from cloudpub_models.schema import Catalogue, Difference, Migrator, find_drift, read_catalogue
from cloudpub_models.schema.safety.plan import plan_migrations
from tests.schema.test_0002_indexes_for_common_queries import is_waiting_for, wait_until

MIGRATION = "0004_one_account_for_each_address"
INDEX = "users_email_lower_key"


@pytest.fixture
def older(empty: peewee.Database) -> peewee.Database:
    """A database of before the migration."""
    Migrator(empty, component).up("0003_given_versions")
    return empty


def register(database: peewee.Database, addresses: Sequence[str]) -> None:
    for address in addresses:
        database.execute_sql(f"INSERT INTO users (email, password_hash) VALUES ('{address}', 'hash')")


def indexes(catalogue: Catalogue) -> set[str | None]:
    users = catalogue.tables["users"]
    return {index.name for index in (*users.indexes, *users.uniques)} & {INDEX, "users_lower_idx"}


def drift_of_users(database: peewee.Database) -> list[Difference]:
    return [difference for difference in find_drift(database, component.models) if difference.table == "users"]


def test_it_comes_and_goes(older: peewee.Database) -> None:
    register(older, ["ada@example.com", "grace@example.com", "ÄDA@example.com", "äda@example.com"])
    migrator = Migrator(older, component)
    assert [difference.kind for difference in drift_of_users(older)] == ["unique"]
    assert migrator.up(MIGRATION) == [MIGRATION]
    assert drift_of_users(older) == []
    assert indexes(read_catalogue(older)) == {INDEX}
    assert migrator.down() == [MIGRATION]
    assert indexes(read_catalogue(older)) == {"users_lower_idx"}


def test_what_stands_in_its_way_is_named_and_nothing_changes(older: peewee.Database) -> None:
    register(older, ["ada@example.com", "Bob@example.com", "Ada@example.com", "grace@example.com", "ADA@example.com"])
    migrator = Migrator(older, component)
    before = read_catalogue(older), migrator.status()
    with pytest.raises(MigrationError) as caught:
        migrator.up(MIGRATION)
    assert str(caught.value) == (
        f"{MIGRATION} failed (up): expected one account for each address, whatever its case; got 1 address with "
        "several: 'ada@example.com' (id 1) and 'Ada@example.com' (id 3) and 'ADA@example.com' (id 5): change or "
        "delete all of them but one, then migrate again"
    )
    assert (read_catalogue(older), migrator.status()) == before
    older.execute_sql("DELETE FROM users WHERE id IN (3, 5)")
    assert migrator.up(MIGRATION) == [MIGRATION]
    assert drift_of_users(older) == []


def test_of_many_a_few_are_named(older: peewee.Database) -> None:
    register(older, [f"{name}{number}@example.com" for number in range(30) for name in ("ada", "Ada")])
    with pytest.raises(MigrationError) as caught:
        Migrator(older, component).up(MIGRATION)
    assert "got 30 addresses with several: 'ada0@example.com' (id 1) and 'Ada0@example.com' (id 2); 'ada1@" in str(
        caught.value
    )
    assert "'Ada9@example.com' (id 20); and 20 more: change" in str(caught.value)


def test_one_address_with_many_accounts_does_not_fill_the_screen(older: peewee.Database) -> None:
    addresses = [f"{first}{second}{third}bcdef@example.com" for first in "xX" for second in "yY" for third in "zZ"]
    register(older, [address for start in addresses for address in (start, start.replace("bcdef", "BcDeF"))])
    register(older, [f"{'a' * number}{'A' * (99 - number)}@example.com" for number in range(99)])
    with pytest.raises(MigrationError) as caught:
        Migrator(older, component).up(MIGRATION)
    assert str(caught.value).count("(id ") == 50
    assert "got 2 addresses with several" in str(caught.value)


def test_a_plan_says_so_too(older: peewee.Database) -> None:
    register(older, ["ada@example.com", "Ada@example.com"])
    (planned,) = plan_migrations(Migrator(older, component), "up", MIGRATION)
    assert planned.stopped is not None
    assert "'ada@example.com' (id 1) and 'Ada@example.com' (id 2)" in planned.stopped


def test_a_plan_for_an_empty_database_is_whole(empty: peewee.Database) -> None:
    planned = plan_migrations(Migrator(empty, component), "up", MIGRATION)
    assert planned[-1].name == MIGRATION
    assert [migration.stopped for migration in planned] == [None] * len(planned)
    assert any(INDEX in statement.sql for statement in planned[-1].statements)


def test_an_adopted_database_may_get_it_by_hand(empty: peewee.Database) -> None:
    migrator = Migrator(empty, component)
    migrator.up("0002_indexes_for_common_queries")
    empty.execute_sql("DROP TABLE cloudpub_migrations")
    (statement,) = [text for text in migrator.adopt().statements if "INDEX" in text]
    empty.execute_sql(statement)
    assert migrator.up(MIGRATION)[-1] == MIGRATION
    assert indexes(read_catalogue(empty)) == {INDEX}
    assert drift_of_users(empty) == []


@pytest.mark.parametrize("connect", ["postgresql"], indirect=True)
def test_what_an_interrupted_run_left_invalid_is_made_anew(older: peewee.Database) -> None:
    older.execute_sql(f"CREATE INDEX {INDEX} ON users (email)")
    older.execute_sql(f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{INDEX}'::regclass")
    assert Migrator(older, component).up(MIGRATION) == [MIGRATION]
    assert drift_of_users(older) == []


@pytest.mark.parametrize("connect", ["postgresql"], indirect=True)
def test_whoever_registers_meanwhile_is_named_and_no_index_is_left(
    older: peewee.Database, connect: Callable[[], peewee.Database]
) -> None:
    register(older, ["ada@example.com"])

    def migrate() -> Any:
        with closing(connect()) as database, pytest.raises(MigrationError) as caught:
            database.connect()
            Migrator(database, component).up(MIGRATION)
        return str(caught.value)

    with closing(connect()) as another, ThreadPoolExecutor(1) as pool:
        another.connect()
        with another.atomic():
            register(another, ["Ada@example.com"])
            migration = pool.submit(migrate)
            waited_for = another.execute_sql("SELECT pg_backend_pid()").fetchone()[0]
            wait_until(lambda: is_waiting_for(older, waited_for))
        assert "'ada@example.com' (id 1) and 'Ada@example.com' (id 2)" in migration.result(timeout=30)
    assert indexes(read_catalogue(older)) == {"users_lower_idx"}
    assert older.execute_sql("SELECT 1 FROM pg_class WHERE relname = %s", (INDEX,)).fetchone() is None
