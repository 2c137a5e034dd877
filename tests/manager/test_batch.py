"""batch_insert: everything or nothing, in constant memory, on both databases."""

import itertools
import tracemalloc
from collections import OrderedDict
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from types import MappingProxyType
from uuid import RFC_4122, UUID, uuid4

import pytest

from cloudpub_models.errors import (
    ForeignKeyViolationError,
    InvalidQueryError,
    InvalidValueError,
    NotNullViolationError,
    TransactionAbortedError,
    UniqueViolationError,
    UnknownColumnError,
)

NASTY = [
    "tab\there",
    "line\nbreak",
    "back\\slash",
    "\\N",
    "\\.",
    "carriage\rreturn",
    "",
    " ",
    "ü🎉",
    "'quoted'",
    '"x"',
    "100%",
    "{a,b}",
    "NULL",
    "@name",
]


@pytest.fixture
def function(managers):
    user = managers.users.insert({"email": "ada@example.com", "password_hash": "x"})
    return managers.functions.insert({"user_id": user.id, "name": "f"})


def log(function, message="m", **changes):
    return {"function_id": function.id, "level": "info", "message": message, **changes}


@pytest.mark.parametrize("returning", [False, True])
def test_every_value_comes_back_byte_for_byte(managers, function, returning):
    moment = datetime(2026, 5, 1, 12, 0, 0, 1, tzinfo=UTC)
    uuids = [uuid4() for _ in NASTY]
    result = managers.function_logs.batch_insert(
        (log(function, text, uuid=uuid, timestamp=moment) for text, uuid in zip(NASTY, uuids, strict=True)),
        returning=returning,
    )
    stored = managers.function_logs.find_all(order_by="id")
    assert [entry.message for entry in stored] == NASTY
    assert [entry.uuid for entry in stored] == uuids
    assert {entry.timestamp for entry in stored} == {moment}
    if returning:
        assert result == stored
        assert [entry.to_dict() for entry in result] == [entry.to_dict() for entry in stored]
    else:
        assert result == len(NASTY)


def test_what_is_sent_when_nothing_comes_back(managers, function, statements, backend):
    managers.function_logs.batch_insert(log(function) for _ in range(250))
    expected = {
        "postgresql": "COPY function_logs (function_id, level, message, uuid) FROM STDIN",
        "sqlite": "INSERT INTO function_logs (function_id, level, message, uuid) VALUES (?, ?, ?, ?)",
    }
    assert statements == [(expected[backend], ())]


def test_rows_come_back_in_their_order_with_ids_and_defaults(managers, function, statements, backend):
    entries = managers.function_logs.batch_insert([log(function, f"m{n}") for n in range(30)], returning=True)
    assert [entry.message for entry in entries] == [f"m{n}" for n in range(30)]
    ids = [entry.id for entry in entries]
    assert ids == sorted(ids)
    assert all(isinstance(entry.uuid, UUID) and entry.timestamp.tzinfo is UTC for entry in entries)
    assert len(statements) == 1
    if backend == "postgresql":
        assert "unnest(%s::integer[], %s::text[], %s::text[], %s::uuid[]) WITH ORDINALITY" in statements.sql[0]


def test_more_rows_than_one_statement_takes_come_back_in_their_order(managers, function):
    messages = [f"m{n}" for n in range(2345)]
    entries = managers.function_logs.batch_insert(
        (log(function, message) for message in messages), returning=True, chunk_size=1000
    )
    assert [entry.message for entry in entries] == messages
    assert [entry.message for entry in managers.function_logs.find_all(order_by="id")] == messages


@pytest.mark.parametrize("returning", [False, True])
def test_every_row_gets_a_uuid_of_its_time_unless_it_brings_one(managers, function, returning):
    own = uuid4()
    managers.function_logs.batch_insert((log(function) for _ in range(1000)), returning=returning, chunk_size=300)
    managers.function_logs.batch_insert([log(function, "own", uuid=own)], returning=returning)
    made = [entry.uuid for entry in managers.function_logs.find_all({"message": "m"})]
    assert len(set(made)) == 1000
    assert {(uuid.version, uuid.variant) for uuid in made} == {(7, RFC_4122)}
    assert managers.function_logs.find_one({"message": "own"}).uuid == own


@pytest.mark.parametrize("returning", [False, True])
def test_every_row_gets_a_random_uuid_where_none_is_made_of_the_time(managers, returning):
    rows = [{"email": f"{number}@example.com", "password_hash": "…"} for number in range(100)]
    managers.users.batch_insert(rows, returning=returning)
    made = [user.uuid for user in managers.users.find_all()]
    assert {(uuid.version, uuid.variant) for uuid in made} == {(4, RFC_4122)}


@pytest.mark.parametrize("returning", [False, True])
def test_every_short_text_of_special_characters_comes_back(managers, function, returning):
    characters = ["\\", "\t", "\n", "\r", "N", ".", '"', "'", "{", ",", "\v", "\x1f", "\u2028", "ü", "🎉"]
    texts = ["".join(text) for length in (1, 2, 3) for text in itertools.product(characters, repeat=length)]
    managers.function_logs.batch_insert((log(function, text) for text in texts), returning=returning)
    assert [entry.message for entry in managers.function_logs.find_all(order_by="id")] == texts


@pytest.mark.parametrize("returning", [False, True])
def test_documents_and_absent_values_come_back(managers, function, returning):
    documents = [None, {}, {"text": '\\ " \t \n ü'}, {"a": [1, 2.5, None, True]}]
    rows = [
        {"user_id": function.user_id, "name": f"f{number}", "analysis_result": document}
        for number, document in enumerate(documents)
    ]
    managers.functions.batch_insert(rows, returning=returning)
    stored = managers.functions.find_all({"name": [row["name"] for row in rows]}, order_by="id")
    assert [entry.analysis_result for entry in stored] == documents

    durations, failures = [None, 12, None, 0], ["\\N", None, "NULL", None]
    managers.function_invocations.batch_insert(
        (
            {"function_id": function.id, "status": "x", "duration_ms": duration, "error": failure}
            for duration, failure in zip(durations, failures, strict=True)
        ),
        returning=returning,
    )
    invocations = managers.function_invocations.find_all(order_by="id")
    assert [entry.duration_ms for entry in invocations] == durations
    assert [entry.error for entry in invocations] == failures


class Unhashable(tzinfo):
    """UTC, of a class without a hash, as some packages have it."""

    __hash__ = None

    def utcoffset(self, moment):
        return timedelta()


def test_moments_of_any_zone_come_back(managers, function):
    india = timezone(timedelta(hours=5, minutes=30))
    moments = [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2026, 5, 1, 12, tzinfo=UTC),
    ]
    managers.function_logs.batch_insert(log(function, timestamp=moment) for moment in moments)
    managers.function_logs.batch_insert(log(function, timestamp=moment.astimezone(india)) for moment in moments[2:])
    unhashable = moments[2].replace(tzinfo=Unhashable())
    managers.function_logs.batch_insert([log(function, timestamp=unhashable), log(function, timestamp=moments[0])])
    stored = [entry.timestamp for entry in managers.function_logs.find_all(order_by="id")]
    assert stored == [*moments, moments[2], moments[2], moments[0]]


@pytest.mark.parametrize("returning", [False, True])
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("message", "a\0b"),
        ("message", "a\ud800b"),
        ("message", 5),
        ("level", b"info"),
        ("function_id", True),
        ("function_id", 2**31),
        ("function_id", -(2**31) - 1),
        ("function_id", "1"),
        ("timestamp", datetime(2026, 5, 1)),
        ("timestamp", "yesterday"),
        ("uuid", "1234"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_among_those_that_do(
    managers, function, statements, returning, column, value
):
    moment = datetime(2026, 5, 1, tzinfo=UTC)
    rows = [log(function, uuid=uuid4(), timestamp=moment) for _ in range(50)]
    rows[30][column] = value
    with pytest.raises(InvalidValueError, match=rf"function_logs\.{column}: expected"):
        managers.function_logs.batch_insert(rows, returning=returning)
    assert statements == []


class Answering(dict):
    """Has a value for every key, as a ``defaultdict`` does."""

    def __missing__(self, key):
        return "invented"


def test_rows_may_be_mappings_of_any_kind(managers, function):
    mapping = MappingProxyType(log(function, "proxy"))
    answering = Answering(log(function, "answering"))
    managers.function_logs.batch_insert([mapping, answering, OrderedDict(log(function, "ordered"))])
    managers.functions.batch_insert(
        [
            {"user_id": function.user_id, "name": "a", "status": "idle"},
            Answering(user_id=function.user_id, name="b", analysis_result={}),
        ]
    )
    assert [entry.message for entry in managers.function_logs.find_all(order_by="id")] == [
        "proxy",
        "answering",
        "ordered",
    ]
    assert managers.functions.find_one({"name": "b"}).status == "active"
    assert "status" not in answering


def test_rows_with_as_many_but_other_keys_keep_their_values_apart(managers, function):
    user_id = function.user_id
    managers.functions.batch_insert(
        [{"user_id": user_id, "name": "a", "status": "idle"}, {"name": "b", "user_id": user_id, "analysis_result": {}}]
    )
    a, b = managers.functions.find_all({"name": ["a", "b"]}, order_by="name")
    assert [(a.status, a.analysis_result), (b.status, b.analysis_result)] == [("idle", None), ("active", {})]


def test_a_key_that_a_row_lacks_takes_the_default(managers, function):
    user_id = function.user_id
    rows = [
        {"user_id": user_id, "name": "a"},
        {"user_id": user_id, "name": "b", "status": "inactive", "analysis_result": {"a": 1}},
        {"name": "c", "user_id": user_id, "uuid": "550e8400-e29b-41d4-a716-446655440000"},
    ]
    for returning in (False, True):
        with pytest.raises(ZeroDivisionError), managers.database.transaction():
            managers.functions.batch_insert(rows, returning=returning)
            a, b, c = managers.functions.find_all({"name": ["a", "b", "c"]}, order_by="id")
            assert [f.name for f in (a, b, c)] == ["a", "b", "c"]
            assert (a.status, b.status, c.status) == ("active", "inactive", "active")
            assert (a.analysis_result, b.analysis_result) == (None, {"a": 1})
            assert str(c.uuid) == "550e8400-e29b-41d4-a716-446655440000"
            assert a.uuid != b.uuid
            raise ZeroDivisionError


def test_each_default_is_kept_where_some_rows_lack_a_value(database):
    import peewee

    from cloudpub_models import Manager

    class Film(peewee.Model):
        name = peewee.CharField()
        stars = peewee.IntegerField(default=3)
        rank = peewee.IntegerField(default=4, null=True)
        kind = peewee.CharField(null=True, constraints=[peewee.SQL("DEFAULT 'long'")])

        class Meta:
            database = peewee.DatabaseProxy()

    Film._meta.database.initialize(database.engine)
    Film.create_table()
    films = Manager(Film, database)
    films.batch_insert(
        [{"name": "a"}, {"name": "b", "rank": None, "kind": None}, {"name": "c", "stars": 5, "kind": "s"}]
    )
    assert films.values(["stars", "rank", "kind"], order_by="name") == [(3, 4, "long"), (3, None, None), (5, 4, "s")]
    # Nor has any row of a batch to name it.
    films.batch_insert([{"name": "d"}, {"name": "e", "kind": "s"}])
    assert films.values(["stars", "rank", "kind"], {"name": ["d", "e"]}, order_by="name") == [
        (3, 4, "long"),
        (3, 4, "s"),
    ]
    Film.drop_table()


def test_rows_of_nothing_but_defaults(database):
    import peewee

    from cloudpub_models import Manager

    engine = database.engine

    class Ticket(peewee.Model):
        made = peewee.CharField(constraints=[peewee.SQL("DEFAULT 'now'")], null=True)

        class Meta:
            database = engine

    Ticket.create_table()
    tickets = Manager(Ticket, database)
    assert tickets.batch_insert([{}, {}, {}]) == 3
    assert tickets.insert({}).made == "now"
    assert len(tickets.batch_insert([{}, {}], returning=True)) == 2
    assert tickets.count() == 6


def test_no_rows(managers, statements):
    assert managers.function_logs.batch_insert([]) == 0
    assert managers.function_logs.batch_insert(iter(()), returning=True) == []
    assert statements == []


@pytest.mark.usefixtures("kept_references")
def test_nothing_stays_when_a_late_row_fails(managers, function):
    rows = itertools.chain((log(function) for _ in range(2500)), [log(function, function_id=10**6)])
    with pytest.raises(ForeignKeyViolationError):
        managers.function_logs.batch_insert(rows, chunk_size=1000)
    assert managers.function_logs.count() == 0


def test_nothing_stays_when_the_source_fails(managers, function):
    def source():
        yield from (log(function) for _ in range(1500))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        managers.function_logs.batch_insert(source(), chunk_size=1000)
    assert managers.function_logs.count() == 0


def test_a_bad_row_is_refused_before_it_is_sent(managers, function):
    with pytest.raises(UnknownColumnError, match="did you mean 'message'"):
        managers.function_logs.batch_insert([log(function), {**log(function), "mesage": "x"}])
    with pytest.raises(InvalidValueError, match=r"function_logs\.level"):
        managers.function_logs.batch_insert([log(function), log(function, level="x" * 21)])
    with pytest.raises(InvalidValueError, match="dict"):
        managers.function_logs.batch_insert([("a", "b")])
    assert managers.function_logs.count() == 0


@pytest.mark.usefixtures("kept_references")
def test_a_failing_batch_leaves_the_callers_transaction_usable(managers, database, function):
    with database.transaction():
        managers.function_logs.insert(log(function, "kept"))
        with pytest.raises(ForeignKeyViolationError):
            managers.function_logs.batch_insert([log(function, function_id=10**6)])
        managers.function_logs.insert(log(function, "kept too"))
    assert managers.function_logs.count() == 2


def test_progress_is_told_after_each_chunk(managers, function):
    told = []
    managers.function_logs.batch_insert((log(function) for _ in range(2500)), chunk_size=1000, progress=told.append)
    assert told == [1000, 2000, 2500]


def test_a_failing_progress_callback_keeps_nothing(managers, function):
    with pytest.raises(ZeroDivisionError):
        managers.function_logs.batch_insert([log(function)], progress=lambda written: 1 / 0)
    assert managers.function_logs.count() == 0


def test_a_uuid_that_refers_to_another_row_is_never_made_up(managers):
    with pytest.raises(NotNullViolationError, match="user_id"):
        managers.user_information.batch_insert([{"first_name": "Ada", "last_name": "Lovelace", "role": "team"}])


def test_conflicts_raise_unless_told_otherwise(managers, function):
    row = {"email": "ada@example.com", "password_hash": "other"}
    with pytest.raises(UniqueViolationError) as caught:
        managers.users.batch_insert([{"email": "bob@example.com", "password_hash": "x"}, row])
    assert caught.value.columns == ("email",)
    assert managers.users.count() == 1


@pytest.mark.parametrize("conflict_columns", [(), ("email",)])
def test_conflicts_may_be_ignored(managers, function, conflict_columns):
    rows = [{"email": f"{name}@example.com", "password_hash": "new"} for name in ("ada", "bob", "bob")]
    assert managers.users.batch_insert(rows, on_conflict="ignore", conflict_columns=conflict_columns) == 1
    assert (
        managers.users.batch_insert(rows, on_conflict="ignore", conflict_columns=conflict_columns, returning=True) == []
    )
    assert managers.users.find_one({"email": "ada@example.com"}).password_hash == "x"


def test_conflicts_may_update(managers, function):
    before = managers.users.find_one({"email": "ada@example.com"})
    rows = [{"email": f"{name}@example.com", "password_hash": name} for name in ("ada", "bob", "bob")] + [
        {"email": "bob@example.com", "password_hash": "last"}
    ]
    returned = managers.users.batch_insert(rows, on_conflict="update", conflict_columns=["email"], returning=True)
    assert sorted((user.email, user.password_hash) for user in returned) == [
        ("ada@example.com", "ada"),
        ("bob@example.com", "last"),
    ]
    after = managers.users.find_one({"email": "ada@example.com"})
    assert (after.id, after.uuid, after.created_at) == (before.id, before.uuid, before.created_at)
    assert after.updated_at > before.updated_at


def test_conflicts_may_update_some_columns(managers, function):
    rows = [{"user_id": function.user_id, "name": "f", "status": "inactive", "analysis_result": {"a": 1}}]
    managers.functions.batch_insert(
        rows, on_conflict="update", conflict_columns=["user_id", "name"], update_columns=["analysis_result"]
    )
    updated = managers.functions.find_by_id(function.id)
    assert (updated.status, updated.analysis_result) == ("active", {"a": 1})


@pytest.mark.parametrize("chunk_size", [1, 10])
def test_a_column_that_a_row_does_not_name_is_not_updated(managers, function, chunk_size):
    managers.functions.update_by_id(function.id, {"status": "paused", "analysis_result": {"keep": 1}})
    user_id = function.user_id
    managers.functions.batch_insert(
        [
            {"user_id": user_id, "name": "f"},
            {"user_id": user_id, "name": "g", "status": "idle", "analysis_result": {"a": 1}},
            {"name": "h", "user_id": user_id, "status": "idle"},
        ],
        on_conflict="update",
        conflict_columns=["user_id", "name"],
        chunk_size=chunk_size,
    )
    kept = managers.functions.find_by_id(function.id)
    assert (kept.status, kept.analysis_result) == ("paused", {"keep": 1})
    assert [f.status for f in managers.functions.find_all({"name": ["g", "h"]}, order_by="name")] == ["idle", "idle"]


@pytest.mark.parametrize("rows", [{"level": "info"}, "level", 5, None])
def test_rows_have_to_be_an_iterable_of_dicts(managers, rows):
    with pytest.raises(InvalidValueError, match="iterable of dicts"):
        managers.function_logs.batch_insert(rows)


@pytest.mark.parametrize(
    "arguments",
    [
        {"on_conflict": "replace"},
        {"on_conflict": "update"},
        {"conflict_columns": ["email"]},
        {"on_conflict": "update", "conflict_columns": "email"},
        {"on_conflict": "update", "conflict_columns": ["email"], "update_columns": ["nothing"]},
        {"on_conflict": "update", "conflict_columns": ["email; DROP TABLE users"]},
        {"chunk_size": 0},
        {"chunk_size": True},
    ],
)
def test_arguments_are_checked(managers, arguments):
    with pytest.raises(InvalidQueryError):
        managers.users.batch_insert([{"email": "a@b.c", "password_hash": "x"}], **arguments)
    assert managers.users.count() == 0


def test_memory_stays_constant(managers, function):
    def peak(rows):
        tracemalloc.start()
        managers.function_logs.batch_insert((log(function, "x" * 200) for _ in range(rows)), chunk_size=500)
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    few, many = peak(2_000), peak(12_000)
    assert many < few * 1.5


def test_reading_a_stream_keeps_memory_constant(managers, function):
    managers.function_logs.batch_insert(log(function, "x" * 200) for _ in range(12_000))

    def peak(limit):
        tracemalloc.start()
        for _ in itertools.islice(managers.function_logs.iterate(chunk_size=500), limit):
            pass
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    few, many = peak(2_000), peak(12_000)
    assert many < few * 1.5


def test_a_stream_of_several_chunks_gives_every_row_once(managers, function, statements):
    managers.function_logs.batch_insert(log(function, str(number)) for number in range(1300))
    read = [entry.message for entry in managers.function_logs.iterate(order_by="id", chunk_size=700)]
    assert read == [str(number) for number in range(1300)]


def test_a_stream_loads_related_rows_once_for_each_chunk(managers, function, statements):
    managers.function_logs.batch_insert(log(function) for _ in range(1300))
    statements.clear()
    read = list(managers.function_logs.iterate(include=("function",), chunk_size=700))
    assert {entry.function.name for entry in read} == {"f"}
    assert len([sql for sql in statements.sql if "FROM functions" in sql]) == 2


def test_a_batch_in_an_aborted_transaction_is_refused(managers, database, function):
    with pytest.raises(TransactionAbortedError), database.transaction():
        with pytest.raises(UniqueViolationError):
            managers.functions.insert({"user_id": function.user_id, "name": "f"})
        managers.function_logs.batch_insert([log(function)])
    assert managers.function_logs.count() == 0
