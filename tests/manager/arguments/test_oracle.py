"""Random conditions against plain Python over the same rows: on each database the same rows, in the same order."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

import pytest

from cloudpub_models import ALL_ROWS, Database, Function, Managers, all_of, any_of, none_of, operators
from cloudpub_models.manager.arguments.conditions import Combined
from cloudpub_models.sql.operators import MISSING, At, Operator

# What it runs is covered by other tests, and takes twice as long when coverage is measured.
pytestmark = pytest.mark.no_cover


Rows = dict[str, list[dict[str, Any]]]

# Relations as Python sees them: where each leads to, the columns that are equal, and whether there may be many.
RELATIONS: dict[str, dict[str, tuple[str, str, str, bool]]] = {
    "functions": {
        "user": ("users", "user_id", "id", False),
        "active_deployment": ("function_deployments", "active_deployment_id", "id", False),
        "deployments": ("function_deployments", "id", "function_id", True),
        "invocations": ("function_invocations", "id", "function_id", True),
    },
    "users": {
        "functions": ("functions", "id", "user_id", True),
        "information": ("user_information", "uuid", "user_id", False),
        "organization": ("organization_members", "uuid", "user_id", False),
    },
    "function_deployments": {"function": ("functions", "function_id", "id", False)},
    "function_invocations": {"function": ("functions", "function_id", "id", False)},
    "user_information": {"user": ("users", "user_id", "uuid", False)},
    "organizations": {
        "members": ("organization_members", "uuid", "organization_id", True),
        "owner": ("users", "owner_id", "uuid", False),
    },
}
# What a table in between leads on to.
BEYOND = {
    "organization": ("organizations", "organization_id", "uuid"),
    "members": ("users", "user_id", "uuid"),
}
TEXTS = ["", "a", "ab", "A", "dart", "5", "true", "null", "é", "É", "🙂", 'q"q', "b\\b", "%", "a_b", "ab"]
NUMBERS = [0, 1, 5, 5.0, -3, 0.5, 2.5, 10**6, 2**53 + 1, -0.25]
COLUMNS: dict[str, dict[str, list[Any]]] = {
    "functions": {
        "id": [1, 3, 5, 99],
        "name": TEXTS,
        "status": ["active", "failed"],
        "active_deployment_id": [1, 2, 7],
    },
    "users": {"id": [1, 2], "email": ["u1@x.y", "u2@x.y", "u9@x.y"]},
    "function_deployments": {
        "version": [1, 2, 3],
        "status": ["failed", "active"],
        "build_logs": TEXTS,
        "is_active": [True, False],
    },
    "function_invocations": {"duration_ms": [0, 1, 5, 9], "error": TEXTS, "status": ["ok", "error"]},
    "user_information": {"phone_number": ["1", "2"], "first_name": TEXTS},
    "organizations": {"name": ["acme", "solo"], "id": [1, 2]},
}
KEYS = ["a", "b", "é", "x.y", "0", "tags", "🙂", "$", "[0]", "a b", "'", "%s", "?", "@p", ":q", "--"]


class Oracle:
    """Makes random rows and conditions, and says in Python what they find."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.rows: Rows = {}

    def one(self, choices: Any) -> Any:
        return self.random.choice(list(choices))

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    # -- rows

    def fill(self, managers: Managers) -> None:
        users = [managers.users.insert({"email": f"u{n}@x.y", "password_hash": "x"}) for n in (1, 2, 3)]
        for user, phone in zip(users, ("1", None), strict=False):
            row = {"user_id": user.uuid, "first_name": self.one(TEXTS), "last_name": "", "role": "team"}
            managers.user_information.insert(row | {"phone_number": phone})
        for name, owner, members in (("acme", users[0], users[:2]), ("solo", users[2], [])):
            organization = managers.organizations.insert({"name": name, "owner_id": owner.uuid})
            for member in members:
                managers.organization_members.insert({"organization_id": organization.uuid, "user_id": member.uuid})
        for number in range(16):
            row = {"user_id": self.one(users[:2]).id, "name": TEXTS[number], "status": self.one(["active", "failed"])}
            if number == len(TEXTS) - 1:
                row["user_id"] = users[2].id
            document = None if self.chance(0.2) else self.document(4)
            function = managers.functions.insert(row | {"analysis_result": document})
            deployments = []
            for version in range(1, self.random.randint(1, 4)):
                row = {"function_id": function.id, "version": version, "image_tag": "x", "s3_key": "y"}
                row |= {"status": self.one(["failed", "active"]), "is_active": self.chance(0.5)}
                row |= {"build_logs": None if self.chance(0.4) else self.one(TEXTS)}
                deployments.append(managers.function_deployments.insert(row))
            if deployments and self.chance(0.6):
                managers.functions.update_by_id(function.id, {"active_deployment_id": self.one(deployments).id})
            for _ in range(self.random.randint(0, 3)):
                row = {"function_id": function.id, "status": self.one(["ok", "error"])}
                row |= {"duration_ms": None if self.chance(0.4) else self.one([0, 1, 5, 9])}
                managers.function_invocations.insert(row | {"error": None if self.chance(0.5) else self.one(TEXTS)})
        for table in (*COLUMNS, "organization_members"):
            self.rows[table] = [dict(row.__data__) for row in getattr(managers, table).find_all(order_by="id")]
            for row in self.rows[table]:
                for key in ("user", "function", "organization", "owner", "active_deployment"):
                    if key in row:
                        row[f"{key}_id"] = row.pop(key)

    def document(self, depth: int) -> Any:
        if depth and self.chance(0.75):
            if self.chance(0.35):
                return [self.document(depth - 1) for _ in range(self.random.randint(0, 3))]
            return {self.one(KEYS): self.document(depth - 1) for _ in range(self.random.randint(0, 4))}
        return self.one([*TEXTS, *NUMBERS, True, False, None, None]) if depth < 4 else {"a": self.one(NUMBERS)}

    # -- conditions

    def where(self, table: str, depth: int) -> Any:
        if depth and self.chance(0.5):
            parts = [self.where(table, depth - 1) for _ in range(self.random.randint(0, 3))]
            return self.one([all_of, any_of, none_of])(*parts)
        if table == "functions" and self.chance(0.1):
            return self.one([None, ALL_ROWS, {}, *[Function.id > number for number in (2, 9)]])
        return dict([self.pair(table, 2) for _ in range(self.random.randint(1, 3))])

    def pair(self, table: str, steps: int) -> tuple[str, Any]:
        if steps and table in RELATIONS and self.chance(0.45):
            name = self.one(RELATIONS[table])
            related = BEYOND[name][0] if name in BEYOND else RELATIONS[table][name][0]
            key, value = self.pair(related, steps - 1)
            return f"{name}.{key}", value
        if table == "functions" and self.chance(0.4):
            return "analysis_result", self.inside()
        name = self.one(COLUMNS[table])
        return name, self.value(COLUMNS[table][name])

    def value(self, choices: list[Any]) -> Any:
        several = [self.one([*choices, *choices, None]) for _ in range(self.random.randint(0, 3))]
        single = self.one(choices)
        made: list[Any] = [
            single,
            None,
            several,
            operators.ne(single),
            operators.not_in(several),
            operators.in_(several),
        ]
        made += [operators.is_null(), operators.is_not_null(), operators.ne(several)]
        if isinstance(single, str):
            made += [operators.like(self.pattern()), operators.not_like(self.pattern()), operators.ilike("A%")]
        elif not isinstance(single, bool):
            low, high = self.one(choices), self.one(choices)
            made += [operators.gt(single), operators.ge(single), operators.lt(single), operators.le(single)]
            made += [operators.between(low, high)]
        return self.one(made)

    def pattern(self) -> str:
        return self.one(["%", "a%", "%b", "_", "a\\_b", "%é%", "", "5"])

    def inside(self) -> Any:
        path: Any = [self.one([*KEYS, "a", "a", "b", 0, 1, -1]) for _ in range(self.random.randint(1, 3))]
        documents = [row["analysis_result"] for row in self.rows["functions"] if row["analysis_result"] is not None]
        if documents and self.chance(0.8):
            path = self.path_into(self.one(documents)) or path
        if (
            all(isinstance(step, int) or ("." not in step and not step.isdecimal()) for step in path)
            and min([step for step in path if isinstance(step, int)], default=0) >= 0
        ):
            path = self.one([path, ".".join(map(str, path))])
        choices: list[Any] = self.one([TEXTS, NUMBERS])
        if self.chance(0.2):
            mixed = [self.one([*TEXTS, *NUMBERS, True, False, None]) for _ in range(self.random.randint(0, 4))]
            return operators.at(path, self.one([mixed, operators.not_in(mixed), True, False, operators.ne(True)]))
        if self.chance(0.15):
            return operators.at(path, MISSING)
        if choices is TEXTS and self.chance(0.3):
            return operators.at(
                path, self.one([operators.gt, operators.ge, operators.lt, operators.le])(self.one(TEXTS))
            )
        return operators.at(path, self.value(choices))

    def path_into(self, document: Any) -> list[Any]:
        path: list[Any] = []
        while document and isinstance(document, dict | list) and not (path and self.chance(0.2)):
            step = self.one(document) if isinstance(document, dict) else self.one([0, len(document) - 1, -1])
            path.append(step)
            document = document[step]
        return path

    # -- what they find

    def found(self, where: Any, table: str) -> list[dict[str, Any]]:
        return [row for row in self.rows[table] if self.meets(row, where, table)]

    def meets(self, row: dict[str, Any], where: Any, table: str) -> bool:
        if where is None or where is ALL_ROWS:
            return True
        if isinstance(where, Combined):
            met = [self.meets(row, part, table) for part in where.conditions]
            return all(met) if where.how == "all" else any(met) if where.how == "any" else not any(met)
        if not isinstance(where, dict):
            return bool(row["id"] > where.rhs)
        return self.meets_keys(row, table, [(key.split("."), value) for key, value in where.items()])

    def meets_keys(self, row: dict[str, Any] | None, table: str, keys: list[tuple[list[str], Any]]) -> bool:
        by_relation: dict[str, list[tuple[list[str], Any]]] = {}
        for path, value in keys:
            if len(path) > 1:
                by_relation.setdefault(path[0], []).append((path[1:], value))
            elif not compares(None if row is None else row[path[0]], value):
                return False
        return all(self.meets_relation(row, table, name, below) for name, below in by_relation.items())

    def meets_relation(
        self, row: dict[str, Any] | None, table: str, name: str, keys: list[tuple[list[str], Any]]
    ) -> bool:
        related, column, key, many = RELATIONS[table][name]
        others = [] if row is None or row[column] is None else [o for o in self.rows[related] if o[key] == row[column]]
        if name in BEYOND:
            related, column, key = BEYOND[name]
            ends = [next(end for end in self.rows[related] if end[key] == other[column]) for other in others]
        else:
            ends = others
        if not many:
            return self.meets_keys(ends[0] if ends else None, related, keys)
        return any(self.meets_keys(end, related, keys) for end in ends)


NOTHING = object()
ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def kind(value: Any) -> type:
    return bool if isinstance(value, bool) else float if isinstance(value, int | float) else type(value)


def same(value: Any, other: Any) -> bool:
    return kind(value) is kind(other) and value == other


def compares(value: Any, wanted: Any) -> bool:
    """Whether a column's value, None for NULL, is as a dict wants it."""
    if isinstance(wanted, At):
        for step in wanted.path:
            try:
                is_one = isinstance(value, dict) if isinstance(step, str) else isinstance(value, list)
                value = value[step] if is_one else NOTHING
            except (KeyError, IndexError):
                value = NOTHING
        if wanted.values[0] is MISSING:
            return value is NOTHING
        value, wanted = None if value is NOTHING else value, wanted.values[0]
    operator = wanted if isinstance(wanted, Operator) else operators.eq(wanted)
    name, operands = operator.name, operator.values
    if name in ("IS NULL", "IS NOT NULL"):
        return (value is None) is (name == "IS NULL")
    if name == "IN OR NULL" and value is None:
        return True
    if name == "NOT IN" and not operands[0]:
        return True
    if value is None:
        return False
    if name in ("=", "!="):
        return same(value, operands[0]) is (name == "=")
    if name.removeprefix("NOT ") in ("IN", "IN OR NULL"):
        return any(same(value, member) for member in operands[0]) is not name.startswith("NOT")
    if kind(value) is not kind(operands[0]):
        return False
    if name == "BETWEEN":
        return bool(operands[0] <= value <= operands[1])
    if name in ORDERS:
        return ORDERS[name](value, operands[0])
    text = re.sub(
        r"\\(.)|(%)|(_)|(.)", lambda m: ".*" if m[2] else "." if m[3] else re.escape(m[1] or m[4]), operands[0]
    )
    flags = re.DOTALL | (re.IGNORECASE if name == "ILIKE" else 0)
    return (re.fullmatch(text, value, flags) is not None) is (name != "NOT LIKE")


def test_random_conditions_find_what_python_finds(
    managers: Managers, seed: int, scale: Callable[[int, int], int]
) -> None:
    queries = scale(800, 5_000)
    oracle = Oracle(seed)
    some = 0
    with managers.database.session():
        oracle.fill(managers)
        for number in range(queries):
            table = oracle.one(
                ["functions", "functions", "functions", "users", "organizations", "function_invocations"]
            )
            where = oracle.where(table, 3)
            column, direction = oracle.one(ORDERED[table]), oracle.one(["ASC", "DESC"])
            expected = in_order(oracle.found(where, table), column, direction)
            manager = getattr(managers, table)
            said = f"seed {seed}, query {number}: {table} where {where!r}"
            try:
                rows = manager.find_all(where, select=["id"], order_by=((column, direction), ("id", "ASC")))
            except Exception as error:
                raise AssertionError(said) from error
            assert [row.id for row in rows] == [row["id"] for row in expected], said
            if number % 10 == 0:
                assert manager.count(where) == len(expected), said
            some += 0 < len(expected) < len(oracle.rows[table])
    # Conditions that find all or nothing say little.
    assert some > queries / 4


ORDERED = {
    "functions": ["id", "active_deployment_id", "user_id"],
    "users": ["id"],
    "organizations": ["id"],
    "function_invocations": ["duration_ms", "function_id"],
}


def in_order(rows: list[dict[str, Any]], column: str, direction: str) -> list[dict[str, Any]]:
    """NULLs last in ascending order, first in descending; the id breaks ties."""
    rows = sorted(rows, key=lambda row: (row[column] is None, row[column] or 0), reverse=direction == "DESC")
    ties: dict[Any, list[dict[str, Any]]] = {}
    for row in rows:
        ties.setdefault(row[column], []).append(row)
    return [row for own in ties.values() for row in sorted(own, key=lambda row: row["id"])]


@pytest.mark.parametrize("backend", ["postgresql"])
def test_prepared_statements_find_the_same(
    managers: Managers, database_url: str, seed: int, scale: Callable[[int, int], int]
) -> None:
    oracle = Oracle(seed)
    oracle.fill(managers)
    prepared = Managers(Database(database_url, prepared=True))
    with prepared.database.session():
        for number in range(scale(250, 1_000)):
            where = oracle.where("functions", 1)
            expected = [row["id"] for row in oracle.found(where, "functions")]
            # A statement is prepared when it comes again.
            for _ in range(2):
                rows = prepared.functions.find_all(where, select=["id"], order_by="id")
                assert [row.id for row in rows] == expected, f"seed {seed}, query {number}: {where!r}"
    prepared.database.close()


def test_random_conditions_page_stream_change_and_delete_what_they_find(
    managers: Managers, seed: int, scale: Callable[[int, int], int]
) -> None:
    oracle = Oracle(seed)
    oracle.fill(managers)
    functions = managers.functions
    for number in range(scale(40, 400)):
        where = all_of({"id": operators.gt(0)}, oracle.where("functions", 2))
        expected = [row["id"] for row in oracle.found(where, "functions")]
        said = f"seed {seed}, {number}: {where!r}"
        assert [row.id for row in functions.iterate(where, order_by="id")] == expected, said
        first = functions.paginate_after(None, 3, where)
        rest = functions.paginate_after(first.next_cursor, 99, where).items if first.next_cursor else []
        assert [row.id for row in (*first.items, *rest)] == expected, said
        for write, answer in (
            (lambda where: sorted(row.id for row in functions.update({"status": "x"}, where)), expected),
            (lambda where: [row.id for row in functions.claim(where, {"status": "x"}, limit=99)], expected),
            (functions.delete, len(expected)),
        ):
            with pytest.raises(UndoneError), managers.database.transaction():
                assert write(where) == answer, said
                raise UndoneError


class UndoneError(Exception):
    """Rolls a transaction back."""
