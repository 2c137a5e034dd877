"""``managers.function_deployments``: versions without gaps, one of them active."""

from __future__ import annotations

from typing import Any

import pytest

from cloudpub_models import Database, Function, FunctionDeployment, Managers, User
from cloudpub_models.errors import DomainRuleError, InvalidValueError, NotFoundError


@pytest.fixture
def versions(managers: Managers, resize: Function) -> list[FunctionDeployment]:
    deploy = managers.function_deployments.deploy
    return [deploy(resize, f"resize:{number}", f"resize/{number}.zip") for number in (1, 2, 3)]


def active(managers: Managers, function: Function) -> list[int]:
    """The versions marked active; the function's row has to agree."""
    found = managers.function_deployments.find_all({"function_id": function.id, "is_active": True})
    assert [each.id for each in found] == (
        [managers.functions.find_by_id(function.id).active_deployment_id] if found else []
    )
    return [each.version for each in found]


def test_deploy_counts_versions_per_function(managers: Managers, resize: Function, ada: User) -> None:
    other = managers.functions.insert({"user_id": ada.id, "name": "other"})
    first = managers.function_deployments.deploy(resize, "resize:1", "resize/1.zip")
    assert (first.version, first.status, first.is_active) == (1, "building", False)
    assert (first.function_id, first.image_tag, first.s3_key) == (resize.id, "resize:1", "resize/1.zip")
    assert managers.function_deployments.deploy(resize.id, "i", "k").version == 2
    assert managers.function_deployments.deploy(other, "i", "k").version == 1
    assert active(managers, resize) == []


def test_no_number_is_given_twice(managers: Managers, resize: Function, versions: list[Any]) -> None:
    deployments = managers.function_deployments
    deployments.delete_by_id(versions[2].id)
    fourth = deployments.deploy(resize, "i", "k")
    assert fourth.version == 4
    deployments.delete({"function_id": resize.id})
    assert deployments.deploy(resize, "i", "k").version == 5


def test_versions_that_other_programs_add_count(managers: Managers, resize: Function, versions: list[Any]) -> None:
    managers.database.raw_execute(
        "INSERT INTO function_deployments (function_id, version, image_tag, s3_key) VALUES (@id, 9, 'i', 'k')",
        {"id": resize.id},
    )
    assert managers.function_deployments.deploy(resize, "i", "k").version == 10


def test_a_deployment_that_was_rolled_back_leaves_its_number(
    managers: Managers, database: Database, resize: Function, versions: list[Any]
) -> None:
    with pytest.raises(ZeroDivisionError), database.transaction():
        managers.function_deployments.deploy(resize, "i", "k")
        raise ZeroDivisionError
    assert managers.function_deployments.deploy(resize, "i", "k").version == 4


def test_deploy_goes_on_behind_a_gap(managers: Managers, resize: Function, versions: list[Any]) -> None:
    managers.function_deployments.delete_by_id(versions[1].id)
    assert managers.function_deployments.deploy(resize, "i", "k").version == 4


def test_deploy_of_a_function_that_is_gone(managers: Managers, resize: Function) -> None:
    managers.functions.delete_by_id(resize.id)
    with pytest.raises(NotFoundError, match=f"id {resize.id}"):
        managers.function_deployments.deploy(resize, "i", "k")


def test_deploy_takes_part_in_the_callers_transaction(managers: Managers, database: Database, resize: Function) -> None:
    with pytest.raises(ZeroDivisionError), database.transaction():
        assert managers.function_deployments.deploy(resize, "i", "k").version == 1
        assert managers.function_deployments.deploy(resize, "i", "k").version == 2
        raise ZeroDivisionError
    assert managers.function_deployments.history(resize) == []


@pytest.mark.parametrize("reference", [None, "resize", 1.5, True, User(id=1)])
def test_references_are_instances_or_keys(managers: Managers, reference: Any) -> None:
    for call in (
        lambda: managers.function_deployments.deploy(reference, "i", "k"),
        lambda: managers.function_deployments.activate(reference),
        lambda: managers.function_deployments.rollback(reference),
        lambda: managers.function_deployments.history(reference),
    ):
        with pytest.raises(InvalidValueError):
            call()


def test_activate_moves_the_mark(managers: Managers, resize: Function, versions: list[FunctionDeployment]) -> None:
    for chosen in (versions[0], versions[2], versions[2], versions[1]):
        activated = managers.function_deployments.activate(chosen.id)
        assert activated == chosen
        assert activated.is_active
        assert active(managers, resize) == [chosen.version]


def test_activate_mends_several_active_ones(managers: Managers, resize: Function, versions: list[Any]) -> None:
    managers.function_deployments.update({"is_active": True}, {"function_id": resize.id})
    managers.function_deployments.activate(versions[1])
    assert active(managers, resize) == [2]


def test_activate_leaves_other_functions_alone(managers: Managers, ada: User, versions: list[Any]) -> None:
    other = managers.functions.insert({"user_id": ada.id, "name": "other"})
    managers.function_deployments.activate(managers.function_deployments.deploy(other, "i", "k"))
    managers.function_deployments.activate(versions[0])
    assert active(managers, other) == [1]


def test_activate_what_does_not_exist(managers: Managers, resize: Function, versions: list[Any]) -> None:
    managers.function_deployments.activate(versions[0])
    managers.function_deployments.delete_by_id(versions[2].id)
    with pytest.raises(NotFoundError, match=f"id {versions[2].id}"):
        managers.function_deployments.activate(versions[2])
    assert active(managers, resize) == [1]


@pytest.mark.parametrize("backend", ["postgresql"])
@pytest.mark.parametrize("operation", ["deploy", "activate", "rollback"])
def test_the_function_is_locked_before_anything_is_changed(
    managers: Managers, resize: Function, versions: list[Any], statements: Any, operation: str
) -> None:
    """So that of several who do it at once, each goes by what the one before has left."""
    deployments = managers.function_deployments
    deployments.activate(versions[1])
    del statements[:]
    {
        "deploy": lambda: deployments.deploy(resize, "image", "key"),
        "activate": lambda: deployments.activate(versions[2]),
        "rollback": lambda: deployments.rollback(resize),
    }[operation]()
    locked = [sql.startswith("SELECT") and sql.endswith(" FOR NO KEY UPDATE") for sql in statements.sql]
    changing = [sql.startswith(("INSERT", "UPDATE")) for sql in statements.sql]
    assert locked.count(True) == 1
    assert locked.index(True) < changing.index(True)


def test_activate_is_all_or_nothing(
    managers: Managers, database: Database, resize: Function, versions: list[Any]
) -> None:
    managers.function_deployments.activate(versions[0])
    with pytest.raises(ZeroDivisionError), database.transaction():
        managers.function_deployments.activate(versions[1])
        raise ZeroDivisionError
    assert active(managers, resize) == [1]


def test_rollback_goes_back_by_version(managers: Managers, resize: Function, versions: list[Any]) -> None:
    managers.function_deployments.activate(versions[2])
    managers.function_deployments.delete_by_id(versions[1].id)
    assert managers.function_deployments.rollback(resize) == versions[0]
    assert active(managers, resize) == [1]
    with pytest.raises(DomainRuleError, match=f"version 1 of the function with the id {resize.id} is its first"):
        managers.function_deployments.rollback(resize.id)
    assert active(managers, resize) == [1]


def test_rollback_needs_an_active_deployment(managers: Managers, resize: Function, versions: list[Any]) -> None:
    for given, said in ((resize, f"the id {resize.id}"), (resize.uuid, f"the uuid {resize.uuid}")):
        with pytest.raises(DomainRuleError, match=f"active deployment; the function with {said} has none"):
            managers.function_deployments.rollback(given)
    with pytest.raises(NotFoundError):
        managers.function_deployments.rollback(resize.id + 1)


def test_history_has_the_latest_version_first(
    managers: Managers, resize: Function, versions: list[Any], statements: Any
) -> None:
    assert managers.function_deployments.history(resize) == versions[::-1]
    assert managers.function_deployments.history(resize.id, limit=1) == versions[2:]
    assert len(statements) == 2
    assert managers.function_deployments.history(resize.id + 1) == []
