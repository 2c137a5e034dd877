"""The old call style: each helper does what it did, and names the call to use instead."""

from __future__ import annotations

import contextlib
import inspect
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

import cloudpub_models
from cloudpub_models import errors, legacy
from cloudpub_models.legacy import DatabaseManagers, QueryHelpers

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
UNKNOWN = "aaaaaaaa-0000-4000-8000-00000000000f"

# Every helper with arguments that fit, positional as they were in the old calls.
CALLS: dict[str, tuple[Any, ...]] = {
    "get_user_by_uuid": (UNKNOWN,),
    "get_user_by_email": ("ada@example.com",),
    "create_user": ("new@example.com", "hash"),
    "get_function_by_uuid": (UNKNOWN,),
    "get_functions_by_user_uuid": (UNKNOWN,),
    "create_function": (UNKNOWN, "resize"),
    "update_function": (UNKNOWN, "resize"),
    "delete_function": (UNKNOWN,),
    "get_function_logs_by_function_uuid": (UNKNOWN,),
    "create_function_log": (UNKNOWN, "info", "ready"),
    "get_function_invocations_by_function_uuid": (UNKNOWN,),
    "create_function_invocation": (UNKNOWN, "success"),
    "get_internal_id_from_uuid": ("users", UNKNOWN),
    "get_uuid_from_internal_id": ("users", 1),
}

quiet = pytest.mark.filterwarnings("ignore:QueryHelpers are the old call style:DeprecationWarning")


@pytest.fixture
def default_database(database_url: str, backend: str) -> Iterator[cloudpub_models.Database]:
    """The process's default database, migrated and empty."""
    database = cloudpub_models.database.initialize(database_url)
    if backend == "sqlite":
        database.migrate()
    yield database
    database.close()


@pytest.fixture
def user(default_database) -> cloudpub_models.User:
    return cloudpub_models.managers.users.insert({"email": "ada@example.com", "password_hash": "secret-hash"})


@pytest.fixture
def function(user) -> cloudpub_models.Function:
    return cloudpub_models.managers.functions.insert(
        {"user_id": user.id, "name": "resize", "analysis_result": {"a": None}}
    )


def test_database_managers_are_the_managers():
    assert DatabaseManagers is cloudpub_models.managers
    assert QueryHelpers.managers is cloudpub_models.managers


def test_every_helper_is_covered_here():
    helpers = {name for name, _ in inspect.getmembers(QueryHelpers, inspect.ismethod) if not name.startswith("_")}
    assert helpers == set(CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_each_helper_warns_its_caller_and_names_a_call_that_exists(default_database, name: str):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with contextlib.suppress(errors.NotFoundError):
            getattr(QueryHelpers, name)(*CALLS[name])
    assert [warning.category for warning in caught] == [DeprecationWarning]
    assert caught[0].filename == __file__
    successor = re.fullmatch(
        r"QueryHelpers are the old call style: use managers\.(\w+)\.(\w+) instead", str(caught[0].message)
    )
    assert successor is not None
    table, operation = successor.groups()
    assert callable(getattr(getattr(cloudpub_models.managers, table), operation))


@pytest.mark.parametrize(
    "as_given", [str, lambda uuid: uuid, lambda uuid: uuid.hex.upper()], ids=["text", "UUID", "hex"]
)
@quiet
def test_uuids_are_taken_in_every_form(user, function, as_given):
    found = QueryHelpers.get_user_by_uuid(as_given(user.uuid))
    assert found is not None
    assert found["uuid"] == str(user.uuid)


@quiet
def test_users(user):
    by_uuid = QueryHelpers.get_user_by_uuid(str(user.uuid))
    assert by_uuid == {
        "id": user.id,
        "uuid": str(user.uuid),
        "email": "ada@example.com",
        "created_at": user.created_at,
        "updated_at": user.updated_at,
    }
    assert QueryHelpers.get_user_by_email("ada@example.com") == by_uuid | {"password_hash": "secret-hash"}
    assert QueryHelpers.get_user_by_email("ADA@example.com") is None
    assert QueryHelpers.get_user_by_email("' OR 1=1 --") is None
    assert QueryHelpers.get_user_by_uuid(UNKNOWN) is None
    created = QueryHelpers.create_user("byron@example.com", "other-hash")
    assert created == QueryHelpers.get_user_by_uuid(created["uuid"])
    assert "password_hash" not in created
    assert cloudpub_models.managers.users.find_by_uuid(created["uuid"]).password_hash == "other-hash"
    with pytest.raises(errors.UniqueViolationError):
        QueryHelpers.create_user(email="byron@example.com", password_hash="x")


@quiet
def test_functions(user, function):
    found = QueryHelpers.get_function_by_uuid(str(function.uuid))
    assert found == {
        "id": function.id,
        "uuid": str(function.uuid),
        "user_id": user.id,
        "name": "resize",
        "status": "active",
        "active_deployment_id": None,
        "analysis_result": {"a": None},
        "created_at": function.created_at,
        "updated_at": function.updated_at,
        "user_uuid": str(user.uuid),
    }
    assert QueryHelpers.get_function_by_uuid(uuid4()) is None
    created = QueryHelpers.create_function(user_uuid=str(user.uuid), name="blur", status="paused", analysis_result=[1])
    assert QueryHelpers.get_function_by_uuid(created["uuid"]) == created | {"user_uuid": str(user.uuid)}
    assert (created["status"], created["analysis_result"]) == ("paused", [1])
    assert QueryHelpers.create_function(user.uuid, "plain")["status"] == "active"
    names = [each["name"] for each in QueryHelpers.get_functions_by_user_uuid(user.uuid)]
    assert names == ["plain", "blur", "resize"]
    assert QueryHelpers.get_functions_by_user_uuid(UNKNOWN) == []
    with pytest.raises(errors.NotFoundError, match=UNKNOWN):
        QueryHelpers.create_function(UNKNOWN, "resize")


@quiet
def test_update_function_changes_what_is_given(function):
    updated = QueryHelpers.update_function(str(function.uuid), status="paused")
    assert updated is not None
    assert (updated["name"], updated["status"], updated["analysis_result"]) == ("resize", "paused", {"a": None})
    assert updated["updated_at"] >= function.updated_at
    renamed = QueryHelpers.update_function(function.uuid, name="blur", analysis_result={"b": 1})
    assert (renamed["name"], renamed["status"], renamed["analysis_result"]) == ("blur", "paused", {"b": 1})
    assert QueryHelpers.update_function(function.uuid) is None
    assert QueryHelpers.update_function(UNKNOWN, name="x") is None


@quiet
def test_delete_function(function):
    assert QueryHelpers.delete_function(UNKNOWN) is False
    assert QueryHelpers.delete_function(str(function.uuid)) is True
    assert QueryHelpers.delete_function(str(function.uuid)) is False
    assert QueryHelpers.get_function_by_uuid(function.uuid) is None


@quiet
def test_logs_come_newest_first_and_in_pages(function):
    rows = [
        {
            "function_id": function.id,
            "level": "info",
            "message": f"line {n}",
            "timestamp": NOON + timedelta(seconds=n // 2),
        }
        for n in range(105)
    ]
    cloudpub_models.managers.function_logs.batch_insert(rows)
    found = QueryHelpers.get_function_logs_by_function_uuid(str(function.uuid))
    assert [row["message"] for row in found] == [f"line {n}" for n in range(104, 4, -1)]
    page = QueryHelpers.get_function_logs_by_function_uuid(function.uuid, limit=3, offset=2)
    assert page == found[2:5]
    assert set(page[0]) == {"id", "uuid", "function_id", "level", "message", "timestamp"}
    assert QueryHelpers.get_function_logs_by_function_uuid(UNKNOWN) == []
    created = QueryHelpers.create_function_log(str(function.uuid), "warn", "é\n")
    assert QueryHelpers.get_function_logs_by_function_uuid(function.uuid, 1) == [created]
    with pytest.raises(errors.NotFoundError, match="create the function first"):
        QueryHelpers.create_function_log(function_uuid=UNKNOWN, level="info", message="x")


@quiet
def test_invocations(function):
    first = QueryHelpers.create_function_invocation(function_uuid=str(function.uuid), status="success", duration_ms=12)
    second = QueryHelpers.create_function_invocation(function.uuid, "failed", error="boom")
    assert (first["duration_ms"], first["error"]) == (12, None)
    assert (second["duration_ms"], second["error"]) == (None, "boom")
    assert QueryHelpers.get_function_invocations_by_function_uuid(str(function.uuid)) == [second, first]
    assert QueryHelpers.get_function_invocations_by_function_uuid(function.uuid, limit=1, offset=1) == [first]
    assert QueryHelpers.get_function_invocations_by_function_uuid(UNKNOWN) == []
    with pytest.raises(errors.NotFoundError):
        QueryHelpers.create_function_invocation(UNKNOWN, "success")


@quiet
def test_internal_ids(user, function):
    assert QueryHelpers.get_internal_id_from_uuid("users", str(user.uuid)) == user.id
    assert QueryHelpers.get_internal_id_from_uuid("functions", function.uuid) == function.id
    assert QueryHelpers.get_internal_id_from_uuid("functions", user.uuid) is None
    with pytest.raises(errors.UnknownTableError, match="users"):
        QueryHelpers.get_internal_id_from_uuid("user", user.uuid)
    for hostile in ("users; DROP TABLE users", "users WHERE 1=1 --", '"users"', "", None, 1):
        with pytest.raises(errors.UnknownTableError):
            QueryHelpers.get_internal_id_from_uuid(hostile, user.uuid)
    with pytest.raises(errors.UnknownColumnError):
        QueryHelpers.get_internal_id_from_uuid("organization_members", user.uuid)
    assert QueryHelpers.get_internal_id_from_uuid("users", user.uuid) == user.id


@quiet
def test_public_uuids_of_internal_ids(managers, statements):
    class Helpers(QueryHelpers):
        pass

    Helpers.managers = managers
    user = managers.users.insert({"email": "ada@example.com", "password_hash": "hash"})
    function = managers.functions.insert({"user_id": user.id, "name": "resize"})
    statements.clear()
    assert Helpers.get_uuid_from_internal_id("users", user.id) == str(user.uuid)
    ((sql, parameters),) = statements
    assert sql.replace("%s", "?") == "SELECT uuid FROM users WHERE id = ?"
    assert list(parameters) == [user.id]
    assert Helpers.get_uuid_from_internal_id("functions", function.id) == str(function.uuid)
    assert Helpers.get_uuid_from_internal_id("functions", function.id + 1) is None
    statements.clear()
    for hostile in ("user", "users; DROP TABLE users", "", None, 1):
        with pytest.raises(errors.UnknownTableError):
            Helpers.get_uuid_from_internal_id(hostile, user.id)
    with pytest.raises(errors.UnknownColumnError):
        Helpers.get_uuid_from_internal_id("organization_members", 1)
    for wrong in (user.uuid, str(user.uuid), "1; DROP TABLE users", None, 1.5, [1], True):
        with pytest.raises((errors.InvalidValueError, errors.InvalidQueryError)):
            Helpers.get_uuid_from_internal_id("users", wrong)
    assert statements == []


@pytest.mark.parametrize("value", ["", "not a uuid", 1, None])
@quiet
def test_what_is_no_uuid_is_refused(default_database, value):
    for name in CALLS:
        if name in ("get_user_by_email", "create_user", "get_uuid_from_internal_id"):
            continue
        arguments = list(CALLS[name])
        arguments[arguments.index(UNKNOWN)] = value
        with pytest.raises((errors.InvalidValueError, errors.InvalidQueryError)):
            getattr(QueryHelpers, name)(*arguments)


@quiet
def test_a_derived_class_uses_another_database(database, managers):
    class Helpers(QueryHelpers):
        managers = cloudpub_models.Managers(database)

    created = Helpers.create_user("ada@example.com", "hash")
    assert managers.users.find_by_uuid(created["uuid"]).email == "ada@example.com"
    assert QueryHelpers.managers is cloudpub_models.managers


def test_importing_the_old_style_warns_of_nothing():
    code = "from cloudpub_models.legacy import QueryHelpers, DatabaseManagers"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_nobody_inside_the_library_uses_it():
    assert legacy.__name__ == "cloudpub_models.legacy"
    code = "import sys, cloudpub_models; assert 'cloudpub_models.legacy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
