"""batch_insert: everything or nothing, in constant memory, on both databases."""

import itertools
import tracemalloc
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from cloudpub_models.errors import (
    ForeignKeyViolationError,
    InvalidQueryError,
    InvalidValueError,
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


def test_postgresql_copies_when_nothing_comes_back(managers, function, statements, backend):
    managers.function_logs.batch_insert(log(function) for _ in range(250))
    expected = {
        "postgresql": ["COPY function_logs (function_id, level, message) FROM STDIN"],
        "sqlite": ["INSERT INTO function_logs (function_id, level, message) VALUES " + ", ".join(["(?, ?, ?)"] * 100)]
        * 2
        + ["INSERT INTO function_logs (function_id, level, message) VALUES " + ", ".join(["(?, ?, ?)"] * 50)],
    }
    assert [sql for sql in statements.sql if not sql.startswith(("SAVEPOINT", "BEGIN"))] == expected[backend]


def test_rows_come_back_in_their_order_with_ids_and_defaults(managers, function, statements, backend):
    entries = managers.function_logs.batch_insert([log(function, f"m{n}") for n in range(30)], returning=True)
    assert [entry.message for entry in entries] == [f"m{n}" for n in range(30)]
    ids = [entry.id for entry in entries]
    assert ids == sorted(ids)
    assert all(isinstance(entry.uuid, UUID) and entry.timestamp.tzinfo is UTC for entry in entries)
    assert len(statements) == 1
    if backend == "postgresql":
        assert "unnest(%s::integer[], %s::text[], %s::text[]) WITH ORDINALITY" in statements.sql[0]


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


def test_a_batch_in_an_aborted_transaction_is_refused(managers, database, function):
    with pytest.raises(TransactionAbortedError), database.transaction():
        with pytest.raises(UniqueViolationError):
            managers.functions.insert({"user_id": function.user_id, "name": "f"})
        managers.function_logs.batch_insert([log(function)])
    assert managers.function_logs.count() == 0
