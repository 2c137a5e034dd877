"""The managers of an owner: nothing of another's rows is read, written or told, by any method of any manager.

Every call is made twice, with another's rows there and without them: what comes of it (rows, counts, errors, their
words) has to be the same both times, as for somebody to whom those rows do not exist. Only a unique violation tells.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import peewee
import pytest
from peewee import SQL, fn

from cloudpub_models import (
    ALL_ROWS,
    CursorPage,
    Database,
    Function,
    FunctionDeployment,
    FunctionInvocation,
    FunctionLog,
    Managers,
    Organization,
    OrganizationMember,
    PaginatedResult,
    User,
    UserInformation,
    all_of,
    any_of,
    none_of,
    operators,
)
from cloudpub_models.errors import CloudpubError, InvalidValueError, UnguardedError, UniqueViolationError
from cloudpub_models.manager.relations import find_relation, relation_names
from cloudpub_models.models import ALL_MODELS
from cloudpub_models.schema.drift.definition import create_all
from cloudpub_models.schema.row_security import switch_on
from cloudpub_models.work.component import component as leases
from tests.schema.roles import owned_by_program

Call = Callable[[Any], Any]
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
TABLES = [model._meta.table_name for model in ALL_MODELS]


class World:
    """Two users with a row in every table each, and a third who is a member of the second one's organization."""

    def __init__(self, managers: Managers) -> None:
        self.managers = managers
        database = managers.database
        # Hers come first, so that what is numbered afterwards is numbered alike without them.
        self.theirs = self._rows_of("grace")
        self.own = self._rows_of("ada")
        self.mine = self.managers.owned_by(self.own[User])
        self.sent: list[str] = []
        database.on_query(lambda query: self.sent.append(query.sql))
        self.known = {
            value for row in self.own.values() for value in row.__data__.values() if isinstance(value, UUID | datetime)
        }

    def _rows_of(self, name: str) -> dict[type[peewee.Model], Any]:
        managers = self.managers
        user = managers.users.insert({"email": f"{name}@example.com", "password_hash": f"hash of {name}"})
        information = managers.user_information.insert(
            {"user_id": user.uuid, "first_name": name, "last_name": f"of {name}", "role": "team"}
        )
        organization = managers.organizations.create(f"house of {name}", user)
        function = managers.functions.insert({"user_id": user.id, "name": f"work of {name}"})
        deployment = managers.function_deployments.deploy(function, f"image of {name}", f"key of {name}")
        deployment = managers.function_deployments.activate(deployment)
        log = managers.function_logs.append(function, "info", f"word of {name}")
        invocation = managers.function_invocations.record(function, "success", 10, f"error of {name}")
        rows = [user, information, organization, managers.organization_members.get_one({"user_id": user.uuid})]
        rows += [managers.functions.get_by_id(function.id), deployment, log, invocation]
        return {type(row): row for row in rows}

    def outcome(self, call: Call, manager: Any, *, with_others: bool) -> Any:
        """Return what comes of a call, of which nothing is kept; with their rows, those are seen to be untouched."""
        managers = self.managers
        self.secrets = [v for row in self.theirs.values() for v in row.__data__.values()] if with_others else []
        try:
            with managers.database.transaction():
                if not with_others:
                    managers.users.delete_by_id(self.theirs[User].id)
                del self.sent[:]
                try:
                    with managers.database.transaction():
                        told = self.told(call(manager), {})
                except CloudpubError as error:
                    told = (type(error), str(error))
                if with_others and any(sql.startswith(("INSERT", "UPDATE", "DELETE", "COPY")) for sql in self.sent):
                    assert self.others() == self.before
                raise _UndoneError
        except _UndoneError:
            return told

    def others(self) -> list[Any]:
        """Return all rows that are not of the owner of ``mine``, as they are."""
        own = self.own
        others = {
            User: {"id": operators.ne(own[User].id)},
            UserInformation: {"user_id": operators.ne(own[User].uuid)},
            Organization: {"owner_id": operators.ne(own[User].uuid)},
            OrganizationMember: {"user_id": operators.ne(own[User].uuid)},
            Function: {"user_id": operators.ne(own[User].id)},
            **{
                model: {"function.user_id": operators.ne(own[User].id)}
                for model in (FunctionDeployment, FunctionLog, FunctionInvocation)
            },
        }
        return [
            [row.to_dict() for row in self.managers.for_model(model).find_all(where, order_by="id")]
            for model, where in others.items()
        ]

    def told(self, value: Any, seen: dict[int, Any]) -> Any:
        """Return what a value tells, but for what is made anew with every row: its id, its UUID, the time."""
        if isinstance(value, peewee.Model):
            if id(value) in seen:
                return "seen"
            seen[id(value)] = value
            shown = {name: self.told(own, seen) for name, own in value.__data__.items()}
            if value.__data__.get("id") not in [row.id for row in (*self.own.values(), *self.theirs.values())]:
                shown["id"] = "another id"
            loaded = {name: own for name, own in vars(value).items() if not name.startswith("_")}
            return (type(value), shown, self.told(value.__rel__, seen), self.told(loaded, seen))
        if isinstance(value, UUID | datetime):
            # Her own may be of the very same moment.
            assert value in self.known or value not in self.secrets
            return value if value in self.known else type(value)
        if isinstance(value, str):
            assert "grace" not in value or not self.secrets
            return value
        if is_dataclass(value):
            return {field.name: self.told(getattr(value, field.name), seen) for field in fields(value)}
        if isinstance(value, PaginatedResult | CursorPage):
            rest = value.total if isinstance(value, PaginatedResult) else value.next_cursor
            return [self.told(value.items, seen), rest]
        if isinstance(value, Mapping):
            return {key: self.told(own, seen) for key, own in value.items()}
        if isinstance(value, Sequence | Iterator):
            return [self.told(own, seen) for own in value]
        assert value is None or isinstance(value, int | float | type), value
        return value


class _UndoneError(Exception):
    """Takes back what was done in a transaction."""


@pytest.fixture
def world(database: Database) -> World:
    world = World(Managers(database))
    world.before = world.others()
    return world


def calls_of_every_manager(world: World, model: type[peewee.Model]) -> dict[str, list[Call]]:
    """Return method → calls of it with another's row, for the methods that every manager has."""
    own, theirs = world.own[model], world.theirs[model]
    table = model._meta.table_name
    plain = world.managers.for_model(model)
    # Other tests of the same process may have made models that refer to these.
    names = [n for n in relation_names(model) if n != "active_for" and _model_of(model, n) in world.theirs]
    keys = list(model._meta.refs)
    related = {name: world.theirs[_model_of(model, name)] for name in names}
    single = [name for name in names if isinstance(find_relation(model, name), peewee.ForeignKeyField)]
    text = next(n for n in ("password_hash", "first_name", "name", "image_tag", "message", "status", "joined_at")
                if n in model._meta.fields)  # fmt: skip
    own_values = {name: value for name, value in own.__data__.items() if name not in ("id", "uuid")}
    their_values = {name: value for name, value in theirs.__data__.items() if name not in ("id", "uuid")}
    everybody = model.select(model.id)
    wheres: list[Any] = [
        None,
        {"id": theirs.id},
        {text: getattr(theirs, text)},
        {"id": [own.id, theirs.id]},
        {"id": operators.gt(0)},
        any_of({"id": theirs.id}, {"id": own.id}),
        none_of({"id": own.id}),
        all_of(none_of({"id": theirs.id}), {"id": [own.id, theirs.id]}),
        model.id == theirs.id,
        (model.id == theirs.id) | (model.id == own.id),
        model.id.in_(everybody),
        any_of({"id": own.id}, model.id.in_(everybody)),
        SQL("1 = 1 OR id IN (SELECT id FROM users)"),
        fn.EXISTS(User.select().where(User.email == "grace@example.com")),
        *({f"{name}.id": row.id} for name, row in related.items()),
        *({f"{name}.id": operators.ne(row.id)} for name, row in related.items()),
        *(none_of({f"{name}.id": operators.gt(0)}) for name in related),
    ]
    orders: list[Any] = [
        "id",
        "-id",
        fn.COALESCE(User.select(fn.COUNT(User.id)), 0),
        SQL("(SELECT COUNT(*) FROM users)"),
    ]
    orders += [f"{name}.id" for name in single] + [model.id.desc()]
    includes: list[Any] = [(name,) for name in names]
    includes += [{name: {"limit": 5}} for name in names if name not in single]
    includes += [{name: {"where": model_of.id == 1}} for name in names if (model_of := _model_of(model, name))]
    page = plain.paginate_after(page_size=1, order_by="id")  # its row is theirs
    changes: list[Any] = [
        {text: "changed"} if text != "joined_at" else {text: LONG_AGO},
        *({key.column_name: getattr(theirs, key.column_name)} for key in keys),
        *({key.column_name: None} for key in keys),
        {text: model.select(fn.MAX(getattr(model, text)))},
        {"id": operators.increment(1)},
    ]
    rows: list[Any] = [their_values, {}, *({**own_values, **change} for change in changes)]
    one_row = [{"id": theirs.id}, {"uuid": getattr(theirs, "uuid", theirs.id)}]

    def each(make: Callable[[Any, Any], Any], arguments: Sequence[Any]) -> list[Call]:
        return [lambda manager, argument=argument: make(manager, argument) for argument in arguments]

    return {
        "find_by_id": [lambda m: m.find_by_id(theirs.id), lambda m: m.find_by_id(theirs.id, select=["id"])],
        "get_by_id": [lambda m: m.get_by_id(theirs.id)],
        "find_by_uuid": [lambda m: m.find_by_uuid(getattr(theirs, "uuid", "x"))],
        "get_by_uuid": [lambda m: m.get_by_uuid(getattr(theirs, "uuid", "x"))],
        "find_all": [
            *each(lambda m, where: m.find_all(where), wheres),
            *each(lambda m, order: m.find_all(order_by=order), orders),
            *each(lambda m, include: m.find_all(include=include), includes),
            lambda m: m.find_all(offset=1),
            lambda m: m.find_all(select=["id"], limit=9),
        ],
        "find_one": each(lambda m, where: m.find_one(where, order_by="-id"), wheres[:6]),
        "get_one": each(lambda m, where: m.get_one(where), wheres[:6]),
        "count": each(lambda m, where: m.count(where), wheres),
        "exists": each(lambda m, where: m.exists(where), wheres[:6]),
        "paginate": [
            *each(lambda m, where: m.paginate(1, 5, where), wheres[:6]),
            *each(lambda m, order: m.paginate(1, 1, order_by=order), orders),
            *each(lambda m, include: m.paginate(1, 5, include=include), includes),
        ],
        "paginate_after": [
            *each(lambda m, where: m.paginate_after(None, 5, where), wheres[:6]),
            *each(lambda m, include: m.paginate_after(None, 5, include=include), includes),
            lambda m: m.paginate_after(page.next_cursor, 5, order_by="id"),
            lambda m: m.paginate_after(page.next_cursor, 5, order_by="id", order_direction="DESC"),
        ],
        "iterate": [
            *each(lambda m, where: m.iterate(where), wheres[:6]),
            *each(lambda m, order: m.iterate(order_by=order), orders),
            *each(lambda m, include: m.iterate(include=include), includes),
        ],
        "find_by_text": [
            *each(lambda m, word: m.find_by_text(word), ["work", "word", "house", "of grace", "-ada work*"]),
            *each(lambda m, where: m.find_by_text("of", where), wheres),
            *each(lambda m, include: m.find_by_text("of", include=include), includes),
            lambda m: m.find_by_text("of", cursor=page.next_cursor, order_by="id"),
        ],
        # Which row it takes, outside of a transaction, is asked below.
        "lease": each(lambda m, where: m.lease(where, seconds=1), wheres),
        "values": [
            *each(lambda m, where: m.values("id", where), wheres[:6]),
            *each(lambda m, order: m.values("id", order_by=order), orders),
            *each(lambda m, name: m.values(("id", f"{name}.id")), names),
        ],
        "aggregate": [
            *each(lambda m, where: m.aggregate(where, n=operators.count(), last=operators.max("id")), wheres),
            *each(lambda m, name: m.aggregate(group_by=f"{name}.id", n=operators.count()), names),
            *each(lambda m, name: m.aggregate(n=operators.max(f"{name}.id")), names),
        ],
        "insert": each(lambda m, row: m.insert(row), rows),
        "upsert": [
            *each(lambda m, row: m.upsert(row, ["id"]), [{**row, "id": theirs.id} for row in rows]),
            *each(lambda m, row: m.upsert({**own_values, **row}, list(row)), one_row),
            *each(lambda m, change: m.upsert({**own_values, "id": own.id}, ["id"], update_columns=change), changes),
        ],
        "find_or_insert": [
            *each(lambda m, row: m.find_or_insert({**own_values, **row}, list(row)), one_row),
            *each(lambda m, row: m.find_or_insert({**row, "id": 10**6}, ["id"]), rows),
        ],
        "update": [
            *each(lambda m, where: m.update(changes[0], where), wheres),
            *each(lambda m, change: m.update(change, ALL_ROWS), changes),
        ],
        "update_by_id": [
            lambda m: m.update_by_id(theirs.id, changes[0]),
            *each(lambda m, change: m.update_by_id(own.id, change), changes),
        ],
        "delete": [*each(lambda m, where: m.delete(where), wheres), lambda m: m.delete(ALL_ROWS)],
        "delete_by_id": [lambda m: m.delete_by_id(theirs.id)],
        "claim": [
            *each(lambda m, where: m.claim(where, changes[0], limit=9), wheres),
            *each(lambda m, change: m.claim({}, change, limit=9), changes),
            *each(lambda m, order: m.claim({}, changes[0], limit=9, order_by=order), orders),
        ],
        "batch_insert": [
            *each(lambda m, row: m.batch_insert([row]), rows),
            *each(lambda m, row: m.batch_insert([row], returning=True), rows),
            *each(lambda m, row: m.batch_insert([own_values | row], on_conflict="ignore"), one_row),
            lambda m: m.batch_insert([{**own_values, "id": theirs.id}], on_conflict="update", conflict_columns=["id"]),
        ],
        "has_many": [
            lambda m: m.has_many(table, "id", theirs.id),
            *(
                lambda m, key=key: m.has_many(
                    key.model._meta.table_name, key.column_name, getattr(theirs, key.rel_field.name), order_by="id"
                )
                for key in model._meta.backrefs
                if key.model in ALL_MODELS
            ),
        ],
        "belongs_to": [
            lambda m, key=key: m.belongs_to(
                key.rel_model._meta.table_name,
                key.column_name,
                getattr(theirs, key.column_name),
                related_key=key.rel_field.column_name,
            )
            for key in keys
        ]
        or [lambda m: m.belongs_to("users", "id", theirs.id)],
        "many_to_many": [
            lambda m: m.many_to_many(
                "users", "organization_members", "organization_id", "user_id", world.theirs[Organization].uuid
            ),
            lambda m: m.many_to_many(
                "organizations", "organization_members", "user_id", "organization_id", world.theirs[User].uuid
            ),
        ],
        "raw": [lambda m: m.raw(f"SELECT id FROM {table}")],
        "query": [lambda m: m.query()],
        "execute_query": [lambda m: m.execute_query(plain.query())],
        "join_query": [lambda m: m.join_query("users", f"{table}.id = users.id")],
        "history": [lambda m: m.history(theirs.id)],
        "diff": [lambda m: m.diff(theirs.id, since=LONG_AGO)],
        "as_of": [lambda m: m.as_of(datetime.now(UTC)).find_all()],
        "undelete": [lambda m: m.undelete(theirs.id)],
        "delete_preview": [lambda m: m.delete_preview({"id": theirs.id})],
    }


def _model_of(model: type[peewee.Model], name: str) -> type[peewee.Model]:
    found = find_relation(model, name)
    if isinstance(found, peewee.ForeignKeyField | peewee.BackrefAccessor):
        return found.rel_model if isinstance(found, peewee.ForeignKeyField) else found.field.model
    return found.rel_model


def calls_of_one_manager(world: World) -> dict[str, dict[str, list[Call]]]:
    """Return table → method → calls of it with another's row, for the methods that only this manager has."""
    user, organization = world.theirs[User], world.theirs[Organization]
    function, deployment = world.theirs[Function], world.theirs[FunctionDeployment]
    me, my_house, my_function = world.own[User], world.own[Organization], world.own[Function]

    def of_function(call: Callable[[Any, Any], Any]) -> list[Call]:
        return [lambda m, one=one: call(m, one) for one in (function, function.id, function.uuid, str(function.uuid))]

    def of_user(call: Callable[[Any, Any], Any]) -> list[Call]:
        return [lambda m, one=one: call(m, one) for one in (user, user.uuid, str(user.uuid))]

    month = timedelta(days=30)
    hour_from_now = datetime.now(UTC) + timedelta(hours=1)
    return {
        "users": {
            "find_by_email": [lambda m: m.find_by_email(user.email), lambda m: m.find_by_email("Grace@example.com")],
            "get_user_complete": of_user(lambda m, one: m.get_user_complete(one)),
            "get_user_with_information": of_user(lambda m, one: m.get_user_with_information(one)),
            "get_user_with_organization": of_user(lambda m, one: m.get_user_with_organization(one)),
            "get_all_users_with_information": [
                lambda m: m.get_all_users_with_information(),
                lambda m: m.get_all_users_with_information("team", 5, 1),
            ],
            "get_developers": [lambda m: m.get_developers()],
            "get_team_members": [lambda m: m.get_team_members()],
            "get_users_by_organization": [lambda m: m.get_users_by_organization(organization)],
        },
        "organizations": {
            "create": [lambda m: m.create("third house", user.uuid), lambda m: m.create("third house", me)],
            "get_organization_with_members": [lambda m: m.get_organization_with_members(organization)],
            "add_user_to_organization": [
                lambda m: m.add_user_to_organization(user.uuid, organization.uuid),
                lambda m: m.add_user_to_organization(me, organization.uuid),
                lambda m: m.add_user_to_organization(user.uuid, my_house),
            ],
            "remove_user_from_organization": [
                lambda m: m.remove_user_from_organization(user.uuid),
                lambda m: m.remove_user_from_organization(user.uuid, organization.uuid),
                lambda m: m.remove_user_from_organization(me, organization.uuid),
            ],
            "get_user_organization": of_user(lambda m, one: m.get_user_organization(one)),
            "is_user_in_organization": [
                lambda m: m.is_user_in_organization(user.uuid),
                lambda m: m.is_user_in_organization(user.uuid, organization.uuid),
                lambda m: m.is_user_in_organization(me, organization.uuid),
            ],
            "get_organization_member_count": [lambda m: m.get_organization_member_count(organization.uuid)],
            "transfer_ownership": [
                lambda m: m.transfer_ownership(organization.uuid, me),
                lambda m: m.transfer_ownership(my_house, user.uuid),
            ],
        },
        "functions": {
            "get_function_details": [lambda m: m.get_function_details(function.uuid)],
            "get_functions_paginated": [
                lambda m: m.get_functions_paginated(1, 5),
                lambda m: m.get_functions_paginated(1, 5, {"user_id": user.id}),
            ],
            "search": [
                lambda m: m.search("work"),
                *(lambda m, one=one: m.search("work", user=one) for one in (user, user.id, user.uuid)),
            ],
        },
        "function_deployments": {
            "deploy": of_function(lambda m, one: m.deploy(one, "image", "key")),
            "activate": [
                lambda m, one=one: m.activate(one) for one in (deployment, deployment.id, str(deployment.uuid))
            ],
            "rollback": of_function(lambda m, one: m.rollback(one)),
        },
        "function_logs": {
            "append": of_function(lambda m, one: m.append(one, "info", "…")),
            "tail": of_function(lambda m, one: m.tail(one)),
            "prune": [lambda m: m.prune(hour_from_now)],
            "search": [
                lambda m: m.search("word", since=month),
                lambda m: m.search("of grace", since=month),
                *of_function(lambda m, one: m.search("word", function=one)),
            ],
        },
        "function_invocations": {
            "record": of_function(lambda m, one: m.record(one, "success", 1)),
            "prune": [lambda m: m.prune(hour_from_now)],
            "get_function_stats": of_function(lambda m, one: m.get_function_stats(one, month)),
            "get_hourly_stats": of_function(lambda m, one: _totals(m.get_hourly_stats(one, 2))),
            "get_daily_stats": of_function(lambda m, one: _totals(m.get_daily_stats(one, 2))),
            "get_user_overview": of_user(lambda m, one: m.get_user_overview(one)),
            "get_user_hourly_stats": of_user(lambda m, one: _totals(m.get_user_hourly_stats(one, 2))),
            "get_user_daily_stats": of_user(lambda m, one: _totals(m.get_user_daily_stats(one, 2))),
            "rollup": [lambda m: m.rollup()],
            "enable_rollups": [lambda m: m.enable_rollups()],
            "disable_rollups": [lambda m: m.disable_rollups()],
            "get_last_invocations": of_user(lambda m, one: m.get_last_invocations(one)),
        },
        # Deployments have a history of their own in place of the log's.
        "of my own": {"history": [lambda m: m.history(function), lambda m: m.history(my_function)]},
    }


def _totals(buckets: list[Any]) -> list[int]:
    return [bucket.total for bucket in buckets]


def methods(manager: Any) -> set[str]:
    """Return the names of a manager's public methods."""
    return {name for name, _ in inspect.getmembers(type(manager), callable) if not name.startswith("_")}


@pytest.fixture
def some(scale: Callable[[int, int], int], backend: str) -> Callable[[dict[str, list[Call]]], dict[str, list[Call]]]:
    """Every day, leaves each database half of a method's calls, and the other database the other half."""
    step = scale(2, 1)
    first = step - 1 if backend == "postgresql" else 0
    return lambda calls: {name: of_it[first::step] or of_it for name, of_it in calls.items()}


@pytest.mark.parametrize("table", TABLES)
def test_no_call_reads_writes_or_tells_of_rows_of_others(
    world: World, table: str, some: Callable[[dict[str, list[Call]]], dict[str, list[Call]]]
) -> None:
    manager = getattr(world.mine, table)
    own_calls = calls_of_one_manager(world)
    calls = {**calls_of_every_manager(world, manager.model), **own_calls.get(table, {})}
    if table == "function_deployments":
        calls["history"] = own_calls["of my own"]["history"]
    assert methods(manager) == set(calls), "every public method is walked here, with another's rows"
    assert all(calls.values())
    assert _leaks(world, manager, some(calls)) == []


def _leaks(world: World, manager: Any, calls: dict[str, list[Call]]) -> list[Any]:
    """Return the calls that tell of another's rows, with what they tell."""
    leaks = []
    for name, number, call in [
        (name, number, call) for name, of_it in calls.items() for number, call in enumerate(of_it)
    ]:
        try:
            told = world.outcome(call, manager, with_others=True)
            without = world.outcome(call, manager, with_others=False)
        except Exception as error:  # noqa: BLE001 - told with the call that it is of
            leaks.append((name, number, error))
        else:
            if told != without and told[0] is not UniqueViolationError:
                leaks.append((name, number, told, without))
    return leaks


def test_a_lease_is_taken_of_own_rows(world: World) -> None:
    create_all(world.managers.database.engine, leases.models)
    for table in TABLES:
        model = getattr(world.managers, table).model
        own, theirs, manager = world.own[model], world.theirs[model], getattr(world.mine, table)
        assert manager.lease({"id": theirs.id}, seconds=60) is None
        assert manager.lease({}, seconds=60, order_by="id").row == own
        assert manager.lease({}, seconds=60) is None


def test_the_walk_finds_what_a_manager_without_an_owner_tells(world: World) -> None:
    """The test's own test: by plain managers, most of these calls tell of another's rows."""
    found = set()
    for name, of_method in calls_of_every_manager(world, Function).items():
        for call in of_method:
            try:
                told = world.outcome(call, world.managers.functions, with_others=True)
                if told != world.outcome(call, world.managers.functions, with_others=False):
                    found.add(name)
            except AssertionError:
                found.add(name)
    assert found >= {
        "find_by_id",
        "find_all",
        "count",
        "paginate_after",
        "iterate",
        "update",
        "delete",
        "claim",
        "insert",
    }


def test_no_registry_leads_out(world: World) -> None:
    walked = {"archive", "owned_by", "unrestricted", "for_model"}
    assert methods(world.mine) == walked
    for owner in (world.theirs[User], world.theirs[User].id, world.own[User], 10**9):
        with pytest.raises(UnguardedError, match="of the user"):
            world.mine.owned_by(owner)
    with pytest.raises(UnguardedError, match="of the user"):
        world.mine.unrestricted("for once")
    with pytest.raises(UnguardedError, match="of the user"):
        world.mine.archive("archive")
    assert world.mine.for_model(Function) is world.mine.functions
    assert world.mine.for_model(Function).count() == 1


# Where an owner is required


@pytest.fixture
def guarded(database_url: str, backend: str) -> Iterator[World]:
    """A world whose database has plain managers refused."""
    database = Database(database_url, require_owner=True)
    if backend == "sqlite":
        database.migrate()
    yield World(Managers(database).unrestricted("to make the world"))
    database.close()


@pytest.mark.parametrize("table", TABLES)
def test_no_call_without_an_owner_sends_anything_where_one_is_required(guarded: World, table: str) -> None:
    manager = getattr(Managers(guarded.managers.database), table)
    own_calls = calls_of_one_manager(guarded)
    calls = {**calls_of_every_manager(guarded, manager.model), **own_calls.get(table, {})}
    answered = []
    del guarded.sent[:]
    for name, of_method in calls.items():
        errors = []
        for call in of_method:
            try:
                answered.append((name, guarded.told(call(manager), {})))
            except CloudpubError as error:
                errors.append(type(error))
        assert UnguardedError in errors or name in ("belongs_to", "find_by_text"), name
    assert answered == []
    assert {sql.split()[0] for sql in guarded.sent} <= {"BEGIN", "ROLLBACK"}


def test_what_is_asked_for_is_given_where_an_owner_is_required(guarded: World) -> None:
    database = guarded.managers.database
    managers = Managers(database)
    assert managers.owned_by(guarded.own[User].uuid).functions.count() == 1
    everything = managers.unrestricted("statistics")
    assert everything is managers.unrestricted("more statistics")
    assert everything.functions.count() == 2
    assert everything.functions.find_all(include=("user", "logs"))
    assert everything.users.has_many("functions", "user_id", guarded.own[User].id)
    assert everything.users.get_user_complete(guarded.own[User]) is not None
    assert everything.functions.raw("SELECT id FROM functions")
    assert everything.users.delete_preview({"id": guarded.own[User].id})["functions"] == 1
    assert everything.function_deployments.deploy(guarded.own[Function], "image", "key").version == 2
    assert everything.function_invocations.get_user_overview(guarded.own[User]).functions == 1
    assert everything.owned_by(guarded.own[User]).users.count() == 1
    database.history.enable()
    assert everything.users.as_of(datetime.now(UTC) + timedelta(seconds=1)).count() == 2


def test_a_requirement_comes_and_goes_with_the_database() -> None:
    database = Database("sqlite:///:memory:")
    database.migrate()
    managers = Managers(database)
    assert managers.users.count() == 0
    database.initialize("sqlite:///:memory:", require_owner=True)
    database.migrate()
    with pytest.raises(UnguardedError, match="expected managers of an owner's rows, which the database requires"):
        managers.users.count()
    database.initialize("sqlite:///:memory:")
    database.migrate()
    assert managers.users.count() == 0
    database.close()


@pytest.mark.parametrize("reason", ["", "  ", None, 7])
def test_all_rows_are_asked_for_with_a_reason(reason: Any) -> None:
    with pytest.raises(InvalidValueError, match="expected a reason for managers of all rows"):
        Managers(Database("sqlite:///:memory:")).unrestricted(reason)


def test_the_reason_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "cloudpub_models.owners"):
        Managers(Database("sqlite:///:memory:")).unrestricted("nightly\nstatistics")
    (record,) = caplog.records
    assert record.getMessage() == "managers of all rows of Database('sqlite:///:memory:'): 'nightly\\nstatistics'"


# Where the database holds rows to their owner as well


@pytest.fixture
def held(postgresql_url: str) -> Iterator[World]:
    """A world whose database has row security on."""
    database = Database(owned_by_program(postgresql_url), row_security=True)
    switch_on(database.engine, database.models, User)
    world = World(Managers(database).unrestricted("to make the world"))
    world.before = world.others()
    yield world
    database.close()


@pytest.mark.parametrize("table", ["users", "functions", "function_logs"])
def test_no_call_tells_more_where_row_security_is_on(held: World, table: str, scale: Callable[[int, int], int]) -> None:
    manager = getattr(held.mine, table)
    calls = {**calls_of_every_manager(held, manager.model), **calls_of_one_manager(held).get(table, {})}
    some = {name: of_it[:: scale(3, 1)] for name, of_it in calls.items()}
    assert _leaks(held, manager, some) == []
