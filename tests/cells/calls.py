"""Random rows, and random calls that find them, for two sets of managers that are to give the same."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from cloudpub_models import (
    Function,
    FunctionInvocation,
    FunctionLog,
    Managers,
    User,
    any_of,
    errors,
    none_of,
    operators,
)

BEGIN = datetime(2026, 5, 1, tzinfo=UTC)
# No function has this id, however many a test has made.
NOBODY = 2**31 - 1
Call = Callable[[Any], Any]


def rows_of(table: str, functions: Sequence[Function], number: int, chance: random.Random) -> list[dict[str, Any]]:
    """Rows for one of the tables; each has a time of its own."""
    rows = []
    for place in chance.sample(range(number), number):
        row: dict[str, Any] = {
            "uuid": UUID(int=chance.getrandbits(128), version=4),
            "function_id": chance.choice(functions).id,
            "timestamp": BEGIN + timedelta(minutes=place, microseconds=chance.randrange(10**6)),
        }
        if table == "function_logs":
            row |= {"level": chance.choice(["info", "warn", "error"]), "message": f"request {place}"}
        else:
            durations = [None, 0, 3, chance.randrange(10_000)]
            row |= {"status": chance.choice(["success", "failed"]), "duration_ms": chance.choice(durations)}
        rows.append(row)
    return rows


def uuid_of(number: int) -> str:
    """The UUID of a row by its number."""
    return f"00000000-0000-4000-8000-{number:012}"


def give_half_away(managers: Managers, grace: User, functions: Sequence[Function], invocations: int) -> None:
    """Have a user own the last four of eight functions, each of which has eight lines and its share of invocations."""
    managers.functions.update({"user_id": grace.id}, {"id": [function.id for function in functions[4:]]})
    managers.function_logs.batch_insert(
        {
            "function_id": functions[number % 8].id,
            "uuid": uuid_of(number),
            "level": ["info", "error"][number % 3 == 0],
            "message": f"request {number}",
            "timestamp": BEGIN + timedelta(minutes=number),
        }
        for number in range(64)
    )
    managers.function_invocations.batch_insert(
        {
            "function_id": functions[number % 8].id,
            "uuid": uuid_of(number),
            "status": "success",
            "duration_ms": number,
            "timestamp": BEGIN + timedelta(minutes=number),
        }
        for number in range(invocations)
    )


class Calls:
    """Random arguments, the same for both sets of managers."""

    def __init__(self, table: str, functions: Sequence[Function], chance: random.Random) -> None:
        self._functions = functions
        self._chance = chance
        self._kind = ("level", "status")[table == "function_invocations"]
        self._model: Any = FunctionInvocation if table == "function_invocations" else FunctionLog
        self._words = ["info", "error"] if table == "function_logs" else ["success", "failed"]

    def where(self) -> Any:
        chance = self._chance
        ids = [function.id for function in self._functions]
        since = BEGIN + timedelta(minutes=chance.randrange(80))
        some = chance.sample(ids, chance.randrange(len(ids)))
        return chance.choice(
            [
                None,
                {},
                {"function_id": chance.choice(ids)},
                {"function": chance.choice(self._functions), self._kind: chance.choice(self._words)},
                {"function_id": some},
                {"function_id": tuple(some), "timestamp": operators.lt(since)},
                {"function_id": operators.in_(some)},
                {"function_id": operators.ne(chance.choice(ids))},
                {"function_id": 10**6},
                {"timestamp": operators.ge(since)},
                {self._kind: chance.choice(self._words), "timestamp": operators.ge(since)},
                any_of({"function_id": chance.choice(ids)}, {"timestamp": operators.lt(since)}),
                none_of({"function_id": chance.choice(ids)}),
                self._model.timestamp >= since,
            ]
        )

    def order(self) -> Any:
        """An order in which no two rows are equal."""
        columns = ["timestamp", "-timestamp", "uuid", "-uuid", ["function_id", "-timestamp"]]
        if self._kind == "status":
            columns += [["duration_ms", "timestamp"], ["-duration_ms", "uuid"]]
        return self._chance.choice(columns)

    def finding(self) -> Call:
        """A call that finds something, whose results can be compared."""
        chance, where, order = self._chance, self.where(), self.order()
        limit, offset = chance.choice([None, 0, 1, 7, 50, 1000]), chance.choice([None, 0, 3, 90])
        ids = [function.id for function in self._functions]
        size = chance.choice([1, 7, 1000])
        return chance.choice(
            [
                lambda manager: manager.count(where),
                lambda manager: manager.exists(where),
                lambda manager: sorted(named(manager.find_all(where))),
                lambda manager: len(manager.find_all(where, limit=limit, offset=offset)),
                lambda manager: named(manager.find_all(where, order_by=order, limit=limit, offset=offset)),
                lambda manager: named([manager.find_one(where, order_by=order)]),
                lambda manager: named(manager.iterate(where, order_by=order, chunk_size=5)),
                lambda manager: sorted(named(manager.iterate(where))),
                lambda manager: [
                    (str(row.uuid), row.function.name)
                    for row in manager.find_all(where, order_by=order, limit=limit, include=("function.user",))
                ],
                lambda manager: [
                    row.timestamp for row in manager.find_all(where, order_by="timestamp", select=["id", "timestamp"])
                ],
                lambda manager: pages(manager, where, order, size),
                lambda manager: numbered(manager, where, order, size + 2),
                lambda manager: manager.delete_preview(where or {"function_id": ids}),
                lambda manager: manager.values("uuid", {"function_id": ids[0]}, order_by=order),
                lambda manager: manager.aggregate({"function_id": ids[-1]}, rows=operators.count()),
                lambda manager: named([manager.get_one(where, order_by=order)]),
            ]
        )


def named(rows: Any) -> list[str | None]:
    """The UUIDs of rows."""
    return [None if row is None else str(row.uuid) for row in rows]


def pages(manager: Any, where: Any, order: Any, size: int) -> list[list[str | None]]:
    """All pages after each other, up to twenty."""
    return list(_pages(manager, where, order, size))


def _pages(manager: Any, where: Any, order: Any, size: int) -> Iterator[list[str | None]]:
    cursor = None
    for _ in range(20):
        page = manager.paginate_after(cursor, size, where, order_by=order, include=("function",))
        yield named(page.items)
        cursor = page.next_cursor
        if cursor is None:
            return


def numbered(manager: Any, where: Any, order: Any, size: int) -> Any:
    """The second numbered page."""
    page = manager.paginate(2, size, where, order_by=order)
    return named(page.items), page.total, page.has_more


def outcome(call: Call, manager: Any) -> Any:
    """What a call gives, or the kind of its error."""
    try:
        return call(manager)
    except errors.CloudpubError as error:
        return type(error)


def both(table: str, one: Managers, other: Managers) -> tuple[Any, Any]:
    """The managers of a table."""
    return getattr(one, table), getattr(other, table)
