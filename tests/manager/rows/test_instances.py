"""Rows become instances: what is generated for it, that every way gives the same, and how many calls it takes."""

from __future__ import annotations

import gc
import json
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import cloudpub_models
from cloudpub_models import Database, Function, FunctionLog, Managers
from cloudpub_models.entity.stored_forms import json_reader
from cloudpub_models.errors import InvalidValueError, LazyLoadingError
from cloudpub_models.manager.columns.decoding import column_decoder_for, decoder_for
from cloudpub_models.manager.rows import instances
from cloudpub_models.manager.rows.instances import make_loader
from cloudpub_models.sql import SQLITE

PACKAGE = str(Path(cloudpub_models.__file__).parent)
RIGHT = str(uuid.UUID(int=1))
SIZES = (1, 31, 32, 99, 100, 250)
START = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)


def log_row(number: int) -> tuple[Any, ...]:
    moment = START + timedelta(microseconds=number)
    return (
        number,
        str(uuid.UUID(int=number)),
        7,
        "info",
        f"message {number}",
        moment.isoformat(" ", "microseconds")[:26],
    )


def log_values(number: int) -> dict[str, Any]:
    return {
        "id": number,
        "uuid": uuid.UUID(int=number),
        "function": 7,
        "level": "info",
        "message": f"message {number}",
        "timestamp": START + timedelta(microseconds=number),
    }


def log_loader(**options: Any) -> Any:
    return make_loader(FunctionLog, FunctionLog._meta.sorted_fields, SQLITE, partial=False, **options)


def test_a_loader_of_another_database_is_not_compiled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    first = log_loader()
    monkeypatch.setattr(instances, "compile", None, raising=False)
    again = log_loader()
    assert again([log_row(1)])[0].__data__ == log_values(1)
    # The interpreter adapts each one's code to what that meets.
    assert again.__code__ == first.__code__
    assert again.__code__ is not first.__code__


def test_the_loader_of_a_few_rows_writes_the_conversions_out() -> None:
    assert log_loader().sources["few"].splitlines() == [
        "def load(rows):",
        "    if len(rows) >= 32: return many(rows)",
        "    instances = []",
        "    try:",
        "        for c0, c1, c2, c3, c4, c5, in rows:",
        "            digits = c1.replace('-', '')",
        "            if len(digits) != 32: raise ValueError",
        "            v1 = new_uuid(UUID)",
        "            set_uuid_int(v1, int(digits, 16))",
        "            set_uuid_is_safe(v1, unknown)",
        "            v5 = moment(c5 + 'Z')",
        "            if ' ' not in c5: raise ValueError",
        "            instance = new(model)",
        "            instance.__data__ = {'id': c0, 'uuid': v1, 'function': c2, 'level': c3, 'message': c4, "
        "'timestamp': v5}",
        "            instances.append(instance)",
        "    except UNEXPECTED_FORM:",
        "        return careful(rows)",
        "    return instances",
    ]


def test_the_loader_of_many_rows_decodes_a_column_at_a_time_before_its_loop() -> None:
    assert log_loader().sources["many"].splitlines() == [
        "def load(rows):",
        "    instances = []",
        "    try:",
        "        decoded = zip(rows, decode_all1([row[1] for row in rows]), decode_all5([row[5] for row in rows]))",
        "    except UNEXPECTED_FORM:",
        "        return careful(rows)",
        "    for (c0, c1, c2, c3, c4, c5,), v1, v5, in decoded:",
        "        instance = new(model)",
        "        instance.__data__ = {'id': c0, 'uuid': v1, 'function': c2, 'level': c3, 'message': c4, "
        "'timestamp': v5}",
        "        instances.append(instance)",
        "    return instances",
    ]


def test_the_careful_loader_calls_a_function_for_every_value() -> None:
    assert "'timestamp': c5 if c5 is None else decode5(c5)" in log_loader().sources["careful"]


@pytest.mark.parametrize("size", SIZES)
def test_every_size_of_result_gives_the_same_instances(size: int) -> None:
    loaded = log_loader()([log_row(number) for number in range(size)])
    assert [log.__data__ for log in loaded] == [log_values(number) for number in range(size)]
    assert all(type(log) is FunctionLog and not log.is_dirty() for log in loaded)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("column", "stored", "loaded"),
    [
        (1, uuid.UUID(int=5).hex, uuid.UUID(int=5)),
        (1, "{00000000-0000-0000-0000-00000000000A}", uuid.UUID(int=10)),
        (1, None, None),
        (5, "2026-01-01 14:00:00+02:00", datetime(2026, 1, 1, 12, tzinfo=UTC)),
        (5, "2026-01-01", datetime(2026, 1, 1, tzinfo=UTC)),
        (5, "20260101T1200", datetime(2026, 1, 1, 12, tzinfo=UTC)),
        (5, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)),
        (5, None, None),
    ],
)
def test_a_value_in_another_form_is_loaded_among_others(size: int, column: int, stored: Any, loaded: Any) -> None:
    rows = [log_row(number) for number in range(size)]
    rows[size // 2] = (*rows[size // 2][:column], stored, *rows[size // 2][column + 1 :])
    expected = [log_values(number) for number in range(size)]
    expected[size // 2][["id", "uuid", "function", "level", "message", "timestamp"][column]] = loaded
    assert [log.__data__ for log in log_loader()(rows)] == expected


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("column", "stored"),
    [
        *[(1, "no uuid"), (1, "-" * 36), (5, "infinity"), (5, 7)],
        *[(5, text) for text in ("2026-01-01100000", "20260101100000", "2026-01-01100:00:00.000000")],
    ],
)
def test_a_value_that_is_none_is_told(size: int, column: int, stored: Any) -> None:
    rows = [log_row(number) for number in range(size)]
    rows[-1] = (*rows[-1][:column], stored, *rows[-1][column + 1 :])
    with pytest.raises(InvalidValueError, match="got"):
        log_loader()(rows)


@pytest.mark.parametrize(
    "stored",
    [
        [RIGHT + "0", RIGHT[:-1]],
        ["0" + RIGHT[:8].replace("0", "-") + RIGHT[9:], "0000" + RIGHT[4:]],
        [RIGHT.replace("-", " ")],
        [" " * 4 + RIGHT.replace("-", "")[4:]],
        [f"{RIGHT}\n{RIGHT}"],
        ["\n"],
        [""],
    ],
)
def test_what_has_as_many_digits_as_right_uuids_is_told(stored: list[str]) -> None:
    decode = column_decoder_for(decoder_for(FunctionLog.uuid, SQLITE))  # type: ignore[arg-type]
    assert decode([RIGHT, RIGHT.replace("-", "")]) == [uuid.UUID(RIGHT)] * 2
    with pytest.raises(ValueError, match=r"fromhex|another form"):
        decode([RIGHT, *stored, RIGHT])


@pytest.mark.parametrize("size", SIZES)
def test_columns_left_out_are_unloaded(size: int) -> None:
    fields = [FunctionLog.id, FunctionLog.level]
    loaded = make_loader(FunctionLog, fields, SQLITE, partial=True)([(number, "info") for number in range(size)])
    assert [(log.id, log.level) for log in loaded] == [(number, "info") for number in range(size)]
    with pytest.raises(LazyLoadingError, match="'message' was not loaded"):
        _ = loaded[-1].message


@pytest.fixture(params=["orjson", "json"])
def function_loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A loader of functions that reads JSON with one module or the other."""
    if request.param == "json":
        monkeypatch.setitem(sys.modules, "orjson", None)
    json_reader.cache_clear()
    loader = make_loader(Function, Function._meta.sorted_fields, SQLITE, partial=False)
    assert ("read_json" if request.param == "orjson" else "scan_json") in loader.sources["few"]
    yield loader
    json_reader.cache_clear()


@pytest.mark.parametrize("size", SIZES)
def test_documents_are_read_alike(function_loader: Any, size: int) -> None:
    documents = [{"a": [1, 2.5, None, {"é": "ü"}]}, None, [], "text", 7, {}, True]
    stored = [None if document is None else json.dumps(document) for document in documents]
    stored[2] = "[ ]"
    text = "2026-01-01 00:00:00.000000"
    rows = [
        (number, str(uuid.UUID(int=number)), 1, "f", "active", None, stored[number % 7], text, text)
        for number in range(size)
    ]
    loaded = function_loader(rows)
    assert [function.analysis_result for function in loaded] == [documents[number % 7] for number in range(size)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("stored", ["[1,2", "1, 2", "", "{'a': 1}"])
def test_text_that_is_no_json_is_told(function_loader: Any, size: int, stored: str) -> None:
    text = "2026-01-01 00:00:00.000000"
    row = (1, str(uuid.UUID(int=1)), 1, "f", "active", None, stored, text, text)
    with pytest.raises(InvalidValueError, match="expected JSON from the database"):
        function_loader([row] * size)


# Calls of Python functions are the same on every machine, where time is not: a slow way that creeps in shows here.


@contextmanager
def counted_calls() -> Iterator[list[str]]:
    """Collect the names of this library's functions that are called inside the block."""
    calls: list[str] = []

    def note(frame: Any, event: str, _argument: Any) -> None:
        file = frame.f_code.co_filename
        if event == "call" and (file.startswith(PACKAGE) or file == "<loader>"):
            calls.append(frame.f_code.co_qualname)

    before, collecting = sys.getprofile(), gc.isenabled()
    # What other tests have left behind may have finalizers of ours.
    gc.disable()
    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(before)
        if collecting:
            gc.enable()


def calls_of(work: Callable[[], object]) -> list[str]:
    work()  # what is made on first use
    with counted_calls() as calls:
        work()
    return calls


def test_a_lookup_takes_few_calls(database: Database, managers: Managers, backend: str) -> None:
    user = managers.users.insert({"email": "a@b.c", "password_hash": "x"})
    function = managers.functions.insert({"user_id": user.id, "name": "f", "analysis_result": {"a": 1}})
    with database.session():
        id, public_id = function.id, function.uuid
        by_id = calls_of(lambda: managers.functions.find_by_id(id))
        by_uuid = calls_of(lambda: managers.functions.find_by_uuid(public_id))
    most = {"sqlite": 10, "postgresql": 14}[backend]
    assert len(by_id) <= most, by_id
    assert len(by_uuid) <= most + 1, by_uuid  # UUID.__str__


@pytest.mark.parametrize("rows", [100, 1000])
def test_a_large_result_takes_no_call_for_each_row(rows: int) -> None:
    load = log_loader()
    given = [log_row(number) for number in range(rows)]
    calls = calls_of(lambda: load(given))
    assert len(calls) <= 12, calls
