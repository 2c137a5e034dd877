"""The scope of an owner: which rows it has, what is sent for them, what it refuses; beside plain Python.

That no method of any manager leads to another's rows is walked in ``tests/abuse/test_rows_of_others.py``.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import peewee
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudpub_models import (
    ALL_ROWS,
    Component,
    Database,
    Function,
    FunctionDeployment,
    FunctionLog,
    Managers,
    User,
    all_of,
    any_of,
    errors,
    none_of,
    operators,
)
from cloudpub_models.entity import CharField, Entity, ForeignKey
from cloudpub_models.manager.owned import OwnedScope
from cloudpub_models.manager.scope import Scope
from cloudpub_models.models import ALL_MODELS


@pytest.fixture
def rows(managers: Managers) -> SimpleNamespace:
    """Two users with a function, a deployment and a log line each."""
    made = SimpleNamespace()
    for name in ("ada", "grace"):
        user = managers.users.insert({"email": f"{name}@example.com", "password_hash": "…"})
        function = managers.functions.insert({"user_id": user.id, "name": f"work of {name}"})
        deployment = managers.function_deployments.deploy(function, "image", "key")
        log = managers.function_logs.append(function, "info", f"word of {name}")
        setattr(made, name, SimpleNamespace(user=user, function=function, deployment=deployment, log=log))
    return made


@pytest.fixture
def mine(managers: Managers, rows: SimpleNamespace) -> Managers:
    return managers.owned_by(rows.ada.user)


# Which rows


def test_rows_are_told_by_the_references_that_lead_to_the_owner(rows: SimpleNamespace) -> None:
    ada = rows.ada.user
    assert {model.__name__: held for model, held in OwnedScope(ada, ALL_MODELS).rows.items()} == {
        "User": {"id": ada.id},
        "UserInformation": {"user_id": ada.uuid},
        "Organization": {"owner_id": ada.uuid},
        "OrganizationMember": {"user_id": ada.uuid},
        "Function": {"user_id": ada.id},
        "FunctionDeployment": {"function.user_id": ada.id},
        "FunctionLog": {"function.user_id": ada.id},
        "FunctionInvocation": {"function.user_id": ada.id},
    }


def test_the_owner_may_be_any_row_that_references_lead_to(managers: Managers, rows: SimpleNamespace) -> None:
    of_function = managers.owned_by(rows.ada.function)
    assert [log.message for log in of_function.function_logs.find_all()] == ["word of ada"]
    assert of_function.functions.find_all() == [rows.ada.function]
    with pytest.raises(errors.UnguardedError, match="expected a table of the function"):
        of_function.users.count()


@pytest.mark.parametrize("by", ["instance", "uuid", "text", "id"])
def test_a_user_is_given_in_any_way(managers: Managers, rows: SimpleNamespace, by: str) -> None:
    ada = rows.ada.user
    given = {"instance": ada, "uuid": ada.uuid, "text": str(ada.uuid), "id": ada.id}[by]
    assert managers.owned_by(given).functions.find_all() == [rows.ada.function]


BAD_OWNERS: list[tuple[Any, type[Exception], str]] = [
    ("nobody", errors.InvalidValueError, "expected a UUID or its text"),
    (None, errors.InvalidValueError, "got None"),
    ([1], errors.InvalidValueError, "expected one value"),
    (1.5, errors.InvalidValueError, "users.id"),
    (10**6, errors.NotFoundError, "expected an existing user; there is none with the id 1000000"),
    ("00000000-0000-4000-8000-000000000000", errors.NotFoundError, "there is none with the uuid 0000"),
    (User(), errors.InvalidValueError, "expected a saved User"),
]


@pytest.mark.parametrize(("owner", "error", "message"), BAD_OWNERS, ids=[message for _, _, message in BAD_OWNERS])
def test_what_is_no_owner_is_refused(managers: Managers, owner: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        managers.owned_by(owner)


# What is sent


def test_the_condition_is_in_every_statement(mine: Managers, rows: SimpleNamespace, statements: Any) -> None:
    mine.function_logs.find_by_id(0)  # asks whether there are partitions
    statements.clear()
    mine.function_logs.count({"level": "info"})
    mine.function_logs.find_by_id(rows.ada.log.id)
    mine.function_logs.delete({"level": "debug"})
    (count, of_count), (lookup, of_lookup), (delete, of_delete) = statements
    mark = "?" if "?" in count else "%s"
    ada = rows.ada.user.id
    among = (
        f"function_id IN (SELECT functions.id FROM functions WHERE functions.user_id = {mark})"
        if mark == "?"
        else "EXISTS (SELECT 1 FROM functions "
        "WHERE functions.id = function_logs.function_id AND functions.user_id = %s)"
    )
    assert count == f"SELECT COUNT(*) AS count FROM function_logs WHERE level = {mark} AND {among}"
    assert lookup.endswith(
        f"WHERE id = {mark} AND (SELECT functions.user_id FROM functions "
        f"WHERE functions.id = function_logs.function_id) = {mark}"
    )
    assert delete == f"DELETE FROM function_logs WHERE level = {mark} AND {among}"
    assert [list(of_count), list(of_lookup), list(of_delete)] == [
        ["info", ada],
        [rows.ada.log.id, ada],
        ["debug", ada],
    ]


def test_conditions_that_name_one_row_are_held_as_a_lookup_is(
    mine: Managers, rows: SimpleNamespace, statements: Any
) -> None:
    """Which takes PostgreSQL a third of the time for a plan."""
    logs, own, other = mine.function_logs, rows.ada.log, rows.grace.log
    assert [logs.find_one({"level": "info", "id": log.id}) for log in (own, other)] == [own, None]
    assert [logs.count({"uuid": log.uuid}) for log in (own, other)] == [1, 0]
    assert [logs.exists({"id": log.id}) for log in (own, other)] == [True, False]
    assert [len(logs.update({"level": "warn"}, {"id": log.id})) for log in (own, other)] == [1, 0]
    assert [logs.delete({"uuid": log.uuid}) for log in (other, own)] == [0, 1]
    held = "(SELECT functions.user_id FROM functions WHERE functions.id = function_logs.function_id) = "
    assert len(statements) == 10
    assert [sql for sql, _ in statements if held not in sql] == []


def test_a_reference_to_anothers_row_is_refused_before_anything_is_written(
    mine: Managers, rows: SimpleNamespace, statements: Any
) -> None:
    for call in (
        lambda there: mine.function_logs.append(there.function.id, "info", "…"),
        lambda there: mine.function_logs.batch_insert(
            {"function_id": function, "level": "info", "message": "…"}
            for function in (rows.ada.function.id, there.function.id)
        ),
        lambda there: mine.functions.update_by_id(rows.ada.function.id, {"active_deployment_id": there.deployment.id}),
        lambda there: mine.functions.insert({"name": "x", "user_id": there.user.id}),
    ):
        told = []
        for there in (
            rows.grace,
            SimpleNamespace(**dict.fromkeys(("user", "function", "deployment"), Function(id=10**6))),
        ):
            with pytest.raises(errors.NotFoundError) as raised:
                call(there)
            told.append(str(raised.value).rpartition(" the id ")[0])
        assert told[0] == told[1]
    assert all(sql.startswith("SELECT") for sql in statements.sql)


def test_a_chunk_of_rows_is_looked_up_at_once(mine: Managers, rows: SimpleNamespace, statements: Any) -> None:
    lines = [{"function_id": rows.ada.function.id, "level": "info", "message": str(n)} for n in range(10)]
    assert mine.function_logs.batch_insert(lines, chunk_size=5) == 10
    assert len([sql for sql in statements.sql if sql.startswith("SELECT")]) == 2


def test_what_leads_to_own_rows_only_may_order_and_be_told(mine: Managers, rows: SimpleNamespace) -> None:
    logs = mine.function_logs
    assert logs.values(("message", "function.name", "function.user.email"), order_by="function.name") == [
        ("word of ada", "work of ada", "ada@example.com")
    ]
    assert logs.aggregate(group_by="function.name", n=operators.count()) == [{"function.name": "work of ada", "n": 1}]
    with pytest.raises(errors.UnguardedError, match="expected a relation through a table"):
        mine.functions.find_all(order_by="active_deployment.version")


def test_statements_are_made_once_for_all_owners(managers: Managers, rows: SimpleNamespace) -> None:
    mine, hers = managers.owned_by(rows.ada.user), managers.owned_by(rows.grace.user)
    assert mine.functions._statements is hers.functions._statements
    assert mine.functions._statements is not managers.functions._statements
    assert (mine.functions.find_one(), hers.functions.find_one()) == (rows.ada.function, rows.grace.function)


# What is refused


REFUSED: dict[str, Callable[[Managers, SimpleNamespace], Any]] = {
    "a query inside an expression": lambda m, r: m.functions.count(Function.id.in_(Function.select(Function.id))),
    "SQL of one's own": lambda m, r: m.functions.count(peewee.SQL("id IN (TABLE users)")),
    "a parenthesis too many": lambda m, r: m.functions.count(peewee.SQL("1 = 1) OR (1 = 1")),
    "one that a string opens": lambda m, r: m.functions.count(peewee.SQL("'(' = '(') OR (1 = 1")),
    "a comment": lambda m, r: m.functions.count(peewee.SQL("1 = 1 -- ")),
    "a string without an end": lambda m, r: m.functions.count(peewee.SQL("1 = '1")),
    "a name in other quotes": lambda m, r: m.functions.count(peewee.SQL("`'` ) OR 1=1 OR ( `'`")),
    "a function that nobody knows": lambda m, r: m.functions.count(peewee.fn.query_to_xml("SELECT 1") == "x"),
    "an order by a query": lambda m, r: m.functions.find_all(order_by=peewee.SQL("(SELECT COUNT(*) FROM users)")),
    "a change by a query": lambda m, r: m.functions.update({"name": User.select(User.email).limit(1)}, ALL_ROWS),
    "a reference that is worked out": lambda m, r: m.functions.update(
        {"active_deployment_id": Function.active_deployment_id + 1}, ALL_ROWS
    ),
    "an owner that is worked out": lambda m, r: m.functions.update({"user_id": Function.user_id + 1}, ALL_ROWS),
    "a row of nobody": lambda m, r: m.function_logs.insert({"level": "info", "message": "…"}),
    "members of an organization": lambda m, r: m.organizations.get_organization_member_count(r.ada.user.uuid),
    "statistics of a user": lambda m, r: m.function_invocations.get_user_overview(r.ada.user),
    "a relation that is not loaded": lambda m, r: m.functions.find_one().user,
    "relations that are not loaded": lambda m, r: list(m.functions.find_one().logs),
    "a relation of a copy": lambda m, r: copy.deepcopy(m.functions.find_one()).user,
    "a relation of a pickled row": lambda m, r: pickle.loads(pickle.dumps(m.functions.find_one())).user,
    "save()": lambda m, r: m.functions.find_one().save(),
    "delete_instance()": lambda m, r: m.functions.find_one().delete_instance(),
    "another owner": lambda m, r: m.owned_by(r.grace.user),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_owner_holds_is_refused(mine: Managers, rows: SimpleNamespace, statements: Any, name: str) -> None:
    with pytest.raises(errors.UnguardedError) as raised:
        REFUSED[name](mine, rows)
    assert str(raised.value).startswith("expected ")
    assert "\n" not in str(raised.value)
    assert all(sql.startswith("SELECT") for sql in statements.sql)


def test_expressions_of_columns_are_held(mine: Managers, rows: SimpleNamespace) -> None:
    name = peewee.fn.LOWER(Function.name)
    assert mine.functions.find_all((name == "work of ada") | (name == "work of grace")) == [rows.ada.function]
    assert mine.functions.update({"name": peewee.fn.UPPER(Function.name)}, Function.id > 0)[0].name == "WORK OF ADA"


# Models of one's own


class Team(Entity):
    name = CharField()


class Project(Entity):
    team = ForeignKey(Team, backref="projects")
    name = CharField()

    class Meta:
        owner = "team"


class Task(Entity):
    project = ForeignKey(Project, backref="tasks")
    parent = ForeignKey("self", null=True, backref="parts")
    title = CharField()

    class Meta:
        owner = "project"


class Comment(Entity):
    task = ForeignKey(Task, null=True, backref="comments")
    text = CharField()

    class Meta:
        owner = "task"


class Holiday(Entity):
    name = CharField()


WORK = Component("work", models=(Team, Project, Task, Comment, Holiday))


@pytest.fixture
def work(database_url: str) -> Any:
    database = Database(database_url, components=[WORK], platform=False)
    with database.bind():
        database.engine.create_tables(list(database.models))
    yield Managers(database)
    with database.bind():
        database.engine.drop_tables(list(database.models))
    database.close()


def test_owners_of_tables_of_ones_own(work: Any) -> None:
    reds, blues = (work.team.insert({"name": name}) for name in ("reds", "blues"))
    made = {}
    for team in (reds, blues):
        project = work.project.insert({"team_id": team.id, "name": team.name})
        task = work.task.insert({"project_id": project.id, "title": team.name})
        made[team.name] = (project, task, work.comment.insert({"task_id": task.id, "text": team.name}))
    nobodys = work.comment.insert({"text": "nobody's"})
    work.holiday.insert({"name": "May Day"})
    mine = work.owned_by(reds)
    project, task, comment = made["reds"]
    assert (mine.team.find_all(), mine.project.find_all(), mine.task.find_all()) == ([reds], [project], [task])
    assert mine.comment.find_all(include=("task.project.team",))[0].task.project.team == reds
    assert mine.comment.find_by_id(comment.id) == comment
    assert mine.comment.find_by_id(nobodys.id) is None
    assert mine.comment.find_by_id(made["blues"][2].id) is None
    assert mine.task.insert({"project_id": project.id, "parent_id": task.id, "title": "part"}).parent_id == task.id
    with pytest.raises(errors.NotFoundError, match="expected a row of task with the id"):
        mine.task.insert({"project_id": project.id, "parent_id": made["blues"][1].id, "title": "x"})
    with pytest.raises(errors.UnguardedError, match="expected a value of comment.task_id"):
        mine.comment.update_by_id(comment.id, {"task_id": None})
    with pytest.raises(errors.UnguardedError, match=r"expected a table of the team 1 \(team, project, task, comment\)"):
        mine.holiday.count()
    with pytest.raises(errors.InvalidValueError, match="expected the owner's row; got 7"):
        work.owned_by(7)
    with pytest.raises(errors.ConfigurationError, match="whose model the database knows; got one of User"):
        work.owned_by(User(id=1))


# Beside plain Python


NAMES, STATES, LEVELS, VERSIONS = ("a", "b", "c"), ("active", "failed"), ("info", "error"), (1, 2, 3)
of_function = st.fixed_dictionaries(
    {}, optional={"name": st.sampled_from(NAMES), "status": st.sampled_from([*STATES, list(STATES), []])}
)
of_log = st.fixed_dictionaries(
    {},
    optional={
        "level": st.sampled_from([*LEVELS, list(LEVELS)]),
        "function.name": st.sampled_from(NAMES),
        "function.status": st.sampled_from(STATES),
        "function.user.email": st.sampled_from(["0@example.com", "1@example.com"]),
    },
)


def combined(conditions: Any) -> Any:
    lists = st.lists(conditions, min_size=1, max_size=2)
    return st.one_of(conditions, *(lists.map(lambda all_, f=f: f(*all_)) for f in (any_of, all_of, none_of)))


def meets(row: dict[str, Any], where: Any) -> bool:
    """Return whether a row, given as a dict with dotted keys, meets conditions."""
    if isinstance(where, dict):
        return all(row[key] in value if isinstance(value, list) else row[key] == value for key, value in where.items())
    met = [meets(row, condition) for condition in where.conditions]
    return {"any": any(met), "all": all(met), "none": not any(met)}[where.how]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def crowd(request: Any) -> Any:
    """Three users with functions and logs, as managers and as dicts with dotted keys."""
    if request.param == "sqlite":
        database = Database("sqlite:///:memory:")
        database.migrate()
        yield from _crowd(database)
    else:
        databases = request.getfixturevalue("postgresql_databases")
        with databases(request.getfixturevalue("postgresql_template")) as url:
            yield from _crowd(Database(url))


def _crowd(database: Database) -> Any:
    managers = Managers(database)
    made = SimpleNamespace(managers=managers, users=[], functions=[], logs=[])
    for number in range(3):
        user = managers.users.insert({"email": f"{number}@example.com", "password_hash": "…"})
        made.users.append(user)
        for name in NAMES:
            values = {"user_id": user.id, "name": name, "status": STATES[(number + len(made.functions)) % 2]}
            function = managers.functions.insert(values)
            made.functions.append({"id": function.id, **values})
            for line in range(3):
                log = managers.function_logs.append(function, LEVELS[(line + number) % 2], str(line))
                dotted = {f"function.{key}": value for key, value in values.items()}
                made.logs.append({"id": log.id, "level": log.level, "function.user.email": user.email, **dotted})
    yield made
    database.close()


@settings(max_examples=60, deadline=None)
@given(owner=st.integers(0, 2), where=combined(of_function), lines=combined(of_log))
def test_an_owner_finds_what_plain_python_finds_among_hers(crowd: Any, owner: int, where: Any, lines: Any) -> None:
    user = crowd.users[owner]
    mine = crowd.managers.owned_by(user)
    functions = [row["id"] for row in crowd.functions if row["user_id"] == user.id and meets(row, where)]
    logs = [row["id"] for row in crowd.logs if row["function.user_id"] == user.id and meets(row, lines)]
    assert mine.functions.values("id", where, order_by="id") == functions
    assert mine.functions.count(where) == len(functions)
    assert mine.function_logs.values("id", lines, order_by="id") == logs
    assert mine.function_logs.exists(lines) == bool(logs)
    assert [log.id for log in mine.function_logs.find_all(lines, order_by=("function.name", "id"), offset=1)] == sorted(
        logs, key=lambda id: (next(row["function.name"] for row in crowd.logs if row["id"] == id), id)
    )[1:]


@settings(max_examples=60, deadline=None)
@given(held=of_function, inner=combined(of_function), lines=combined(of_log))
def test_a_scope_of_any_condition_finds_what_plain_python_finds(crowd: Any, held: Any, inner: Any, lines: Any) -> None:
    scope = Scope({Function: held, FunctionLog: ALL_ROWS, User: ALL_ROWS, FunctionDeployment: ALL_ROWS})
    some = Managers(crowd.managers.database, scope=scope)
    there = {row["id"] for row in crowd.functions if meets(row, held)}
    assert some.functions.values("id", inner, order_by="id") == [
        row["id"] for row in crowd.functions if row["id"] in there and meets(row, inner)
    ]
    # A function outside is as one that is not there: each of its columns is NULL.
    own = {(row["user_id"], row["name"]) for row in crowd.functions if row["id"] in there}
    logs = [
        row
        if (row["function.user_id"], row["function.name"]) in own
        else dict.fromkeys(row) | {"id": row["id"], "level": row["level"]}
        for row in crowd.logs
    ]
    assert some.function_logs.values("id", lines, order_by="id") == [row["id"] for row in logs if meets(row, lines)]
