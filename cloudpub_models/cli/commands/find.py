"""``cloudpub find``, ``show`` and ``count``: rows of a table, one row with all that belongs to it, how many there are.

They print what the managers give; conditions are read in ``given/filters``, and formats made in ``shown``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Annotated, Any

import peewee
import typer
from rich.text import Text

from cloudpub_models.cli.given.cells import read_integer
from cloudpub_models.cli.given.filters import FiltersArgument, parse_filters
from cloudpub_models.cli.given.options import (
    ColumnsOption,
    ExceptOption,
    FormatOption,
    JsonOption,
    SecretsOption,
    TableArgument,
    chosen_columns,
    chosen_format,
    nearest_of,
    uuid_in,
)
from cloudpub_models.cli.given.target import Target, takes_target
from cloudpub_models.cli.shown.changes import summary
from cloudpub_models.cli.shown.output import print_document, print_rows, print_table
from cloudpub_models.cli.shown.row_files import FileFormat
from cloudpub_models.cli.shown.tables import table_of_record
from cloudpub_models.cli.shown.terminal import data_console, print_line, print_note
from cloudpub_models.connection import Database
from cloudpub_models.connection.engine import STREAM_CHUNK_SIZE
from cloudpub_models.entity.base import loaded_values, secret_columns, shown_values
from cloudpub_models.errors import CloudpubError, InvalidValueError, NotFoundError
from cloudpub_models.history.changes import Change
from cloudpub_models.manager.arguments.conditions import Combined
from cloudpub_models.manager.columns.table import Column, Table, table_of
from cloudpub_models.manager.included import Relation, relation_of
from cloudpub_models.manager.manager import Manager
from cloudpub_models.manager.relations import relation_names
from cloudpub_models.platform.registry import Managers
from cloudpub_models.sql.identifiers import printable
from cloudpub_models.sql.identifiers import shown as shortened
from cloudpub_models.sql.values import LARGEST_INTEGER, check_count

# As many as somebody looks through; whoever wants all of them has a program look.
_ROWS_OF_A_TABLE = 100
_MOST_LISTED = 5


@takes_target()
def find(
    target: Target,
    table: TableArgument,
    conditions: FiltersArgument = None,
    columns: ColumnsOption = None,
    excepted: ExceptOption = None,
    order_by: Annotated[
        list[str] | None,
        typer.Option("--order-by", metavar="NAME", help="Sort by this column; may be repeated.", show_default="id"),
    ] = None,
    descending: Annotated[bool, typer.Option("--descending", help="Sort from the largest down.")] = False,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            min=1,
            metavar="N",
            help="At most N rows.",
            show_default=f"{_ROWS_OF_A_TABLE} of a table, else all",
        ),
    ] = None,
    with_secrets: SecretsOption = False,
    format: FormatOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find the rows of a table that meet every condition.

    A value is text, and read as its column's type: integers, true or false, UUIDs, ISO 8601 times (UTC where no offset
    is given), JSON. A reference such as user_id takes the id or the public UUID. A table shows the first rows, CSV and
    JSON lines give all of them, in constant memory.
    """
    if limit is not None:
        check_count(limit, "--limit", smallest=1)
    chosen = chosen_format(format, as_json)
    known = target.table(table)
    names = chosen_columns(known, columns, excepted, with_secrets=with_secrets)
    order = _order(order_by, descending, known)
    with target.opened() as database:
        managers = Managers(database)
        manager: Manager[Any] = managers.for_model(known.model)
        where = parse_filters(conditions, known, managers)
        if chosen is not None:
            print_rows(_rows(manager, where, names, order, limit), names, chosen)
            return
        most = limit or _ROWS_OF_A_TABLE
        rows = list(_rows(manager, where, names, order, most + 1))
        print_table(rows[:most])
        if len(rows) > most and limit is None:
            print_note(f"the first {most} rows; --limit N shows more, --format csv or jsonl all of them")


@takes_target()
def count(
    target: Target,
    table: TableArgument,
    conditions: FiltersArgument = None,
    format: FormatOption = None,
    as_json: JsonOption = False,
) -> None:
    """Count the rows of a table that meet every condition; conditions are those of find."""
    chosen = chosen_format(format, as_json)
    known = target.table(table)
    with target.opened() as database:
        managers = Managers(database)
        number = managers.for_model(known.model).count(parse_filters(conditions, known, managers))
    if chosen is None:
        print_line(str(number))
    else:
        print_rows([{"count": number}], ["count"], chosen)


@takes_target()
def show(
    target: Target,
    table: TableArgument,
    key: Annotated[
        str,
        typer.Argument(
            metavar="KEY", help="The row's public UUID, its internal id, or its name if no other has it (an email too)."
        ),
    ],
    limit: Annotated[
        int, typer.Option("--limit", min=1, metavar="N", help="At most N rows of each relation, the latest.")
    ] = 5,
    with_secrets: SecretsOption = False,
    format: FormatOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one row, and the rows that it refers to or that refer to it.

    JSON has the relations inside the row; CSV has the row alone.
    """
    chosen = chosen_format(format, as_json)
    known = target.table(table)
    with target.opened() as database:
        relations = _relations(known.model, database.models)
        row = _find_one(Managers(database).for_model(known.model), key, relations, limit)
        last_change = None if chosen else _last_change(database, known, row)
        values = shown_values(row, with_secrets=with_secrets)
        related = {relation.name: _related(row, relation.name, with_secrets) for relation in relations}
    if chosen is FileFormat.JSONL:
        print_document({**values, **related})
    elif chosen is FileFormat.CSV:
        print_rows([values], list(values), chosen)
    else:
        _print_record(values, related, limit, last_change)


def _order(order_by: Sequence[str] | None, descending: bool, table: Table) -> list[tuple[str, str]]:
    try:
        names = [table.column(name).name for name in order_by or table.key_names]
    except CloudpubError as error:
        raise typer.BadParameter(str(error)) from None
    return [(name, "DESC" if descending else "ASC") for name in names]


def _rows(
    manager: Manager[Any],
    where: Combined | None,
    names: Sequence[str],
    order: Sequence[tuple[str, str]],
    limit: int | None,
) -> Iterator[dict[str, Any]]:
    if limit is None or limit > STREAM_CHUNK_SIZE:
        most = None if limit is None else min(limit, LARGEST_INTEGER)
        found: Iterator[Any] = islice(manager.iterate(where, order_by=order), most)
    else:  # the database has an easier time when it knows how few are wanted
        found = iter(manager.find_all(where, order_by=order, limit=limit, select=names))
    for instance in found:
        values = loaded_values(instance)
        yield {name: values[name] for name in names}


def _relations(model: type[peewee.Model], models: Collection[type[peewee.Model]]) -> list[Relation]:
    """Return a model's relations to others of the database; the process may know models that have no table in it."""
    relations = [relation_of(model, name) for name in relation_names(model)]
    return [relation for relation in relations if relation.related in models]


def _find_one(manager: Manager[peewee.Model], key: str, relations: Sequence[Relation], limit: int) -> peewee.Model:
    table = manager.table
    ways = _ways_to_name(table)
    if not ways:
        raise typer.BadParameter(
            f"expected a table with a key; got {table.name}, which has none: use 'cloudpub find {table.name}'"
        )
    for column in ways:
        value = _value_for(column, key)
        try:
            found = [] if value is None else manager.find_all({column.name: value}, limit=_MOST_LISTED + 1)
        except InvalidValueError:
            continue  # as a text too long for a name
        if len(found) > 1:
            raise NotFoundError(_several(table, column, key, found))
        if found:
            include = {relation.name: _latest(relation, limit) for relation in relations}
            known = {name: loaded_values(found[0])[name] for name in table.key_names or (column.name,)}
            if (row := manager.find_one(known, include=include)) is not None:
                return row
    raise NotFoundError(_none(manager, ways, key))


def _ways_to_name(table: Table) -> list[Column]:
    """Return the columns by which a person names a row: its uuid, its key, what is unique, its name."""
    named = [
        column.name
        for column in table.columns.values()
        if column.is_text
        and (column.field.unique or column.name == "name")
        and column.name not in secret_columns(table.model)
    ]
    uuid = ["uuid"] if "uuid" in table.columns else []
    return [table.columns[name] for name in dict.fromkeys((*uuid, *table.key_names[:1], *named))]


def _value_for(column: Column, text: str) -> Any:
    """Return what a text means in a column; None where it can mean nothing there."""
    if column.is_text:
        return text
    if isinstance(column.field, peewee.UUIDField):
        return uuid_in(text)
    try:
        return read_integer(text)
    except InvalidValueError:
        return None


def _several(table: Table, column: Column, key: str, found: Sequence[peewee.Model]) -> str:
    names = [name for name in ("uuid", *table.key_names) if name in table.columns][:1]
    listed = [f"  {shown_values(row)[name]}" for row in found[:_MOST_LISTED] for name in names]
    more = ["  and more"] if len(found) > _MOST_LISTED else []
    told = f"expected one row of {table.name}; got the {column.name} {shortened(key)} of several"
    return "\n".join([f"{told}: give its {names[0]}:" if names else told, *listed, *more])


def _none(manager: Manager[Any], ways: Sequence[Column], key: str) -> str:
    table = manager.table.name
    meant = [column for column in ways if not column.is_text and _value_for(column, key) is not None] or ways
    if len(meant) == 1:
        return f"expected a row of {table}; got the {meant[0].name} {printable(key)}, which none has"
    hint = next((nearest_of(manager, column.name, key) for column in ways if column.is_text), "give that of one")
    names = ", ".join(column.name for column in ways[:-1])
    return f"expected a row of {table} by its {names} or {ways[-1].name}; got {shortened(key)}, which none has: {hint}"


def _latest(relation: Relation, limit: int) -> dict[str, Any]:
    if not relation.many:
        return {}
    key = table_of(relation.related).key_names[:1]
    return {"limit": limit, **({"order_by": key, "order_direction": "DESC"} if key else {})}


def _related(row: peewee.Model, name: str, with_secrets: bool) -> Any:
    found = getattr(row, name)
    if isinstance(found, list):
        return [shown_values(one, with_secrets=with_secrets) for one in found]
    return None if found is None else shown_values(found, with_secrets=with_secrets)


def _last_change(database: Database, table: Table, row: peewee.Model) -> Change | None:
    """Return what has happened to a row last, where the database records it and lets the user read that."""
    if table.name not in database.history.tables:
        return None
    values = [loaded_values(row)[name] for name in table.key_names]
    with suppress(CloudpubError):
        return next(
            iter(database.history.of_row(table.name, values[0] if len(values) == 1 else tuple(values), limit=1)), None
        )
    return None


def _print_record(row: Mapping[str, Any], related: Mapping[str, Any], limit: int, last_change: Change | None) -> None:
    console = data_console()
    console.print(table_of_record(row, exact=True))
    if last_change is not None:
        console.print(Text(f"last change: {summary(last_change)}", style="dim"))
    for name, found in related.items():
        title = f"{name}, the latest {limit}" if isinstance(found, list) and len(found) == limit else name
        console.print(Text(f"\n{title}", style="bold"))
        print_table(found if isinstance(found, list) else [found] if found else [])
