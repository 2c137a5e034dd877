"""What a connection to SQLite does otherwise than SQLite by itself, so that both databases behave alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import peewee
import pytest

from cloudpub_models import Database, Manager, Managers, operators
from cloudpub_models.entity import AutoField, CharField, Entity, TimestampField
from cloudpub_models.entity.fields import ServerDefault

# timezone() makes PostgreSQL's the same kind of value in a session of any time zone.
NOW = {"sqlite": "CURRENT_TIMESTAMP", "postgresql": "date_trunc('second', timezone('utc', CURRENT_TIMESTAMP))"}


class Visit(Entity):
    id = AutoField()
    place = CharField()
    at = TimestampField(server_default=ServerDefault(NOW["postgresql"], NOW["sqlite"]), default=None)

    class Meta:
        table_name = "visits"


@pytest.fixture
def now(backend: str) -> str:
    return NOW[backend]


def test_current_timestamp_is_the_moment_that_it_reads_as(managers: Managers, now: str) -> None:
    users = managers.users
    users.insert({"email": "ada@x", "password_hash": "h"})
    users.database.raw_execute(f"UPDATE users SET created_at = {now}")
    users.database.raw_execute(
        f"INSERT INTO users (email, password_hash, created_at) VALUES ('b@x', 'h', {now}), ('c@x', 'h', {now})"
    )
    found = users.find_all(order_by="id")
    moments = {user.created_at for user in found}
    assert datetime.now(UTC) - timedelta(seconds=5) < min(moments) <= max(moments) <= datetime.now(UTC)
    for moment in moments:
        same = [user for user in found if user.created_at == moment]
        for condition in (moment, [moment], operators.between(moment, moment)):
            assert users.find_all({"created_at": condition}, order_by="id") == same
        assert users.count({"created_at": operators.lt(moment)}) == sum(user.created_at < moment for user in found)
        assert users.count({"created_at": operators.ge(moment)}) == sum(user.created_at >= moment for user in found)
    assert users.count(peewee.SQL(f"created_at > {now}")) == 0


def test_pages_by_current_timestamp_give_every_row_once(managers: Managers, now: str) -> None:
    users = managers.users
    users.database.batch_execute(
        f"INSERT INTO users (email, password_hash, created_at) VALUES ('{name}', 'h', {now})" for name in "abcde"
    )
    # And one of the same moment that this library has written.
    users.insert({"email": "f", "password_hash": "h", "created_at": users.find_one({"email": "c"}).created_at})
    seen: list[str] = []
    cursor = None
    while True:
        page = users.paginate_after(cursor, 1, order_by="created_at")
        seen += [user.email for user in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert sorted(seen) == list("abcdef")
    assert seen == [user.email for user in users.find_all(order_by=["created_at", "id"])]


def test_it_is_a_default_too(database: Database) -> None:
    with database.engine.bind_ctx([Visit]):
        Visit.create_table()
        database.raw_execute("INSERT INTO visits (place) VALUES ('here')")
        visits = Manager(Visit, database)
        at = visits.find_one().at
        assert at.microsecond == 0
        assert visits.count({"at": at}) == 1
        Visit.drop_table()


@pytest.mark.parametrize("backend", ["sqlite"])
def test_it_has_the_form_of_what_this_library_writes(database: Database, backend: str) -> None:
    (row,) = database.raw_query_all("SELECT CURRENT_TIMESTAMP AS now, typeof(CURRENT_TIMESTAMP) AS kind")
    assert row["kind"] == "text"
    assert datetime.fromisoformat(row["now"]).isoformat(" ", "microseconds") == row["now"]
