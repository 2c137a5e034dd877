"""The files of an archive: what is none of them, and who may write them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from cloudpub_models import Managers
from cloudpub_models.archive.files import ArchiveFile, archived_types, files_of, one_writer, quoted, require_table
from cloudpub_models.errors import ConfigurationError, InvalidValueError
from tests.archive.conftest import APRIL


@pytest.fixture
def filled(managers: Managers, invocations: list[datetime], place: Path) -> Path:
    managers.archive(place).move("function_invocations", APRIL)
    return place


def test_files_say_what_they_have(managers: Managers, filled: Path, invocations: list[datetime]) -> None:
    files = files_of(filled)
    assert [(file.table, file.begin.month) for file in files] == [
        ("function_invocations", month) for month in (1, 2, 3)
    ]
    assert sum(file.rows for file in files) == sum(moment < APRIL for moment in invocations)
    assert files[0].columns == archived_types(managers.function_invocations.table)
    assert files[0].columns["id"] == "BIGINT"
    assert files_of(filled / "nowhere") == []


def test_what_is_no_file_of_an_archive_is_named(filled: Path) -> None:
    (path, *_) = filled.glob("*.parquet")
    duckdb.sql("SELECT 1 AS a").write_parquet(str(filled / "other.parquet"))
    with pytest.raises(InvalidValueError, match=r"'other\.parquet', which is none, or was changed: move it away"):
        files_of(filled)
    (filled / "other.parquet").unlink()
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(InvalidValueError, match="which is none, or was changed"):
        files_of(filled)
    with pytest.raises(InvalidValueError, match="expected a directory for an archive; got the file"):
        files_of(path)


def test_a_directory_has_one_table(managers: Managers, filled: Path) -> None:
    with pytest.raises(InvalidValueError, match="expected an archive of function_logs; got .*has function_invocations"):
        managers.archive(filled).move("function_logs", APRIL)
    (path, *_) = sorted(filled.glob("*.parquet"))
    path.rename(path.with_name(path.name.replace("function_invocations", "function_logs")))
    with pytest.raises(InvalidValueError, match="which is none, or was changed"):
        files_of(filled)


def test_other_columns_are_named(managers: Managers, filled: Path) -> None:
    table = managers.function_invocations.table
    types = archived_types(table)
    files = files_of(filled)
    require_table(files, table, types)
    with pytest.raises(InvalidValueError, match="where cost, error differ: begin another directory"):
        require_table(files, table, types | {"error": "BIGINT", "cost": "BIGINT"})


def test_one_writes_at_a_time_and_begins_without_what_is_left(place: Path) -> None:
    with one_writer(place):
        (place / "archive-rows.part").write_text("…")
        (place / "archive-staging.part.tmp").mkdir()
        (place / "film.part").write_text("somebody's")
        with pytest.raises(ConfigurationError, match="expected nobody else who writes to"), one_writer(place):
            pass
        assert (place / "archive-rows.part").exists()
    with one_writer(place):
        assert sorted(path.name for path in place.iterdir()) == ["archive.lock", "film.part"]


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("…")
    with pytest.raises(ConfigurationError, match="expected a directory to write an archive to"):
        with one_writer(tmp_path / "file" / "archive"):
            pass


def test_names_are_quoted() -> None:
    assert quoted('a"b') == '"a""b"'
    assert ArchiveFile._fields == ("path", "table", "begin", "columns", "rows")
