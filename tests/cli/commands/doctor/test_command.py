"""``cloudpub doctor`` on both databases: what it finds, what it advises, and when it fails."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from typer.testing import Result

from cloudpub_models import Database, Managers
from cloudpub_models.cli.commands.doctor import postgresql, tables
from cloudpub_models.cli.commands.doctor.verdicts import Level
from cloudpub_models.sql import POSTGRESQL
from cloudpub_models.sql.text.statements import statements_in
from cloudpub_models.sql.text.tokens import tokens

Run = Callable[..., Result]


@pytest.fixture
def url(request: pytest.FixtureRequest, run: Run, backend: str) -> str:
    """The URL of a migrated database."""
    if backend == "postgresql":
        return str(request.getfixturevalue("postgresql_url"))
    assert run("migrate", "--database", "sqlite:///demo.db").exit_code == 0
    return "sqlite:///demo.db"


def findings(run: Run, url: str, exit_code: int = 0) -> list[dict[str, Any]]:
    result = run("doctor", "--json", "--database", url)
    assert result.exit_code == exit_code, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)["findings"]
    return found


def worse_than_ok(found: list[dict[str, Any]]) -> dict[tuple[str, str], str]:
    return {
        (one["check"], one["level"]): f"{one['message']} → {one['advice']}" for one in found if one["level"] != "ok"
    }


def change(url: str, *statements: str) -> None:
    database = Database(url)
    with database.session():
        for statement in statements:
            database.raw_execute(statement)
    database.close()


def database_name(url: str) -> str:
    administration = Database(url)
    [row] = administration.raw_query_all("SELECT quote_ident(current_database()) AS name")
    administration.close()
    return str(row["name"])


def test_a_healthy_database(run: Run, url: str, backend: str) -> None:
    found = findings(run, url)
    checks = {one["check"] for one in found}
    assert {"connection", "versions", "migrations", "drift", "indexes", "encoding"} <= checks
    assert checks >= ({"settings", "file", "integrity"} if backend == "sqlite" else {"time-outs", "time zone"})
    assert {one["level"] for one in found} <= {"ok", "notice"}
    assert all(one["advice"] for one in found if one["level"] != "ok")
    versions = next(one["message"] for one in found if one["check"] == "versions")
    assert re.search(r"(SQLite 3|PostgreSQL 1)\d*\.\d+.*, Peewee \d.*, Python 3", versions)


def test_what_people_see(run: Run, url: str) -> None:
    result = run("doctor", "--database", url)
    assert result.exit_code == 0
    assert re.search(r"^ok +drift +the database is what the models say$", result.stdout, re.MULTILINE)
    assert " ok" in result.stderr.splitlines()[-1]
    assert not any(line.endswith(" ") for line in result.stdout.splitlines())


def test_an_empty_database_is_an_error(run: Run, cli_database_url: str) -> None:
    Database(cli_database_url).ping()
    found = worse_than_ok(findings(run, cli_database_url, exit_code=1))
    assert "cloudpub migrate up --plan" in found["migrations", "error"]
    assert "none of the models' tables" in found["drift", "error"]


def test_drift_and_missing_indexes_come_with_the_statement_that_mends_them(run: Run, url: str, backend: str) -> None:
    change(
        url,
        "DROP INDEX function_logs_timestamp_idx",
        "CREATE TABLE extras (id INTEGER PRIMARY KEY, user_id INTEGER REFERENCES users (id))",
        "CREATE INDEX first_one ON functions (analysis_result, name)"
        if backend == "sqlite"
        else "CREATE INDEX first_one ON functions (name, status)",
    )
    found = worse_than_ok(findings(run, url))
    assert "CREATE INDEX function_logs_timestamp_idx ON function_logs (timestamp);" in found["drift", "warning"]
    assert "extras (user_id) refers to users without an index" in found["indexes", "warning"]
    mend = found["indexes", "warning"].partition("→ ")[2]
    change(url, mend)
    assert ("indexes", "warning") not in worse_than_ok(findings(run, url))


ODD = 'Odd "and` plain'


def test_advice_is_sql_that_runs_for_any_name(run: Run, url: str, backend: str) -> None:
    quoted, index = f'"{ODD.replace(chr(34), chr(34) * 2)}"', '"Odd index"'
    trigger = "users_set_updated_at ON users" if backend == "postgresql" else "users_set_updated_at"
    change(
        url,
        "DROP INDEX function_logs_timestamp_idx",
        f"DROP TRIGGER {trigger}",
        "DROP TABLE function_invocations",
        f"CREATE TABLE {quoted} ({quoted} INTEGER REFERENCES users (id), other TEXT)",
        f"CREATE TABLE twice (id INTEGER PRIMARY KEY, {quoted} TEXT UNIQUE)",
        f"CREATE INDEX {index} ON twice ({quoted})",
    )
    found = [one for one in findings(run, url, exit_code=1) if one["check"] in ("drift", "indexes")]
    advice = [one["advice"] for one in found if one["advice"]]
    assert len(advice) == 5
    assert all(text.endswith(";") for text in advice)
    script = "\n".join(advice)
    if backend == "sqlite":
        with closing(sqlite3.connect("demo.db")) as connection:
            connection.executescript(script)
    else:
        change(url, *(script[part[0].start : part[-1].end] for part in statements_in(tokens(script, POSTGRESQL))))
    assert [one for one in findings(run, url) if one["check"] in ("drift", "indexes") and one["level"] != "ok"] == []


def test_prose_in_advice_is_a_comment(run: Run, workplace: Path) -> None:
    with closing(sqlite3.connect("theirs.db")) as connection:
        connection.execute("CREATE TABLE theirs (id INTEGER)")
    [advice] = [
        one["advice"] for one in findings(run, "sqlite:///theirs.db", exit_code=1) if "journal_mode" in one["message"]
    ]
    with closing(sqlite3.connect("theirs.db")) as connection:
        connection.executescript(advice)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_missing_index_is_reported_once(run: Run, url: str) -> None:
    change(url, "DROP INDEX functions_active_deployment_id_idx")
    named = [one for one in findings(run, url) if "active_deployment_id" in one["message"]]
    assert [one["check"] for one in named] == ["drift"]


def test_an_index_that_is_there_twice(run: Run, url: str) -> None:
    change(url, "CREATE INDEX again ON users (email)")
    assert (
        "again on users is over the same columns as its UNIQUE"
        in worse_than_ok(findings(run, url))["indexes", "notice"]
    )


def test_a_column_that_does_not_fit_is_an_error(run: Run, url: str, backend: str) -> None:
    if backend == "sqlite":
        change(url, "ALTER TABLE functions DROP COLUMN analysis_result")
    else:
        change(url, "ALTER TABLE users ALTER COLUMN email TYPE VARCHAR(100)")
    assert ("drift", "error") in worse_than_ok(findings(run, url, exit_code=1))


def test_pending_and_edited_migrations(run: Run, cli_database_url: str, workplace: Path) -> None:
    options = ("--database", cli_database_url, "--directory", "own")
    for name in ("first", "second"):
        run("migrate", "new", "--directory", "own", name)
    run("migrate", "up", "0001_first", *options)
    found = json.loads(run("doctor", "--json", *options).stdout)["findings"]
    assert "1 of 2 not applied: 0002_second" in worse_than_ok(found)["migrations", "warning"]
    with (workplace / "own" / "0001_first.py").open("a") as file:
        file.write("# changed\n")
    found = json.loads(run("doctor", "--json", *options).stdout)["findings"]
    assert "0001_first is edited" in worse_than_ok(found)["migrations", "error"]


def test_a_database_of_somebody_else_should_be_adopted(run: Run, url: str) -> None:
    change(url, "DROP TABLE cloudpub_migrations")
    assert "cloudpub migrate adopt" in worse_than_ok(findings(run, url))["migrations", "warning"]


def test_a_database_out_of_reach_is_a_finding_without_the_password(run: Run, workplace: Path) -> None:
    result = run("doctor", "--json", "--database", "postgresql://ada:s3cret@127.0.0.1:1/cloud")
    assert result.exit_code == 1
    assert "s3cret" not in result.output
    [finding] = json.loads(result.stdout)["findings"]
    assert (finding["check"], finding["level"]) == ("connection", "error")


@pytest.mark.parametrize("backend", ["sqlite"])
@pytest.mark.parametrize("damaged", ["index", "table"])
def test_a_damaged_file(run: Run, url: str, workplace: Path, damaged: str) -> None:
    database = Database(url)
    database.raw_execute("INSERT INTO users (email, password_hash) VALUES ('a@example.com', 'x')")
    page_size = database.raw_query_all("PRAGMA page_size")[0]["page_size"]
    [root] = database.raw_query_all(
        "SELECT max(rootpage) AS page FROM sqlite_master WHERE type = @type", {"type": damaged}
    )
    database.raw_query_all("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    with (workplace / "demo.db").open("r+b") as file:
        file.seek((root["page"] - 1) * page_size)
        file.write(b"\xff" * page_size)
    found = worse_than_ok(findings(run, url, exit_code=1))
    assert "the file is damaged" in found["integrity", "error"]


@pytest.mark.parametrize("backend", ["sqlite"])
def test_forms_that_do_not_compare_are_found_and_mended(run: Run, url: str, workplace: Path) -> None:
    stored = {
        "2024-05-01 10:00:00": "2024-05-01 10:00:00.000000",
        "2024-05-01T10:00:00.12": "2024-05-01 10:00:00.120000",
        "2024-05-01T10:00:00.123456": "2024-05-01 10:00:00.123456",
        "2024-05-01T12:00:00.5+02:00": "2024-05-01 10:00:00.500000",
        "2024-05-01T10:00:00Z": "2024-05-01 10:00:00.000000",
        "2024-05-01": "2024-05-01 00:00:00.000000",
        "2024-05-01 10:00:00.654321": "2024-05-01 10:00:00.654321",
    }
    keys = {key: f"550e8400-e29b-41d4-a716-44665544000{digit}" for digit, key in enumerate("abcdefg")}
    written = [key.upper() for key in keys.values()]
    written[1], written[2] = written[1].replace("-", ""), f"{{{written[2]}}}"
    with closing(sqlite3.connect(workplace / "demo.db")) as other, other:
        other.executemany(
            "INSERT INTO users (uuid, email, password_hash, created_at) VALUES (?, ?, 'h', ?)",
            list(zip(written, keys, stored, strict=True)),
        )
    found = [one for one in findings(run, url) if one["check"] == "forms"]
    assert [one["message"].split(" in another")[0] for one in found] == [
        "7 row(s) of users.uuid hold UUIDs",
        "6 row(s) of users.created_at hold moments",
    ]
    change(url, *[one["advice"] for one in found])
    assert [one["level"] for one in findings(run, url) if one["check"] == "forms"] == ["ok"]
    with closing(sqlite3.connect(workplace / "demo.db")) as other:
        rows = other.execute("SELECT uuid, created_at FROM users ORDER BY email").fetchall()
    assert rows == list(zip(keys.values(), stored.values(), strict=True))


@pytest.mark.parametrize("backend", ["sqlite"])
def test_references_to_nothing(run: Run, url: str) -> None:
    change(
        url,
        "PRAGMA foreign_keys = OFF",
        "INSERT INTO functions (user_id, name) VALUES (99, 'orphan')",
    )
    found = worse_than_ok(findings(run, url, exit_code=1))
    assert "1 row(s) of functions refer to rows of users that do not exist" in found["integrity", "error"]


@pytest.mark.parametrize("backend", ["postgresql"])
def test_time_zone_and_limits_of_other_sessions(run: Run, url: str) -> None:
    name = database_name(url)
    assert "idle_in_transaction_session_timeout" in worse_than_ok(findings(run, url))["time-outs", "notice"]
    change(
        url,
        f"ALTER DATABASE {name} SET timezone = 'Asia/Kathmandu'",
        f"ALTER DATABASE {name} SET idle_in_transaction_session_timeout = '61s'",
    )
    found = findings(run, url)
    assert "Asia/Kathmandu" in worse_than_ok(found)["time zone", "warning"]
    assert any("idle_in_transaction_session_timeout 61s" in one["message"] for one in found)


@pytest.mark.parametrize("backend", ["postgresql"])
@pytest.mark.parametrize("default", ["CURRENT_TIMESTAMP", "now()::timestamp", "LOCALTIMESTAMP", "clock_timestamp()"])
def test_columns_whose_default_is_local_time(run: Run, url: str, default: str) -> None:
    """What the advice is worth: with it, rows of before and of after are read right."""

    def send(sql: str) -> None:
        with closing(psycopg2.connect(url)) as other, other, other.cursor() as cursor:
            cursor.execute(sql)

    def seconds_ago(email: str) -> float:
        database = Database(url)
        user = Managers(database).users.get_one({"email": email})
        database.close()
        return (datetime.now(UTC) - user.created_at).total_seconds()

    name = database_name(url)
    change(
        url,
        f"ALTER DATABASE {name} SET timezone = 'Asia/Kathmandu'",
        f"ALTER TABLE users ALTER created_at SET DEFAULT {default}, ALTER updated_at SET DEFAULT {default}",
        "ALTER TABLE organizations ALTER COLUMN created_at TYPE TIMESTAMPTZ, ALTER COLUMN created_at SET DEFAULT now()",
    )
    inserting = "INSERT INTO users (email, password_hash) VALUES ('{}@b.c', 'hash')"
    send(inserting.format("before"))
    assert round(seconds_ago("before@b.c") / 60) == -345
    found = [one for one in findings(run, url) if one["check"] == "time zone" and one["level"] == "warning"]
    assert found[0]["advice"].startswith(f"ALTER DATABASE {name} SET timezone = 'UTC';")
    [told] = [one for one in found if "is the local time of the session" in one["message"]]
    assert told["message"].startswith("users: the default of created_at, updated_at is ")
    assert "Asia/Kathmandu" in told["message"]
    send(told["advice"])
    send(found[0]["advice"])
    send(inserting.format("after"))
    assert [round(seconds_ago(email) / 60) for email in ("before@b.c", "after@b.c")] == [0, 0]
    left = [one for one in findings(run, url) if one["check"] == "time zone"]
    assert [one["level"] for one in left] == ["ok"]


@pytest.mark.parametrize("backend", ["postgresql"])
def test_whose_time_zone_it_is(run: Run, url: str) -> None:
    name = database_name(url)
    change(url, f"ALTER ROLE CURRENT_USER IN DATABASE {name} SET timezone = 'Asia/Kathmandu'")
    found = [one for one in findings(run, url) if one["check"] == "time zone"]
    assert found[0]["advice"].startswith(f"ALTER ROLE postgres IN DATABASE {name} SET timezone")
    # The columns' defaults are UTC, whatever the session's zone is.
    assert not any("local time of the session" in one["message"] for one in found)


@pytest.mark.parametrize("backend", ["postgresql"])
def test_an_invalid_index(run: Run, url: str) -> None:
    change(url, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'functions_user_id_idx'::regclass")
    invalid = [one for one in findings(run, url) if "is invalid" in one["message"]]
    assert "REINDEX INDEX CONCURRENTLY functions_user_id_idx" in invalid[0]["advice"]


@pytest.mark.parametrize("backend", ["postgresql"])
def test_young_counters_call_no_index_unused(run: Run, url: str) -> None:
    assert any("too short to call one unused" in one["message"] for one in findings(run, url))


@pytest.mark.parametrize("backend", ["postgresql"])
def test_unused_indexes_and_tables_read_from_end_to_end(run: Run, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql, "LONG_ENOUGH", timedelta(0))
    monkeypatch.setattr(postgresql, "_NOTABLE_ROWS", 50)
    monkeypatch.setattr(postgresql, "_LARGE_TABLE_ROWS", 50)
    database = Database(url)
    database.raw_execute("CREATE TABLE events (id INTEGER PRIMARY KEY, kind INTEGER, day INTEGER)")
    database.raw_execute("INSERT INTO events SELECT n, n % 7, n FROM generate_series(1, 100) AS n")
    database.raw_execute("CREATE INDEX events_kind_idx ON events (kind)")
    database.raw_execute("CREATE INDEX events_day_idx ON events (day)")
    with database.session():
        database.raw_execute("SET enable_seqscan = off")
        database.raw_query_all("SELECT id FROM events WHERE day = 5")
        database.raw_execute("SET enable_seqscan = on")
        for _ in range(100):
            database.raw_query_all("SELECT max(kind + 1) FROM events")
        database.raw_query_all("SELECT pg_stat_force_next_flush()")
        database.raw_query_all("SELECT 1")
    database.close()
    messages = [one["message"] for one in findings(run, url) if one["check"] == "indexes" and one["level"] == "notice"]
    assert any(message.startswith("events_kind_idx on events") for message in messages)
    assert any(message.startswith("events (about 100 rows) was read from end to end 10") for message in messages)
    assert not any("events_day_idx" in message or "events_pkey" in message for message in messages)


@pytest.mark.parametrize("backend", ["postgresql"])
def test_an_unsupported_server_is_an_error(run: Run, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql, "SUPPORTED_SERVERS", range(90, 95))
    assert "PostgreSQL 90 to 94" in worse_than_ok(findings(run, url, exit_code=1))["versions", "error"]


@pytest.mark.parametrize("backend", ["postgresql"])
def test_a_check_that_may_not_be_made_is_a_warning(run: Run, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql, "_COUNTED_FOR", "SELECT not_there FROM pg_stat_database")
    assert "could not be examined" in worse_than_ok(findings(run, url))["indexes", "warning"]


NO_REPLICAS = (
    "error: expected a PostgreSQL database beside --replica or $CLOUDPUB_REPLICA_URLS; got sqlite:///demo.db, which "
    "has none: leave it out\n"
)


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_file_has_no_replicas(run: Run, url: str) -> None:
    result = run("doctor", "--database", url, "--replica", "postgresql://b/cloud")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", NO_REPLICAS)


@pytest.mark.parametrize("backend", ["sqlite"])
def test_replicas_of_the_environment_are_those_of_its_database(
    run: Run, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDPUB_REPLICA_URLS", "postgresql://b/cloud")
    assert run("doctor", "--database", url).exit_code == 0
    monkeypatch.setenv("CLOUDPUB_DATABASE_URL", url)
    assert run("doctor").stderr == NO_REPLICAS


def test_levels_are_in_order() -> None:
    assert list(Level) == ["ok", "notice", "warning", "error"]


@pytest.mark.parametrize("command", [("doctor",), ("migrate", "status"), ("schema", "--from", "database")])
def test_looking_at_a_file_leaves_its_journal_as_it_is(run: Run, workplace: Path, command: tuple[str, ...]) -> None:
    with closing(sqlite3.connect("foreign.db")) as connection:
        connection.execute("CREATE TABLE theirs (id INTEGER)")
    before = Path("foreign.db").read_bytes()
    result = run(*command, "--database", "sqlite:///foreign.db")
    assert Path("foreign.db").read_bytes() == before
    assert [path.name for path in workplace.iterdir()] == ["foreign.db"]
    if command == ("doctor",):
        assert "journal_mode is delete: readers and writers wait for each other" in result.stdout


def test_a_large_log_and_what_makes_it_smaller(run: Run, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(url)
    assert not [one for one in findings(run, url) if one["check"] == "history"]
    database.history.enable()
    Managers(database).users.insert({"email": "ada@example.com", "password_hash": "…"})
    database.publish("topic", {"a": "message"})
    old = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=9)
    aged = old.strftime("%Y-%m-%d %H:%M:%S.%f")
    database.raw_execute("UPDATE changes SET changed_at = @aged", {"aged": aged})
    database.raw_execute("UPDATE outbox SET created_at = @aged", {"aged": aged})
    sizes = [one for one in findings(run, url) if "of the database" in one["message"]]
    assert [one["level"] for one in sizes] == ["ok", "ok"]
    for one, source in zip(sizes, ("changes", "outbox"), strict=True):
        assert re.fullmatch(rf"{source} takes 0\.\d MB, \d+% of the database, since {old:%Y-%m-%d}", one["message"])
    monkeypatch.setattr(tables, "_NOTABLE_BYTES", 0)
    monkeypatch.setattr(tables, "_NOTABLE_SHARE", 0)
    for source in ("changes", "outbox"):
        [large] = [one for one in findings(run, url) if one["level"] == "notice" and source in str(one["advice"])]
        assert large["advice"] == f"cloudpub history prune --source {source} --older-than 4d"
        words = large["advice"].split()[1:]
        assert run(*words, "--yes", "--database", url).stdout.startswith("deleted 1 ")
    assert not [one for one in findings(run, url) if "of the database" in one["message"]]
    database.close()
