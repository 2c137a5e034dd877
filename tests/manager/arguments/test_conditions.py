"""``all_of``, ``any_of`` and ``none_of``: their SQL, and their rows in every operation that takes ``where``."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from cloudpub_models import ALL_ROWS, Function, Managers, all_of, any_of, none_of, operators
from cloudpub_models.errors import InvalidQueryError, UnboundedWriteError, UnknownColumnError
from cloudpub_models.manager.arguments.conditions import Where


@pytest.fixture
def functions(managers: Managers) -> Any:
    """Functions a to d, of which b has failed, and c and d have an active deployment."""
    user = managers.users.insert({"email": "ada@example.com", "password_hash": "x"})
    for name in "abcd":
        function = managers.functions.insert({"user_id": user.id, "name": name, "status": "failed" * (name == "b")})
        deployment = managers.function_deployments.insert(
            {"function_id": function.id, "version": function.id, "image_tag": "x", "s3_key": "y"}
        )
        if name in "cd":
            managers.functions.update_by_id(function.id, {"active_deployment_id": deployment.id})
    return managers.functions


A_OR_B = any_of({"name": "a"}, {"status": "failed"})
CASES: dict[str, tuple[Where, str, tuple[Any, ...], str]] = {
    "any": (A_OR_B, "(name = ? OR status = ?)", ("a", "failed"), "ab"),
    "any, of several columns": (
        any_of({"name": "a", "id": 1}, {"name": "c", "id": 1}),
        "((name = ? AND id = ?) OR (name = ? AND id = ?))",
        ("a", 1, "c", 1),
        "a",
    ),
    "any, of an expression": (
        any_of({"name": "a"}, Function.id > 3),
        '(name = ? OR (("functions"."id" > ?)))',
        ("a", 3),
        "ad",
    ),
    "any, in all": (all_of(A_OR_B, {"id": operators.lt(2)}), "(name = ? OR status = ?) AND id < ?", None, "a"),
    "all, in any": (
        any_of({"name": "d"}, all_of({"id": operators.gt(1)}, {"id": operators.lt(3)})),
        "(name = ? OR (id > ? AND id < ?))",
        ("d", 1, 3),
        "bd",
    ),
    "none": (none_of({"name": "a"}), "(name = ?) IS NOT TRUE", ("a",), "bcd"),
    "none, of a NULL": (
        none_of({"active_deployment_id": 3}),
        "(active_deployment_id = ?) IS NOT TRUE",
        (3,),
        "abd",
    ),
    "none, of several": (
        none_of({"name": "a", "id": 1}, {"name": "b"}),
        "(name = ? AND id = ?) IS NOT TRUE AND (name = ?) IS NOT TRUE",
        ("a", 1, "b"),
        "cd",
    ),
    "none, of any": (none_of(A_OR_B), "(name = ? OR status = ?) IS NOT TRUE", None, "cd"),
    "none, of none": (none_of(none_of({"name": "a"})), "((name = ?) IS NOT TRUE) IS NOT TRUE", ("a",), "a"),
    "any, of nothing": (any_of(), "FALSE", (), ""),
    "none, of everything": (none_of({}), "FALSE", (), ""),
    "any, of nothing, in any": (any_of(any_of(), {"name": "a"}), "(FALSE OR name = ?)", ("a",), "a"),
    "lists and operators": (
        any_of({"name": ["a", "x"]}, {"id": operators.between(2, 3)}),
        None,  # type: ignore[dict-item]
        None,  # type: ignore[dict-item]
        "abc",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_sql_and_rows(functions: Any, statements: Any, backend: str, name: str) -> None:
    where, sql, parameters, expected = CASES[name]
    assert functions.count(where) == len(expected)
    (sent,) = statements
    if sql is not None:
        mark = "?" if backend == "sqlite" else "%s"
        assert sent[0] == f"SELECT COUNT(*) AS count FROM functions WHERE {sql.replace('?', mark)}"
    if parameters is not None:
        assert tuple(sent[1]) == parameters
    assert [function.name for function in functions.find_all(where, order_by="id")] == list(expected)


EVERYTHING: dict[str, Where] = {
    "all of nothing": all_of(),
    "none of nothing": none_of(),
    "any with everything": any_of({"name": "a"}, {}),
    "any with None": any_of(None, {"name": "a"}),
    "any with ALL_ROWS": any_of(ALL_ROWS, {"name": "a"}),
    "all of everything": all_of({}, None, ALL_ROWS, none_of()),
}


@pytest.mark.parametrize("name", EVERYTHING)
def test_what_holds_for_every_row_is_no_condition(functions: Any, statements: Any, name: str) -> None:
    assert functions.count(EVERYTHING[name]) == 4
    assert statements == [("SELECT COUNT(*) AS count FROM functions", ())]
    for write in (functions.delete, lambda where: functions.update({"status": "x"}, where)):
        with pytest.raises(UnboundedWriteError):
            write(EVERYTHING[name])


def names(rows: Any) -> str:
    return "".join(sorted(function.name for function in rows))


OPERATIONS: dict[str, Callable[[Any], str]] = {
    "find_all": lambda m: names(m.find_all(A_OR_B, limit=9, offset=0)),
    "find_one": lambda m: names([m.find_one(all_of(A_OR_B, {"id": 1})), m.find_one(all_of(A_OR_B, {"id": 2}))]),
    "exists": lambda m: "ab" if m.exists(A_OR_B) and not m.exists(all_of(A_OR_B, {"name": "c"})) else "",
    "paginate": lambda m: names(m.paginate(1, 1, A_OR_B).items + m.paginate(2, 1, A_OR_B).items),
    "paginate_after": lambda m: names(
        (first := m.paginate_after(None, 1, A_OR_B)).items + m.paginate_after(first.next_cursor, 9, A_OR_B).items
    ),
    "iterate": lambda m: names(m.iterate(A_OR_B)),
    "update": lambda m: names(m.update({"status": "x"}, A_OR_B)),
    "claim": lambda m: names(m.claim(A_OR_B, {"status": "x"}, limit=9)),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_takes_them(functions: Any, name: str) -> None:
    assert OPERATIONS[name](functions) == "ab"


def test_delete_takes_them(functions: Any) -> None:
    assert functions.delete(A_OR_B) == 2
    assert names(functions.find_all()) == "cd"


def test_they_are_rendered_once_for_each_shape(functions: Any) -> None:
    statements = functions._statements.present
    functions.count(any_of({"name": "a"}, {"id": 1}))
    before = len(statements.counts)
    functions.count(any_of({"name": "b"}, {"id": 2}))
    assert len(statements.counts) == before


def nested(depth: int) -> Where:
    where: Where = {"name": "a"}
    for level in range(depth):
        where = (any_of, none_of, all_of)[level % 3](where, {"id": level})
    return where


def test_the_deepest_is_sent_and_a_deeper_one_refused(functions: Any) -> None:
    functions.count(nested(8))
    for depth in (9, 5000):
        with pytest.raises(InvalidQueryError, match="at most 8 deep"):
            functions.count(nested(depth))


def test_a_copy_means_the_same(functions: Any) -> None:
    missing = {"analysis_result": operators.at("a", operators.MISSING), "user.email": "ada@example.com"}
    where = any_of({"name": "a"}, all_of(missing, {"id": [2, None]}, ALL_ROWS))
    for copied in (pickle.loads(pickle.dumps(where)), copy.deepcopy(where)):
        assert copied == where
        assert names(functions.find_all(copied)) == "ab"


@pytest.mark.parametrize("make", [all_of, any_of, none_of])
def test_what_is_no_condition_is_refused(functions: Any, make: Callable[..., Where]) -> None:
    with pytest.raises(InvalidQueryError, match=r"got list: write any_of\(\*conditions\)"):
        functions.count(make([{"name": "a"}]))
    for wrong in ("name = 1", 5, True, object()):
        with pytest.raises(InvalidQueryError, match="expected where to be"):
            functions.count(make(wrong))
    with pytest.raises(UnknownColumnError, match="did you mean 'name'"):
        functions.count(make({"nmae": "a"}))
