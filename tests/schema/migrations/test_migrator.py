"""The migrator's books: what is applied, in which order, what is refused, and what a failure leaves behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import peewee
import pytest

from cloudpub_models.errors import MigrationError
from cloudpub_models.platform.component import component
from cloudpub_models.schema import Migrator, read_catalogue
from cloudpub_models.schema.migrations.applied import HISTORY_TABLE
from cloudpub_models.schema.migrations.scripts import directory_of, write_script

Write = Callable[..., Path]

CHECKOUT = Path(__file__).parents[3]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "scripts"
    path.mkdir()
    return path


@pytest.fixture
def write(directory: Path) -> Write:
    """Write a migration that creates a table of its own name."""

    def write_one(name: str, up: str | None = None, down: str | None = None, head: str = "") -> Path:
        table = name.partition("_")[2]
        up = f"db.execute_sql('CREATE TABLE {table} (id INTEGER PRIMARY KEY)')" if up is None else up
        down = f"db.execute_sql('DROP TABLE {table}')" if down is None else down
        path = directory / f"{name}.py"
        path.write_text(f"{head}\ndef up(migrator, db):\n    {up}\n\n\ndef down(migrator, db):\n    {down}\n")
        return path

    return write_one


@pytest.fixture
def migrator(empty: peewee.Database, directory: Path) -> Migrator:
    return Migrator(empty, component.with_migrations(directory), lock_timeout=0.5)


def tables(migrator: Migrator) -> set[str]:
    return set(read_catalogue(migrator.database).tables) - {HISTORY_TABLE}


def states(migrator: Migrator) -> dict[str, str]:
    return {status.name: status.state for status in migrator.status()}


def test_up_applies_what_is_pending_in_order(migrator: Migrator, write: Write) -> None:
    write("0002_second")
    write("0001_first")
    write("0010_tenth")
    assert migrator.pending() == ["0001_first", "0002_second", "0010_tenth"]
    assert migrator.up() == ["0001_first", "0002_second", "0010_tenth"]
    assert tables(migrator) == {"first", "second", "tenth"}
    assert migrator.pending() == []
    assert migrator.up() == []
    write("0011_eleventh")
    assert migrator.up() == ["0011_eleventh"]


def test_up_stops_at_its_target(migrator: Migrator, write: Write) -> None:
    for name in ("0001_a", "0002_b", "0003_c"):
        write(name)
    assert migrator.up("0002_b") == ["0001_a", "0002_b"]
    assert migrator.up("0001_a") == []
    assert states(migrator) == {"0001_a": "applied", "0002_b": "applied", "0003_c": "pending"}


def test_down_reverts_the_last_or_back_through_its_target(migrator: Migrator, write: Write) -> None:
    for name in ("0001_a", "0002_b", "0003_c", "0004_d"):
        write(name)
    migrator.up()
    assert migrator.down() == ["0004_d"]
    assert migrator.down("0002_b") == ["0003_c", "0002_b"]
    assert tables(migrator) == {"a"}
    assert migrator.up() == ["0002_b", "0003_c", "0004_d"]


def test_down_on_an_empty_history_reverts_nothing(migrator: Migrator, write: Write) -> None:
    write("0001_a")
    assert migrator.down() == []


def test_the_history_tells_when_in_utc(migrator: Migrator, write: Write) -> None:
    write("0001_a")
    migrator.up()
    (status,) = migrator.status()
    assert status.applied_at is not None
    assert status.applied_at.tzinfo is UTC
    assert abs(datetime.now(UTC) - status.applied_at) < timedelta(minutes=1)


def test_an_edited_migration_is_refused(migrator: Migrator, write: Write) -> None:
    path = write("0001_a")
    migrator.up()
    path.write_text(path.read_text() + "# a remark\n")
    write("0002_b")
    assert states(migrator) == {"0001_a": "edited", "0002_b": "pending"}
    for call in (migrator.up, migrator.down):
        with pytest.raises(MigrationError, match="expected 0001_a as it was applied; got another file: restore it"):
            call()
    assert tables(migrator) == {"a"}


def test_other_line_endings_are_no_edit(migrator: Migrator, write: Write) -> None:
    path = write("0001_a")
    migrator.up()
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert states(migrator) == {"0001_a": "applied"}


def test_a_missing_migration_is_refused(migrator: Migrator, write: Write) -> None:
    write("0001_a")
    path = write("0002_b")
    migrator.up()
    path.unlink()
    write("0003_c")
    assert states(migrator) == {"0001_a": "applied", "0002_b": "missing", "0003_c": "pending"}
    for call in (migrator.up, migrator.down):
        with pytest.raises(
            MigrationError,
            match="expected the file of 0002_b, which was applied to this database; got none: restore it",
        ):
            call()


def test_a_late_migration_is_refused(migrator: Migrator, write: Write) -> None:
    write("0001_a")
    write("0003_c")
    migrator.up()
    write("0002_b")
    assert states(migrator) == {"0001_a": "applied", "0002_b": "late", "0003_c": "applied"}
    with pytest.raises(
        MigrationError,
        match="expected 0002_b before the migrations with higher numbers; got one of those applied without it",
    ):
        migrator.up()


def test_two_migrations_of_one_number_are_refused(migrator: Migrator, write: Write) -> None:
    write("0001_a")
    write("0001_b")
    with pytest.raises(MigrationError, match="got one for both 0001_a and 0001_b: renumber"):
        migrator.up()


def test_an_unknown_target_is_refused(migrator: Migrator, write: Write) -> None:
    write("0001_first")
    with pytest.raises(MigrationError, match="did you mean '0001_first'"):
        migrator.up("0001_frist")
    with pytest.raises(MigrationError, match="there are none"):
        migrator.down("0001_first")


def test_a_missing_directory_is_refused(empty: peewee.Database, tmp_path: Path) -> None:
    with pytest.raises(
        MigrationError, match="expected a directory with the migrations of the component 'cloudpub'; got none at"
    ):
        Migrator(empty, component.with_migrations(tmp_path / "nowhere")).up()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def up(", "expected a migration that can be loaded; got 0001_a: SyntaxError"),
        ("raise RuntimeError('no')", "expected a migration that can be loaded; got 0001_a: RuntimeError: no"),
        ("x = 1", r"expected 0001_a to define up\(migrator, db\); got none: it does nothing"),
    ],
)
def test_a_script_that_is_none_is_refused_before_anything_runs(
    migrator: Migrator, directory: Path, text: str, message: str
) -> None:
    (directory / "0001_a.py").write_text(text)
    with pytest.raises(MigrationError, match=message):
        migrator.up()
    assert tables(migrator) == set()


def test_a_script_without_down_cannot_be_reverted_and_nothing_is(
    migrator: Migrator, write: Write, directory: Path
) -> None:
    (directory / "0001_a.py").write_text("def up(migrator, db):\n    db.execute_sql('CREATE TABLE a (id INTEGER)')\n")
    write("0002_b")
    migrator.up()
    with pytest.raises(MigrationError, match="0001_a to define down"):
        migrator.down("0001_a")
    assert tables(migrator) == {"a", "b"}


@pytest.mark.parametrize("error", ["raise RuntimeError('halfway')", "db.execute_sql('SELECT nothing FROM nowhere')"])
def test_a_failed_migration_leaves_nothing_and_those_before_it_stay(
    migrator: Migrator, write: Write, error: str
) -> None:
    write("0001_a")
    write("0002_b", up=f"db.execute_sql('CREATE TABLE b (id INTEGER)'); {error}")
    write("0003_c")
    with pytest.raises(MigrationError, match=r"0002_b failed \(up\): "):
        migrator.up()
    assert tables(migrator) == {"a"}
    assert states(migrator) == {"0001_a": "applied", "0002_b": "pending", "0003_c": "pending"}
    # The lock is free again, and the repaired script goes through.
    write("0002_b")
    assert migrator.up() == ["0002_b", "0003_c"]


def test_a_failed_revert_leaves_everything(migrator: Migrator, write: Write) -> None:
    write("0001_a", down="db.execute_sql('DROP TABLE a'); raise RuntimeError('halfway')")
    migrator.up()
    with pytest.raises(MigrationError, match=r"0001_a failed \(down\): RuntimeError: halfway"):
        migrator.down()
    assert tables(migrator) == {"a"}
    assert states(migrator) == {"0001_a": "applied"}


def test_an_interrupt_is_passed_on_and_frees_the_lock(migrator: Migrator, write: Write) -> None:
    write("0001_a", up="db.execute_sql('CREATE TABLE a (id INTEGER)'); raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        migrator.up()
    assert tables(migrator) == set()
    write("0001_a")
    assert migrator.up() == ["0001_a"]


def test_inside_a_transaction_it_is_refused(migrator: Migrator, write: Write) -> None:
    write("0001_a")
    with migrator.database.atomic(), pytest.raises(MigrationError, match="expected no open transaction"):
        migrator.up()


def test_scripts_are_given_playhouses_migrator(migrator: Migrator, write: Write) -> None:
    write("0001_a")
    write(
        "0002_b",
        head="from peewee import CharField\n",
        up="migrator.migrate(migrator.add_column('a', 'label', CharField(default='none')))",
        down="migrator.migrate(migrator.drop_column('a', 'label'))",
    )
    migrator.up()
    assert read_catalogue(migrator.database).tables["a"].columns["label"].type == "varchar(255)"
    migrator.down()
    assert list(read_catalogue(migrator.database).tables["a"].columns) == ["id"]


def test_making_a_table_anew_keeps_the_rows_that_refer_to_it(migrator: Migrator, write: Write) -> None:
    """On SQLite playhouse changes a column by making the table anew, and dropping the old one would cascade."""
    write(
        "0001_a",
        up="[db.execute_sql(text) for text in ('CREATE TABLE a (id INTEGER PRIMARY KEY, label VARCHAR(10))', "
        "'CREATE TABLE c (id INTEGER PRIMARY KEY, a_id INTEGER NOT NULL REFERENCES a (id) ON DELETE CASCADE)', "
        "'INSERT INTO a VALUES (1, NULL)', 'INSERT INTO c VALUES (1, 1)')]",
    )
    write("0002_b", up="migrator.migrate(migrator.rename_column('a', 'label', 'title'))")
    migrator.up()
    assert migrator.database.execute_sql("SELECT count(*) FROM c").fetchone()[0] == 1
    if isinstance(migrator.database, peewee.SqliteDatabase):
        assert migrator.database.execute_sql("PRAGMA foreign_keys").fetchone()[0] == 1


@pytest.mark.parametrize("connect", ["sqlite"], indirect=True)
def test_broken_references_are_refused_on_sqlite(migrator: Migrator, write: Write) -> None:
    write(
        "0001_a",
        up="[db.execute_sql(text) for text in ('CREATE TABLE a (id INTEGER PRIMARY KEY)', "
        "'CREATE TABLE c (id INTEGER PRIMARY KEY, a_id INTEGER REFERENCES a (id))', 'INSERT INTO c VALUES (7, 1)')]",
    )
    with pytest.raises(
        MigrationError, match="got 1 from the migration, the first in row 7 of c, to a: nothing of it was kept"
    ):
        migrator.up()
    assert tables(migrator) == set()
    assert migrator.database.execute_sql("PRAGMA foreign_keys").fetchone()[0] == 1


@pytest.mark.parametrize("connect", ["postgresql"], indirect=True)
def test_a_script_may_do_without_a_transaction_on_postgresql(migrator: Migrator, write: Write) -> None:
    write("0001_a")
    write("0002_b", head="atomic = False", up="db.execute_sql('CREATE INDEX CONCURRENTLY a_id ON a (id)')", down="pass")
    migrator.database.execute_sql("SET statement_timeout = '7s'")
    assert migrator.up() == ["0001_a", "0002_b"]
    assert migrator.database.execute_sql("SHOW statement_timeout").fetchone()[0] == "7s"
    assert [index.name for index in read_catalogue(migrator.database).tables["a"].indexes] == ["a_id"]
    assert migrator.down() == ["0002_b"]


@pytest.mark.parametrize("connect", ["postgresql"], indirect=True)
def test_a_lost_connection_leaves_nothing_and_frees_the_lock(
    migrator: Migrator, write: Write, connect: Callable[[], peewee.Database], directory: Path
) -> None:
    write("0001_a")
    write(
        "0002_b",
        up="db.execute_sql('CREATE TABLE b (id INTEGER)'); "
        "db.execute_sql('SELECT pg_terminate_backend(pg_backend_pid())')",
    )
    with pytest.raises(MigrationError, match="0002_b failed"):
        migrator.up()
    other = connect()
    write("0002_b")
    assert Migrator(other, component.with_migrations(directory), lock_timeout=5).up() == ["0002_b"]
    other.close()


@pytest.mark.parametrize("connect", ["postgresql"], indirect=True)
def test_a_pooler_that_swaps_sessions_is_noticed(migrator: Migrator, write: Write) -> None:
    write("0001_a")
    write("0002_b", head="atomic = False", up="db.close(); db.connect()")
    write("0003_c")
    with pytest.raises(
        MigrationError, match="expected one session for the whole run; got another connection, without the lock"
    ):
        migrator.up()
    assert states(migrator) == {"0001_a": "applied", "0002_b": "applied", "0003_c": "pending"}
    assert migrator.up() == ["0003_c"]


@pytest.mark.parametrize("name", ["add user locale", "  Add user-locale! ", "ADD USER LOCALE"])
def test_new_writes_the_next_script(migrator: Migrator, write: Write, name: str) -> None:
    write("0007_a")
    path = write_script(migrator.components[0], name)
    assert path.name == "0008_add_user_locale.py"
    assert path.read_text().startswith('"""Add user locale."""')
    assert write_script(migrator.components[0], "next").name == "0009_next.py"
    assert migrator.up() == ["0007_a", "0008_add_user_locale", "0009_next"]
    assert list(path.parent.glob(".*")) == []


@pytest.mark.parametrize("name", ["", "  ", "!?"])
def test_new_needs_a_name(migrator: Migrator, name: str) -> None:
    with pytest.raises(MigrationError, match="expected a name of letters and digits"):
        write_script(migrator.components[0], name)


def test_new_never_gives_one_number_twice(directory: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    scripts = component.with_migrations(directory)
    with ThreadPoolExecutor(8) as threads:
        paths = list(threads.map(lambda number: write_script(scripts, f"step {number}"), range(24)))
    numbers = sorted(int(path.name[:4]) for path in paths)
    assert len(set(numbers)) == 24


def test_a_skeleton_is_clean_to_the_linter(migrator: Migrator) -> None:
    path = write_script(migrator.components[0], "nothing yet")
    for command in ("check", "format --check"):
        ruff = [
            str(Path(sys.executable).parent / "ruff"),
            *command.split(),
            "--config",
            str(CHECKOUT / "pyproject.toml"),
        ]
        done = subprocess.run([*ruff, "--no-cache", str(path)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_packages_own_migrations_are_found(empty: peewee.Database) -> None:
    directory = directory_of(component)
    assert directory is not None
    assert (directory / "0001_initial.py").exists()
    assert Migrator(empty, component).pending()[0] == "0001_initial"
    names = [script.name for script in Migrator(empty, component).scripts()]
    assert all(re.fullmatch(r"\d{4}_[a-z0-9_]+", name) for name in names)


def test_migrations_are_found_without_the_checkout(tmp_path: Path) -> None:
    """As a wheel lays them out: cloudpub_models/migrations."""
    site = tmp_path / "site"
    site.mkdir()
    _copy(CHECKOUT / "cloudpub_models", site / "cloudpub_models")
    program = (
        "import cloudpub_models.schema as m, peewee;"
        "from cloudpub_models.schema.migrations.scripts import directory_of;"
        "from cloudpub_models.platform.component import component;"
        "print(directory_of(component)); print(m.Migrator(peewee.SqliteDatabase(':memory:'), component).up()[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [str(site / "cloudpub_models" / "migrations"), "0001_initial"]


def _copy(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for path in source.rglob("*.py"):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())


def test_importing_the_room_imports_no_playhouse() -> None:
    program = "import cloudpub_models.schema, sys; print([m for m in sys.modules if m.startswith('playhouse')])"
    done = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
