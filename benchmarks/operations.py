"""Each operation once: what it is called with, what its result has to be, and what it leaves to clean up.

How it is done is up to the libraries: a method of the operation's name, or none where a library has no such thing.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from benchmarks.data import DEPLOYMENTS_PER_FUNCTION, SEED, Data
from benchmarks.databases import Dialect
from benchmarks.library import Library

Kind = Literal["point", "bulk", "large", "pages"]
"""``point``: client and server on one core, short blocks. The others run unpinned, with fewer rounds."""

Check = Callable[[Library, Data, Any, Any], None]
Arguments = Callable[[Data, Library], Iterator[Any]]


@dataclass(frozen=True)
class Operation:
    """One thing that is measured.

    Attributes:
        name: the name of the libraries' method.
        title: what a reader sees; may name the numbers of a scale.
        kind: how it is measured.
        arguments: what the method is called with, without end.
        check: raises AssertionError where a result is not what it has to be.
        restored: tables whose new rows are deleted after each block.
        targets: the ratio to the control that our library promises, for each database.
        control_is_library: whether the library is compared with itself, as one of its pages with another.
        control_arguments: what the control is called with, where that differs.
        prepared_targets: the same promise with prepared statements.
    """

    name: str
    title: str
    kind: Kind
    arguments: Arguments
    check: Check
    targets: Mapping[Dialect, float]
    restored: tuple[str, ...] = ()
    control_is_library: bool = False
    control_arguments: Arguments | None = None
    prepared_targets: Mapping[Dialect, float] = field(default_factory=dict)

    def rounds(self, point_rounds: int) -> int:
        """Return how many rounds to run, given those of a point operation."""
        shares = {"point": 1, "bulk": 5, "large": 16, "pages": 2}
        return max(2, point_rounds // shares[self.kind])


# What operations are called with.


def _shuffled(values: Sequence[Any]) -> Iterator[Any]:
    shuffled = list(values)
    random.Random(SEED).shuffle(shuffled)
    return itertools.cycle(shuffled)


def _function_ids(data: Data, library: Library) -> Iterator[int]:
    return _shuffled([function["id"] for function in data.functions])


def _function_uuids(data: Data, library: Library) -> Iterator[Any]:
    # As the library's own instances carry them.
    return _shuffled([library.types.uuid(function["uuid"]) for function in data.functions])


def _user_ids(data: Data, library: Library) -> Iterator[int]:
    return _shuffled([user["id"] for user in data.users])


def _owners_and_names(data: Data, library: Library) -> Iterator[tuple[int, str]]:
    return _shuffled([(function["user_id"], function["name"]) for function in data.functions])


def _emails(data: Data, library: Library) -> Iterator[tuple[str, bool]]:
    return ((f"user{id}@example.org", False) for id in _user_ids(data, library))


def _emails_by_hand(data: Data, library: Library) -> Iterator[tuple[str, bool]]:
    return ((email, True) for email, _ in _emails(data, library))


def _owners_or_names(data: Data, library: Library) -> Iterator[tuple[int, str, bool]]:
    return ((user_id, data.functions[0]["name"], False) for user_id in _user_ids(data, library))


def _owners_or_names_by_hand(data: Data, library: Library) -> Iterator[tuple[int, str, bool]]:
    return ((user_id, name, True) for user_id, name, _ in _owners_or_names(data, library))


def _nothing(data: Data, library: Library) -> Iterator[None]:
    return itertools.repeat(None)


def _first_functions(data: Data, library: Library) -> Iterator[int]:
    return itertools.repeat(data.scale.functions_with_deployments)


def _new_functions(data: Data, library: Library) -> Iterator[dict[str, Any]]:
    # A process inserts no name twice, whichever contestant asks.
    for number in _new_numbers:
        yield {
            "user_id": 1 + number % data.scale.users,
            "name": f"new-function-{number}",
            "status": "building",
            "analysis_result": data.analysis_result(number),
        }


_new_numbers = itertools.count(1)


def _changes(data: Data, library: Library) -> Iterator[tuple[int, dict[str, Any]]]:
    statuses = itertools.cycle(("paused", "active", "building"))
    for id in _function_ids(data, library):
        yield id, {"status": next(statuses)}


def _known_functions(data: Data, library: Library) -> Iterator[dict[str, Any]]:
    statuses = itertools.cycle(("paused", "active", "building"))
    for function in _shuffled(data.functions):
        yield {
            "user_id": function["user_id"],
            "name": function["name"],
            "status": next(statuses),
            "analysis_result": function["analysis_result"],
        }


def _batch(data: Data, library: Library) -> Iterator[Any]:
    return itertools.repeat(data.batch)


def _large_batch(data: Data, library: Library) -> Iterator[Any]:
    return itertools.repeat(data.large_batch)


def _streamed_rows(data: Data, library: Library) -> Iterator[int]:
    return itertools.repeat(data.scale.streamed_rows)


def _first_page(data: Data, library: Library) -> Iterator[Any]:
    return itertools.repeat((None, data.scale.page_size))


def _last_page(data: Data, library: Library) -> Iterator[Any]:
    before: Any = library.cursor_after((data.scale.last_page - 1) * data.scale.page_size)
    return itertools.repeat((before, data.scale.page_size))


# What their results have to be.


def _check_function(library: Library, function: Any, expected: dict[str, Any]) -> None:
    def value(name: str) -> Any:
        return library.column(function, "functions", name)

    types = library.types
    assert value("id") == expected["id"]
    assert value("name") == expected["name"]
    assert type(value("uuid")) is types.uuid
    assert str(value("uuid")) == expected["uuid"]
    assert type(value("created_at")) is types.timestamp
    assert types.as_datetime(value("created_at")) == expected["created_at"].replace(tzinfo=None)
    assert type(value("updated_at")) is types.timestamp
    assert isinstance(value("analysis_result"), types.json)
    assert types.as_dict(value("analysis_result")) == expected["analysis_result"]


def _check_found_by_id(library: Library, data: Data, id: int, found: Any) -> None:
    _check_function(library, found, data.functions[id - 1])


def _check_found_by_uuid(library: Library, data: Data, uuid: Any, found: Any) -> None:
    assert str(library.column(found, "functions", "uuid")) == str(uuid)
    _check_function(library, found, data.functions[library.column(found, "functions", "id") - 1])


def _check_functions_of_user(library: Library, data: Data, user_id: int, found: Any) -> None:
    own = [function for function in data.functions if function["user_id"] == user_id]
    expected = sorted(own, key=lambda function: function["created_at"], reverse=True)
    assert len(found) == len(expected) == data.scale.functions_per_user
    for function, row in zip(found, expected, strict=True):
        _check_function(library, function, row)


def _check_all_functions(library: Library, data: Data, argument: Any, found: Any) -> None:
    assert len(found) == data.scale.functions
    for function, row in zip(found, data.functions, strict=True):
        _check_function(library, function, row)


def _check_inserted(library: Library, data: Data, row: dict[str, Any], inserted: Any) -> None:
    id = library.column(inserted, "functions", "id")
    assert isinstance(id, int)
    assert (
        library.scalar("SELECT name FROM functions WHERE id = %s AND uuid IS NOT NULL AND created_at IS NOT NULL", id)
        == row["name"]
    )
    assert library.column(inserted, "functions", "name") == row["name"]
    assert type(library.column(inserted, "functions", "uuid")) is library.types.uuid


def _check_updated(library: Library, data: Data, argument: tuple[int, dict[str, Any]], updated: Any) -> None:
    id, changes = argument
    assert library.column(updated, "functions", "status") == changes["status"]
    assert type(library.column(updated, "functions", "updated_at")) is library.types.timestamp
    assert library.scalar("SELECT status FROM functions WHERE id = %s", id) == changes["status"]
    _check_function(library, updated, data.functions[id - 1])


def _check_upserted(library: Library, data: Data, row: dict[str, Any], written: Any) -> None:
    assert library.column(written, "functions", "status") == row["status"]
    assert library.scalar("SELECT status FROM functions WHERE name = %s", row["name"]) == row["status"]
    assert library.scalar("SELECT COUNT(*) FROM functions") == data.scale.functions


def _check_count(library: Library, data: Data, user_id: int, number: Any) -> None:
    assert type(number) is int
    assert number == data.scale.functions_per_user


def _check_count_related(library: Library, data: Data, argument: tuple[str, bool], number: Any) -> None:
    assert number == data.scale.functions_per_user


def _check_count_any(library: Library, data: Data, argument: tuple[int, str, bool], number: Any) -> None:
    user_id, name, _ = argument
    assert number == sum(row["user_id"] == user_id or row["name"] == name for row in data.functions)


def _check_exists(library: Library, data: Data, argument: Any, found: Any) -> None:
    assert found is True


def _check_included(library: Library, data: Data, functions: int, found: Any) -> None:
    assert len(found) == functions
    for function, row in zip(found, data.functions, strict=False):
        _check_function(library, function, row)
        deployments = library.included_deployments(function)
        assert [library.column(one, "function_deployments", "version") for one in deployments] == list(
            range(1, DEPLOYMENTS_PER_FUNCTION + 1)
        )
        for deployment in deployments:
            assert library.column(deployment, "function_deployments", "function_id") == row["id"]
            assert type(library.column(deployment, "function_deployments", "uuid")) is library.types.uuid
            assert type(library.column(deployment, "function_deployments", "deployed_at")) is library.types.timestamp


def _check_built(library: Library, data: Data, user_id: int, rows: Any) -> None:
    own = [function["name"] for function in reversed(data.functions) if function["user_id"] == user_id]
    assert [library.column(row, "builder", "name") for row in rows] == own
    for row in rows:
        assert library.column(row, "builder", "email") == f"user{user_id}@example.org"
        assert library.column(row, "builder", "first_name") == f"First{user_id}"
        assert library.column(row, "builder", "version") == DEPLOYMENTS_PER_FUNCTION
        assert type(library.column(row, "builder", "created_at")) is library.types.timestamp


def _check_batch(library: Library, data: Data, batch: Any, returned: Any) -> None:
    assert library.scalar("SELECT COUNT(*) FROM function_logs") == len(batch.rows)
    last = batch.rows[-1]
    stored = library.scalar("SELECT CAST(timestamp AS TEXT) FROM function_logs WHERE message = %s", last["message"])
    assert library.types.from_text(stored) == last["timestamp"].replace(tzinfo=None)


def _check_returned_batch(library: Library, data: Data, batch: Any, returned: Any) -> None:
    _check_batch(library, data, batch, returned)
    if library.is_control:
        return
    assert len(returned) == len(batch.rows)
    for log, row in zip(returned, batch.rows, strict=True):
        assert library.column(log, "function_logs", "message") == row["message"]
        assert isinstance(library.column(log, "function_logs", "id"), int)
        assert type(library.column(log, "function_logs", "uuid")) is library.types.uuid
    first = returned[0]
    stored = library.scalar(
        "SELECT message FROM function_logs WHERE id = %s", library.column(first, "function_logs", "id")
    )
    assert stored == batch.rows[0]["message"]


def _check_stream(library: Library, data: Data, argument: Any, rows: Any) -> None:
    count, last = 0, None
    for count, last in enumerate(rows, 1):  # noqa: B007 - what is left over after the loop is looked at
        pass
    assert count == data.scale.streamed_rows
    assert type(library.column(last, "function_invocations", "uuid")) is library.types.uuid
    assert type(library.column(last, "function_invocations", "timestamp")) is library.types.timestamp
    assert isinstance(library.column(last, "function_invocations", "duration_ms"), int)


def _check_page(library: Library, data: Data, argument: Any, rows: Any) -> None:
    cursor, page_size = argument
    before = 0 if cursor is None else (data.scale.last_page - 1) * page_size
    ids = [library.column(row, "function_invocations", "id") for row in rows]
    assert ids == list(range(before + 1, before + page_size + 1))


def _both(postgresql: float, sqlite: float) -> Mapping[Dialect, float]:
    return {"postgresql": postgresql, "sqlite": sqlite}


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "find_by_id",
        "find_by_id",
        "point",
        _function_ids,
        _check_found_by_id,
        _both(1.15, 1.8),
        prepared_targets={"postgresql": 0.75},
    ),
    Operation(
        "find_by_uuid",
        "find_by_uuid",
        "point",
        _function_uuids,
        _check_found_by_uuid,
        _both(1.15, 1.8),
        prepared_targets={"postgresql": 0.75},
    ),
    Operation(
        "find_20",
        "find_all, {scale.functions_per_user} rows, filtered and ordered",
        "point",
        _user_ids,
        _check_functions_of_user,
        _both(1.05, 2.6),
    ),
    Operation(
        "find_1000", "find_all, {scale.functions:,} rows", "point", _nothing, _check_all_functions, _both(0.88, 3.6)
    ),
    Operation("insert", "insert", "point", _new_functions, _check_inserted, _both(1.15, 1.25), restored=("functions",)),
    Operation(
        "update_by_id", "update_by_id", "point", _changes, _check_updated, _both(1.15, 1.25), restored=("functions",)
    ),
    Operation(
        "upsert", "upsert", "point", _known_functions, _check_upserted, _both(1.15, 1.25), restored=("functions",)
    ),
    Operation("count", "count", "point", _user_ids, _check_count, _both(1.2, 1.4)),
    Operation("exists", "exists", "point", _owners_and_names, _check_exists, _both(1.2, 1.4)),
    Operation(
        "count_related",
        "count by a related row's column × the join by hand",
        "point",
        _emails,
        _check_count_related,
        _both(1.3, 1.3),
        control_is_library=True,
        control_arguments=_emails_by_hand,
    ),
    Operation(
        "count_any",
        "count of any_of two × OR by hand",
        "point",
        _owners_or_names,
        _check_count_any,
        _both(1.1, 1.1),
        control_is_library=True,
        control_arguments=_owners_or_names_by_hand,
    ),
    Operation(
        "include",
        "{scale.functions_with_deployments} functions, include deployments, 5 each",
        "point",
        _first_functions,
        _check_included,
        _both(1.2, 1.7),
    ),
    Operation("builder", "builder query, 3 joins", "point", _user_ids, _check_built, _both(1.2, 2.5)),
    Operation(
        "batch_insert",
        "batch_insert, {scale.batch_rows:,} logs",
        "bulk",
        _batch,
        _check_batch,
        _both(1.05, 0.7),
        restored=("function_logs",),
    ),
    Operation(
        "batch_insert_large",
        "batch_insert, {scale.large_batch_rows:,} logs",
        "large",
        _large_batch,
        _check_batch,
        _both(1.05, 0.7),
        restored=("function_logs",),
    ),
    Operation(
        "batch_insert_returning",
        "batch_insert(returning=True), {scale.batch_rows:,} logs",
        "bulk",
        _batch,
        _check_returned_batch,
        _both(1.2, 1.3),
        restored=("function_logs",),
    ),
    Operation(
        "iterate", "iterate, {scale.streamed_rows:,} rows", "large", _streamed_rows, _check_stream, _both(2.1, 3.2)
    ),
    Operation(
        "paginate_after",
        "paginate_after, page {scale.last_page:,} × page 1, {scale.paged_rows:,} rows",
        "pages",
        _last_page,
        _check_page,
        _both(1.5, 1.5),
        control_is_library=True,
        control_arguments=_first_page,
    ),
)

BY_NAME = {operation.name: operation for operation in OPERATIONS}
STREAMS = ("iterate",)
"""Operations that return an iterator, which is consumed as part of the call, and whose memory is measured as well."""

MEGABYTES_WANTED: Mapping[Dialect, float] = {"postgresql": 5, "sqlite": 6}
"""How much memory a stream of ours takes at most."""
