"""A column at a time gives what one value at a time does."""

import gc
import signal
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from itertools import count
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cloudpub_models import Function, FunctionInvocation, FunctionLog
from cloudpub_models.errors import InvalidValueError
from cloudpub_models.manager.columns import many as columnwise
from cloudpub_models.manager.columns.many import CopyText, array_text, random_uuids, time_ordered_uuids
from cloudpub_models.manager.columns.table import table_of
from cloudpub_models.sql.values import array_literal

LOGS, INVOCATIONS = table_of(FunctionLog), table_of(FunctionInvocation)
MOMENTS = st.datetimes(
    datetime(1, 1, 3), datetime(9999, 12, 29), timezones=st.sampled_from([UTC, timezone(timedelta(hours=-7))])
)
COLUMNS = [
    (INVOCATIONS.columns["error"], st.text(max_size=8)),
    (INVOCATIONS.columns["duration_ms"], st.integers(-(2**31), 2**31 - 1)),
    (LOGS.columns["timestamp"], MOMENTS),
    (LOGS.columns["uuid"], st.uuids()),
    (table_of(Function).columns["analysis_result"], st.dictionaries(st.text(max_size=3), st.text(max_size=3))),
]


def outcome(make):
    try:
        return list(make())
    except InvalidValueError as error:
        return str(error)


@pytest.mark.parametrize(("column", "values"), COLUMNS, ids=lambda given: getattr(given, "name", ""))
def test_values_are_checked_and_encoded_as_single_ones_are(column, values):
    unfit = st.sampled_from([None, "x\0", "\ud800", 2**40, True, b"x", datetime(2026, 1, 1), 1.5])

    @given(
        st.lists(values, min_size=1) | st.lists(values | st.none(), min_size=1) | st.lists(values | unfit, min_size=1)
    )
    def check(given):
        assert outcome(lambda: column.encode_all(given)) == outcome(lambda: map(column.encode, given))

    check()


@given(st.lists(st.text(), min_size=1))
@example(["\\", '"', "NULL", "", "{}", '\\"'])
def test_array_text_is_an_array_literal_of_quoted_texts(texts):
    assert array_text(texts) == array_literal(texts)


def test_arrays_of_other_values_are_array_literals():
    for values in ([1, -2], [1, None], ["a", None], [True], [1.5], [b"x"], []):
        assert array_text(values) == array_literal(values)


def test_copy_text_escapes_what_has_a_meaning():
    columns = [[1, None], ["a\tb\\", "\\N"], [True, False], [b"\x01", None], ["\r\n", None], [1.5, float("inf")]]
    expected = "1\ta\\tb\\\\\tt\t\\\\x01\t\\r\\n\t1.5\n\\N\t\\\\N\tf\t\\N\t\\N\tinf\n"
    assert CopyText(columns).read(1000).decode() == expected


@pytest.mark.parametrize("size", [1, 7, 65_536])
def test_copy_text_is_written_as_it_is_read(size):
    numbers = list(range(2345))
    written = []

    class Noted(int):
        def __str__(self):
            written.append(self)
            return repr(self)

    text = CopyText([list(map(Noted, numbers)), ["ü"] * len(numbers)])
    first = text.read(size)
    assert 0 < len(first) <= size
    assert len(written) <= 1000
    pieces = [first, *iter(lambda: text.read(size), b"")]
    assert max(map(len, pieces)) <= size
    assert b"".join(pieces).decode() == "".join(f"{number}\tü\n" for number in numbers)
    assert text.read(size) == b""


def test_what_ends_the_reading_of_copy_text_is_kept():
    class Interrupting(int):
        def __str__(self):
            raise KeyboardInterrupt

    text = CopyText([[1, Interrupting(2)]])
    with pytest.raises(KeyboardInterrupt) as caught:
        text.read(1000)
    assert text.failures == [caught.value]


@pytest.mark.parametrize("backend", ["postgresql"])
def test_what_a_signal_handler_raises_during_copy_is_raised(database, managers, backend, monkeypatch):
    class StopError(Exception):
        pass

    def stop(number, frame):
        raise StopError

    user = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    function = managers.functions.insert({"user_id": user.id, "name": "resize"})
    rows = [{"function_id": function.id, "level": "info", "message": "x" * 200}] * 4000
    before = signal.signal(signal.SIGALRM, stop)
    # What is raised while the collector calls somebody back, as Hypothesis has it do, is lost.
    gc.disable()
    try:
        for place in range(1, TEXTS_OF_LOGS + 1):
            with signalled_while_copying(monkeypatch, place), pytest.raises(StopError):
                managers.function_logs.batch_insert(rows, chunk_size=len(rows))
            assert managers.function_logs.count() == 0
    finally:
        gc.enable()
        signal.signal(signal.SIGALRM, before)


# Four columns, the UUIDs that are made with them, in blocks of a thousand rows.
TEXTS_OF_LOGS = 4 * 4


@contextmanager
def signalled_while_copying(monkeypatch, place):
    """Send SIGALRM from another thread as soon as so many columns have been asked for, and before the last one is."""
    texts, asked, sent, numbers = columnwise._copy_texts, threading.Event(), threading.Event(), count(1)

    def followed(values):
        number = next(numbers)
        if number == place:
            asked.set()
        if number == TEXTS_OF_LOGS:
            assert sent.wait(60)
        return texts(values)

    def send():
        assert asked.wait(60)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGALRM)
        sent.set()

    sender = threading.Thread(target=send)
    sender.start()
    with monkeypatch.context() as patch:
        patch.setattr(columnwise, "_copy_texts", followed)
        yield
    sender.join()


@pytest.mark.parametrize("backend", ["postgresql"])
def test_what_interrupts_copy_between_two_blocks_is_raised(database, managers, backend, monkeypatch):
    texts, calls = columnwise._copy_texts, []

    def interrupted(values):
        calls.append(None)
        if len(calls) == 7:
            signal.raise_signal(signal.SIGINT)
        return texts(values)

    monkeypatch.setattr(columnwise, "_copy_texts", interrupted)
    rows = [{"email": f"{number}@example.com", "password_hash": "…"} for number in range(4000)]
    with pytest.raises(KeyboardInterrupt):
        managers.users.batch_insert(rows, chunk_size=len(rows))
    assert len(calls) == 7
    assert managers.users.count() == 0


def test_random_uuids_are_random_and_in_order():
    texts = random_uuids(4000)
    assert texts == sorted(texts)
    assert [str(UUID(text)) for text in texts] == texts
    assert {text[14] for text in texts} == {"4"}
    # Every digit that is random takes each of its values, in every place.
    for place in range(36):
        found = {text[place] for text in texts}
        expected = {8: "-", 13: "-", 14: "4", 18: "-", 19: "89ab", 23: "-"}.get(place, "0123456789abcdef")
        assert found == set(expected)
    assert not set(texts) & set(random_uuids(4000))
    assert random_uuids(0) == []


def test_time_ordered_uuids_are_random_behind_their_moment():
    texts = time_ordered_uuids([0x0190_3C5F_1E2A] * 4000)
    assert [str(UUID(text)) for text in texts] == texts
    for place in range(15, 36):
        found = {text[place] for text in texts}
        assert found == set({18: "-", 19: "89ab", 23: "-"}.get(place, "0123456789abcdef"))
    assert {text[:15] for text in texts} == {"01903c5f-1e2a-7"}
    assert len(set(texts)) == 4000


def test_each_time_ordered_uuid_has_its_own_moment():
    assert [text[:15] for text in time_ordered_uuids([1, 2**48 - 1, 0])] == [
        "00000000-0001-7", "ffffffff-ffff-7", "00000000-0000-7",
    ]  # fmt: skip
    assert time_ordered_uuids([]) == []
