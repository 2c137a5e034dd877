"""Builder queries run for a manager: planned once for a shape, whatever changes around them."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import peewee
import pytest

import cloudpub_models
from cloudpub_models import Database, Function, Managers, QueryBuilder, User, operators, raw
from cloudpub_models.entity.stored_forms import timestamp_from_database
from cloudpub_models.errors import InvalidQueryError, InvalidValueError, UnknownTableError
from cloudpub_models.manager.rows.dicts import dict_loader
from cloudpub_models.manager.statements import plans as query_plans
from cloudpub_models.models import ALL_MODELS
from cloudpub_models.sql import POSTGRESQL, SQLITE, remembering
from cloudpub_models.sql.render import writer

PACKAGE = str(Path(cloudpub_models.__file__).parent)
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def ada(managers: Managers) -> User:
    return managers.users.insert({"email": "ada@example.com", "password_hash": "hash"})


@pytest.fixture
def functions(managers: Managers, ada: User) -> list[Function]:
    return [
        managers.functions.insert(
            {"user_id": ada.id, "name": f"f{number}", "created_at": NOON + timedelta(days=number)}
        )
        for number in range(3)
    ]


def of_user(managers: Managers, user_id: Any, status: str = "active") -> QueryBuilder:
    return (
        managers.functions.query("f")
        .select("f.name", "f.created_at", "u.email", "fd.version")
        .join("users u", "f.user_id", "u.id")
        .left_join("function_deployments fd", "fd.function_id", "f.id")
        .where("f.user_id", user_id)
        .where("f.status", status)
        .order_by("f.created_at", "DESC")
        .limit(20)
    )


def test_a_shape_is_planned_once(managers, ada, functions, monkeypatch):
    expected = [
        {"name": function.name, "created_at": function.created_at, "email": "ada@example.com", "version": None}
        for function in reversed(functions)
    ]
    assert managers.functions.execute_query(of_user(managers, ada.id)) == expected
    assert managers.functions.execute_query(of_user(managers, ada.id).offset(1)) == expected[1:]

    def refuse(*_arguments: Any) -> None:
        raise AssertionError("rendered again")

    monkeypatch.setattr(query_plans, "write", refuse)
    monkeypatch.setattr(writer, "_rendered", refuse)
    assert managers.functions.execute_query(of_user(managers, ada.id)) == expected
    assert managers.functions.execute_query(of_user(managers, ada.id, "failed")) == []
    with pytest.raises(InvalidValueError, match="public UUID"):
        managers.functions.execute_query(of_user(managers, ada.uuid))
    # Pages have one shape.
    for page in range(4):
        rows = managers.functions.execute_query(of_user(managers, ada.id).limit(2).offset(page))
        assert rows == expected[page : page + 2]
    with pytest.raises(AssertionError, match="rendered again"):
        managers.functions.execute_query(of_user(managers, ada.id).distinct())


def test_instances_of_a_query_that_is_sent_again(managers, ada, functions):
    query = managers.functions.query("f").select("f.id", "f.name", "u.email").join("users u", "f.user_id", "u.id")
    for _ in range(2):
        found = managers.functions.execute_query(query.order_by("f.id"), as_model=True)
        assert found == functions
        assert [row.email for row in found] == ["ada@example.com"] * len(functions)


def test_a_query_takes_few_calls(database, managers, ada, functions, backend):
    """Calls of Python functions are the same on every machine, where time is not."""

    def run() -> list[dict[str, Any]]:
        return managers.functions.execute_query(of_user(managers, ada.id))

    calls: list[str] = []

    def note(frame: Any, event: str, _argument: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith((PACKAGE, "<loader>")):
            calls.append(frame.f_code.co_qualname)

    with database.session():
        run()
        before = sys.getprofile()
        sys.setprofile(note)
        try:
            run()
        finally:
            sys.setprofile(before)
    # Three for each of the nine clauses and query(), the hashes of some records, and running it.
    assert 50 < len(calls) <= {"sqlite": 75, "postgresql": 85}[backend], calls


def test_plans_are_bounded(managers, ada, functions, monkeypatch):
    def kept() -> int:
        gc.collect()
        return sum(type(thing) is query_plans.QueryPlan for thing in gc.get_objects())

    monkeypatch.setattr(remembering, "_MOST_KEPT", 5)
    # What other tests have left is not looked at again and again, here and later.
    gc.freeze()
    for most in range(1, 20):
        query = managers.functions.query().select("id", raw(f"{most} AS number")).order_by("id")
        assert managers.functions.execute_query(query)[0] == {"id": functions[0].id, "number": most}
        assert 1 <= kept() <= 5
    before = kept()
    long = managers.functions.query().select(raw("/*" + "x" * 20_000 + "*/ 1 AS one"))
    assert managers.functions.execute_query(long) == [{"one": 1}] * 3
    assert kept() == before


def test_rows_of_an_outer_join(managers, ada, functions):
    query = (
        managers.users.query("u")
        .select("u.email", "f.created_at", "f.uuid", "f.analysis_result", "fd.is_active")
        .left_join("functions f", "f.user_id", "u.id")
        .left_join("function_deployments fd", "fd.function_id", "f.id")
        .order_by("f.name")
    )
    managers.function_deployments.deploy(functions[0], "tag", "key")
    managers.users.insert({"email": "eve@example.com", "password_hash": "hash"})
    rows = managers.users.execute_query(query)
    assert [row["created_at"] for row in rows] == [*[function.created_at for function in functions], None]
    assert [row["uuid"] for row in rows] == [*[function.uuid for function in functions], None]
    assert [row["is_active"] for row in rows] == [False, None, None, None]
    assert rows[-1] == {
        "email": "eve@example.com",
        "created_at": None,
        "uuid": None,
        "analysis_result": None,
        "is_active": None,
    }


def test_timestamps_of_another_form_are_read(database, managers, ada, functions, backend):
    if backend == "sqlite":
        database.raw_execute("DROP TRIGGER IF EXISTS functions_updated_at")
        database.raw_execute(
            "UPDATE functions SET created_at = @moment WHERE name = 'f1'", {"moment": "2026-05-02T15:00:00+03:00"}
        )
    query = managers.functions.query().select("created_at").order_by("name")
    rows = managers.functions.execute_query(query)
    assert [row["created_at"] for row in rows] == [NOON, NOON + timedelta(days=1), NOON + timedelta(days=2)]
    if backend == "sqlite":
        database.raw_execute("UPDATE functions SET created_at = '2026-05-01'")
        midnight = NOON - timedelta(hours=12)
        assert managers.functions.execute_query(query) == [{"created_at": midnight}] * 3
        assert [function.created_at for function in managers.functions.find_all()] == [midnight] * 3


def test_computed_columns_come_as_the_database_has_them(managers, ada, functions, backend):
    query = managers.functions.query().select(
        "COUNT(*) AS total", "MAX(created_at) AS latest", "COALESCE(active_deployment_id, 0) AS deployment"
    )
    rows = managers.functions.execute_query(query.group_by("active_deployment_id"))
    assert rows == [{"total": 3, "latest": NOON + timedelta(days=2), "deployment": 0}]
    # The model says nothing of raw SQL; PostgreSQL's own type does.
    (row,) = managers.functions.execute_query(managers.functions.query().select(raw("MAX(created_at) AS latest")))
    latest = NOON + timedelta(days=2)
    assert row == {"latest": latest if backend == "postgresql" else latest.strftime("%Y-%m-%d %H:%M:%S.%f")}


def test_a_column_that_is_added_later_is_there(database, managers, ada):
    query = managers.users.query().select("*")
    (before,) = managers.users.execute_query(query)
    assert list(before) == [field.column_name for field in User._meta.sorted_fields]
    database.raw_execute("ALTER TABLE users ADD COLUMN nickname TEXT DEFAULT 'ace'")
    try:
        (after,) = managers.users.execute_query(query)
        assert after == {**before, "nickname": "ace"}
    finally:
        database.raw_execute("ALTER TABLE users DROP COLUMN nickname")


def test_values_of_raw_conditions_go_beside_the_others(managers, ada, functions):
    query = (
        managers.functions.query()
        .select("name")
        .where("user_id", ada.id)
        .where_raw("name IN @names", {"names": ("f0", "f2", "nobody")})
        .where("status", operators.in_(["active"]))
        .order_by("name")
    )
    assert managers.functions.execute_query(query) == [{"name": "f0"}, {"name": "f2"}]
    with pytest.raises(InvalidValueError, match="public UUID"):
        managers.functions.execute_query(query.where("user_id", ada.uuid))


def test_a_value_beside_no_known_column_is_checked_by_its_name(managers, functions):
    with pytest.raises(InvalidValueError, match=r"@param_0: .*NUL"):
        managers.functions.execute_query(managers.functions.query().where(raw("LOWER(name)"), "a\0b"))


def test_several_statements_are_refused(managers):
    query = managers.functions.query().where_raw("1 = 1; DROP TABLE users")
    for _ in range(2):
        with pytest.raises(InvalidQueryError, match="expected one statement"):
            managers.functions.execute_query(query)


# Models that are defined while the program runs


def audit_model(table: str, seen: peewee.Field[Any]) -> type[peewee.Model]:
    fields = {"user": peewee.ForeignKeyField(User, null=True), "seen": seen}
    return type("Audit", (peewee.Model,), {**fields, "Meta": type("Meta", (), {"table_name": table})})


@pytest.fixture
def _without_new_models() -> Iterator[None]:
    """Have the models that a test defines be no relations of ours afterwards."""
    known = dict(User._meta.backrefs)
    yield
    for key in [key for key in User._meta.backrefs if key not in known]:
        del User._meta.backrefs[key]
        if key.backref in vars(User):
            delattr(User, key.backref)


@pytest.mark.usefixtures("_without_new_models")
def test_a_model_that_is_defined_later_is_found(database, managers, ada, backend):
    class Seen(peewee.TextField):
        def python_value(self, value: Any) -> Any:
            return value == "yes"

    table = f"audit_on_{backend}"
    key = "INTEGER" if backend == "sqlite" else "SERIAL"
    database.raw_execute(f"CREATE TABLE {table} (id {key} PRIMARY KEY, user_id INTEGER, seen TEXT)")
    try:
        database.raw_execute(f"INSERT INTO {table} (user_id, seen) VALUES (@id, 'yes')", {"id": ada.id})
        query = managers.users.query("u").select("a.seen").join(f"{table} a", "a.user_id", "u.id")
        assert managers.users.execute_query(query) == [{"seen": "yes"}]
        with pytest.raises(UnknownTableError, match=table):
            managers.users.has_many(table, "user_id", ada.id)
        # The one that was defined last is meant, as when the cell of a notebook is run again.
        for seen, expected in ((Seen(), True), (peewee.TextField(), "yes")):
            model = audit_model(table, seen)
            assert managers.users.execute_query(query) == [{"seen": expected}]
            (row,) = managers.users.has_many(table, "user_id", ada.id)
            assert type(row) is model
            assert row.__data__["seen"] == expected
    finally:
        database.raw_execute(f"DROP TABLE {table}")


# Loaders


def test_the_source_of_a_loader_holds_any_name_as_a_literal():
    names = ("id", "it's", 'a"b', "c0", "rows", "new\nline", "}] + [", "{x}")
    load = dict_loader(names, (None,) * len(names))
    assert load([tuple(range(8))]) == [dict(zip(names, range(8), strict=True))]
    assert load([]) == []
    assert dict_loader((), ())([(), ()]) == [{}, {}]


@pytest.mark.parametrize("size", [1, 3, 50])
def test_values_of_any_form_are_decoded(size: int):
    load = dict_loader(("n", "moment"), (None, timestamp_from_database))
    usual = [(number, "2026-05-01 12:00:00.000000") for number in range(size)]
    assert load(usual) == [{"n": number, "moment": NOON} for number in range(size)]
    other = "2026-05-01T15:00:00+03:00"
    for special, expected in ((None, None), (other, datetime(2026, 5, 1, 15, tzinfo=timezone(timedelta(hours=3))))):
        rows = [*usual, (-1, special)]
        assert load(rows) == [*load(usual), {"n": -1, "moment": expected}]
    assert load([*usual, (-1, "2026-05-01")])[-1]["moment"] == datetime(2026, 5, 1, tzinfo=UTC)
    for text in ("infinity", "2026-05-01100000", "20260501100000"):
        with pytest.raises(InvalidValueError, match=text):
            load([*usual, (-1, text)])


# Prepared statements


@pytest.mark.parametrize(
    ("change", "preparable"),
    [
        (lambda q: q, True),
        (lambda q: q.limit(5).offset(5), True),
        (lambda q: q.where("f.status", ["a", "b"]).where("f.name", "a%", "LIKE").where("f.id", None, "IS NOT"), True),
        (lambda q: q.where_group(lambda g: g.where("f.id", 1).or_where("u.id", 2)), True),
        # Nothing makes sure that these values are of the type that the server infers.
        (lambda q: q.where(raw("f.id + 1"), 1.5), False),
        (lambda q: q.where("f.unknown", 1.5), False),
        (lambda q: q.where_raw("f.id = 1"), False),
        # What these give does not show whether a table seemed to be empty.
        (lambda q: q.left_join("function_logs l", "l.function_id", "f.id"), False),
        (lambda q: q.select("COUNT(f.id)"), False),
        (lambda q: q.select("f.status", "COUNT(f.id)").group_by("f.status"), True),
    ],
)
def test_what_is_preparable(change: Callable[[QueryBuilder], QueryBuilder], preparable: bool):
    builder = QueryBuilder().table("functions f").join("users u", "f.user_id", "u.id").where("f.name", "a")
    for dialect in (POSTGRESQL, SQLITE):
        plan, values = query_plans.Plans(dialect, Function, ALL_MODELS).of(change(builder))
        request, _ = plan.bind(values, change(builder).named_values)
        assert (type(request.sql) is not str) == (preparable and dialect is POSTGRESQL)


def with_user(managers, user_id):
    query = managers.functions.query("f").select("f.name", "f.created_at", "u.email")
    return query.join("users u", "f.user_id", "u.id").where("u.id", user_id)


def test_builder_queries_are_prepared_once(shared_postgresql_url):
    database = Database(shared_postgresql_url, prepared=True)
    managers = Managers(database)
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "hash"})
    made = managers.functions.insert({"user_id": ada.id, "name": "f", "created_at": NOON})
    expected = [{"name": "f", "created_at": NOON, "email": "ada@example.com"}]
    with database.session():
        for _ in range(7):
            assert managers.functions.execute_query(with_user(managers, ada.id)) == expected
            assert managers.functions.execute_query(with_user(managers, made.id + 1000)) == []
        (count,) = database.raw_query_all(
            "SELECT COUNT(*) AS n FROM pg_prepared_statements WHERE statement LIKE '%functions f%'"
        )
    assert count == {"n": 1}
    database.close()
