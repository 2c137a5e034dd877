"""The example beside the original backend: its database is adopted, and both sides work on the same rows."""

from __future__ import annotations

import importlib
import sqlite3
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import psycopg2
import pytest
from typer.testing import CliRunner

from cloudpub_models import Database
from cloudpub_models.cli.application import application
from cloudpub_models.platform.component import component
from cloudpub_models.schema import Migrator, find_drift, read_catalogue

PACKAGE = Path(__file__).resolve().parents[2] / "examples" / "original_backend"
PLAIN_ROWS = """
    INSERT INTO users (email, password_hash, is_email_verified) VALUES ('ada@b.c', 'hash', TRUE);
    INSERT INTO functions (user_id, name, skip_signing) VALUES (1, 'resize', TRUE);
    INSERT INTO function_invocations (function_id, status, duration_ms, success, request_info, logs)
        VALUES (1, 'completed', 40, TRUE, '{"method": "GET"}', '["started"]'), (1, 'failed', 20, FALSE, NULL, NULL);
    INSERT INTO function_deploy_logs (function_uuid, level, message)
        SELECT uuid, 'info', '{"step": "build"}' FROM functions;
    INSERT INTO api_keys (function_uuid, public_key, private_key_hash, validity)
        SELECT uuid, 'public', '!private', '1w' FROM functions;
    INSERT INTO logs (level, message, action) VALUES ('warn', '{"what": "slow"}', 'deploy');
    INSERT INTO email_verification_otps (user_uuid, otp_hash, salt) SELECT uuid, '!hash', '!salt' FROM users
"""


class Backend:
    """The other side: plain SQL by the driver alone, as a program in another language sends it."""

    def __init__(self, url: str) -> None:
        self.connection: Any = sqlite3.connect(url.removeprefix("sqlite:///")) if "sqlite" in url else None
        if self.connection is None:
            self.connection = psycopg2.connect(url)
        else:
            self.connection.execute("PRAGMA foreign_keys = ON")

    def run(self, statements: str) -> None:
        cursor = self.connection.cursor()
        for statement in statements.split(";\n"):
            cursor.execute(statement)
        self.connection.commit()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        cursor = self.connection.cursor()
        cursor.execute(query)
        found = [tuple(row) for row in cursor.fetchall()]
        self.connection.rollback()
        return found


@pytest.fixture(scope="module")
def package() -> Iterator[Any]:
    """The example alone beside the platform: other tests' models know nothing of it, and it nothing of them."""
    metas = [cast("Any", model._meta) for model in component.models]
    known = [(dict(meta.backrefs), {**meta.model_backrefs}, set(vars(meta.model))) for meta in metas]
    for meta in metas:
        for key in [key for key in meta.backrefs if key.model not in component.models]:
            del meta.backrefs[key]
    sys.path.insert(0, str(PACKAGE))
    yield importlib.import_module("original_backend")
    sys.path.remove(str(PACKAGE))
    for name in [name for name in sys.modules if name.partition(".")[0] == "original_backend"]:
        del sys.modules[name]
    for meta, (backrefs, model_backrefs, names) in zip(metas, known, strict=True):
        for made in set(vars(meta.model)) - names:
            delattr(meta.model, made)
        meta.backrefs.clear()
        meta.backrefs.update(backrefs)
        meta.model_backrefs.clear()
        meta.model_backrefs.update(model_backrefs)


@pytest.fixture
def url(request: pytest.FixtureRequest, backend: str, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/c.db" if backend == "sqlite" else str(request.getfixturevalue("empty_postgresql_url"))


@pytest.fixture
def other(url: str, backend: str) -> Iterator[Backend]:
    """The backend, which has made its tables and written some rows."""
    side = Backend(url)
    side.run((PACKAGE / "schema" / f"{backend}.sql").read_text(encoding="utf-8").strip().removesuffix(";"))
    side.run(PLAIN_ROWS)
    yield side
    side.connection.close()


@pytest.fixture
def cloudpub(url: str) -> Callable[..., Any]:
    def call(*arguments: str) -> Any:
        named = ["--database", url, "--component", "original_backend:component"]
        return CliRunner().invoke(application, ["migrate", *arguments, *named], catch_exceptions=False)

    return call


@pytest.fixture
def adopted(package: Any, other: Backend, url: str) -> Iterator[Any]:
    """The managers of the database once it is adopted and migrated."""
    database = Database(url, components=[package.component])
    migrator = Migrator(database.engine, database.components)
    in_the_way = migrator.examine().in_the_way
    other.run("\n".join(text for each in in_the_way for text in each.statements).removesuffix(";"))
    migrator.adopt()
    database.migrate()
    yield importlib.import_module("original_backend.managers").BackendManagers(database)
    database.close()


def test_adopting_says_table_by_table_what_it_is(package: Any, other: Backend, cloudpub: Callable[..., Any]) -> None:
    refused = cloudpub("adopt")
    assert refused.exit_code == 1
    told = refused.stdout.partition("1 difference in the way:")
    lines = told[0].splitlines()
    named = {line.partition(" ")[0]: line for line in lines if not line.startswith(" ")}
    assert list(named)[:8] == [
        "users",
        "user_information",
        "organizations",
        "organization_members",
        "functions",
        "function_deployments",
        "function_logs",
        "function_invocations",
    ]
    assert named["users"].endswith(
        "2 columns that the model does not know: is_email_verified boolean, onboarding_complete boolean"
    )
    assert named["functions"].endswith("1 column that the model does not know: skip_signing boolean")
    assert "4 columns that the model does not know: logs " in named["function_invocations"]
    missing = lines.index(
        "function_logs (cloudpub): no table; function_deploy_logs has its columns but for function_id"
    )
    assert lines[missing + 1] == "  → make it beside function_deploy_logs, then adopt again"
    assert {
        name: line.partition(": ")[2] for name, line in named.items() if "original_backend" in line
    } == dict.fromkeys(("function_deploy_logs", "api_keys", "logs", "email_verification_otps"), "as the model says")
    # What is in the way has its statements, and nothing else has any yet.
    assert 'CREATE TABLE "function_logs"' in told[2]
    assert "ALTER TABLE" not in told[2]
    assert "function_logs: table: expected a table; got none" in refused.stderr
    other.run(told[2][told[2].index("CREATE TABLE") :].strip().removesuffix(";"))

    again = cloudpub("adopt")
    assert again.stdout.splitlines()[-1] == ("adopted: 0001_initial, original_backend.0001_tables recorded as applied")
    assert cloudpub("up").stdout.split() == [
        "applied",
        "0002_indexes_for_common_queries",
        "applied",
        "0003_given_versions",
        "applied",
        "0004_one_account_for_each_address",
        "applied",
        "0005_ids_of_64_bits",
    ]
    checked = cloudpub("check")
    assert "users.is_email_verified, users.onboarding_complete, functions.skip_signing" in checked.stderr
    assert "original_backend" not in checked.stdout


def test_without_the_component_its_tables_are_named_and_left_alone(other: Backend, url: str) -> None:
    arguments = ["migrate", "adopt", "--database", url]
    told = CliRunner().invoke(application, arguments, catch_exceptions=False).stdout
    leave = "a table that no model has\n  → leave it be; a component of yours can have a model of it\n"
    for table in ("api_keys", "email_verification_otps", "function_deploy_logs", "logs"):
        assert f"{table}: {leave}" in told


def test_rows_of_plain_sql_are_read(adopted: Any) -> None:
    user = adopted.backend_users.find_one({"email": "ada@b.c"}, include=("functions",))
    assert (user.is_email_verified, user.onboarding_complete) == (True, False)
    assert datetime.now(UTC) - user.created_at < timedelta(minutes=5)
    function = adopted.functions.find_one(
        {"name": "resize"}, include=("user", "invocations", "deploy_logs", "api_keys")
    )
    assert function.user.email == "ada@b.c"
    assert [log.message for log in function.deploy_logs] == [{"step": "build"}]
    [key] = function.api_keys
    assert (key.validity.name, key.is_active, "!private" in repr(key)) == ("WEEK", True, False)
    assert datetime.now(UTC) - key.created_at < timedelta(minutes=5)
    assert adopted.backend_functions.find_by_id(function.id).skip_signing is True
    # The platform's own models know nothing of the others' columns, and of their models.
    assert {type(row).__name__ for row in function.invocations} == {"FunctionInvocation"}
    [called] = adopted.function_invocations.has_many("function_invocations", "function_id", function.id, limit=1)
    assert type(called).__name__ == "FunctionInvocation"
    first = adopted.backend_invocations.find_one({"success": True}, include=("function",))
    assert (first.request_info, first.logs, first.function) == ({"method": "GET"}, ["started"], function)
    assert adopted.logs.find_one({"action": "deploy"}).message == {"what": "slow"}
    code = adopted.email_verification_otps.find_one({"user.email": "ada@b.c"})
    assert "!" not in repr(code)


def test_rows_of_the_managers_are_read_by_plain_sql(adopted: Any, other: Backend) -> None:
    recording = importlib.import_module("original_backend.invocations")
    grace = adopted.users.insert({"email": "grace@b.c", "password_hash": "hash"})
    crop = adopted.functions.insert({"user_id": grace.id, "name": "crop"})
    adopted.function_deployments.deploy(crop, "image", "key")
    adopted.function_logs.append(crop, "info", "ours")
    adopted.function_deploy_logs.insert({"function": crop.uuid, "level": "info", "message": "done"})
    for error in (None, None, "timeout"):
        recording.record_invocation(adopted, crop, 30, error)
    flags = (
        "SELECT is_email_verified, onboarding_complete, skip_signing FROM users u JOIN functions f ON u.id = user_id"
    )
    assert [tuple(map(bool, row)) for row in other.rows(f"{flags} WHERE f.name = 'crop'")] == [(False, False, False)]
    counted = "SELECT COUNT(CASE WHEN success THEN 1 END), COUNT(*) FROM function_invocations WHERE function_id = 2"
    assert other.rows(counted) == [(2, 3)]
    assert other.rows("SELECT COUNT(*) FROM function_deploy_logs") == [(2,)]
    month_ago = datetime.now(UTC) - timedelta(days=30)
    stats = recording.function_statistics(adopted, crop, month_ago)
    assert (stats.total, stats.successful, stats.failed, stats.average) == (3, 2, 1, 30.0)
    # The backend's rows have other words for what became of them, and the same flag.
    resize = adopted.functions.find_one({"name": "resize"})
    assert recording.function_statistics(adopted, resize, month_ago).successful == 1
    assert adopted.function_invocations.get_function_stats(resize).successful == 0


def test_what_one_side_deletes_is_gone_for_the_other(adopted: Any, other: Backend) -> None:
    preview = adopted.users.delete_preview({"email": "ada@b.c"})
    assert preview == {
        "users": 1,
        "functions": 1,
        "function_invocations": 2,
        "function_deploy_logs": 1,
        "api_keys": 1,
        "email_verification_otps": 1,
    }
    assert adopted.backend_users.delete_preview({"email": "ada@b.c"}) == preview
    other.run("DELETE FROM functions")
    assert adopted.function_invocations.count() == adopted.api_keys.count() == adopted.function_deploy_logs.count() == 0
    adopted.users.delete({"email": "ada@b.c"})
    assert other.rows("SELECT COUNT(*) FROM email_verification_otps") == [(0,)]


@pytest.mark.usefixtures("other")
def test_on_a_laptop_the_scripts_make_what_the_backend_has(package: Any, url: str, database: Database) -> None:
    backend = Database(url)
    there = read_catalogue(backend.engine).tables
    backend.close()
    migrator = Migrator(database.engine, [component, package.component])
    assert migrator.up() == ["original_backend.0001_tables"]
    assert find_drift(database.engine, package.component.models) == []
    made = read_catalogue(database.engine).tables
    assert {name: made[name].columns.keys() for name in there} == {name: there[name].columns.keys() for name in there}
    migrator.down()
    assert find_drift(database.engine, component.models) == []
    assert read_catalogue(database.engine).tables.keys().isdisjoint(package.component.tables)
