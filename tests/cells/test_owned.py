"""An owner's managers give on several servers what they give on one, and no row of anybody else's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cloudpub_models import ALL_ROWS, Database, Function, FunctionLog, Managers, User, errors, operators
from tests.cells.calls import BEGIN, give_half_away, named, outcome, pages, uuid_of
from tests.conftest import GROWING_TABLES

# Of the owner, the manager, a function of the owner's, and one of another's.
Call = Callable[[Managers, Any, Function, Function], Any]
UNKNOWN = "00000000-0000-4000-8000-0000000000ff"
LONG_AGO = timedelta(days=10_000)


@pytest.fixture
def grace(grace: User, scattered: Managers, single: Managers, functions: list[Function]) -> User:
    """Who has the last four of the functions, on both."""
    for managers in (scattered, single):
        give_half_away(managers, grace, functions, invocations=64)
    return grace


def left(manager: Any) -> Any:
    return named(manager.find_all(order_by=["timestamp", "uuid"]))


OF_BOTH: dict[str, Call] = {
    "count": lambda a, m, own, other: (
        m.count(),
        m.count({"function_id": own.id}),
        m.count({"function_id": other.id}),
        m.count({"function_id": [own.id, other.id]}),
        m.count({"timestamp": operators.gt(BEGIN + timedelta(minutes=20))}),
        m.count(FunctionLog.timestamp > BEGIN) if m.model is FunctionLog else None,
    ),
    "exists": lambda a, m, own, other: (m.exists({"function_id": own.id}), m.exists({"function": other})),
    "find_all": lambda a, m, own, other: named(m.find_all(order_by="-timestamp", limit=9, offset=3)),
    "find_all of another's": lambda a, m, own, other: m.find_all({"function_id": other.id}, include=("function",)),
    "include": lambda a, m, own, other: [
        (str(row.uuid), row.function.name) for row in m.find_all(order_by="timestamp", include=("function",))
    ],
    "find_one": lambda a, m, own, other: named([m.find_one(order_by="timestamp")]),
    "find_by_uuid": lambda a, m, own, other: named(
        [m.find_by_uuid(uuid_of(number)) for number in (0, 1, 5, 60)] + [m.find_by_uuid(UNKNOWN)]
    ),
    "get_by_uuid of another's": lambda a, m, own, other: m.get_by_uuid(uuid_of(5)),
    "find_by_id of another's": lambda a, m, own, other: m.find_by_id(
        a.for_model(m.model).get_one({"uuid": uuid_of(5)}).id
    ),
    "pages": lambda a, m, own, other: pages(m, None, "timestamp", 7),
    "paginate": lambda a, m, own, other: (named(m.paginate(2, 5, order_by="timestamp").items), m.paginate(2, 5).total),
    "iterate": lambda a, m, own, other: named(m.iterate(order_by="-timestamp", chunk_size=5)),
    "values": lambda a, m, own, other: (
        m.values("uuid", {"function_id": own.id}, order_by="timestamp"),
        m.values("uuid", {"function_id": other.id}),
    ),
    "aggregate": lambda a, m, own, other: (
        m.aggregate({"function_id": own.id}, rows=operators.count()),
        m.aggregate({"function_id": other.id}, rows=operators.count()),
    ),
    "insert": lambda a, m, own, other: (m.insert(row_of(m, own)).function_id, m.count()),
    "insert for another": lambda a, m, own, other: m.insert(row_of(m, other)),
    "insert for nobody": lambda a, m, own, other: m.insert({**row_of(m, other), "function_id": 2**30}),
    "insert in a transaction": lambda a, m, own, other: in_transaction(m, lambda: m.insert(row_of(m, own))),
    "insert for another in a transaction": lambda a, m, own, other: in_transaction(
        m, lambda: m.insert(row_of(m, other))
    ),
    "batch_insert": lambda a, m, own, other: (m.batch_insert([row_of(m, own)] * 3), m.count()),
    "batch_insert for another": lambda a, m, own, other: m.batch_insert([row_of(m, own), row_of(m, other)]),
    "batch_insert that meets rows": lambda a, m, own, other: m.batch_insert(
        [row_of(m, own)], on_conflict="ignore", conflict_columns=["uuid"]
    ),
    "update": lambda a, m, own, other: (
        len(m.update({"timestamp": BEGIN}, ALL_ROWS)),
        len(m.update({"timestamp": BEGIN}, {"function_id": other.id})),
        left(a.for_model(m.model)),
    ),
    "update_by_id of another's": lambda a, m, own, other: m.update_by_id(
        uuid_of(5), {"timestamp": BEGIN}, id_column="uuid"
    ),
    "delete": lambda a, m, own, other: (
        m.delete({"function_id": [own.id, other.id]}),
        m.delete({"timestamp": operators.lt(BEGIN + timedelta(minutes=30))}),
        left(a.for_model(m.model)),
    ),
    "delete_by_id of another's": lambda a, m, own, other: m.delete_by_id(uuid_of(5), id_column="uuid"),
    "prune": lambda a, m, own, other: (m.prune(BEGIN + timedelta(minutes=30)), left(a.for_model(m.model))),
    "a query of Peewee's": lambda a, m, own, other: m.find_all(m.model.function.in_(Function.select(Function.id))),
    "an order by a query": lambda a, m, own, other: m.find_all(
        {"function_id": own.id}, order_by=[(FunctionLog.select(FunctionLog.id).limit(1), "ASC")]
    ),
    "raw": lambda a, m, own, other: type(refused(lambda: m.raw("SELECT 1 AS id"))) in REFUSALS,
    "a relation that is not loaded": lambda a, m, own, other: m.find_one().function,
    "save": lambda a, m, own, other: m.find_one().save(),
}
OF_LOGS: dict[str, Call] = {
    "append": lambda a, m, own, other: (m.append(own, "info", "x").function_id, m.count()),
    "append for another": lambda a, m, own, other: m.append(other.id, "info", "x"),
    "append for another by UUID": lambda a, m, own, other: m.append(other.uuid, "info", "x"),
    "tail": lambda a, m, own, other: (named(m.tail(own, 3)), named(m.tail(other.id, 3))),
    "search": lambda a, m, own, other: (
        named(m.search("request", function=own).items),
        named(m.search("request", function=other.id).items),
        named(m.search("request", since=BEGIN, limit=5).items),
    ),
}
OF_INVOCATIONS: dict[str, Call] = {
    "record": lambda a, m, own, other: (m.record(own, "failed", 3).function_id, m.count()),
    "record for another": lambda a, m, own, other: m.record(other.id, "failed", 3),
    "get_function_stats": lambda a, m, own, other: (
        m.get_function_stats(own, LONG_AGO),
        m.get_function_stats(other.id, LONG_AGO),
    ),
    "get_hourly_stats": lambda a, m, own, other: (
        m.get_hourly_stats(own, 30, until=BEGIN + timedelta(days=1)),
        m.get_hourly_stats(other.id, 30, until=BEGIN + timedelta(days=1)),
    ),
    "get_daily_stats": lambda a, m, own, other: m.get_daily_stats(other.id, 3, until=BEGIN + timedelta(days=1)),
    "get_user_overview": lambda a, m, own, other: m.get_user_overview(own.user_id, LONG_AGO),
    "get_user_daily_stats": lambda a, m, own, other: m.get_user_daily_stats(own.user_id, 3),
    "get_last_invocations": lambda a, m, own, other: m.get_last_invocations(own.user_id),
    "rollup": lambda a, m, own, other: m.rollup(),
    "enable_rollups": lambda a, m, own, other: m.enable_rollups(),
    "disable_rollups": lambda a, m, own, other: m.disable_rollups(),
}
REFUSALS = (errors.UnguardedError, errors.InvalidQueryError)
CALLS = [
    (table, name)
    for table, calls in zip(GROWING_TABLES, (OF_BOTH | OF_LOGS, OF_BOTH | OF_INVOCATIONS), strict=True)
    for name in calls
]


def row_of(manager: Any, function: Function) -> dict[str, Any]:
    text = {"level": "info", "message": "x"} if manager.model is FunctionLog else {"status": "success"}
    return {"function_id": function.id, "timestamp": datetime(2027, 1, 1, tzinfo=UTC), **text}


def in_transaction(manager: Any, call: Callable[[], Any]) -> Any:
    with manager.database.transaction():
        call()
    return manager.count()


def refused(call: Callable[[], object]) -> BaseException:
    with pytest.raises(REFUSALS) as caught:
        call()
    return caught.value


@pytest.mark.parametrize(("table", "name"), CALLS)
def test_an_owner_gets_what_one_database_gives(
    table: str, name: str, scattered: Managers, single: Managers, functions: list[Function], grace: User
) -> None:
    call = (OF_BOTH | OF_LOGS | OF_INVOCATIONS)[name]

    def asked(managers: Managers) -> Any:
        mine = managers.owned_by(functions[0].user_id)
        own, other = managers.functions.get_by_id(functions[1].id), managers.functions.get_by_id(functions[5].id)
        return outcome(lambda manager: call(managers, manager, own, other), getattr(mine, table))

    expected = asked(single)
    assert asked(scattered) == expected


def test_functions_of_an_owner_come_with_their_rows(
    scattered: Managers, single: Managers, functions: list[Function], owner: User, grace: User
) -> None:
    def shown(managers: Managers) -> Any:
        mine = managers.owned_by(owner.id)
        include: Any = {"logs": {"limit": 2, "order_by": "-timestamp"}, "invocations": {"order_by": "timestamp"}}
        found = mine.functions.find_all(order_by="id", include=include)
        details = mine.functions.get_function_details(managers.functions.get_by_id(functions[1].id).uuid)
        assert details is not None
        assert mine.functions.get_function_details(managers.functions.get_by_id(functions[5].id).uuid) is None
        user = mine.users.find_one(include=("functions.logs",))
        assert user is not None
        return (
            [(each.name, named(each.logs), named(each.invocations)) for each in found],
            named(details.logs),
            {each.name: sorted(named(each.logs)) for each in user.functions},
        )

    assert shown(scattered) == shown(single)


@pytest.mark.parametrize("table", GROWING_TABLES)
def test_what_may_meet_another_row_is_refused(
    table: str, scattered: Managers, functions: list[Function], grace: User, sent: list[str]
) -> None:
    manager = getattr(scattered.owned_by(functions[0].user_id), table)
    manager.count()
    sent.clear()
    for call in (manager.upsert, manager.find_or_insert):
        with pytest.raises(
            errors.InvalidQueryError, match=r"of the user \d+: a row with these values may be another's"
        ):
            call(row_of(manager, functions[0]), ["uuid"])
    assert sent == []


def test_the_owner_of_a_function(scattered: Managers, functions: list[Function], grace: User) -> None:
    mine = scattered.owned_by(functions[2])
    assert mine.function_logs.count() == 8
    assert mine.function_logs.append(functions[2], "info", "x").function_id == functions[2].id
    assert mine.function_logs.insert({"level": "info", "message": "x"}).function_id == functions[2].id
    assert mine.function_logs.count() == 10
    with pytest.raises(errors.NotFoundError):
        mine.function_logs.append(functions[1].id, "info", "x")


def test_a_function_that_changes_hands_is_no_longer_written_to(
    scattered: Managers, functions: list[Function], owner: User, grace: User
) -> None:
    mine = scattered.owned_by(owner)
    mine.function_logs.append(functions[0], "info", "x")
    assert mine.function_logs.count({"function_id": functions[0].id}) == 9
    scattered.functions.update_by_id(functions[0].id, {"user_id": grace.id})
    for call in (
        lambda: mine.function_logs.append(functions[0].id, "info", "x"),
        lambda: mine.function_logs.batch_insert([row_of(mine.function_logs, functions[0])]),
    ):
        with pytest.raises(errors.NotFoundError):
            call()
    assert mine.function_logs.count({"function_id": functions[0].id}) == 0


def test_it_takes_one_statement_more_and_the_map_is_known(
    scattered: Managers, main: Database, functions: list[Function], grace: User, sent: list[str]
) -> None:
    scattered.function_logs.count()
    mine = scattered.owned_by(functions[0].user_id)
    sent.clear()
    mine.function_logs.count({"function_id": functions[0].id})
    assert len(sent) == 2
    mine.function_logs.find_by_uuid(uuid_of(0))
    assert 2 < len(sent) <= 5
    sent.clear()
    mine.function_logs.append(functions[0].id, "info", "x")
    assert len(sent) == 2
    sent.clear()
    assert mine.function_logs.batch_insert([row_of(mine.function_logs, each) for each in functions[:4]]) == 4
    assert len([sql for sql in sent if "functions" in sql]) == 1


def test_what_cannot_be_held_is_refused_before_anything_is_sent(
    scattered: Managers, functions: list[Function], grace: User, sent: list[str]
) -> None:
    mine = scattered.owned_by(functions[0].user_id)
    logs, invocations = mine.function_logs, mine.function_invocations
    logs.count()
    sent.clear()
    query = FunctionLog.function.in_(Function.select(Function.id))
    calls: list[Callable[[], object]] = [
        lambda: logs.count(query),
        lambda: logs.find_all({"stauts": "x"}),
        lambda: logs.delete(query),
        lambda: logs.update({"level": "x"}, query),
        lambda: invocations.get_user_overview(grace.id),
    ]
    for call in calls:
        with pytest.raises((errors.UnguardedError, errors.InvalidQueryError, errors.UnknownColumnError)):
            call()
    assert sent == []


def test_an_owner_is_required_as_elsewhere(prepared_urls: list[str], main: Database) -> None:
    database = Database(prepared_urls[0], history=prepared_urls[1:], require_owner=True)
    managers = Managers(database)
    with pytest.raises(errors.UnguardedError, match="which the database requires"):
        managers.function_logs.count()
    ada = managers.unrestricted("a test").users.insert({"email": "ada@example.com", "password_hash": "…"})
    assert managers.owned_by(ada).function_logs.count() == 0
    assert managers.unrestricted("a test").cells.sweep() == 0
    main.raw_execute("INSERT INTO cell_deletions (table_name, key) VALUES ('functions', 1)")
    assert managers.unrestricted("a test").cells.sweep() == 0
    database.close()


def test_rows_that_come_with_functions_are_ordered_by_nothing_of_others(
    scattered: Managers, single: Managers, functions: list[Function], grace: User
) -> None:
    def asked(managers: Managers) -> Any:
        mine = managers.owned_by(functions[0].user_id)
        order = [(FunctionLog.select(FunctionLog.id).limit(1), "ASC")]
        return outcome(lambda manager: manager.find_all(include={"logs": {"order_by": order}}), mine.functions)

    assert asked(scattered) == asked(single) == errors.UnguardedError
