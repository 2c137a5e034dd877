"""Log lines as real systems write them, once and very many times: written, read back in every way, thrown away.

Byte for byte: put together again, the lines that come back are the file.
"""

import hashlib
import random
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice

import pytest

from cloudpub_models import FunctionLog
from cloudpub_models.errors import InvalidQueryError
from cloudpub_models.schema.search_index import switch_on
from tests.manager.test_searching import holds, words_of
from tests.recordings import KINDS, OPENSTACK, RECORDED, ZOOKEEPER, recording

APPENDED = 50

_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)[.,](\d{3})")
_LEVEL = re.compile(r"\b(INFO|WARN|WARNING|ERROR)\b")


@pytest.fixture(params=KINDS)
def logs(request):
    """The bytes of each file, and its lines; a carriage return at the end of a line belongs to it."""
    contents = {name: recording(name, request.param) for name in (OPENSTACK, ZOOKEEPER)}
    lines = {name: content.decode("utf-8").split("\n") for name, content in contents.items()}
    assert [len(own) for own in lines.values()] == ([2000, 2000] if request.param == RECORDED else [200, 200])
    return contents, lines


@pytest.fixture
def functions(managers, user):
    return {name: managers.functions.insert({"user_id": user.id, "name": name}) for name in (OPENSTACK, ZOOKEEPER)}


def moment_of(line):
    # The first time in the line of OpenStack's logs is in the name of its file.
    seconds, milliseconds = _MOMENT.search(line).groups()
    return datetime.fromisoformat(f"{seconds}.{milliseconds}+00:00")


def level_of(line):
    return _LEVEL.search(line)[1].lower()


def row_of(function, line):
    return {"function_id": function.id, "level": level_of(line), "message": line, "timestamp": moment_of(line)}


def joined(messages):
    return "\n".join(messages).encode("utf-8")


@pytest.fixture
def written(managers, logs, functions):
    """Both files in the database: most lines in one batch, the last ones appended one by one as they come."""
    _, lines = logs
    for name, function in functions.items():
        batch = lines[name][:-APPENDED]
        assert managers.function_logs.batch_insert(row_of(function, line) for line in batch) == len(batch)
        for line in lines[name][-APPENDED:]:
            appended = managers.function_logs.append(function, level_of(line), line)
            assert appended.message == line
    return lines


@pytest.mark.parametrize("name", [OPENSTACK, ZOOKEEPER])
def test_every_line_comes_back_byte_for_byte(managers, logs, functions, written, name):
    where = {"function_id": functions[name].id}
    assert managers.function_logs.count(where) == len(written[name])
    assert joined(log.message for log in managers.function_logs.iterate(where, order_by="id")) == logs[0][name]
    assert joined(log.message for log in managers.function_logs.find_all(where, order_by="id")) == logs[0][name]


def test_the_tail_is_the_end_of_the_file(managers, functions, written):
    for name, function in functions.items():
        tail = managers.function_logs.tail(function, APPENDED)
        assert [log.message for log in reversed(tail)] == written[name][-APPENDED:]
        assert {log.function_id for log in tail} == {function.id}


def test_lines_are_filtered_by_level(managers, functions, written):
    counts = {}
    for name, function in functions.items():
        for level in ("info", "warn", "warning", "error"):
            expected = [line for line in written[name] if level_of(line) == level]
            where = {"function_id": function.id, "level": level}
            assert [log.message for log in managers.function_logs.find_all(where, order_by="id")] == expected
            tail = managers.function_logs.tail(function, 10_000, level)
            assert sorted(log.message for log in tail) == sorted(expected)
            counts[name, level] = len(expected)
    bad = counts[ZOOKEEPER, "warn"] + counts[ZOOKEEPER, "error"]
    assert min(counts[ZOOKEEPER, "warn"], counts[ZOOKEEPER, "error"], counts[OPENSTACK, "warning"]) > 0
    assert len(managers.function_logs.tail(functions[ZOOKEEPER], 10_000, ["warn", "error"])) == bad


@pytest.mark.parametrize("direction", ["ASC", "DESC"])
def test_pages_by_cursor_visit_every_line_once(managers, functions, written, direction):
    function = functions[ZOOKEEPER]
    pages, cursor = [], None
    while not pages or cursor is not None:
        page = managers.function_logs.paginate_after(
            cursor, 30, {"function_id": function.id}, order_by="timestamp", order_direction=direction
        )
        pages.append(page.items)
        cursor = page.next_cursor
    full, rest = divmod(len(written[ZOOKEEPER]), 30)
    assert [len(page) for page in pages] == [30] * full + [rest]
    read = [log for page in pages for log in page]
    # Several lines have one timestamp; of those the order is that in which they were written.
    own_order = [(log.timestamp, log.id) for log in read]
    assert own_order == sorted(own_order, reverse=direction == "DESC")
    assert joined(log.message for log in sorted(read, key=lambda log: log.id)) == joined(written[ZOOKEEPER])


HOSTILE = [
    "' OR 1=1 --",
    "NEAR/2(a b)",
    "%_\\",
    "a AND b NOT c",
    '"unfinished',
    "^col:x",
    "\t\n",
    "🙂 é",
    "* -",
    "(a",
    "@x $1 ?",
]


def search_at_random(chance, lines):
    """What somebody types who looks for a part of some line, and what it means: alternatives of terms."""
    alternatives = []
    for _ in range(chance.choice([1, 1, 2])):
        terms = []
        for number in range(chance.choice([1, 1, 2, 3])):
            words = words_of(chance.choice(lines))
            start = chance.randrange(len(words))
            words = words[start : start + chance.choice([1, 1, 2, 4])]
            is_beginning = chance.random() < 0.2
            if is_beginning:
                words[-1] = words[-1][: chance.randint(1, 4)]
            terms.append((number > 0 and chance.random() < 0.3, words, is_beginning))
        alternatives.append(terms)
    typed = " OR ".join(
        " ".join(
            ("-" if unwanted else "") + f'"{chance.choice(" -.:/")}{" ".join(words)}"' + ("*" if beginning else "")
            for unwanted, words, beginning in terms
        )
        for terms in alternatives
    )
    return typed, alternatives


# What it runs is covered by other tests, and takes twice as long when coverage is measured.
@pytest.mark.no_cover
@pytest.mark.parametrize("indexed", [False, True])
def test_a_search_finds_the_lines_that_plain_python_finds(managers, written, scale, indexed):
    if indexed:
        switch_on(managers.database.engine, [FunctionLog])
    chance = random.Random(3)
    lines = {log.id: log.message for log in managers.function_logs.find_all(order_by="id")}
    words = {number: [words_of(line)] for number, line in lines.items()}
    for _ in range(scale(40, 1_500)):
        typed, alternatives = search_at_random(chance, list(lines.values()))
        found = managers.function_logs.find_by_text(typed, page_size=5_000).items
        assert [log.id for log in found] == [
            number
            for number, own in words.items()
            if any(all(holds(term, own) for term in terms) for terms in alternatives)
        ], typed


@pytest.mark.parametrize("typed", HOSTILE)
def test_what_is_typed_is_words_or_an_error_of_ours(managers, written, typed):
    with suppress(InvalidQueryError):
        assert managers.function_logs.find_by_text(typed).items is not None


def test_old_lines_are_pruned(managers, functions, written):
    deleted = []
    batch = [len(lines) - APPENDED for lines in written.values()]
    # ZooKeeper's are of 2015, OpenStack's of 2017; those that were appended are of today.
    before = datetime(2016, 1, 1, tzinfo=UTC)
    assert managers.function_logs.prune(before, 40, progress=deleted.append) == batch[1]
    assert deleted == [*range(40, batch[1], 40), batch[1]]
    kept = managers.function_logs.find_all({"function_id": functions[ZOOKEEPER].id}, order_by="id")
    assert [log.message for log in kept] == written[ZOOKEEPER][-APPENDED:]
    assert managers.function_logs.count({"function_id": functions[OPENSTACK].id}) == len(written[OPENSTACK])
    assert managers.function_logs.prune(timedelta(days=365)) == batch[0]
    assert managers.function_logs.count() == 2 * APPENDED


# What it runs is covered by other tests, and takes twice as long when coverage is measured.
@pytest.mark.no_cover
def test_very_many_lines_in_one_batch(managers, logs, functions, scale):
    _, lines = logs
    many = scale(20_000, 100_000)
    function = functions[OPENSTACK]
    tiled = list(islice(cycle(lines[OPENSTACK] + lines[ZOOKEEPER]), many))
    begin = datetime(2024, 5, 1, tzinfo=UTC)
    progress = []
    rows = (
        row_of(function, line) | {"timestamp": begin + timedelta(milliseconds=number)}
        for number, line in enumerate(tiled)
    )
    assert managers.function_logs.batch_insert(rows, progress=progress.append) == many
    assert progress[-1] == many
    assert progress == sorted(set(progress))

    read, expected = hashlib.sha256(), hashlib.sha256(joined(tiled))
    for number, log in enumerate(managers.function_logs.iterate({"function_id": function.id}, order_by="timestamp")):
        read.update(("\n" * (number > 0) + log.message).encode("utf-8"))
    assert read.hexdigest() == expected.hexdigest()

    tail = managers.function_logs.tail(function, 100)
    assert [log.message for log in reversed(tail)] == tiled[-100:]
    assert managers.function_logs.prune(begin + timedelta(milliseconds=many - 10), many // 2) == many - 10
    assert [log.message for log in managers.function_logs.find_all(order_by="timestamp")] == tiled[-10:]
