"""A scope: every operation of a manager holds to one more condition, or is refused; plain managers are left alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cloudpub_models import ALL_ROWS, Function, FunctionLog, Manager, Managers, User, operators
from cloudpub_models.errors import InvalidValueError, UnguardedError, UniqueViolationError
from cloudpub_models.manager.scope import Scope


@pytest.fixture
def rows(managers: Managers) -> dict[str, Any]:
    """Two users with functions and logs of the same names each."""
    made: dict[str, Any] = {}
    for name in ("ada", "grace"):
        user = made[name] = managers.users.insert({"email": f"{name}@example.com", "password_hash": "…"})
        for function in ("resize", "crop"):
            row = made[f"{name}'s {function}"] = managers.functions.insert({"user_id": user.id, "name": function})
            managers.function_logs.batch_insert(
                {"function_id": row.id, "level": "info", "message": f"{name} {number}"} for number in range(3)
            )
    return made


@pytest.fixture
def scope(rows: dict[str, Any]) -> Scope:
    hers = Function.select(Function.id).where(Function.user == rows["ada"])
    return Scope(
        {
            User: {"id": rows["ada"].id},
            Function: {"user_id": rows["ada"].id},
            FunctionLog: FunctionLog.function.in_(hers),
        },
        "the rows of ada",
    )


@pytest.fixture
def mine(managers: Managers, scope: Scope) -> Managers:
    return Managers(managers.database, scope=scope)


def names(functions: list[Function]) -> list[str]:
    return sorted(function.name for function in functions)


READS: dict[str, tuple[Callable[[Managers, dict[str, Any]], Any], Any]] = {
    "find_all": (lambda m, r: names(m.functions.find_all()), ["crop", "resize"]),
    "find_all with conditions": (lambda m, r: len(m.functions.find_all({"name": "resize"}, order_by="id")), 1),
    "find_all with an expression": (lambda m, r: len(m.functions.find_all(Function.name == "resize")), 1),
    "find_all with OR": (
        lambda m, r: len(m.functions.find_all((Function.name == "resize") | (Function.name == "crop"))),
        2,
    ),
    "find_all with select": (lambda m, r: len(m.functions.find_all({"name": "resize"}, select=["id"])), 1),
    "find_one of another": (lambda m, r: m.functions.find_one({"user_id": r["grace"].id}), None),
    "find_by_id": (lambda m, r: m.functions.find_by_id(r["ada's crop"].id).name, "crop"),
    "find_by_id of another": (lambda m, r: m.functions.find_by_id(r["grace's crop"].id), None),
    "find_by_id of another with select": (
        lambda m, r: m.functions.find_by_id(r["grace's crop"].id, select=["id"]),
        None,
    ),
    "find_by_uuid of another": (lambda m, r: m.functions.find_by_uuid(r["grace's crop"].uuid), None),
    "count": (lambda m, r: m.functions.count(), 2),
    "count through a reference": (lambda m, r: m.function_logs.count({"level": "info"}), 6),
    "exists": (lambda m, r: m.functions.exists({"user_id": r["grace"].id}), False),
    "paginate": (lambda m, r: (m.functions.paginate(1, 1).total, len(m.functions.paginate(2, 1).items)), (2, 1)),
    "paginate_after": (lambda m, r: names(pages(m.functions)), ["crop", "resize"]),
    "iterate": (lambda m, r: names(list(m.functions.iterate())), ["crop", "resize"]),
    "include of many": (
        lambda m, r: [len(function.logs) for function in m.functions.find_all(include=("logs",))],
        [3, 3],
    ),
    "include of many, limited": (
        lambda m, r: [len(f.logs) for f in m.functions.find_all(include={"logs": {"limit": 2, "order_by": "id"}})],
        [2, 2],
    ),
    "include of one": (
        lambda m, r: {f.user.email for f in m.functions.find_all(include=("user",))},
        {"ada@example.com"},
    ),
    "include while streaming": (lambda m, r: [len(f.logs) for f in m.functions.iterate(include=("logs",))], [3, 3]),
    "has_many": (lambda m, r: m.users.has_many("functions", "user_id", r["grace"].id), []),
    "belongs_to": (lambda m, r: m.functions.belongs_to("users", "user_id", r["grace"].id), None),
    "get_user by domain operation": (lambda m, r: m.function_logs.tail(r["grace's crop"]), []),
}


def pages(manager: Manager[Any]) -> list[Any]:
    items, cursor = [], None
    while True:
        page = manager.paginate_after(cursor, 1, order_by="name")
        items += page.items
        cursor = page.next_cursor
        if cursor is None:
            return items


@pytest.mark.parametrize("name", READS)
def test_what_is_read_is_in_the_scope(mine: Managers, rows: dict[str, Any], name: str) -> None:
    read, expected = READS[name]
    assert read(mine, rows) == expected


WRITES: dict[str, Callable[[Managers, dict[str, Any]], Any]] = {
    "update": lambda m, r: m.functions.update({"status": "x"}, {"name": "crop"}),
    "update of all": lambda m, r: m.functions.update({"status": "x"}, ALL_ROWS),
    "update by an expression": lambda m, r: m.functions.update({"status": "x"}, Function.name == "crop"),
    "update_by_id": lambda m, r: m.functions.update_by_id(r["grace's crop"].id, {"status": "x"}),
    "delete": lambda m, r: m.functions.delete({"name": "crop"}),
    "delete of all": lambda m, r: m.functions.delete(ALL_ROWS),
    "delete_by_id": lambda m, r: m.functions.delete_by_id(r["grace's crop"].id),
    "delete through a reference": lambda m, r: m.function_logs.delete({"level": "info"}),
    "claim": lambda m, r: m.functions.claim({"status": "active"}, {"status": "x"}, limit=10),
}


@pytest.mark.parametrize("name", WRITES)
def test_what_is_written_is_in_the_scope(managers: Managers, mine: Managers, rows: dict[str, Any], name: str) -> None:
    def others() -> list[Any]:
        hers = {"user_id": rows["grace"].id}
        logs = {"function_id": [rows["grace's crop"].id, rows["grace's resize"].id]}
        return [
            [row.to_dict() for row in manager.find_all(where, order_by="id")]
            for manager, where in ((managers.functions, hers), (managers.function_logs, logs))
        ]

    before = others()
    WRITES[name](mine, rows)
    assert others() == before


def test_an_insert_takes_the_values_of_the_scope(mine: Managers, rows: dict[str, Any]) -> None:
    assert mine.functions.insert({"name": "rotate"}).user_id == rows["ada"].id
    assert mine.functions.insert({"name": "blur", "user": rows["ada"]}).user_id == rows["ada"].id
    written = mine.functions.batch_insert([{"name": "a"}, {"name": "b"}], returning=True)
    assert {function.user_id for function in written} == {rows["ada"].id}
    assert mine.functions.find_or_insert({"name": "rotate", "user_id": rows["ada"].id}, ["user_id", "name"])[1] is False
    assert mine.functions.upsert({"name": "rotate", "status": "x"}, ["user_id", "name"]).status == "x"


REFUSED: dict[str, Callable[[Managers, dict[str, Any]], Any]] = {
    "insert for another": lambda m, r: m.functions.insert({"name": "x", "user_id": r["grace"].id}),
    "batch for another": lambda m, r: m.functions.batch_insert([{"name": "x", "user": r["grace"]}]),
    "upsert for another": lambda m, r: m.functions.upsert({"name": "x", "user_id": r["grace"].id}, ["user_id", "name"]),
    "update to another": lambda m, r: m.functions.update({"user_id": r["grace"].id}, {"name": "crop"}),
    "update_by_id to another": lambda m, r: m.functions.update_by_id(r["ada's crop"].id, {"user_id": r["grace"].id}),
    "claim for another": lambda m, r: m.functions.claim({"name": "crop"}, {"user_id": r["grace"].id}),
    "insert where nothing tells whose it is": lambda m, r: m.function_logs.insert(
        {"function_id": r["ada's crop"].id, "level": "info", "message": "…"}
    ),
    "raw": lambda m, r: m.functions.raw("SELECT id FROM functions"),
    "query": lambda m, r: m.functions.query(),
    "join_query": lambda m, r: m.functions.join_query("users", "functions.user_id = users.id"),
    "a table that is not named": lambda m, r: m.organizations.count(),
    "include of a table that is not named": lambda m, r: m.functions.find_all(include=("deployments",)),
    "has_many of a table that is not named": lambda m, r: m.functions.has_many(
        "function_deployments", "function_id", r["ada's crop"].id
    ),
    "a batch that may meet others' rows": lambda m, r: m.functions.batch_insert(
        [{"name": "x"}], on_conflict="update", conflict_columns=["user_id", "name"]
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_it_cannot_hold_is_refused_before_anything_is_sent(
    mine: Managers, rows: dict[str, Any], statements: list[Any], name: str
) -> None:
    with pytest.raises(UnguardedError, match="the rows of ada"):
        REFUSED[name](mine, rows)
    assert [sql for sql, _ in statements if not sql.startswith("SELECT")] == []


def test_an_upsert_never_updates_a_row_of_others(managers: Managers, rows: dict[str, Any]) -> None:
    own = Manager(User, managers.database, scope=Scope({User: {"password_hash": "hers"}}))
    with pytest.raises(UniqueViolationError, match="does not belong to the scope"):
        own.upsert({"email": "grace@example.com"}, ["email"])
    assert managers.users.find_by_uuid(rows["grace"].uuid).password_hash == "…"  # type: ignore[union-attr]


def test_the_condition_is_part_of_the_statement(mine: Managers, rows: dict[str, Any], statements: Any) -> None:
    mine.functions.count({"name": "crop"})
    mine.functions.update_by_id(rows["ada's crop"].id, {"status": "x", "updated_at": rows["ada"].created_at})
    [(count, values), (update, changed)] = statements
    mark = "?" if "?" in count else "%s"
    assert count == f"SELECT COUNT(*) AS count FROM functions WHERE name = {mark} AND user_id = {mark}"
    assert tuple(values) == ("crop", rows["ada"].id)
    assert f"WHERE id = {mark} AND user_id = {mark} RETURNING" in update
    assert tuple(changed)[-2:] == (rows["ada's crop"].id, rows["ada"].id)


def test_statements_of_plain_managers_are_left_alone(managers: Managers, mine: Managers, rows: dict[str, Any]) -> None:
    assert mine.functions.count() == 2
    assert managers.functions.count() == 4
    assert mine.functions.find_by_id(rows["grace's crop"].id) is None
    assert managers.functions.find_by_id(rows["grace's crop"].id) is not None
    assert mine.functions.find_by_id(rows["grace's crop"].id) is None


def test_a_scope_may_name_several_values_of_which_none_is_given_up(managers: Managers, rows: dict[str, Any]) -> None:
    both = Manager(Function, managers.database, scope=Scope({Function: {"status": ["active", "building"]}}))
    assert both.count() == 4
    assert both.update({"name": "renamed"}, {"id": rows["ada's crop"].id})[0].name == "renamed"
    for write in (lambda: both.update({"status": "active"}, ALL_ROWS), lambda: both.insert({"name": "x"})):
        with pytest.raises(UnguardedError):
            write()


def test_all_rows_of_a_table(managers: Managers, rows: dict[str, Any]) -> None:
    everything = Manager(Function, managers.database, scope=Scope({Function: ALL_ROWS}))
    assert everything.count() == 4
    assert everything.insert({"user_id": rows["ada"].id, "name": "x"}).id


def test_one_value_is_meant_where_one_row_is(managers: Managers, rows: dict[str, Any]) -> None:
    ids = [rows["ada's crop"].id, rows["grace's crop"].id]
    for call in (
        lambda: managers.functions.delete_by_id(ids),
        lambda: managers.functions.delete_by_id(operators.gt(0)),
        lambda: managers.functions.find_by_id(ids, select=["id"]),
        lambda: managers.functions.update_by_id(ids, {"status": "x"}),
        lambda: managers.users.has_many("functions", "user_id", ids),
        lambda: managers.functions.belongs_to("users", "user_id", [rows["ada"].id]),
    ):
        with pytest.raises(InvalidValueError):
            call()
    assert managers.functions.count() == 4
