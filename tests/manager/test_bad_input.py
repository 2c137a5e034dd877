"""Bad input is refused before the wire, with the same verdict on both databases, and nothing is lost."""

from datetime import datetime
from uuid import UUID

import pytest

from cloudpub_models import ALL_ROWS, operators
from cloudpub_models.errors import (
    InvalidIdentifierError,
    InvalidQueryError,
    InvalidValueError,
    UnknownColumnError,
    UnknownTableError,
)

PUBLIC_ID = "11111111-1111-4111-8111-111111111111"
HOSTILE = [
    "id; DROP TABLE users",
    "id) OR 1=1 --",
    "1=1",
    "users.id; DELETE FROM users",
    "id' OR '1'='1",
    'id" OR "1"="1',
    "id/**/",
    "",
    " ",
    "naïve",
    "id\0",
    "\ud800",
    "pg_sleep(10)",
    "(SELECT password_hash FROM users)",
    "x" * 10_000,
]


@pytest.fixture(autouse=True)
def canary(managers):
    managers.users.insert({"email": "canary@example.com", "password_hash": "x"})
    yield
    assert managers.users.count() == 1


VALUES = [
    ("users", "email", 5, "text"),
    ("users", "email", b"x", "text"),
    ("users", "email", "x" * 256, "at most 255 characters"),
    ("users", "email", "nul\0byte", "NUL"),
    ("users", "email", "\ud800", "surrogate"),
    ("users", "uuid", "no uuid", "UUID"),
    ("users", "uuid", 5, "internal integer id"),
    ("users", "created_at", datetime(2026, 1, 1), "naive"),
    ("users", "created_at", "yesterday", "timestamp"),
    ("users", "created_at", 0, "datetime"),
    ("functions", "user_id", "5", "expected an integer"),
    ("functions", "user_id", 5.0, "expected an integer"),
    ("functions", "user_id", True, "expected an integer"),
    ("functions", "user_id", 2**31, "32 bits"),
    ("functions", "user_id", -(2**31) - 1, "32 bits"),
    ("functions", "user_id", UUID(PUBLIC_ID), "public UUID"),
    ("functions", "user_id", PUBLIC_ID, "managers.users.find_by_uuid"),
    ("functions", "id", PUBLIC_ID, "managers.functions.find_by_uuid"),
    ("functions", "analysis_result", float("nan"), "NaN"),
    ("functions", "analysis_result", {"a": [float("inf")]}, "JSON"),
    ("functions", "analysis_result", {"a": "nul\0"}, "NUL"),
    ("functions", "analysis_result", {"a": "\ud800"}, "surrogate"),
    ("functions", "analysis_result", {"a": object()}, "JSON"),
    ("functions", "analysis_result", {1: "a"}, "keys"),
    ("function_deployments", "is_active", "yes", "True or False"),
    ("function_deployments", "is_active", 2, "True or False"),
    ("organizations", "owner_id", 5, "public UUID"),
    ("user_information", "role", "emperor", "developer"),
]


@pytest.mark.parametrize(("table", "column", "value", "message"), VALUES)
def test_a_value_that_does_not_fit_names_its_column(managers, statements, table, column, value, message):
    manager = getattr(managers, table)
    for write in (
        lambda: manager.insert({column: value}),
        lambda: manager.update({column: value}, ALL_ROWS),
        lambda: manager.update_by_id(1, {column: value}),
        lambda: manager.upsert({column: value}, [column]),
        lambda: manager.batch_insert([{column: value}]),
        lambda: manager.find_or_insert({column: value}, [column]),
    ):
        with pytest.raises(InvalidValueError, match=message) as caught:
            write()
        assert str(caught.value).startswith(f"{table}.{column}")
    assert statements == []


@pytest.mark.parametrize(
    ("table", "column", "value", "message"), [case for case in VALUES if case[1] != "analysis_result"]
)
def test_a_value_that_does_not_fit_is_refused_in_conditions(managers, statements, table, column, value, message):
    manager = getattr(managers, table)
    for condition in (value, operators.gt(value), [value], operators.ne(value)):
        with pytest.raises(InvalidValueError, match=message):
            manager.find_all({column: condition})
    assert statements == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.find_all({"deployments": 3}), "a condition names a column of its rows, as in 'deployments.…'"),
        (lambda m: m.find_all({"deployments": {"version": 3}}), "'deployments': it is a relation"),
        (lambda m: m.find_all(include="user"), r"got 'user': write \('user',\)"),
        (lambda m: m.upsert({"user_id": 1, "name": "f"}, ["name"]), "name the columns of the primary key or of one"),
    ],
)
def test_what_was_nearly_right_is_told_how_to_write(managers, call, message):
    with pytest.raises(InvalidQueryError, match=message):
        call(managers.functions)


@pytest.mark.parametrize("name", [*HOSTILE, None, 5, b"id"])
def test_a_name_that_is_no_column_is_refused_everywhere(managers, statements, name):
    users = managers.users
    calls = [
        lambda: users.find_all({name: 1}),
        lambda: users.find_all(select=[name]),
        lambda: users.find_all(order_by=[name]),
        lambda: users.find_by_id(1, id_column=name),
        lambda: users.insert({name: 1}),
        lambda: users.update({name: 1}, ALL_ROWS),
        lambda: users.update({"email": "x"}, {name: 1}),
        lambda: users.update_by_id(1, {"email": "x"}, id_column=name),
        lambda: users.delete({name: 1}),
        lambda: users.delete_by_id(1, id_column=name),
        lambda: users.count({name: 1}),
        lambda: users.exists({name: 1}),
        lambda: users.upsert({"email": "x"}, [name]),
        lambda: users.upsert({"email": "x"}, ["email"], update_columns=[name]),
        lambda: users.find_or_insert({"email": "x"}, [name]),
        lambda: users.batch_insert([{name: 1}]),
        lambda: users.batch_insert([{"email": "x"}], on_conflict="update", conflict_columns=[name]),
        lambda: users.paginate(1, 1, order_by=[name]),
        lambda: list(users.iterate({name: 1})),
        lambda: users.has_many("functions", name, 1),
        lambda: users.belongs_to("functions", name, 1),
        lambda: users.belongs_to("functions", "id", 1, related_key=name),
    ]
    for call in calls:
        with pytest.raises(UnknownColumnError):
            call()
    assert statements == []


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_for_tables_joins_and_directions(managers, statements, text):
    functions = managers.functions
    calls = [
        lambda: functions.has_many(text, "function_id", 1),
        lambda: functions.many_to_many("users", text, "a", "b", 1),
        lambda: functions.join_query(text, "functions.user_id = users.id"),
        lambda: functions.join_query("users", text),
        lambda: functions.join_query("users", "functions.user_id = users.id", join_type=text),
        lambda: functions.join_query("users", "functions.user_id = users.id", select=[text]),
        lambda: functions.join_query("users", "functions.user_id = users.id", where={text: 1}),
        lambda: functions.join_query("users", "functions.user_id = users.id", order_by=text),
        lambda: functions.join_query(
            "users", "functions.user_id = users.id", order_by="functions.id", order_direction=text
        ),
        lambda: functions.find_all(order_by="id", order_direction=text),
        lambda: functions.find_all(order_by=[("id", text)]),
        lambda: functions.query(text),
    ]
    # "pg_sleep(10)" and the like are no calls of the fixed list.
    for call in calls:
        with pytest.raises((InvalidIdentifierError, InvalidQueryError, UnknownTableError)):
            call()
    assert statements == []


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_as_a_value_is_only_a_value(managers, statements, text):
    try:
        assert managers.users.find_all({"email": text}) == []
        assert managers.users.find_all({"email": operators.like(text.replace("\\", ""))}) == []
        assert managers.users.find_all({"email": [text]}) == []
    except InvalidValueError:
        assert "\0" in text or "\ud800" in text or len(text) > 255
    assert all(not text.strip() or text not in sql for sql in statements.sql)


@pytest.mark.parametrize("where", ["id = 1", 5, [("id", 1)], object()])
def test_where_has_to_be_a_dict(managers, where):
    for call in (managers.users.find_all, managers.users.delete, managers.users.count):
        with pytest.raises(InvalidQueryError, match="dict"):
            call(where)


@pytest.mark.parametrize(
    ("limit", "offset"), [(-1, None), (None, -1), ("1", None), (1.5, None), (True, None), (2**63, None)]
)
def test_limit_and_offset_are_checked(managers, statements, limit, offset):
    with pytest.raises(InvalidQueryError, match="limit|offset"):
        managers.users.find_all(limit=limit, offset=offset)
    assert statements == []


def test_messages_help(managers):
    with pytest.raises(UnknownColumnError, match=r"users has no column 'emial': did you mean 'email'\?"):
        managers.users.find_all({"emial": "x"})
    with pytest.raises(UnknownTableError, match="did you mean 'functions'"):
        managers.users.has_many("function", "user_id", 1)
    with pytest.raises(InvalidQueryError, match=r"write \['email'\]"):
        managers.users.find_all(select="email")
    with pytest.raises(InvalidValueError, match="use its to_dict"):
        managers.users.insert(managers.users.find_one())
    with pytest.raises(InvalidValueError, match="was the row inserted"):
        managers.users.find_by_id(None)
    with pytest.raises(InvalidQueryError, match="text column"):
        managers.users.find_all({"id": operators.like("1%")})
    user = managers.users.find_one()
    for find in (managers.users.find_by_uuid, managers.users.find_by_id):
        with pytest.raises(InvalidValueError, match=r"got User .*: pass the value of one of its columns, its .id or"):
            find(user)
    for order in ("created_at DESC", ["id", "created_at asc"]):
        with pytest.raises(
            UnknownColumnError, match=r"did you mean 'created_at'\? \(a direction goes into order_direction"
        ):
            managers.users.find_all(order_by=order)
    with pytest.raises(InvalidQueryError, match="got 'active': a condition is given as column, value, operator"):
        managers.functions.query().where("status", "=", "active")
