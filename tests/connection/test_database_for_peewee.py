"""``Database`` and the models' own database where Peewee and its tools take a database."""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import sys

import peewee
import pytest
from playhouse import migrate as playhouse_migrate
from playhouse.dataset import DataSet
from playhouse.reflection import generate_models, print_model
from playhouse.schema_diff import SchemaDiff, diff_models
from playhouse.shortcuts import dict_to_model, model_to_dict, update_model_from_dict
from psycopg2.extensions import parse_dsn

from cloudpub_models import Database, Function, Organization, User, errors
from cloudpub_models import database as default_database
from cloudpub_models.models import ALL_MODELS

ADA = {"email": "ada@example.com", "password_hash": "x"}


@pytest.fixture(params=["the database", "the models'", "the engine"])
def given(request, database):
    """A database as Peewee may be given it."""
    with database.bind():
        yield {"the database": database, "the models'": User._meta.database, "the engine": database.engine}[
            request.param
        ]


IN_A_CIRCLE = "ignore:Possible reference cycle found:UserWarning"


@pytest.fixture
def note_model(given):
    class Note(peewee.Model):
        text = peewee.TextField()
        tags = peewee.JSONField(null=True)
        image = peewee.BlobField(null=True)

        class Meta:
            database = given

    return Note


def test_as_the_database_of_a_model(given, note_model):
    given.create_tables([note_model])
    assert note_model.table_exists()
    with given.atomic() as transaction:
        note_model.create(text="undone")
        transaction.rollback()
        note_model.create(text="kept", tags={"a": [1]}, image=b"\0\1")
    found = note_model.get()
    assert (found.text, found.tags, bytes(found.image)) == ("kept", {"a": [1]}, b"\0\1")
    assert note_model.select().where(note_model.tags["a"][0] == 1).count() == 1
    with given.connection_context(), given.savepoint():
        assert note_model.delete().execute() == 1
    given.drop_tables([note_model])
    assert "note" not in given.get_tables()


def test_its_base_model(given):
    class Note(given.Model):
        text = peewee.TextField()

    given.create_tables([Note])
    with given:
        Note.create(text="a")
    assert Note.select().count() == 1
    given.drop_tables([Note])


def test_bind_ctx(database, given, tmp_path):
    other = peewee.SqliteDatabase(":memory:")
    with other.bind_ctx([User]):
        other.create_tables([User])
        User.create(**ADA)
    assert User.select().count() == 0
    with given.bind_ctx([User]):
        User.create(**ADA)
    assert User.select().count() == 1
    other.close()


def test_bind_for_good(database):
    class Plain(peewee.Model):
        name = peewee.TextField()

    assert database.bind([Plain]) is None
    assert Plain._meta.database is database
    Plain.create_table()
    assert Plain.create(name="a").id == 1
    Plain.drop_table()


@pytest.mark.parametrize("models", ["users", [User, "users"], [User()]])
def test_bind_takes_models(database, models):
    class Plain(peewee.Model):
        pass

    with pytest.raises(errors.InvalidQueryError, match="expected a list of models"):
        database.bind([Plain, *models])
    assert Plain._meta.database is None


def test_a_schema_migrator(given, note_model):
    given.create_tables([note_model])
    migrator = playhouse_migrate.SchemaMigrator.from_database(given)
    playhouse_migrate.migrate(
        migrator.add_column("note", "stars", peewee.IntegerField(default=1)), migrator.drop_column("note", "tags")
    )
    assert [column.name for column in given.get_columns("note")] == ["id", "text", "image", "stars"]
    given.drop_tables([note_model])


@pytest.mark.filterwarnings(IN_A_CIRCLE)
def test_reflection_makes_models_that_work(given):
    User.create(**ADA)
    models = generate_models(given)
    assert set(models) >= {model._meta.table_name for model in ALL_MODELS}
    assert models["users"].get().email == "ada@example.com"
    assert [row.name for row in models["functions"].select()] == []
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        print_model(models["functions"])
        print_model(Function, inline_indexes=True)
    assert "  user INT INDEX FK: User.id" in text.getvalue()


@pytest.mark.filterwarnings(IN_A_CIRCLE)
def test_a_data_set(database):
    assert "users" in DataSet(database.engine).tables


def with_deferred_keys(code):
    """The code that pwiz wrote, with references to classes further down made deferred ones."""
    defined, lines = set(), []
    for line in code.splitlines():
        if begun := re.match(r"class (\w+)", line):
            defined.add(begun[1])
        key = re.match(r"(.* = )ForeignKeyField\((.*) model=(\w+),(.*)", line)
        if key is not None and key[3] not in defined:
            line = f"{key[1]}DeferredForeignKey('{key[3]}', {key[2]} {key[4]}"
        lines.append(line)
    return "\n".join(lines)


def imported(text, tmp_path):
    """Run the code that pwiz wrote, and return what its models read."""
    # Functions and deployments refer to each other, which pwiz says and leaves to whoever reads it.
    assert "# Possible reference cycle: function" in text
    code = tmp_path / "written.py"
    code.write_text(f"{with_deferred_keys(text)}\nprint(*[user.email for user in Users.select()])\n")
    run = [sys.executable, "-W", "error", str(code)]
    return subprocess.run(run, check=True, timeout=60, capture_output=True, text=True).stdout


@pytest.mark.parametrize("backend", ["postgresql"])
def test_pwiz_as_a_command(database, database_url, tmp_path, monkeypatch):
    database.history.enable()
    with database.bind():
        User.create(**ADA)
    # Whatever else the server asks for goes the way of libpq.
    server = parse_dsn(database_url)
    for name, variable in (("host", "PGHOST"), ("port", "PGPORT"), ("user", "PGUSER"), ("password", "PGPASSWORD")):
        if name in server:
            monkeypatch.setenv(variable, server[name])
    command = [sys.executable, "-m", "pwiz", "-e", "postgresql", server["dbname"]]
    written = subprocess.run(command, check=True, timeout=60, capture_output=True, text=True).stdout
    assert imported(written, tmp_path) == "ada@example.com\n"


# Peewee sees no index of a partitioned table.
@pytest.mark.usefixtures("plain_tables")
@pytest.mark.parametrize("recorded", [False, True], ids=["", "recorded"])
def test_schema_diff_finds_nothing(database, recorded):
    if recorded:
        database.history.enable()
    for given in (database, database.engine):
        diff = diff_models(given, list(ALL_MODELS))
        assert isinstance(diff, SchemaDiff)
        assert not diff, list(diff)


def test_create_tables_and_drop_tables_of_all_models(backend, request):
    url = "sqlite:///:memory:" if backend == "sqlite" else request.getfixturevalue("empty_postgresql_url")
    database = Database(url)
    with database.bind():
        database.create_tables(ALL_MODELS)
        ada = User.create(**ADA)
        function = Function.create(user=ada, name="resize")
        assert Function.get() == function
        database.drop_tables(ALL_MODELS)
        assert database.get_tables() in ([], ["sqlite_sequence"])
    database.close()


def test_rows_as_dicts_and_back(database):
    with database.bind():
        ada = User.create(**ADA)
        function = Function.create(user=ada, name="resize")
        found = model_to_dict(function)
        assert found["user"]["email"] == "ada@example.com"
        assert dict_to_model(Function, model_to_dict(function, recurse=False)) == function
        update_model_from_dict(function, {"name": "crop"})
        assert function.save() == 1
        assert Function.get().name == "crop"


def test_names_of_peewee_are_known_and_others_are_not(database):
    assert database.is_closed() in (True, False)
    assert database.database == database.engine.database
    assert database.param == database.engine.param
    assert database.obj is database.engine
    assert database.table_exists("users")
    with pytest.raises(AttributeError, match="'Database' object has no attribute 'raw_qurey_all'"):
        _ = database.raw_qurey_all
    assert not hasattr(database, "_pytestfixturefunction")


def test_nothing_is_opened_before_its_time(monkeypatch):
    monkeypatch.delenv("CLOUDPUB_DATABASE_URL", raising=False)
    nameless = Database()

    class Note(peewee.Model):
        image = peewee.BlobField()

        class Meta:
            database = nameless

    assert nameless.obj is None
    assert not hasattr(nameless, "__wrapped__")
    assert not nameless.is_open
    with pytest.raises(errors.ConfigurationError, match="expected the URL of a database"):
        Note.select().count()
    with pytest.raises(ValueError, match="uninitialized"):
        playhouse_migrate.SchemaMigrator.from_database(nameless)
    nameless.initialize("sqlite:///:memory:")
    assert not nameless.is_open
    nameless.create_tables([Note])
    Note.create(image=b"a")
    assert bytes(Note.get().image) == b"a"
    nameless.close()


def test_the_default_database_has_a_peewee_database_once_it_is_named():
    default_database.initialize("sqlite:///:memory:")
    try:
        assert Organization._meta.database.obj is default_database.engine
        playhouse_migrate.SchemaMigrator.from_database(User._meta.database)
    finally:
        default_database.close()
        default_database._url = None


def test_managers_say_that_they_do_not_follow_bind_ctx(database, managers):
    own = managers.users.insert(ADA)
    other = peewee.SqliteDatabase(":memory:")
    with other.bind_ctx([User]):
        other.create_tables([User])
        for call in (
            lambda: managers.users.find_by_id(own.id),
            lambda: managers.users.count(),
            lambda: managers.users.insert({**ADA, "email": "b"}),
            lambda: managers.users.update({"email": "b"}, {"id": 1}),
            lambda: managers.users.delete({"id": 1}),
            lambda: managers.users.batch_insert([{**ADA, "email": "b"}]),
        ):
            with pytest.raises(errors.InvalidQueryError, match="expected User to be bound to this manager's database"):
                call()
    assert managers.users.find_by_id(own.id) == own
    with database.bind_ctx([User]), database.engine.bind_ctx([User]):
        assert managers.users.find_by_id(own.id) == own == User.get()
    other.close()
