"""No password and no password hash in what the library says: every error of the tree, logs, reprs, commands."""

from __future__ import annotations

import logging
import pickle
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import peewee
import pytest
from psycopg2 import extensions
from typer.testing import CliRunner

from cloudpub_models import (
    ALL_ROWS,
    Database,
    Manager,
    Managers,
    QueryBuilder,
    QueryEvent,
    Scope,
    User,
    errors,
    operators,
)
from cloudpub_models.cells.together import together
from cloudpub_models.cli.application import application
from cloudpub_models.connection.url import mask_password
from cloudpub_models.dto import UserDto
from cloudpub_models.schema import create_all
from cloudpub_models.work.component import LeaseRow
from tests.waiting import LONG_ENOUGH

HASH = "s3cr3t-hash"
PASSWORD = "s3cr3t-password"
DATA = {"email": "ada@example.com", "password_hash": HASH}


def secret_url(url: str) -> str:
    """Give a server's URL a password, unless it has one."""
    if url.startswith("sqlite:") or extensions.parse_dsn(url).get("password"):
        return url
    return f"{url}{'&' if '?' in url else '?'}password={PASSWORD}"


@pytest.fixture
def secret_database(database_url: str) -> Iterator[Database]:
    database = Database(secret_url(database_url), max_connections=5)
    if database.dialect == "sqlite":
        database.migrate()
    Managers(database).users.insert(DATA)
    yield database
    database.close()


def told(error: BaseException) -> str:
    """Everything that a log or a traceback could show of an error and of those behind it."""
    texts = ["".join(traceback.format_exception(error))]
    pending: list[BaseException | None] = [error]
    seen: set[int] = set()
    while pending:
        each = pending.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            texts += [str(each), repr(each), repr(each.args), repr(getattr(each, "__notes__", ""))]
            texts += [repr(value) for name, value in vars(each).items() if not name.startswith("_")]
            pending += [each.__cause__, each.__context__]
    return "\n".join(texts)


def raised(call: Callable[[], object], kind: type[Exception]) -> Exception:
    with pytest.raises(kind) as caught:
        call()
    return caught.value


def sqlstate(database: Database, code: str) -> Any:
    """Have PostgreSQL raise any error, in a statement that holds the hash, which the server's message quotes."""
    block = (
        f"DO $$ BEGIN RAISE EXCEPTION 'on purpose' USING ERRCODE = '{code}', DETAIL = '{HASH}', HINT = '{HASH}'; END $$"
    )
    return database.raw_execute(block)


def lost_connection(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute("UPDATE users SET password_hash = @hash", {"hash": HASH})
        connection.execute(
            "SELECT pg_terminate_backend(pg_backend_pid()) FROM users WHERE password_hash = @hash", {"hash": HASH}
        )


def lost_in_commit(database: Database) -> None:
    with dying_at_commit(database), database.transaction() as connection:
        connection.execute("UPDATE users SET password_hash = @hash", {"hash": HASH})


def kept_elsewhere(database: Database) -> None:
    other = Database("sqlite:///:memory:")
    # The last to begin is the first to end.
    with closing(other), dying_at_commit(database), together([database, other], 1):
        database.raw_execute("UPDATE users SET password_hash = @hash", {"hash": HASH})


@contextmanager
def dying_at_commit(database: Database) -> Iterator[None]:
    """Have the connection end while a transaction commits that has changed a user."""
    database.raw_execute(
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(5); RETURN NULL; END $$"
    )
    database.raw_execute(
        "CREATE CONSTRAINT TRIGGER dies AFTER UPDATE ON users DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION die()"
    )
    try:
        yield
    finally:
        database.raw_execute("DROP TRIGGER dies ON users")
        database.raw_execute("DROP FUNCTION die")


def exhausted(database: Database) -> None:
    small = Database(secret_url_of(database), max_connections=1, pool_timeout=0.05)
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with small.session():
            small.ping()
            held.set()
            done.wait(LONG_ENOUGH)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(LONG_ENOUGH)
    try:
        small.ping()
    finally:
        done.set()
        holder.join()
        small.close()


def out_of_date(database: Database) -> None:
    prepared = Database(secret_url_of(database), prepared=True)
    try:
        with prepared.session():
            Managers(prepared).users.find_all({"password_hash": HASH})
            prepared.raw_execute("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$")
            with prepared.transaction():
                Managers(prepared).users.find_all({"password_hash": HASH})
    finally:
        prepared.close()


def secret_url_of(database: Database) -> str:
    known = database._url
    assert known is not None
    return known.target if database.dialect == "postgresql" else f"sqlite:///{known.target}"


def swallowed(database: Database) -> None:
    with database.transaction():
        try:
            Managers(database).users.insert(DATA)
        except errors.UniqueViolationError:
            pass


def unloaded(database: Database) -> None:
    user = Managers(database).users.find_one(select=["email"])
    assert user is not None
    print(user.password_hash)


def checked(database: Database) -> None:
    user = Managers(database).users.find_one()
    assert user is not None
    Managers(database).database.raw_execute(
        "INSERT INTO user_information (user_id, first_name, last_name, role) "
        "SELECT uuid, password_hash, password_hash, password_hash FROM users"
    )


def changed_since(database: Database) -> None:
    database.history.enable()
    try:
        users = Managers(database).users
        user = users.get_one()
        users.update_by_id(user.id, {"password_hash": f"{HASH}-2"})
        users.update_by_id(user.id, {"password_hash": HASH})
        database.undo(users.history(user.id)[1].transaction_id)
    finally:
        database.history.disable()


def past_a_gap(database: Database) -> None:
    database.history.enable()
    users = Managers(database).users
    for _ in range(2):
        users.update_by_id(users.get_one().id, {"password_hash": HASH})
        with database.feed("secrets"):
            pass
        database.history.disable()
        users.update_by_id(users.get_one().id, {"password_hash": f"{HASH}-2"})
        database.history.enable()
    try:
        with database.feed("secrets"):
            pass
    finally:
        database.history.disable()
        database.history.remove_consumer("secrets")


def after_it_ran_out(database: Database) -> None:
    create_all(database.engine, [LeaseRow])
    try:
        lease = Managers(database).users.lease({"password_hash": HASH}, seconds=60)
        assert lease is not None
        lease.release()
        with lease.finish():
            pass
    finally:
        database.raw_execute("DROP TABLE leases")


def forgotten(database: Database) -> None:
    database.history.enable()
    try:
        users = Managers(database).users
        user = users.insert({**DATA, "email": "eve@example.com"})
        users.delete_by_id(user.id)
        database.history.forget("users", user.id)
        users.undelete(user.id, {"password_hash": HASH})
    finally:
        database.history.disable()


Provocation = Callable[[Database], object]

EVERYWHERE: list[tuple[type[Exception], Provocation]] = [
    (errors.ConfigurationError, lambda _: Database(f"postgres+x://ada:{PASSWORD}@db/cloud")),
    (errors.UnknownColumnError, lambda database: Managers(database).users.insert({**DATA, "nickname": HASH})),
    (errors.UnknownTableError, lambda database: Managers(database).users.has_many("nothing", "user_id", 1)),
    (errors.InvalidIdentifierError, lambda database: Managers(database).users.query().where("a b", HASH)),
    (errors.UnboundedWriteError, lambda database: Managers(database).users.update(DATA, None)),
    (
        errors.UnguardedError,
        lambda database: Manager(User, database, scope=Scope({User: {"password_hash": "other"}})).insert(DATA),
    ),
    (errors.ParameterError, lambda database: database.raw_query_all("SELECT @a", {"a": HASH, "b": HASH})),
    (errors.InvalidCursorError, lambda database: Managers(database).users.paginate_after("x", where=DATA)),
    (errors.InvalidValueError, lambda database: Managers(database).users.insert({**DATA, "uuid": "x"})),
    (
        errors.InvalidValueError,
        lambda database: Managers(database).users.insert({**DATA, "password_hash": HASH.encode()}),
    ),
    (errors.InvalidValueError, lambda database: Managers(database).users.update({"password_hash": [HASH]}, ALL_ROWS)),
    (
        errors.InvalidValueError,
        lambda database: Managers(database).users.update({"password_hash": HASH * 99}, ALL_ROWS),
    ),
    (errors.InvalidValueError, lambda database: Managers(database).users.find_all({"password_hash": HASH + "\0"})),
    (errors.InvalidValueError, lambda database: Managers(database).users.find_all({"password_hash": HASH + "\ud800"})),
    (
        errors.InvalidValueError,
        lambda database: bound(database, lambda: User.create(email="\ud800", password_hash=HASH)),
    ),
    (errors.InvalidCountError, lambda database: Managers(database).users.find_all({"password_hash": HASH}, limit=-1)),
    (errors.NotFoundError, lambda database: Managers(database).users.get_one({"password_hash": f"{HASH}-3"})),
    (errors.NotFoundError, lambda database: Managers(database).organizations.create("x", str(User(**DATA).uuid))),
    (errors.DomainRuleError, lambda database: Managers(database).function_deployments.rollback(function_of(database))),
    (errors.LazyLoadingError, unloaded),
    (errors.UniqueViolationError, lambda database: Managers(database).users.insert(DATA)),
    (errors.UniqueViolationError, lambda database: Managers(database).users.batch_insert([DATA, DATA])),
    (errors.UniqueViolationError, lambda database: bound(database, lambda: User.create(**DATA))),
    (
        errors.ForeignKeyViolationError,
        lambda database: Managers(database).functions.insert({"user_id": 99, "name": HASH}),
    ),
    (
        errors.NotNullViolationError,
        lambda database: Managers(database).users.insert({"password_hash": HASH, "email": None}),
    ),
    (errors.NotNullViolationError, lambda database: bound(database, lambda: User.create(password_hash=HASH))),
    (errors.CheckViolationError, checked),
    (errors.ConnectionFailedError, lambda _: Database(f"postgresql://ada:{PASSWORD}@127.0.0.1:1/cloud").ping()),
    (errors.TransactionAbortedError, swallowed),
    (errors.MigrationError, lambda database: database.migrate("nothing")),
    (errors.HistoryError, lambda database: database.undo(10**9)),
    (errors.HistoryError, lambda database: Managers(database).users.history(1)),
    (errors.HistoryError, forgotten),
    (errors.HistoryConflictError, changed_since),
    (errors.FeedGapError, past_a_gap),
    (errors.LeaseLostError, after_it_ran_out),
    (errors.RefusedQueryError, lambda database: database.raw_query_all("SELECT nothing, @hash", {"hash": HASH})),
    (
        errors.InvalidQueryError,
        lambda database: database.raw_execute("UPDATE users SET nothing = 1, password_hash = @hash", {"hash": HASH}),
    ),
    (errors.InvalidQueryError, lambda database: database.raw_query_all("SELECT @hash @hash FROM", {"hash": HASH})),
    (
        errors.InvalidQueryError,
        lambda database: bound(database, lambda: list(missing_table().select().where(missing_table().hash == HASH))),
    ),
    (errors.InvalidQueryError, lambda database: database.engine.execute_sql("SELECT nothing FROM users", ())),
]

ON_POSTGRESQL: list[tuple[type[Exception], Provocation]] = [
    (errors.ConnectionLostError, lost_connection),
    (errors.ReadOnlyServerError, lambda database: sqlstate(database, "25006")),
    (errors.CommitUnknownError, lost_in_commit),
    (errors.PartlyKeptError, kept_elsewhere),
    (errors.PoolTimeoutError, exhausted),
    (errors.SerializationError, lambda database: sqlstate(database, "40001")),
    (errors.DeadlockError, lambda database: sqlstate(database, "40P01")),
    (errors.PreparedStatementError, out_of_date),
    (errors.OutdatedMapError, lambda database: sqlstate(database, "CP001")),
    (errors.LockNotAvailableError, lambda database: sqlstate(database, "55P03")),
    (errors.QueryTimeoutError, lambda database: sqlstate(database, "57014")),
    (errors.StorageError, lambda database: sqlstate(database, "53100")),
    (errors.DatabaseError, lambda database: sqlstate(database, "P0001")),
    (errors.ConstraintError, lambda database: sqlstate(database, "23000")),
    (errors.InvalidValueError, lambda database: database.raw_query_all("SELECT 1/0, @hash", {"hash": HASH})),
]


def bound(database: Database, call: Callable[[], object]) -> object:
    with database.bind():
        return call()


def function_of(database: Database) -> Any:
    managers = Managers(database)
    user = managers.users.find_one()
    assert user is not None
    return managers.functions.insert({"user_id": user.id, "name": "x"})


def missing_table() -> Any:
    class Missing(User):
        hash = peewee.TextField()

    return Missing


def assert_nothing_told(text: str) -> None:
    for secret in (HASH, PASSWORD):
        assert secret not in text, text[:3000]
        assert repr(secret.encode())[2:-1] not in text


def leaves(kind: type[Exception]) -> Iterator[type[Exception]]:
    for below in kind.__subclasses__():
        if below.__module__ == errors.__name__:
            yield below
            yield from leaves(below)


def test_every_error_of_the_tree_is_provoked() -> None:
    provoked = {kind for kind, _ in (*EVERYWHERE, *ON_POSTGRESQL)}
    assert set(leaves(errors.CloudpubError)) - provoked == {errors.RetryableError}, "an error without a provocation"


def test_no_error_tells(secret_database: Database, backend: str) -> None:
    for kind, provoke in [*EVERYWHERE, *(ON_POSTGRESQL if backend == "postgresql" else [])]:
        error = raised(lambda provoke=provoke: provoke(secret_database), kind)  # type: ignore[misc]
        assert_nothing_told(told(error))
        assert isinstance(error, errors.CloudpubError)


URLS = [
    f"postgresql://ada:{PASSWORD}@127.0.0.1:1/cloud",
    f"postgres://ada:{PASSWORD}@127.0.0.1:1,127.0.0.1:2/cloud?application_name=x@y",
    f"postgresql://ada:{PASSWORD}%40x@[::1]:1/cloud",
    f"postgresql://ada:?{PASSWORD}@127.0.0.1:1/cloud",
    f"postgresql://ada:#{PASSWORD}@127.0.0.1:1/cloud",
    f"postgresql://ada:x y{PASSWORD}@127.0.0.1:1/cloud",
    f"postgresql://ada:x/{PASSWORD}@127.0.0.1:1/cloud",
    f"postgresql://ada:1/{PASSWORD}@127.0.0.1:1/cloud",
    f"postgresql://ada:x@{PASSWORD}@127.0.0.1:1/cloud",
    f"postgresql://ada:{PASSWORD}@x@127.0.0.1:1/cloud",
    f"postgresql://ada:{PASSWORD}%zz@127.0.0.1:1/cloud",
    f"postgresql://ada:{PASSWORD}:x@127.0.0.1:1/cloud",
    f"postgresql://:{PASSWORD}@127.0.0.1:1/cloud",
    f"postgresql://ada:{PASSWORD}@127.0.0.1:port/cloud",
    f"postgresql://ada:{PASSWORD}@127.0.0.1:1/cloud?nonsense=1",
    f"postgresql://127.0.0.1:1/cloud?password={PASSWORD}",
    f"postgresql://127.0.0.1:1/cloud?user=ada&PassWord={PASSWORD}&x=y",
    f"postgresql://127.0.0.1:1/cloud?pass%77ord={PASSWORD}&user=ada",
    f"postgresql://127.0.0.1:1/cloud?sslpassword=x#{PASSWORD}",
    f"postgresql://127.0.0.1:1/cloud?passfile=/{PASSWORD}",
    f"postgresql+psycopg2://ada:{PASSWORD}@127.0.0.1/cloud",
    f"mysql://ada:{PASSWORD}@127.0.0.1/cloud",
    f"ada:{PASSWORD}@127.0.0.1/cloud",
    f"postgresql:ada:{PASSWORD}@127.0.0.1/cloud",
    f"postgresql:/ada:{PASSWORD}@127.0.0.1/cloud",
    f"host=127.0.0.1 port=1 user=ada password={PASSWORD}",
    f"host=127.0.0.1 password = '{PASSWORD} \\' x' user=ada",
    f"sqlite://ada:{PASSWORD}@127.0.0.1/cloud",
    f"postgresql://ada:{PASSWORD}\n@127.0.0.1/cloud",
    f"postgresql://ada:{PASSWORD}\ud800@127.0.0.1/cloud",
    f"postgresql://ada:{PASSWORD}@127.0.0.1:1/cl\0ud",
]


@pytest.mark.parametrize("url", URLS, ids=ascii)
def test_no_form_of_a_url_shows_its_password(url: str) -> None:
    def use() -> None:
        database = Database(url, connect_timeout=2)
        assert_nothing_told(f"{database!r} {database.url} {database._url!r} {database.engine!r}")
        database.ping()

    error = raised(use, errors.CloudpubError)  # type: ignore[type-abstract]
    assert_nothing_told(told(error))
    if "://" in url and " " not in url:
        assert_nothing_told(mask_password(f"could not connect to {url} : refused"))


def test_a_url_still_shows_what_is_no_secret() -> None:
    shown = Database(f"postgresql://ada:{PASSWORD}@db1:1,db2:2/cloud?application_name=a@b&sslmode=require").url
    assert shown == "postgresql://ada:***@db1:1,db2:2/cloud?application_name=a@b&sslmode=require"
    assert Database("sqlite:////srv/a:b@c.db").url == "sqlite:////srv/a:b@c.db"


def test_no_log_record_tells(secret_database: Database, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("peewee", "cloudpub_models", "psycopg2"):
        caplog.set_level(logging.DEBUG, logger=name)
    managers = Managers(secret_database)
    events: list[QueryEvent] = []
    secret_database.on_query(events.append)
    with secret_database.bind():
        user = User.get(User.password_hash == HASH)
        user.password_hash = f"{HASH}-2"
        user.save()
        User.create(email="eve@example.com", password_hash=HASH)
        with pytest.raises(peewee.IntegrityError):
            User.insert(DATA).execute()
        User.update(password_hash=HASH).execute()
    managers.users.update({"password_hash": HASH}, ALL_ROWS)
    secret_database.raw_query_all("SELECT id FROM users WHERE password_hash = @hash", {"hash": HASH})

    @secret_database.on_commit
    def ignored() -> None: ...

    with secret_database.transaction():

        @secret_database.on_commit
        def fails() -> None:
            managers.users.insert({**DATA, "nickname": HASH})

    assert any(record.name == "peewee" for record in caplog.records), "Peewee logs its statements"
    assert any(record.name == "cloudpub_models" for record in caplog.records), "the callback's failure is logged"
    assert any(record.name == "cloudpub_models.queries" for record in caplog.records), "every statement is logged"
    assert any("password_hash" in event.sql for event in events)
    assert_nothing_told(repr(events))
    formatter = logging.Formatter("%(message)s %(args)s")
    assert_nothing_told("\n".join(formatter.format(record) for record in caplog.records))


def test_no_repr_tells(secret_database: Database) -> None:
    managers = Managers(secret_database)
    users = managers.users
    user = users.find_one(DATA)
    assert user is not None
    query = users.query().where("password_hash", HASH).where_raw("password_hash = @hash", {"hash": HASH})
    things: list[Any] = [secret_database, secret_database.engine, secret_database._url, managers, users]
    things += [user, [user], str(user), f"{user}", users.paginate(1, 1), users.paginate_after(None, 1)]
    things += [query, query.build_select(), query.build_count(), QueryBuilder().table("users").build_insert(DATA)]
    things += [QueryBuilder().table("users").all_rows().build_update(DATA), UserDto.from_entity(user)]
    things += [user.copy_with(password_hash=HASH), User.from_dict(DATA), User(**DATA)]
    with secret_database.transaction() as connection, secret_database.session() as session:
        things += [connection, session, secret_database.transaction(), secret_database.engine.connection()]
        assert_nothing_told("\n".join(f"{thing!r}\n{thing!s}" for thing in things if not isinstance(thing, list)))
        assert_nothing_told(repr(things))


def test_what_holds_values_on_purpose_is_known() -> None:
    """An operator shows what it compares with, and a pickled statement carries its values; docs/SECURITY.md says so."""
    assert HASH in repr(operators.ne(HASH))
    assert HASH.encode() in pickle.dumps(QueryBuilder().table("users").where("password_hash", HASH).build_select())


@pytest.fixture
def command(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CLOUDPUB_DATABASE_URL", raising=False)

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(application, list(arguments), prog_name="cloudpub")
        told_of = "" if result.exception is None else told(result.exception)
        return f"{result.stdout}\n{result.stderr}\n{told_of}"

    return run


def test_no_command_tells(command: Callable[..., str], backend: str, request: pytest.FixtureRequest) -> None:
    url = (
        "sqlite:///demo.db" if backend == "sqlite" else secret_url(str(request.getfixturevalue("empty_postgresql_url")))
    )
    output = command("migrate", "--database", url, "status") + command("migrate", "--database", url, "up")
    database = Database(url)
    Managers(database).users.insert(DATA)
    output += command("demo", "--invocations", "50", "--database", url)
    assert "0001_initial" in output
    assert "users" in output
    hashes = {user.password_hash for user in Managers(database).users.find_all()}
    assert len(hashes) > 1 or HASH not in hashes
    database.close()
    for known in hashes:
        assert known not in output
    assert_nothing_told(output)


@pytest.mark.parametrize("url", URLS, ids=ascii)
def test_no_command_shows_the_password_of_a_url(command: Callable[..., str], url: str) -> None:
    if url.isprintable():
        assert_nothing_told(command("migrate", "--database", url, "up"))


# Statements of which PostgreSQL's own message repeats a value, and their parameters.
REPEATED: list[tuple[str, dict[str, str]]] = [
    ("SELECT CAST(@password AS INT)", {"password": HASH}),
    ("SELECT CAST(@api_key AS UUID)", {"api_key": HASH}),
    ("SELECT CAST(@secret AS TIMESTAMPTZ)", {"secret": HASH}),
    ("SELECT set_config('timezone', @password, true)", {"password": HASH}),
    ("SELECT CAST(@token AS REGCLASS)", {"token": HASH}),
    ("UPDATE users SET password_hash = CAST(CAST(@v AS INT) AS TEXT)", {"v": HASH}),
    ("SELECT 1 FROM users WHERE password_hash = @v AND CAST(@v AS INT) = 1", {"v": HASH}),
    ("SELECT CAST(password_hash AS INT) FROM users", {}),
    ("SELECT CAST(u.password_hash AS UUID) FROM users u", {}),
    (f"SELECT CAST('{HASH}' AS INT) AS password_hash", {}),
]


@pytest.mark.parametrize("backend", ["postgresql"])
@pytest.mark.parametrize(("sql", "parameters"), REPEATED, ids=[sql for sql, _ in REPEATED])
def test_no_message_of_the_server_repeats_a_secret(
    secret_database: Database, sql: str, parameters: dict[str, str]
) -> None:
    for send in (
        secret_database.raw_query_all,
        secret_database.raw_execute,
        lambda *given: list(secret_database.raw_query_iter(*given)),
        lambda *given: secret_database.engine.perform(*secret_database.engine.bind_parameters(*given)),
    ):
        with pytest.raises(errors.CloudpubError) as caught:
            send(sql, parameters)
        assert HASH not in told(caught.value)
        assert "***" in str(caught.value) or "a query to stream" in str(caught.value)


@pytest.mark.parametrize("backend", ["postgresql"])
def test_a_value_that_is_no_secret_is_repeated(secret_database: Database) -> None:
    with pytest.raises(errors.InvalidValueError, match='"twelve"'):
        secret_database.raw_query_all("SELECT CAST(@number AS INT)", {"number": "twelve"})
