"""Rows of an archive, read by DuckDB, which is kept from every other file: also where somebody writes the SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import peewee

from cloudpub_models.archive.files import (
    ArchiveFile,
    archived_types,
    connect,
    files_of,
    moment_column,
    quoted,
    require_table,
)
from cloudpub_models.entity.stored_forms import json_from_text
from cloudpub_models.errors import InvalidQueryError, InvalidValueError
from cloudpub_models.manager.columns.table import Column, Table
from cloudpub_models.sql.values import text_literal

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def opened(directory: Path) -> tuple[list[ArchiveFile], DuckDBPyConnection]:
    """Return an archive's files, and a connection that can read them alone, as a view with the table's name.

    Raises:
        InvalidValueError: there is no archive.
        ConfigurationError: DuckDB is not installed.
    """
    files = files_of(directory)
    if not files:
        raise InvalidValueError(
            f"expected an archive in {str(directory)!r}; got none there: 'cloudpub archive TABLE' makes one"
        )
    paths = f"[{', '.join(text_literal(str(file.path)) for file in files)}]"
    name = quoted(files[0].table)
    connection = connect(temp_directory="")
    connection.execute(f"SET allowed_paths = {paths}")
    connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet({paths}, union_by_name = true)")  # noqa: S608 - literals
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return files, connection


def fetched(
    connection: DuckDBPyConnection, sql: str, parameters: Mapping[str, Any] | Sequence[Any] = ()
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return the column names and the rows of one query; anything else is refused.

    Args:
        connection: of ``opened``.
        sql: the query, in DuckDB's SQL, with ``$name`` or ``?`` for parameters.
        parameters: their values.

    Raises:
        InvalidQueryError: it is no query, or DuckDB refuses it.
    """
    import duckdb

    try:
        statements = duckdb.extract_statements(sql)
        if len(statements) != 1 or statements[0].type is not duckdb.StatementType.SELECT:
            raise InvalidQueryError(
                "expected one query, since an archive is only read; got "
                f"{'another statement' if len(statements) == 1 else f'{len(statements)} statements'}: write a SELECT"
            )
        cursor = connection.execute(statements[0], parameters)
        return [column[0] for column in cursor.description or ()], cursor.fetchall()
    except duckdb.Error as error:
        raise InvalidQueryError(f"the archive cannot be asked that: {str(error).splitlines()[0]}") from error


class Question:
    """What is asked of an archive: which of its rows are meant, and the connection for the time of the answer.

    Args:
        directory: of the archive.
        table_named: gives the table of a name.
        where: column → the value that rows have.
        since: the first moment of rows that are meant.
        until: the moment before which they are.
    """

    def __init__(
        self,
        directory: Path,
        table_named: Callable[[str], Table],
        where: Mapping[str, Any],
        since: datetime | None,
        until: datetime | None,
    ) -> None:
        files, self._connection = opened(directory)
        self.table = table = table_named(files[0].table)
        types = archived_types(table)
        require_table(files, table, types)
        self.columns = [table.columns[name] for name in types]
        self._moment = moment_column(table)
        self._values: list[Any] = []
        conditions = [self._equal(name, value) for name, value in where.items()]
        for operator, value in ((">=", since), ("<", until)):
            if value is not None:
                conditions.append(f"{quoted(self._moment)} {operator} CAST(? AS TIMESTAMP)")
                self._values.append(table.columns[self._moment].encode(value))
        self._where = f" WHERE {' AND '.join(conditions)}" if conditions else ""

    def __enter__(self) -> Question:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def _equal(self, name: str, value: Any) -> str:
        column = self.table.column(name)
        if value is None:
            return f"{quoted(column.name)} IS NULL"
        self._values.append(column.encode(value))
        kind = {"uuid": "UUID", "timestamp": "TIMESTAMP"}.get(column.kind)
        return f"{quoted(column.name)} = {'?' if kind is None else f'CAST(? AS {kind})'}"

    def rows(self, sql: str, *, limit: int | None = None, **words: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query, in which names in braces stand for the archive's, and for more words."""
        text = sql.format(
            table=quoted(self.table.name),
            where=self._where,
            columns=", ".join(quoted(column.name) for column in self.columns),
            moment=quoted(self._moment),
            key=quoted(self.table.key_names[0]),
            **words,
        )
        if limit is not None:
            text += f" LIMIT {limit}"
        return fetched(self._connection, text, self._values)[1]


def values_of(columns: Iterable[Column], row: Sequence[Any]) -> dict[str, Any]:
    """Return column → Python value of a row, as the managers have it."""
    return {column.name: _value_of(column, value) for column, value in zip(columns, row, strict=True)}


def _value_of(column: Column, value: Any) -> Any:
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC)
    return json_from_text(value) if isinstance(column.field, peewee.JSONField) else value
