"""What an archive answers, and that nobody who writes the SQL reads or writes anything else."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from cloudpub_models import Database, Managers
from cloudpub_models.archive.reading import fetched, opened
from cloudpub_models.errors import InvalidQueryError, InvalidValueError
from tests.archive.conftest import APRIL, invoke, make_function


@pytest.fixture
def filled(managers: Managers, invocations: list[datetime], place: Path) -> Path:
    managers.archive(place).move("function_invocations", APRIL)
    return place


def test_a_query_sees_the_table(filled: Path, invocations: list[datetime]) -> None:
    expected = sum(moment < APRIL for moment in invocations)
    _, connection = opened(filled)
    with connection:
        assert fetched(connection, "SELECT COUNT(*) AS n FROM function_invocations") == (["n"], [(expected,)])
        assert fetched(
            connection, "WITH a AS (FROM function_invocations) SELECT COUNT(*) FROM a WHERE id > $id", {"id": 0}
        )[1] == [(expected,)]


HOSTILE = [
    "SELECT * FROM read_text('{outside}')",
    "SELECT * FROM read_csv('{outside}')",
    "SELECT * FROM read_blob('{outside}')",
    "SELECT * FROM '{outside}'",
    "SELECT * FROM glob('{outside}')",
    "SELECT * FROM read_parquet('https://example.com/a.parquet')",
    "SELECT * FROM query('COPY (SELECT 1) TO ''{new}''')",
    "COPY function_invocations TO '{new}'",
    "COPY (SELECT 1) TO '{file}' (FORMAT parquet, USE_TMP_FILE false)",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{file}' (USE_TMP_FILE false)",
    "EXPORT DATABASE '{new}'",
    "ATTACH '{new}'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "RESET allowed_paths",
    "PRAGMA enable_profiling",
    "CREATE TABLE t AS SELECT 1",
    "DROP VIEW function_invocations",
    "DELETE FROM function_invocations",
    "CALL pragma_version()",
    "SELECT 1; SELECT 2",
    "PREPARE p AS COPY (SELECT 1) TO '{file}'",
    "SELECT * FROM outside_variable",
    "SELECT getenv('HOME')",
    "SELECT",
    "",
]


@pytest.fixture(scope="module")
def unharmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive for all of them, each of which has to leave it as it was."""
    place = tmp_path_factory.mktemp("archives") / "it's an archive"
    database = Database("sqlite:///:memory:")
    database.migrate()
    managers = Managers(database)
    invoke(managers, make_function(managers))
    managers.archive(place).move("function_invocations", APRIL)
    database.close()
    return place


@pytest.mark.parametrize("sql", HOSTILE)
def test_hostile_sql_reaches_nothing_else(unharmed: Path, tmp_path: Path, sql: str) -> None:
    outside = tmp_path / "secret.csv"
    outside.write_text("a\n1\n")
    outside_variable = [1]
    assert outside_variable
    before = {path.name: path.read_bytes() for path in unharmed.iterdir()}
    (file, *_) = sorted(unharmed.glob("*.parquet"))
    new = tmp_path / "new"
    text = sql.format(outside=outside, new=new, file=str(file).replace("'", "''"))
    _, connection = opened(unharmed)
    with connection:
        with pytest.raises(InvalidQueryError, match="expected one query|cannot be asked"):
            fetched(connection, text)
        assert fetched(connection, "SELECT COUNT(*) > 0 FROM function_invocations")[1] == [(True,)]
    assert {path.name: path.read_bytes() for path in unharmed.iterdir()} == before
    assert not new.exists()


def test_without_an_archive_it_is_said_how_one_is_made(place: Path) -> None:
    with pytest.raises(InvalidValueError, match="got none there: 'cloudpub archive TABLE' makes one"):
        opened(place)
    assert not place.exists()
