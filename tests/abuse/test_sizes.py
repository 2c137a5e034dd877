"""Very many of everything: it works, or there is a typed error, in bounded memory; measured in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import reduce
from operator import and_, or_
from typing import Any

import peewee
import pytest

from cloudpub_models import Function, FunctionLog, Managers, operators
from cloudpub_models.errors import InvalidQueryError

# More than fit into a message of PostgreSQL's protocol, and deeper than the interpreter lets functions call each other.
MANY, TERMS = 66_000, 1_200


@pytest.fixture
def some_functions(managers: Managers) -> list[Function]:
    user = managers.users.insert({"email": "ada@example.com", "password_hash": "x"})
    managers.functions.batch_insert({"user_id": user.id, "name": f"f{number}"} for number in range(20))
    return managers.functions.find_all(order_by="id")


def test_membership_of_many_values(
    managers: Managers, some_functions: list[Function], statements: Any, scale: Callable[[int, int], int]
) -> None:
    many = scale(MANY, 200_000)
    keys = [function.id for function in some_functions[::2]] + list(range(10**6, 10**6 + many))
    names = [function.name for function in some_functions[1::2]] + [f"no such, '{number}\\" for number in range(many)]
    functions = managers.functions
    statements.clear()
    assert len(functions.find_all({"id": keys})) == 10
    assert functions.count({"name": names}) == 10
    assert functions.count({"name": operators.not_in(names)}) == 10
    assert len(functions.execute_query(functions.query().where_in("id", keys))) == 10
    raw = "SELECT id FROM functions WHERE id IN @keys AND name IN @names"
    assert functions.raw(raw, {"keys": tuple(keys), "names": tuple(names)}) == []
    # One statement each, and but for raw SQL's own, the same whatever the number of members.
    assert len(statements) == 5
    assert max(map(len, statements.sql[:4])) < 1000


def test_peewee_membership_of_many_values(
    managers: Managers, some_functions: list[Function], statements: Any, scale: Callable[[int, int], int]
) -> None:
    keys = [function.id for function in some_functions[::2]] + list(range(10**6, 10**6 + scale(MANY, 200_000)))
    statements.clear()
    try:
        found = managers.functions.find_all(Function.id.in_(keys))
    except InvalidQueryError:
        assert managers.database.dialect == "sqlite"  # the driver's limit of variables, where it is a low one
    else:
        assert len(found) == 10
        assert len(statements) == 1


def test_thousands_of_conditions_in_the_builder(
    managers: Managers, some_functions: list[Function], scale: Callable[[int, int], int]
) -> None:
    functions, terms = managers.functions, scale(TERMS, 5_000)
    any_of = all_of = mixed = functions.query()
    for number in range(terms):
        any_of = any_of.or_where("name", f"f{number}")
        all_of = all_of.where("name", f"g{number}", "!=")
        mixed = mixed.where("id", -number, "!=").or_where("name", f"f{number}")
    assert len(functions.execute_query(any_of)) == 20
    assert len(functions.execute_query(all_of)) == 20
    assert len(functions.execute_query(mixed)) == 20
    grouped = functions.query()
    for number in range(0, terms, 10):
        grouped = grouped.where_group(lambda group, number=number: group.where("id", -number, "!=").or_where("id", 0))
    assert len(functions.execute_query(grouped)) == 20


def test_groups_deeper_than_allowed_are_a_typed_error(managers: Managers) -> None:
    def deeper(group: Any, depth: int = 0) -> Any:
        return group.where("id", 1) if depth > 2000 else group.where_group(lambda inner: deeper(inner, depth + 1))

    with pytest.raises(InvalidQueryError, match="nested at most 50 deep"):
        deeper(managers.functions.query())


def test_peewee_expressions_of_many_terms(
    managers: Managers, some_functions: list[Function], scale: Callable[[int, int], int]
) -> None:
    functions, terms = managers.functions, scale(TERMS, 5_000)
    any_of = reduce(or_, [Function.name == f"f{number}" for number in range(terms)])
    all_of = reduce(and_, [Function.name != f"g{number}" for number in range(terms)])
    pairs = reduce(or_, [(Function.name == f"f{number}") & (Function.id > 0) for number in range(terms)])
    from_the_right = reduce(
        lambda chain, term: term | chain, [Function.name == f"f{number}" for number in range(terms)]
    )
    for expression in (any_of, all_of, pairs, from_the_right):
        assert len(functions.find_all(expression)) == 20
    assert functions.count(any_of & (Function.name == "f3")) == 1
    assert len(functions.update({"status": "x"}, pairs)) == 20
    assert functions.delete(any_of & (Function.name == "f3")) == 1


def test_the_values_of_a_long_expression_stay_in_order(managers: Managers, some_functions: list[Function]) -> None:
    never = reduce(or_, [(Function.id == -number) & (Function.name == f"f{number}") for number in range(2_000)])
    only = (Function.id == some_functions[7].id) & (Function.name == some_functions[7].name)
    assert managers.functions.find_all(never | only) == [some_functions[7]]
    assert managers.functions.find_all(only | never) == [some_functions[7]]


@pytest.mark.parametrize("nest", ["not", "alternating", "calls"])
def test_expressions_that_cannot_be_taken_apart_are_a_typed_error(managers: Managers, nest: str) -> None:
    expression: Any = Function.id == 1
    for number in range(TERMS):
        if nest == "not":
            expression = ~(expression | (Function.id == number))
        elif nest == "alternating":
            expression = (expression | (Function.id == number)) & (Function.id != number)
        else:
            expression = peewee.fn.ABS(expression)
    with pytest.raises(InvalidQueryError, match="nested deeper"):
        managers.functions.find_all(expression)


def test_statements_that_are_kept_take_bounded_memory(managers: Managers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloudpub_models.sql.remembering._MOST_CHARACTERS_KEPT", 50_000)
    statements = managers.function_logs._statements.present
    kept = []
    for number in range(100):
        managers.function_logs.find_all(FunctionLog.message.in_([str(member) for member in range(300 + number)]))
        kept.append(sum(len(select.sql) for select in statements._selects.values()))
    assert 10_000 < max(kept) < 60_000


def test_paths_of_relations_are_bounded(managers: Managers) -> None:
    with pytest.raises(InvalidQueryError, match="at most 20 deep"):
        managers.users.find_all(include=[".".join(["functions", "user"] * 5_000)])


_BATCH = """
import json, pathlib, sys
from cloudpub_models import Database, Managers

url, number, way = sys.argv[1], int(sys.argv[2]), sys.argv[3]
database = Database(url)
if database.dialect == "sqlite":
    database.migrate()
managers = Managers(database)
user = managers.users.insert({"email": "ada@example.com", "password_hash": "x"})
function = managers.functions.insert({"user_id": user.id, "name": "f"})

def rows(count):
    for line in range(count):
        yield {"function_id": function.id, "level": "info", "message": f"line {line} " + "x" * 80}

def peak():
    # Not getrusage(), which counts from what the process was forked from.
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])

options = {"on_conflict": "ignore"} if way == "conflict" else {}
managers.function_logs.batch_insert(rows(20_000), **options)
seen = []
before = peak()
written = managers.function_logs.batch_insert(rows(number), progress=seen.append, **options)
assert written == number == seen[-1], (written, seen[-1])
streamed = sum(1 for _ in managers.function_logs.iterate())
after = peak()
database.close()
print(json.dumps({"streamed": streamed, "grown_kilobytes": after - before}))
"""


def batch(url: str, number: int, way: str) -> dict[str, int]:
    command = [sys.executable, "-c", _BATCH, url, str(number), way]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900, env=dict(os.environ))
    assert done.returncode == 0, done.stderr[-2000:]
    report: dict[str, int] = json.loads(done.stdout)
    return report


def assert_batch_is_bounded(backend: str, request: pytest.FixtureRequest, tmp_path: Any, number: int, way: str) -> None:
    url = f"sqlite:///{tmp_path}/logs.db" if backend == "sqlite" else request.getfixturevalue("postgresql_url")
    report = batch(url, number, way)
    assert report["streamed"] == number + 20_000
    # All the rows together would take hundreds of bytes each.
    assert report["grown_kilobytes"] < 5_000, report


def test_a_batch_of_50_000_rows_from_a_generator(backend: str, request: pytest.FixtureRequest, tmp_path: Any) -> None:
    assert_batch_is_bounded(backend, request, tmp_path, 50_000, "plain")


@pytest.mark.soak
@pytest.mark.parametrize("way", ["plain", "conflict"])
def test_a_batch_of_1_000_000_rows_from_a_generator(
    backend: str, request: pytest.FixtureRequest, tmp_path: Any, way: str
) -> None:
    assert_batch_is_bounded(backend, request, tmp_path, 1_000_000, way)
