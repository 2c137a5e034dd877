"""Columns through Peewee, on both databases: what is stored, what is read, what is refused before the wire."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import peewee
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloudpub_models.entity.fields import (
    RANDOM_UUID,
    UTC_NOW,
    ServerDefault,
    TimestampField,
    UuidField,
    server_default,
)
from cloudpub_models.entity.stored_forms import utc_now
from cloudpub_models.entity.unloaded import PartialData
from cloudpub_models.errors import InvalidValueError, LazyLoadingError
from cloudpub_models.models import Function, FunctionDeployment, FunctionLog, Role, User, UserInformation
from cloudpub_models.sql.dialects import POSTGRESQL, SQLITE

storable = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
# Integers, and floats that JSONB's decimal numbers give back as they were.
numbers = st.integers(-(10**15), 10**15) | st.floats(-1e6, 1e6, allow_nan=False).map(lambda number: round(number, 6))
documents = st.recursive(
    st.none() | st.booleans() | numbers | storable,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(storable, inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture
def user(bound: peewee.Database) -> User:
    return User.create(email="ada@example.org", password_hash="secret-hash")


@pytest.fixture
def function(user: User) -> Function:
    return Function.create(user=user, name="f")


@given(value=documents)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_documents_round_trip(function: Function, value: Any) -> None:
    Function.update(analysis_result=value).execute()
    assert Function.get().analysis_result == value
    assert type(Function.get().analysis_result) is type(value)


@given(value=st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=st.just(UTC)))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_timestamps_round_trip(function: Function, value: datetime) -> None:
    Function.update(created_at=value).execute()
    assert Function.get().created_at == value
    assert Function.select().where(Function.created_at == value).count() == 1


@given(value=st.uuids())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_uuids_round_trip(function: Function, value: uuid.UUID) -> None:
    Function.update(uuid=value).execute()
    assert Function.get(Function.uuid == value).uuid == value
    assert Function.get(Function.uuid == str(value).upper()).uuid == value


def test_a_json_string_that_looks_like_a_number_stays_a_string(function: Function) -> None:
    for value in ("5", "null", "true", '"quoted"', "[1]"):
        Function.update(analysis_result=value).execute()
        assert Function.get().analysis_result == value


def test_none_is_sql_null_and_json_null_reads_as_none(bound: peewee.Database, function: Function) -> None:
    Function.update(analysis_result=None).execute()
    assert Function.select().where(Function.analysis_result.is_null()).count() == 1
    bound.execute_sql("UPDATE functions SET analysis_result = 'null'")
    assert Function.get().analysis_result is None
    assert Function.select().where(Function.analysis_result.is_null()).count() == 0


def test_json_can_be_queried_as_peewee_does(function: Function) -> None:
    Function.update(analysis_result={"a": {"b": [1, 2, 3]}, "c": "x"}).execute()
    result = Function.analysis_result
    assert Function.select().where(result["a"]["b"][1] == 2).count() == 1
    assert Function.select().where(result["c"] == "x").count() == 1
    assert Function.select().where(result["c"].in_(["x", "y"])).count() == 1
    assert Function.select().where(result["c"] == "z").count() == 0
    assert Function.select().where(result == {"a": {"b": [1, 2, 3]}, "c": "x"}).count() == 1
    assert Function.select().where(result != {"a": 1}).count() == 1
    assert Function.select().where(result.contains({"c": "x"})).count() == 1
    assert Function.select().where(result.has_key("a")).count() == 1
    assert Function.select(result["a"]["b"]).tuples()[0] == ([1, 2, 3],)
    Function.update(analysis_result=result["c"].set("new")).execute()
    assert Function.get().analysis_result == {"a": {"b": [1, 2, 3]}, "c": "new"}
    Function.update(analysis_result=result.update({"d": 1})).execute()
    assert Function.get().analysis_result["d"] == 1  # type: ignore[index]


def test_json_through_peewees_bulk_calls(user: User) -> None:
    functions = [Function(user=user, name=f"f{number}", analysis_result={"n": number}) for number in range(3)]
    Function.bulk_create(functions)
    stored = list(Function.select().order_by(Function.id))
    for function in stored:
        function.analysis_result = [function.name]
    Function.bulk_update(stored, [Function.analysis_result])
    assert [row.analysis_result for row in Function.select().order_by(Function.id)] == [["f0"], ["f1"], ["f2"]]


def test_timestamps_of_every_timezone_are_utc_in_the_database(bound: peewee.Database, function: Function) -> None:
    moment = datetime(2024, 5, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    Function.update(created_at=moment).execute()
    ((stored,),) = bound.execute_sql("SELECT created_at FROM functions").fetchall()
    assert str(stored).startswith("2024-05-01 10:00:00")
    assert Function.get().created_at == moment
    assert Function.get().created_at.tzinfo is UTC
    assert Function.select(Function.created_at.year).scalar() == 2024


def test_uuids_are_canonical_text_on_sqlite(bound: peewee.Database, user: User) -> None:
    ((stored,),) = bound.execute_sql("SELECT uuid FROM users").fetchall()
    assert str(stored) == str(user.uuid)
    assert bound.execute_sql(f"SELECT count(*) FROM users WHERE uuid = '{user.uuid}'").fetchone()[0] == 1


def test_roles_are_members(bound: peewee.Database, user: User) -> None:
    UserInformation.create(user=user, first_name="Ada", last_name="L", role="team")
    assert UserInformation.get().role is Role.TEAM
    assert UserInformation.select().where(UserInformation.role == Role.TEAM).count() == 1
    assert UserInformation.select().where(UserInformation.role.in_(["team", Role.DEVELOPER])).count() == 1
    ((stored,),) = bound.execute_sql("SELECT role FROM user_information").fetchall()
    assert stored == "team"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"created_at": datetime(2024, 5, 1)}, "attach its timezone"),
        ({"created_at": "yesterday"}, "ISO 8601"),
        ({"uuid": 7}, "expected a UUID"),
        ({"analysis_result": float("nan")}, "NaN"),
        ({"analysis_result": "a\0"}, "NUL"),
    ],
)
def test_values_are_refused_before_the_wire(
    bound: peewee.Database, function: Function, change: dict[str, Any], message: str
) -> None:
    sent: list[str] = []
    bound.query_hooks.append(lambda event: sent.append(event.sql))
    with pytest.raises(InvalidValueError, match=message):
        Function.update(change).execute()
    with pytest.raises(InvalidValueError, match=message):
        Function(user=1, name="g", **change).save()
    assert sent == []


def test_an_unknown_role_is_refused_with_a_hint(user: User) -> None:
    with pytest.raises(InvalidValueError, match="expected a Role; got 'devloper': did you mean 'developer'"):
        UserInformation.create(user=user, first_name="A", last_name="L", role="devloper")
    with pytest.raises(InvalidValueError, match="expected a Role; got 5"):
        UserInformation.select().where(UserInformation.role == 5).count()
    with pytest.raises(InvalidValueError, match="expected a Role"):
        UserInformation.role.python_value("emperor")


def test_an_id_can_be_assigned_to_an_instance_that_was_not_loaded_with_it(function: Function) -> None:
    partial = Function.__new__(Function)
    partial.__data__ = PartialData({"id": function.id})
    for name in ("user", "user_id", "name", "active_deployment", "active_deployment_id"):
        with pytest.raises(LazyLoadingError, match="was not loaded"):
            getattr(partial, name)
    partial.user_id = function.user_id
    assert partial.user_id == function.user_id
    assert partial.user.email == "ada@example.org"
    assert partial.dirty_field_names == ["user"]


def test_an_instance_without_its_key_is_not_saved_as_a_new_row(function: Function) -> None:
    partial = Function.__new__(Function)
    partial.__data__ = PartialData({"name": "x"})
    with pytest.raises(LazyLoadingError):
        partial.save()
    assert Function.select().count() == 1


def test_defaults_in_python(user: User) -> None:
    before = datetime.now(UTC) - timedelta(seconds=5)
    log = FunctionLog(function=1, level="info", message="m")
    assert isinstance(log.uuid, uuid.UUID)
    assert log.uuid.version == 7
    assert User().uuid.version == 4
    assert log.timestamp > before
    assert Function(user=user, name="f").status == "active"
    deployment = FunctionDeployment(function=1, version=1, image_tag="i", s3_key="k")
    assert (deployment.status, deployment.is_active) == ("building", False)
    assert UserInformation(user=user.uuid).role is None


def test_server_defaults_by_dialect() -> None:
    random = server_default(User.uuid)
    assert random is not None
    assert random.expression(POSTGRESQL) == "gen_random_uuid()"
    assert random.expression(SQLITE).startswith("(lower(hex(")
    assert server_default(Function.status) == ServerDefault("'active'", "'active'")
    assert server_default(User.email) is None
    assert ServerDefault(postgresql="1", sqlite="2").expression(SQLITE) == "2"


def test_what_is_left_out_has_a_default_where_one_makes_sense() -> None:
    assert (UuidField().default, UuidField().server_default) == (None, None)
    assert UuidField(unique=True, null=True).server_default is None
    for key in (UuidField(unique=True), UuidField(primary_key=True)):
        assert (key.default, key.server_default) == (uuid.uuid4, RANDOM_UUID)
    own = ServerDefault("a()", "b()")
    given = UuidField(unique=True, default=None, server_default=own)
    assert (given.default, given.server_default) == (None, own)
    assert (TimestampField().default, TimestampField().server_default) == (utc_now, UTC_NOW)
    assert (TimestampField(null=True).default, TimestampField(null=True).server_default) == (None, None)
    assert TimestampField(default=None, server_default=None).server_default is None


def test_the_columns_stand_in_the_order_of_the_specification() -> None:
    assert list(Function._meta.columns) != []
    assert [field.column_name for field in Function._meta.sorted_fields] == [
        "id",
        "uuid",
        "user_id",
        "name",
        "status",
        "active_deployment_id",
        "analysis_result",
        "created_at",
        "updated_at",
    ]
