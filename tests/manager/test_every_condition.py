"""Every kind of condition in every operation that takes conditions: each finds, and touches, the same rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from peewee import fn

from cloudpub_models import (
    Function,
    FunctionDeployment,
    Managers,
    all_of,
    any_of,
    none_of,
    operators,
)

FAILED = FunctionDeployment.status == "failed"
# Each finds b and d.
CONDITIONS: dict[str, Any] = {
    "any_of": any_of({"name": "b"}, {"name": "d", "status": "failed"}),
    "all_of": all_of({"status": "failed"}, {"name": operators.ne("x")}, Function.id > 0),
    "none_of": none_of({"status": "active"}, {"name": "x"}),
    "a dotted key to one row": {"user.email": "ada@example.com"},
    "a dotted key to one of one": {"user.information.first_name": "Ada"},
    "dotted keys to many rows": {"deployments.status": "failed", "deployments.version": 2},
    "a path": {"analysis_result": operators.at("language.name", "dart")},
    "a path to nothing": {"analysis_result": operators.at("language.version", operators.MISSING)},
    "an expression": (Function.status == "failed") & (Function.id > 0),
    "a subquery": Function.id.in_(FunctionDeployment.select(FunctionDeployment.function).where(FAILED)),
    "a subquery of the outer row": fn.EXISTS(
        FunctionDeployment.select().where((FunctionDeployment.function == Function.id) & FAILED)
    ),
    "None in a list": {"active_deployment_id": [None, 99]},
    "None in a list of others": none_of({"active_deployment_id": operators.not_in([None, 99])}),
    "all of these": any_of(
        all_of({"user.email": "ada@example.com"}, {"analysis_result": operators.at("language.name", ["dart", None])}),
        none_of({"deployments.status": "active"}, Function.status == "active"),
    ),
}


@pytest.fixture
def functions(managers: Managers) -> Any:
    """Ada's b and d, which have failed, and grace's a and c, which are active and know their language's version."""
    ada, grace = (
        managers.users.insert({"email": f"{name}@example.com", "password_hash": "x"}) for name in ("ada", "grace")
    )
    managers.user_information.insert({"user_id": ada.uuid, "first_name": "Ada", "last_name": "L", "role": "team"})
    for name, user, status, language in (
        ("a", grace, "active", {"name": "go", "version": 1}),
        ("b", ada, "failed", {"name": "dart"}),
        ("c", grace, "active", {"name": "go", "version": None}),
        ("d", ada, "failed", {"name": "dart"}),
    ):
        row = {"user_id": user.id, "name": name, "status": status, "analysis_result": {"language": language}}
        function = managers.functions.insert(row)
        deployment = {"function_id": function.id, "status": status, "image_tag": "x", "s3_key": "y"}
        latest = [managers.function_deployments.insert({**deployment, "version": version}) for version in (1, 2)][-1]
        if status == "active":
            managers.functions.update_by_id(function.id, {"active_deployment_id": latest.id})
    return managers.functions


def pages(functions: Any, where: Any, **options: Any) -> list[Any]:
    page = functions.paginate_after(None, 1, where, **options)
    items = [*page.items]
    while page.next_cursor:
        page = functions.paginate_after(page.next_cursor, 1, where, **options)
        items += page.items
    return items


def included(functions: Any, where: Any, **options: Any) -> list[Any]:
    users = Managers(functions.database).users.find_all(include={"functions": {"where": where, **options}})
    return [function for user in users for function in user.functions]


def referring(functions: Any, where: Any) -> list[Any]:
    users = Managers(functions.database).users
    return [row for user in users.find_all() for row in users.has_many("functions", "user_id", user.id, where=where)]


READS: dict[str, Callable[[Any, Any], list[Any]]] = {
    "find_all": lambda m, where: m.find_all(where, limit=9),
    "find_all, with relations": lambda m, where: m.find_all(where, order_by="-user.email", include=("deployments",)),
    "find_one": lambda m, where: [m.find_one(where, order_by="name"), m.get_one(where, order_by="-name")],
    "paginate": lambda m, where: m.paginate(1, 1, where).items + m.paginate(2, 1, where).items,
    "paginate_after": pages,
    "paginate_after, ordered": lambda m, where: pages(m, where, order_by=("status", "-created_at")),
    "iterate": lambda m, where: list(m.iterate(where, chunk_size=1)),
    "find_by_text": lambda m, where: m.find_by_text("a OR b OR d", where).items,
    "include": included,
    "include, limited": lambda m, where: included(m, where, limit=5, order_by="name"),
    "has_many": referring,
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_every_operation_takes_it(functions: Any, name: str) -> None:
    where = CONDITIONS[name]
    for read, rows in READS.items():
        assert sorted(function.name for function in rows(functions, where)) == ["b", "d"], read
    assert functions.count(where) == 2
    assert functions.exists(where)
    assert functions.values("name", where, order_by="name") == ["b", "d"]
    assert functions.aggregate(where, n=operators.count(), last=operators.max("name")) == {"n": 2, "last": "d"}
    assert functions.delete_preview(where) == {"functions": 2, "function_deployments": 4}
    for write in (
        lambda: functions.update({"name": fn.UPPER(Function.name)}, where),
        lambda: functions.claim(where, {"name": fn.UPPER(Function.name)}, limit=9, order_by="-name"),
    ):
        with pytest.raises(UndoneError), functions.database.transaction():
            assert sorted(row.name for row in write()) == ["B", "D"]
            assert sorted(functions.values("name")) == ["B", "D", "a", "c"]
            raise UndoneError
    assert functions.delete(where) == 2
    assert functions.values("name", order_by="name") == ["a", "c"]
    assert not functions.exists(where)


class UndoneError(Exception):
    """Rolls a transaction back."""
