"""Several ``where`` arguments that hold together, in every operation that takes one."""

from __future__ import annotations

from typing import Any

import pytest

from cloudpub_models import ALL_ROWS, Managers, User, operators
from cloudpub_models.errors import UnboundedWriteError
from cloudpub_models.manager.arguments.where import AllOf


@pytest.fixture
def users(managers: Managers) -> Any:
    managers.users.batch_insert([{"email": f"{name}@example.com", "password_hash": "x"} for name in "abcd"])
    return managers.users


def test_a_column_may_come_in_more_than_one(users: Any, statements: Any, backend: str) -> None:
    mark = "?" if backend == "sqlite" else "%s"
    between = AllOf({"id": operators.gt(1)}, {"id": operators.lt(4)})
    assert users.count(between) == 2
    assert statements == [(f"SELECT COUNT(*) AS count FROM users WHERE id > {mark} AND id < {mark}", (1, 4))]


def test_they_may_be_of_every_kind(users: Any) -> None:
    chosen = AllOf({"id": operators.gt(1)}, User.id < 4, AllOf({"email": operators.like("c%")}), None, ALL_ROWS)
    assert [user.email for user in users.find_all(chosen)] == ["c@example.com"]
    assert [user.email for user in users.iterate(chosen)] == ["c@example.com"]
    assert users.update({"email": "z@example.com"}, chosen)[0].id == 3
    assert users.delete(AllOf({"id": 3})) == 1


def test_without_a_condition_nothing_is_written(users: Any) -> None:
    for nothing in (AllOf(), AllOf(None, {})):
        with pytest.raises(UnboundedWriteError):
            users.delete(nothing)
    assert users.count(AllOf()) == 4
