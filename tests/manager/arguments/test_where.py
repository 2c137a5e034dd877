"""Several ``where`` arguments that hold together, in every operation that takes one."""

from __future__ import annotations

from typing import Any

import pytest

from cloudpub_models import ALL_ROWS, Function, Managers, User, all_of, any_of, operators
from cloudpub_models.errors import UnboundedWriteError, UnknownTableError


@pytest.fixture
def users(managers: Managers) -> Any:
    managers.users.batch_insert([{"email": f"{name}@example.com", "password_hash": "x"} for name in "abcd"])
    return managers.users


def test_a_column_may_come_in_more_than_one(users: Any, statements: Any, backend: str) -> None:
    mark = "?" if backend == "sqlite" else "%s"
    between = all_of({"id": operators.gt(1)}, {"id": operators.lt(4)})
    assert users.count(between) == 2
    assert statements == [(f"SELECT COUNT(*) AS count FROM users WHERE id > {mark} AND id < {mark}", (1, 4))]


def test_they_may_be_of_every_kind(users: Any) -> None:
    chosen = all_of({"id": operators.gt(1)}, User.id < 4, all_of({"email": operators.like("c%")}), None, ALL_ROWS)
    assert [user.email for user in users.find_all(chosen)] == ["c@example.com"]
    assert [user.email for user in users.iterate(chosen)] == ["c@example.com"]
    assert users.update({"email": "z@example.com"}, chosen)[0].id == 3
    assert users.delete(all_of({"id": 3})) == 1


def test_without_a_condition_nothing_is_written(users: Any) -> None:
    for nothing in (all_of(), all_of(None, {})):
        with pytest.raises(UnboundedWriteError):
            users.delete(nothing)
    assert users.count(all_of()) == 4


OPERATIONS: dict[str, Any] = {
    "find_all": lambda users, where: users.find_all(where),
    "find_one": lambda users, where: users.find_one(where),
    "iterate": lambda users, where: list(users.iterate(where)),
    "paginate": lambda users, where: users.paginate(1, 5, where),
    "paginate_after": lambda users, where: users.paginate_after(None, 5, where),
    "count": lambda users, where: users.count(where),
    "exists": lambda users, where: users.exists(where),
    "values": lambda users, where: users.values("email", where=where),
    "aggregate": lambda users, where: users.aggregate(where, n=operators.count()),
    "update": lambda users, where: users.update({"email": "x"}, where),
    "delete": lambda users, where: users.delete(where),
    "claim": lambda users, where: users.claim(where, {"email": "x"}),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_columns_of_another_table_are_refused(users: Any, statements: Any, operation: str) -> None:
    """Without its table each would be taken for the column of that name that every user has."""
    others = (Function.id == 2, Function.id != 0, (User.id > 0) & (Function.name != "x"), Function.name == User.email)
    for other in (*others, any_of(others[0], {"id": 1}), all_of({"id": 1}, others[1])):
        with pytest.raises(
            UnknownTableError, match="expected a condition on columns of users; got columns of functions"
        ):
            OPERATIONS[operation](users, other)
    assert statements == []


@pytest.fixture
def invocations(managers: Managers) -> Any:
    user = managers.users.insert({"email": "ada@example.com", "password_hash": "x"})
    function = managers.functions.insert({"user_id": user.id, "name": "resize"})
    for duration in (None, 1, 2, 5):
        row = {"function_id": function.id, "status": "success", "duration_ms": duration}
        managers.function_invocations.insert(row)
    return managers.function_invocations


def test_none_is_null(invocations: Any, statements: Any) -> None:
    assert [row.duration_ms for row in invocations.find_all({"duration_ms": None})] == [None]
    assert statements.sql[-1].endswith(" FROM function_invocations WHERE duration_ms IS NULL")


LISTS: dict[str, tuple[Any, set[int | None]]] = {
    "a list": ([None, 5], {None, 5}),
    "only None": ([None], {None}),
    "in_": (operators.in_({1, None, 2}), {None, 1, 2}),
    "without None": ([1, 5], {1, 5}),
    "empty": ([], set()),
    "not_in": (operators.not_in([None, 5]), {1, 2}),
    "ne": (operators.ne((None, 1)), {2, 5}),
    "not in only None": (operators.not_in([None]), {1, 2, 5}),
    "not in without None": (operators.not_in([5]), {1, 2}),
    "not in empty": (operators.not_in([]), {None, 1, 2, 5}),
}


@pytest.mark.parametrize(("given", "expected"), LISTS.values(), ids=LISTS)
def test_none_in_a_list_is_null_wherever_lists_are_taken(
    invocations: Any, given: Any, expected: set[int | None]
) -> None:
    where = {"duration_ms": given}
    durations = [row.duration_ms for row in invocations.find_all(where)]
    assert set(durations) == expected
    assert len(durations) == invocations.count(where) == len(expected)
    assert {row.duration_ms for row in invocations.iterate(where)} == expected
    assert {row.duration_ms for row in invocations.paginate_after(page_size=10, where=where).items} == expected
    built = invocations.query().select("duration_ms").where("duration_ms", given)
    assert {row["duration_ms"] for row in invocations.execute_query(built)} == expected
    # Beside another condition, which the OR must not reach.
    assert invocations.count(where | {"status": "failed"}) == 0
    assert invocations.execute_query(built.where("status", "failed")) == []
    assert invocations.delete(where) == len(expected)


def test_none_in_a_list_is_no_member_of_what_is_sent(invocations: Any, statements: Any, backend: str) -> None:
    members, any_of = ("[5]", "IN (SELECT value FROM json_each(?))") if backend == "sqlite" else ("{5}", "= ANY(%s)")
    invocations.count({"duration_ms": [None, 5], "status": "success"})
    sql, values = statements[0]
    assert sql == (
        f"SELECT COUNT(*) AS count FROM function_invocations WHERE (duration_ms {any_of} OR duration_ms IS NULL) "
        f"AND status = {'?' if backend == 'sqlite' else '%s'}"
    )
    assert [str(value).replace('"', "") for value in values] == [members, "success"]
