"""Every public operation of the two managers either gives what one database gives, or is refused before it is sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cloudpub_models import Database, Function, FunctionLog, Managers, Scope, User, errors, operators
from tests.cells.calls import BEGIN, named, outcome

Call = Callable[[Any, Function], Any]
UNKNOWN = 10**12
LINE = {"level": "info", "message": "x"}
CALLED = {"status": "success", "duration_ms": 5}


def row_of(manager: Any, function: Function) -> dict[str, Any]:
    return {"function_id": function.id, **(LINE if manager.model is FunctionLog else CALLED)}


def one_of(manager: Any) -> Any:
    return manager.find_one(order_by="timestamp")


def kept(manager: Any) -> list[str | None]:
    return sorted(str(uuid) for uuid in named(manager.find_all()))


# What gives the same; each is called on rows that are the same.
SAME: dict[str, Call] = {
    "find_by_id": lambda m, f: named([m.find_by_id(one_of(m).id), m.find_by_id(UNKNOWN)]),
    "get_by_id": lambda m, f: named([m.get_by_id(one_of(m).id)]),
    "find_by_uuid": lambda m, f: named([m.find_by_uuid(one_of(m).uuid)]),
    "get_by_uuid": lambda m, f: named([m.get_by_uuid(str(one_of(m).uuid))]),
    "find_all": lambda m, f: named(m.find_all(order_by="-timestamp", limit=5)),
    "find_one": lambda m, f: named([m.find_one({"function_id": f.id}, order_by="timestamp")]),
    "get_one": lambda m, f: named([m.get_one(order_by="timestamp", include=("function",))]),
    "count": lambda m, f: m.count({"timestamp": operators.gt(BEGIN)}),
    "exists": lambda m, f: (m.exists({"function_id": f.id}), m.exists({"id": UNKNOWN})),
    "paginate": lambda m, f: named(m.paginate(2, 3, order_by="timestamp").items),
    "paginate_after": lambda m, f: named(m.paginate_after(None, 3, order_by="timestamp").items),
    "iterate": lambda m, f: named(m.iterate(order_by="timestamp")),
    "insert": lambda m, f: (m.insert(row_of(m, f)).function_id, m.count()),
    "upsert": lambda m, f: (
        m.upsert({**row_of(m, f), "uuid": m.find_one({"function_id": f.id}).uuid}, ["uuid"]).function_id,
        m.count(),
    ),
    "find_or_insert": lambda m, f: m.find_or_insert(row_of(m, f) | {"uuid": f.uuid}, ["uuid"])[1],
    "update": lambda m, f: (
        len(m.update({"timestamp": BEGIN}, {"function_id": [f.id, 0]})),
        m.count({"timestamp": BEGIN}),
    ),
    "update_by_id": lambda m, f: m.update_by_id(one_of(m).id, {"timestamp": BEGIN}).timestamp,
    "delete": lambda m, f: (m.delete({"timestamp": operators.gt(BEGIN)}), kept(m)),
    "delete_by_id": lambda m, f: (m.delete_by_id(one_of(m).id), m.delete_by_id(UNKNOWN), kept(m)),
    "delete_preview": lambda m, f: m.delete_preview({"timestamp": operators.gt(BEGIN)}),
    "batch_insert": lambda m, f: (m.batch_insert([row_of(m, f)] * 3), m.count()),
    "has_many": lambda m, f: m.has_many("users", "id", f.user_id)[0].email,
    "belongs_to": lambda m, f: m.belongs_to("functions", "function_id", one_of(m).function_id).name,
    "many_to_many": lambda m, f: m.many_to_many("users", "organization_members", "organization_id", "user_id", f.uuid),
    "values": lambda m, f: m.values("uuid", {"function_id": f.id}, order_by="timestamp"),
    "aggregate": lambda m, f: m.aggregate({"function_id": f.id}, rows=operators.count()),
    "prune": lambda m, f: (m.prune(datetime.now(UTC) - timedelta(hours=1)), kept(m)),
}
SAME_OF_LOGS: dict[str, Call] = {
    "append": lambda m, f: (m.append(f, "info", "new").message, m.append(f.uuid, "info", "new").function_id),
    "tail": lambda m, f: [line.message for line in m.tail(f, 3)],
    "search": lambda m, f: (
        [line.message for line in m.search("x", function=f).items],
        named(m.search("x", since=BEGIN, limit=4).items),
    ),
    "find_by_text": lambda m, f: named(m.find_by_text("x", order_by="timestamp").items),
}
SAME_OF_INVOCATIONS: dict[str, Call] = {
    "rollup": lambda m, f: (m.enable_rollups(), m.rollup(BEGIN), m.disable_rollups()),
    "enable_rollups": lambda m, f: (m.enable_rollups(), m.enable_rollups(), m.disable_rollups()),
    "disable_rollups": lambda m, f: m.disable_rollups(),
    "record": lambda m, f: (m.record(f, "failed", 3, "e").error, m.count()),
    "get_function_stats": lambda m, f: m.get_function_stats(f, timedelta(days=10_000)),
    "get_hourly_stats": lambda m, f: m.get_hourly_stats(f, 48, until=BEGIN + timedelta(days=1)),
    "get_daily_stats": lambda m, f: m.get_daily_stats(
        f.uuid, 3, until=BEGIN + timedelta(days=1), timezone="Asia/Tokyo"
    ),
    "get_user_overview": lambda m, f: (
        m.get_user_overview(f.user_id, timedelta(days=10_000)),
        m.get_user_overview(f.user_id, timedelta(0)),
    ),
    "get_user_hourly_stats": lambda m, f: m.get_user_hourly_stats(f.user_id, 30, until=BEGIN + timedelta(hours=20)),
    "get_user_daily_stats": lambda m, f: m.get_user_daily_stats(
        f.user_id, 3, until=BEGIN + timedelta(days=1), timezone="Asia/Tokyo"
    ),
    "get_last_invocations": lambda m, f: [
        (key, str(last.uuid), last.function_id) for key, last in m.get_last_invocations(f.user_id).items()
    ],
    "find_by_text": lambda m, f: m.find_by_text("x"),
}
# What is refused, by the end of the message.
REFUSED: dict[str, Call] = {
    "claim": lambda m, f: m.claim({"function_id": f.id}, {"timestamp": BEGIN}),
    "lease": lambda m, f: m.lease({"function_id": f.id}, seconds=1),
    "raw": lambda m, f: m.raw("SELECT 1 AS id"),
    "query": lambda m, f: m.query("l"),
    "execute_query": lambda m, f: m.execute_query(None),
    "join_query": lambda m, f: m.join_query("functions", "function_logs.function_id = functions.id"),
    "history": lambda m, f: m.history(1),
    "diff": lambda m, f: m.diff(1, since=BEGIN),
    "as_of": lambda m, f: m.as_of(BEGIN),
    "undelete": lambda m, f: m.undelete(1),
}
# What a manager has, and does not do.
ATTRIBUTES = {"cells", "database", "model", "origin", "scope", "table"}
TABLES: Mapping[str, tuple[dict[str, Call], dict[str, Call]]] = {
    "function_logs": (SAME | SAME_OF_LOGS, REFUSED),
    "function_invocations": (SAME | SAME_OF_INVOCATIONS, REFUSED),
}
OF_ERRORS = Scope({FunctionLog: {"level": "error"}})
ALL = [(table, kind, name) for table, kinds in TABLES.items() for kind in (0, 1) for name in kinds[kind]]


@pytest.mark.parametrize("table", TABLES)
def test_every_operation_is_walked(table: str, scattered: Managers) -> None:
    manager = getattr(scattered, table)
    public = {name for name in dir(manager) if not name.startswith("_")} - ATTRIBUTES
    same, refused = TABLES[table]
    assert public == set(same) | set(refused)
    assert not set(same) & set(refused)


@pytest.mark.parametrize(("table", "name"), [(table, name) for table, kind, name in ALL if kind == 0])
def test_it_gives_what_one_database_gives(
    table: str, name: str, scattered: Managers, single: Managers, functions: list[Function]
) -> None:
    function = functions[3]
    several, one = (getattr(managers, table) for managers in (scattered, single))
    rows = [
        row_of(one, each)
        | {"uuid": f"00000000-0000-4000-8000-{number:012}", "timestamp": BEGIN + timedelta(minutes=number)}
        for number, each in enumerate([*functions, function, function])
    ]
    assert several.batch_insert(rows) == one.batch_insert(rows)
    # Functions have the same ids on both, and UUIDs of their own.
    there = single.functions.get_by_id(function.id)
    assert outcome(lambda m: TABLES[table][0][name](m, function), several) == outcome(
        lambda m: TABLES[table][0][name](m, there), one
    )


@pytest.mark.parametrize(("table", "name"), [(table, name) for table, kind, name in ALL if kind == 1])
def test_it_is_refused_before_anything_is_sent(
    table: str, name: str, scattered: Managers, functions: list[Function], sent: list[str]
) -> None:
    manager = getattr(scattered, table)
    manager.count()
    sent.clear()
    with pytest.raises(
        errors.InvalidQueryError, match=rf"that rows on several servers can answer; got {table}.{name}\(\): "
    ):
        TABLES[table][1][name](manager, functions[0])
    assert sent == []


@pytest.mark.parametrize(
    "call",
    [
        lambda managers, function: managers.functions.find_all({"logs.level": "error"}),
        lambda managers, function: managers.functions.has_many("function_logs", "function_id", function.id),
        lambda managers, function: managers.functions.join_query(
            "function_logs", "functions.id = function_logs.function_id"
        ),
        lambda managers, function: managers.database.raw_query_all("SELECT * FROM function_logs"),
        lambda managers, function: managers.database.raw_query_single('SELECT 1 FROM "function_logs" AS l'),
        lambda managers, function: list(managers.database.raw_query_iter("SELECT id FROM FUNCTION_invocations")),
        lambda managers, function: managers.database.raw_execute("DELETE FROM public.function_logs"),
        lambda managers, function: list(function.logs),
        lambda managers, function: FunctionLog.create(function=function, level="info", message="x"),
        lambda managers, function: list(FunctionLog.select()),
        lambda managers, function: Managers(managers.database, scope=OF_ERRORS).function_logs.count(),
        lambda managers, function: managers.database.partition("function_logs", "day"),
    ],
)
def test_what_asks_the_main_database_for_the_rows_is_refused(
    call: Callable[[Managers, Function], Any],
    scattered: Managers,
    main: Database,
    functions: list[Function],
    sent: list[str],
) -> None:
    function = scattered.functions.get_by_id(functions[0].id)
    sent.clear()
    with (
        main.bind(),
        pytest.raises(errors.InvalidQueryError, match=r"ask managers\.function_invocations or managers\."),
    ):
        call(scattered, function)
    assert [sql for sql in sent if "function_logs" in sql or "function_invocations" in sql] == []


def test_the_details_of_a_function_have_its_latest_lines(scattered: Managers, functions: list[Function]) -> None:
    for message in ("first", "second", "third"):
        scattered.function_logs.append(functions[0], "info", message)
    details = scattered.functions.get_function_details(functions[0].uuid, log_limit=2)
    assert details is not None
    assert [line.message for line in details.logs] == ["third", "second"]
    assert details.logs[0].function is details.function


def test_all_else_is_on_the_main_database(
    scattered: Managers, main: Database, owner: User, functions: list[Function]
) -> None:
    assert scattered.functions.count() == 8
    assert main.raw_query_single("SELECT 'function_logs' AS name") == {"name": "function_logs"}
    assert scattered.functions.find_all({"name": "function_logs"}) == []
    assert [server.raw_query_single("SELECT COUNT(*) AS n FROM function_logs") for server in main.history_servers] == [
        {"n": 0},
        {"n": 0},
    ]


def test_each_server_is_archived_by_itself(
    scattered: Managers, main: Database, functions: list[Function], sent: list[str], tmp_path: Path
) -> None:
    scattered.function_logs.batch_insert(
        {"function_id": function.id, "level": "info", "message": "x", "timestamp": BEGIN - timedelta(days=100)}
        for function in functions
    )
    scattered.function_logs.count()
    sent.clear()
    with pytest.raises(
        errors.InvalidQueryError, match=r"got archive\(\).move\(\) of function_logs: .*Managers\(history_servers"
    ):
        scattered.archive(tmp_path / "all").move("function_logs", timedelta(days=1))
    assert sent == []
    assert not (tmp_path / "all").exists()
    moved = 0
    for number, server in enumerate(main.history_servers):
        (month,) = Managers(server).archive(tmp_path / str(number)).move("function_logs", timedelta(days=1))
        moved += month.deleted
    assert moved == 8
    assert scattered.function_logs.count() == 0
