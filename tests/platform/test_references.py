"""Which row an operation of the platform means, told by an instance, its public UUID or a key that refers to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from cloudpub_models import Managers
from cloudpub_models.errors import InvalidValueError, NotFoundError
from cloudpub_models.models import Function, FunctionDeployment, Organization, User
from cloudpub_models.platform import references
from cloudpub_models.testing import Factory

SEVEN = UUID(int=7)
TEXT = str(SEVEN)
NOBODY = UUID("11111111-1111-4111-8111-111111111111")


@pytest.mark.parametrize(
    ("key", "instance"),
    [
        (references.function_key, Function(id=7)),
        (references.deployment_key, FunctionDeployment(id=7)),
        (references.owner_key, User(id=7)),
    ],
)
def test_an_instance_and_its_id_mean_the_same(
    managers: Managers, statements: Any, key: Callable[..., int], instance: Any
) -> None:
    assert (key(instance, managers.users), key(7, managers.users)) == (7, 7)
    assert statements == []


@pytest.mark.parametrize(
    ("key", "instance", "value"),
    [
        (references.user_key, User(uuid=SEVEN), SEVEN),
        (references.user_key, User(uuid=SEVEN), TEXT.upper()),
        (references.organization_key, Organization(uuid=SEVEN), SEVEN),
    ],
)
def test_an_instance_and_its_uuid_mean_the_same(key: Callable[[Any], str], instance: Any, value: Any) -> None:
    assert (key(instance), key(value)) == (TEXT, TEXT)


def test_a_uuid_is_looked_up_by_one_statement(managers: Managers, statements: Any) -> None:
    deployment = Factory(managers).deployment()
    function = managers.functions.get_by_id(deployment.function_id)
    user = managers.users.get_by_id(function.user_id)
    for key, row, table in [
        (references.function_key, function, "functions"),
        (references.deployment_key, deployment, "function_deployments"),
        (references.owner_key, user, "users"),
    ]:
        for uuid in (row.uuid, str(row.uuid).upper()):
            statements.clear()
            assert key(uuid, managers.organizations) == row.id
            assert [sql.replace("%s", "?") for sql in statements.sql] == [f"SELECT id FROM {table} WHERE uuid = ?"]


@pytest.mark.parametrize(
    ("key", "table", "what"),
    [
        (references.function_key, "functions", "function"),
        (references.deployment_key, "function_deployments", "deployment"),
        (references.owner_key, "users", "user"),
    ],
)
def test_a_uuid_that_no_row_has(managers: Managers, key: Callable[..., int], table: str, what: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        key(NOBODY, managers.users)
    assert str(caught.value) == f"expected an existing {what}; there is none with the uuid {NOBODY}"
    assert caught.value.table == table


@pytest.mark.parametrize(
    ("key", "refused", "message"),
    [
        (
            references.function_key,
            None,
            "expected the function, as an instance or by its key; got None: was the row found",
        ),
        (references.deployment_key, None, "deployment, as an instance or by its key; got None"),
        (references.function_key, "resize", "functions.uuid: expected a UUID"),
        (references.function_key, 1.5, "functions.id: expected an integer"),
        (references.owner_key, [7], "users.id: expected an integer"),
        (references.function_key, User(id=7), "functions.id: expected an integer; got User <User id=7"),
        (references.function_key, Function(name="new"), "expected a saved Function"),
    ],
)
def test_what_means_no_row(managers: Managers, key: Callable[..., Any], refused: Any, message: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        key(refused, managers.users)
    assert message in str(caught.value)


def test_what_means_no_user() -> None:
    with pytest.raises(InvalidValueError, match=r"users.uuid: expected a UUID"):
        references.user_key(7)  # type: ignore[arg-type]
    with pytest.raises(InvalidValueError, match="expected the organization, as an instance"):
        references.organization_key(None)  # type: ignore[arg-type]


OPERATIONS: list[Callable[[Managers, Any], object]] = [
    lambda m, function: m.function_deployments.deploy(function, "i:1", "k").function_id,
    lambda m, function: len(m.function_deployments.history(function)),
    lambda m, function: m.function_logs.append(function, "info", "ready").function_id,
    lambda m, function: len(m.function_logs.tail(function)),
    lambda m, function: m.function_invocations.record(function, "success", 5).function_id,
    lambda m, function: m.function_invocations.get_function_stats(function).total,
    lambda m, function: len(m.function_invocations.get_hourly_stats(function, 2)),
    lambda m, function: len(m.function_invocations.get_daily_stats(function, 2)),
]


@pytest.mark.parametrize("number", range(len(OPERATIONS)))
def test_operations_on_a_function_take_its_uuid(managers: Managers, statements: Any, number: int) -> None:
    function = Factory(managers).function()
    operate = OPERATIONS[number]
    by_instance = operate(managers, function)
    statements.clear()
    assert operate(managers, function.uuid) in (by_instance, 2)
    assert "SELECT id FROM functions WHERE uuid" in statements.sql[0]
    with pytest.raises(NotFoundError, match=f"expected an existing function; there is none with the uuid {NOBODY}"):
        operate(managers, NOBODY)


@pytest.mark.usefixtures("kept_references")
def test_operations_on_deployments_and_users_take_uuids(managers: Managers) -> None:
    function = Factory(managers).function()
    user = managers.users.get_by_id(function.user_id)
    first, second = [managers.function_deployments.deploy(function.uuid, f"i:{n}", "k") for n in (1, 2)]
    assert managers.function_deployments.activate(second.uuid).is_active
    assert managers.function_deployments.rollback(str(function.uuid)) == first
    assert managers.functions.search(function.name, user=user.uuid) == [function]
    assert managers.function_invocations.get_user_overview(str(user.uuid)).functions == 1
    with pytest.raises(NotFoundError, match=f"expected an existing deployment; there is none with the uuid {NOBODY}"):
        managers.function_deployments.activate(NOBODY)
    with pytest.raises(NotFoundError, match="expected an existing function; there is none with the id 99") as caught:
        managers.function_invocations.record(99, "success", 1)
    assert caught.value.table == "functions"
