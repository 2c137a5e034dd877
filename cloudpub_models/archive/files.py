"""The files of an archive: what they are called, what they say of themselves, and whether they are whole.

A file is called by its table, its month and the hash of its content: ``function_logs.2026-01.9f86d081884c.parquet``.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import peewee

from cloudpub_models.errors import ConfigurationError, InvalidValueError
from cloudpub_models.manager.columns.table import Column, Table
from cloudpub_models.sql.identifiers import shown
from cloudpub_models.sql.values import text_literal

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SUFFIX = ".parquet"
# What is at work only while somebody writes; whatever else somebody has in the directory is left alone.
ROWS, STAGING = "archive-rows.part", "archive-staging.part"
_LOCK = "archive.lock"
_NAME = re.compile(r"(?P<table>.+)\.(?P<month>\d{4}-\d{2})\.(?P<hash>[0-9a-f]{12})\.parquet")
# What a file's metadata keep of its table.
_KEY = "cloudpub"
_PIECE_BYTES = 2**20
_INTEGERS = ((2**15, "SMALLINT"), (2**31, "INTEGER"), (2**63, "BIGINT"))

Connect = Callable[[], "DuckDBPyConnection"]


class ArchiveFile(NamedTuple):
    """One file of an archive.

    Attributes:
        path: where it is.
        table: whose rows it has.
        begin: the first moment of its month, in UTC.
        columns: column → its type in the file.
        rows: how many there are.
    """

    path: Path
    table: str
    begin: datetime
    columns: dict[str, str]
    rows: int

    def require_unchanged(self) -> None:
        """Raise InvalidValueError where the content is not what was written."""
        if content_hash(self.path) != _parts_of(self.path)["hash"]:
            raise InvalidValueError(
                f"expected {self.path} as it was written; got one that somebody has changed: put the original back, "
                "or move it away if its rows are lost"
            )


def connect(path: str = ":memory:", **settings: str) -> DuckDBPyConnection:
    """Return a connection that fetches nothing from elsewhere.

    Raises:
        ConfigurationError: DuckDB is not installed.
    """
    try:
        import duckdb
    except ImportError as error:
        raise ConfigurationError(
            f"expected duckdb, which writes and reads archives; got {error}: run 'pip install cloudpub-models[archive]'"
        ) from error
    fixed: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "python_enable_replacements": "false",
    }
    return duckdb.connect(path, config={**fixed, **settings})


def archived_types(table: Table) -> dict[str, str]:
    """Return column → its type in an archive.

    Raises:
        InvalidValueError: a column is a secret, or of a type that an archive has no place for; the table has no key of
            one number.
    """
    if secrets := sorted(table.secret_names):
        raise InvalidValueError(
            f"expected a table without secrets to archive; got {table.name}, with {', '.join(secrets)}: an archive "
            "would keep them in plain text"
        )
    if table.key_position is None:
        raise InvalidValueError(
            f"expected a table with a primary key of one integer to archive; got {table.name}: dump it instead"
        )
    return {name: _archived_type(table, column) for name, column in table.columns.items()}


def _archived_type(table: Table, column: Column) -> str:
    if column.kind == "integer":
        return next(name for limit, name in _INTEGERS if column.longest < limit)
    known = {"uuid": "UUID", "timestamp": "TIMESTAMP", "text": "VARCHAR"}
    if column.kind in known:
        return known[column.kind]
    for field, name in ((peewee.BooleanField, "BOOLEAN"), (peewee.FloatField, "DOUBLE"), (peewee.JSONField, "VARCHAR")):
        if isinstance(column.field, field):
            return name
    raise InvalidValueError(
        f"expected columns of numbers, texts, moments, UUIDs and documents to archive; got {table.name}.{column.name}, "
        f"a {type(column.field).__name__}: dump the table instead"
    )


def moment_column(table: Table) -> str:
    """Return the column by which a table's rows are old.

    Raises:
        InvalidValueError: it has none.
    """
    name = getattr(table.model._meta, "partitioned_by", "timestamp")
    column = table.columns.get(name)
    if column is None or column.kind != "timestamp" or column.field.null:
        raise InvalidValueError(
            f"expected a table with a moment that its rows are archived by; got {table.name}: say "
            'partitioned_by = "…" in its Meta'
        )
    return column.name


def quoted(name: str) -> str:
    """Return a name as DuckDB takes it.

    >>> quoted('a"b')
    '"a""b"'
    """
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def metadata_of(table: str, columns: dict[str, str]) -> str:
    """Return what a file is to say of itself, as SQL behind ``KV_METADATA``."""
    return f"{{{_KEY}: {text_literal(json.dumps({'table': table, 'columns': columns}))}}}"


def files_of(directory: Path) -> list[ArchiveFile]:
    """Return the files of an archive, the oldest first; none where there is no archive yet.

    Raises:
        InvalidValueError: there is a file that no archive has, or of several tables.
    """
    if not directory.exists():
        return []
    if not directory.is_dir():
        raise InvalidValueError(f"expected a directory for an archive; got the file {str(directory)!r}: name another")
    with connect() as connection:
        found = [_read(path, connection) for path in sorted(directory.glob(f"*{SUFFIX}"))]
    for file in found:
        if file.table != found[0].table:
            raise InvalidValueError(
                f"expected one table's files in {str(directory)!r}; got those of {found[0].table} and {file.table}: "
                "move one table's away, to a directory of its own"
            )
    return found


def require_table(files: list[ArchiveFile], table: Table, types: dict[str, str]) -> None:
    """Raise InvalidValueError where files have another table's rows, or other columns."""
    for file in files:
        if file.table != table.name:
            raise InvalidValueError(
                f"expected an archive of {table.name}; got {str(file.path.parent)!r}, which has {file.table}: name "
                "another directory"
            )
        if file.columns != types:
            differing = sorted(dict(file.columns.items() ^ types.items()))
            raise InvalidValueError(
                f"expected the columns of {table.name} in {file.path}; got a file where {', '.join(differing)} "
                f"{'differs' if len(differing) == 1 else 'differ'}: begin another directory, and read this one with "
                "'cloudpub sql --archive'"
            )


def _read(path: Path, connection: DuckDBPyConnection) -> ArchiveFile:
    import duckdb

    parts = _NAME.fullmatch(path.name)
    try:
        pairs: Any = connection.execute("SELECT key, value FROM parquet_kv_metadata(?)", [str(path)]).fetchall()
        (rows,) = connection.execute("SELECT num_rows FROM parquet_file_metadata(?)", [str(path)]).fetchall()[0]
    except duckdb.Error:
        pairs, rows = [], 0
    said = next((json.loads(value) for key, value in pairs if key == _KEY.encode()), None)
    if parts is None or said is None or said["table"] != parts["table"]:
        raise InvalidValueError(
            f"expected files that 'cloudpub archive' has written in {str(path.parent)!r}; got {shown(path.name)}, "
            "which is none, or was changed: move it away"
        )
    begin = datetime.strptime(parts["month"], "%Y-%m").replace(tzinfo=UTC)
    return ArchiveFile(path, said["table"], begin, said["columns"], rows)


def _parts_of(path: Path) -> re.Match[str]:
    found = _NAME.fullmatch(path.name)
    assert found is not None
    return found


def content_hash(path: Path) -> str:
    """Return what stands for a file's content in its name."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()[:12]


def keep(part: Path, table: str, begin: datetime) -> Path:
    """Give a finished file its name, on the disk when this returns."""
    _to_disk(part)
    path = part.with_name(f"{table}.{begin:%Y-%m}.{content_hash(part)}{SUFFIX}")
    part.rename(path)
    _to_disk(part.parent)
    return path


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def one_writer(directory: Path) -> Iterator[None]:
    """Keep other writers out of an archive for a block, and begin without what an interrupted one has left.

    Raises:
        ConfigurationError: another is at work, or the directory cannot be written.
    """
    import fcntl

    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = (directory / _LOCK).open("a")
    except OSError as error:
        raise ConfigurationError(
            f"expected a directory to write an archive to; got {str(directory)!r}: {error.strerror}"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigurationError(
                f"expected nobody else who writes to {str(directory)!r}; got another: wait until that one is done"
            ) from None
        remove_unfinished(directory)
        yield


def remove_unfinished(directory: Path) -> None:
    """Remove what is only there while a month is written."""
    for left in (directory / ROWS, *directory.glob(f"{STAGING}*")):
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink(missing_ok=True)
