"""``cloudpub sql``: one statement of the user's own, read-only unless they say otherwise.

The database itself refuses writes, in a read-only transaction, and all but a single query; for that the text is not
looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Annotated, Any

import typer

from cloudpub_models.cli.given.cells import read_json
from cloudpub_models.cli.given.options import (
    ArchiveOption,
    FormatOption,
    JsonOption,
    SecretsOption,
    chosen_format,
    repeatable,
)
from cloudpub_models.cli.given.target import Target, takes_target
from cloudpub_models.cli.shown.counted import counted
from cloudpub_models.cli.shown.files import STANDARD_STREAM, read_standard_input
from cloudpub_models.cli.shown.output import print_document, print_rows
from cloudpub_models.cli.shown.row_files import FileFormat
from cloudpub_models.cli.shown.terminal import print_line, print_note
from cloudpub_models.connection import Database
from cloudpub_models.connection.engine import STREAM_CHUNK_SIZE, Engine, Row
from cloudpub_models.errors import InvalidQueryError, InvalidValueError
from cloudpub_models.manager.columns.table import table_of
from cloudpub_models.platform.registry import Managers
from cloudpub_models.sql.text.parameters import parse
from cloudpub_models.sql.text.secrets import MASK, is_secret_name

_PARAMETER = re.compile(r"(\w+)(:?=)(.*)", re.DOTALL | re.ASCII)
# What a cursor can be opened for.
_STREAMED = frozenset({"SELECT", "VALUES", "TABLE"})


@takes_target()
def sql(
    target: Target,
    statement: Annotated[str, typer.Argument(metavar="SQL", help="One statement; - reads it from standard input.")],
    parameters: Annotated[
        list[str] | None,
        repeatable(
            "--param",
            "NAME=VALUE",
            "The text for @NAME; NAME:=JSON for a number, true, null or a list for IN. May be repeated.",
        ),
    ] = None,
    archive: ArchiveOption = None,
    write: Annotated[bool, typer.Option("--write", help="Let the statement change the database.")] = False,
    with_secrets: SecretsOption = False,
    format: FormatOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run one SQL statement with @name parameters, and print its rows.

    Without --write it runs in a read-only transaction, in which the database refuses changes to its tables. Columns
    that are called like a secret one (password_hash) are masked. An archive is asked in DuckDB's SQL, with $name for
    parameters, and needs no database.
    """
    chosen = chosen_format(format, as_json)
    values = parse_parameters(parameters or ())
    text = read_standard_input() if statement == STANDARD_STREAM else statement
    if not text.strip():
        raise typer.BadParameter("expected an SQL statement; got nothing")
    if archive is not None:
        if write:
            raise typer.BadParameter("expected --archive or --write; got both: an archive is only read")
        found = Managers(Database()).archive(archive).query(text, values)
        _print_result(*found, None, chosen, masks=not with_secrets, as_json=as_json)
        return
    for model in target.models.values():
        table_of(model)  # which columns are secret is known from their tables
    with target.opened() as database, database.transaction(read_only=not write):
        engine = database.engine
        if write:
            result = engine.perform(*engine.bind_parameters(text, values))
            _print_result(result.names, result.rows, result.touched, chosen, masks=not with_secrets, as_json=as_json)
            return
        with _only_reading(engine):
            reads = parse(text, engine.sql_dialect).command in _STREAMED
            names, rows = (_streamed if reads else _fetched)(text, values, engine)
            _print_result(names, rows, None, chosen, masks=not with_secrets, as_json=as_json)


def _print_result(
    names: Sequence[str],
    rows: Iterable[Row],
    changed: int | None,
    format: FileFormat | None,
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
        print_line(f"{counted(changed, 'row')} changed")


@contextmanager
def _only_reading(engine: Engine) -> Iterator[None]:
    """Have the database refuse all writes inside the block, and say how to have one done all the same."""
    try:
        with engine.only_reading():
            yield
    except InvalidQueryError as error:
        if "read-only" in str(error) or "not authorized" in str(error):
            raise InvalidQueryError(f"{error}: --write lets a statement change the database") from None
        raise


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
