"""``cloudpub sql``: one statement of the user's own, read-only unless they say otherwise.

The database itself refuses writes, in a read-only transaction; the text is not looked at. SQLite, whose transactions do
not cover everything, is also told to refuse other files and settings.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Annotated, Any

import typer

from cloudpub_models.cli.boundary import print_note
from cloudpub_models.cli.given.arguments import SecretsOption
from cloudpub_models.cli.given.literals import read_json
from cloudpub_models.cli.given.targets import DatabaseOption, open_target, target_of
from cloudpub_models.cli.shown.files import STANDARD_STREAM, read_standard_input
from cloudpub_models.cli.shown.output import (
    FormatOption,
    JsonOption,
    OutputFormat,
    chosen_format,
    print_document,
    print_rows,
)
from cloudpub_models.connection.engine import STREAM_CHUNK_SIZE, Engine, Row
from cloudpub_models.connection.results import ResultColumns, decoded
from cloudpub_models.errors import InvalidQueryError, InvalidValueError
from cloudpub_models.sql.text.parameters import parse
from cloudpub_models.sql.text.secrets import MASK, is_secret_name

_PARAMETER = re.compile(r"(\w+)(:?=)(.*)", re.DOTALL | re.ASCII)
# What a cursor can be opened for.
_STREAMED = frozenset({"SELECT", "VALUES", "TABLE"})
# What a PRAGMA may be asked about; anything else that is given to one sets it.
_ASKED_WITH_A_NAME = frozenset(
    {
        "foreign_key_check",
        "foreign_key_list",
        "index_info",
        "index_list",
        "index_xinfo",
        "integrity_check",
        "quick_check",
        "table_info",
        "table_list",
        "table_xinfo",
    }
)


def sql(
    context: typer.Context,
    statement: Annotated[str, typer.Argument(metavar="SQL", help="One statement; - reads it from standard input.")],
    parameters: Annotated[
        list[str] | None,
        typer.Option(
            "--param",
            metavar="NAME=VALUE",
            help="The text for @NAME; NAME:=JSON for a number, true, null or a list for IN. May be repeated.",
            show_default=False,
        ),
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Let the statement change the database.")] = False,
    with_secrets: SecretsOption = False,
    format: FormatOption = None,
    as_json: JsonOption = False,
    database: DatabaseOption = None,
) -> None:
    """Run one SQL statement with @name parameters, and print its rows.

    Without --write it runs in a read-only transaction, in which the database refuses changes to its tables. Columns
    that are called like a secret one (password_hash) are masked.
    """
    chosen = chosen_format(format, as_json)
    values = parse_parameters(parameters or ())
    text = read_standard_input() if statement == STANDARD_STREAM else statement
    if not text.strip():
        raise typer.BadParameter("expected an SQL statement; got nothing")
    with open_target(target_of(context, database), creates=False) as opened, opened.transaction(read_only=not write):
        engine = opened.engine
        if write:
            _print_result(*_written(text, values, engine), chosen, masks=not with_secrets, as_json=as_json)
            return
        with _read_only(engine):
            reads = parse(text, engine.sql_dialect).command in _STREAMED
            names, rows = (_streamed if reads else _fetched)(text, values, engine)
            _print_result(names, rows, None, chosen, masks=not with_secrets, as_json=as_json)


def _print_result(
    names: Sequence[str],
    rows: Iterable[Row],
    changed: int | None,
    format: OutputFormat,
    *,
    masks: bool,
    as_json: bool,
) -> None:
    if names:
        print_rows(_mappings(names, rows, masks=masks), distinct(names), format)
    elif changed is None:
        print_note("done: this statement gives no rows")
    elif as_json:
        print_document({"changed": changed})
    else:
        typer.echo(f"{changed:,} row{'' if changed == 1 else 's'} changed")


@contextmanager
def _read_only(engine: Engine) -> Iterator[None]:
    """Refuse what a read-only transaction lets through on SQLite, and say how to have it done all the same."""
    connection: Any = engine.connection()  # type: ignore[no-untyped-call]
    try:
        if isinstance(connection, sqlite3.Connection):
            connection.set_authorizer(_authorize)
        yield
    except InvalidQueryError as error:
        if "read-only" in str(error) or "not authorized" in str(error):
            raise InvalidQueryError(f"{error}: --write lets a statement change the database") from None
        raise
    finally:
        if isinstance(connection, sqlite3.Connection):
            connection.set_authorizer(None)


def _authorize(action: int, subject: str | None, value: str | None, _schema: str | None, _trigger: str | None) -> int:
    sets = action == sqlite3.SQLITE_PRAGMA and value is not None and (subject or "").lower() not in _ASKED_WITH_A_NAME
    if sets or action in (sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH):
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


def _written(text: str, values: Mapping[str, Any], engine: Engine) -> tuple[list[str], list[Row], int | None]:
    """Run a statement that may write, and return its columns and rows, or how many rows it has changed.

    What it is shows in what it gives back: a WITH may be either, and RETURNING may stand in a text.
    """
    sql, parameters = engine.bind_parameters(text, values)
    connection: Any = engine.connection()  # type: ignore[no-untyped-call]
    on_sqlite = isinstance(connection, sqlite3.Connection)
    before = connection.total_changes if on_sqlite else 0
    # PostgreSQL's gives values as raw SQL decodes them.
    cursor = connection.cursor() if on_sqlite else connection.take_cursor()
    try:
        cursor.execute(sql, *([] if parameters is None else [parameters]))
        rows = [] if cursor.description is None else cursor.fetchall()
    except engine.driver_error as error:
        engine.fail(error)
    except OverflowError as error:
        raise InvalidValueError(f"expected an integer of at most 64 bits: {error}") from None
    columns = _columns_of(cursor)
    changed = cursor.rowcount if cursor.rowcount >= 0 else None
    # SQLite's driver counts the rows of a statement that begins with what changes them, and so not those of WITH.
    if not columns and on_sqlite and connection.total_changes > before:
        changed = connection.execute("SELECT changes()").fetchone()[0]
    return [name for name, _ in columns], decoded(columns, rows), changed


def _columns_of(cursor: Any) -> ResultColumns:
    if isinstance(cursor, sqlite3.Cursor):
        return tuple((column[0], None) for column in cursor.description or ())
    from cloudpub_models.connection.postgresql.connection import columns_of

    return columns_of(cursor)


def _streamed(text: str, values: Mapping[str, Any], engine: Engine) -> tuple[list[str], Iterable[Row]]:
    """Return the column names of a query and its rows, which are sent for as they are taken."""
    chunks = engine.stream_described(*engine.bind_parameters(text, values), STREAM_CHUNK_SIZE)
    first = next(chunks, None)
    if first is None:  # a stream without rows does not tell the names
        return _fetched(text, values, engine)
    return first[0], chain(first[1], chain.from_iterable(rows for _, rows in chunks))


def _fetched(text: str, values: Mapping[str, Any], engine: Engine) -> tuple[list[str], Iterable[Row]]:
    return engine.fetch_described(*engine.bind_parameters(text, values))


def parse_parameters(arguments: Iterable[str]) -> dict[str, Any]:
    """Return the values of ``@name`` parameters from ``name=text`` and ``name:=json``.

    Raises:
        typer.BadParameter: an argument has neither form, or names a parameter again.

    >>> parse_parameters(["email=ada@example.com", "ids:=[1, 2]"])
    {'email': 'ada@example.com', 'ids': (1, 2)}
    """
    values: dict[str, Any] = {}
    for argument in arguments:
        found = _PARAMETER.fullmatch(argument)
        if found is None:
            raise typer.BadParameter(f"expected --param NAME=TEXT or NAME:=JSON; got {argument!r}")
        name, sign, text = found.groups()
        if name in values:
            raise typer.BadParameter(f"expected one value for @{name}; got two: a list for IN is {name}:='[1, 2]'")
        values[name] = text if sign == "=" else _json(name, text)
    return values


def _json(name: str, text: str) -> Any:
    try:
        value = read_json(text)
    except InvalidValueError as error:
        raise typer.BadParameter(f"{name}:= {error}: text goes behind {name}=") from None
    return tuple(value) if isinstance(value, list) else value


def distinct(names: Sequence[str]) -> list[str]:
    """Return column names of which no two are equal: the second ``id`` is ``id_2``.

    >>> distinct(["id", "name", "id"])
    ['id', 'name', 'id_2']
    """
    found: dict[str, None] = {}
    for name in names:
        number, chosen = 1, name
        while chosen in found:
            number += 1
            chosen = f"{name}_{number}"
        found[chosen] = None
    return list(found)


def _mappings(names: Sequence[str], rows: Iterable[Row], *, masks: bool) -> Iterator[dict[str, Any]]:
    keys = distinct(names)
    masked = [key for key, name in zip(keys, names, strict=True) if masks and is_secret_name(name)]
    if masked:
        print_note(f"masked: {', '.join(masked)}; --with-secrets shows what is there")
    for row in rows:
        mapping = dict(zip(keys, row, strict=True))
        for key in masked:
            mapping[key] = None if mapping[key] is None else MASK
        yield mapping
