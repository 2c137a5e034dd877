"""``cloudpub find``, ``show`` and ``count``: rows of a table, one row with all that belongs to it, how many there are.

They print what the managers give; conditions are read in ``conditions``, and formats made in ``output``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Annotated, Any

import peewee
import typer
from rich.text import Text

from cloudpub_models.cli.boundary import print_note
from cloudpub_models.cli.given.arguments import (
    ColumnsOption,
    ExceptOption,
    SecretsOption,
    TableArgument,
    chosen_columns,
    model_named,
    secret_columns,
)
from cloudpub_models.cli.given.conditions import Conditions, ConditionsArgument, parse_conditions
from cloudpub_models.cli.given.literals import read_integer
from cloudpub_models.cli.given.targets import DatabaseOption, open_target, target_of
from cloudpub_models.cli.shown.output import (
    FormatOption,
    JsonOption,
    OutputFormat,
    Row,
    chosen_format,
    data_console,
    first_rows,
    print_document,
    print_rows,
    print_table,
)
from cloudpub_models.cli.shown.tables import table_of_record
from cloudpub_models.connection.engine import STREAM_CHUNK_SIZE
from cloudpub_models.entity.base import Entity
from cloudpub_models.errors import CloudpubError, InvalidValueError, NotFoundError
from cloudpub_models.manager.columns.table import Table, table_of
from cloudpub_models.manager.included import relation_names, relation_of
from cloudpub_models.manager.manager import Manager
from cloudpub_models.platform.registry import Managers
from cloudpub_models.sql.identifiers import shown as shortened

# As many as somebody looks through; whoever wants all of them has a program look.
_ROWS_OF_A_TABLE = 100


def find(
    context: typer.Context,
    table: TableArgument,
    conditions: ConditionsArgument = None,
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
    database: DatabaseOption = None,
) -> None:
    """Find the rows of a table that meet every condition.

    A value is text, and read as its column's type: integers, true or false, UUIDs, ISO 8601 times (UTC where no offset
    is given), JSON. A reference such as user_id takes the id or the public UUID. A table shows the first rows, CSV and
    JSON lines give all of them, in constant memory.
    """
    chosen = chosen_format(format, as_json)
    model = model_named(table)
    names = chosen_columns(table_of(model), columns, excepted, with_secrets=with_secrets)
    order = _order(order_by, descending, table_of(model))
    with open_target(target_of(context, database), creates=False) as opened:
        managers = Managers(opened)
        manager: Manager[Any] = managers.for_model(model)
        where = parse_conditions(conditions, manager.table, managers)
        if chosen is not OutputFormat.TABLE:
            print_rows(_rows(manager, where, names, order, limit), names, chosen)
            return
        most = limit or _ROWS_OF_A_TABLE
        rows, more = first_rows(_rows(manager, where, names, order, most + 1), most)
        print_table(rows)
        if more and limit is None:
            print_note(f"the first {most} rows; --limit N shows more, --format csv or jsonl all of them")


def count(
    context: typer.Context,
    table: TableArgument,
    conditions: ConditionsArgument = None,
    format: FormatOption = None,
    as_json: JsonOption = False,
    database: DatabaseOption = None,
) -> None:
    """Count the rows of a table that meet every condition; conditions are those of find."""
    chosen = chosen_format(format, as_json)
    with open_target(target_of(context, database), creates=False) as opened:
        managers = Managers(opened)
        manager: Manager[Any] = managers.for_model(model_named(table))
        number = manager.count(parse_conditions(conditions, manager.table, managers))
    if chosen is OutputFormat.TABLE:
        typer.echo(number)
    else:
        print_rows([{"count": number}], ["count"], chosen)


def show(
    context: typer.Context,
    table: TableArgument,
    key: Annotated[str, typer.Argument(metavar="UUID", help="The row's public UUID, or its internal id.")],
    limit: Annotated[
        int, typer.Option("--limit", min=1, metavar="N", help="At most N rows of each relation, the latest.")
    ] = 5,
    with_secrets: SecretsOption = False,
    format: FormatOption = None,
    as_json: JsonOption = False,
    database: DatabaseOption = None,
) -> None:
    """Show one row, and the rows that it refers to or that refer to it.

    JSON has the relations inside the row; CSV has the row alone.
    """
    chosen = chosen_format(format, as_json)
    model = model_named(table)
    with open_target(target_of(context, database), creates=False) as opened:
        row = _find_one(Managers(opened).for_model(model), key, limit)
        shown = _columns_of(row, with_secrets)
        related = {name: _related(row, name, with_secrets) for name in relation_names(model)}
    if chosen is OutputFormat.JSONL:
        print_document({**shown, **related})
    elif chosen is OutputFormat.CSV:
        print_rows([shown], list(shown), chosen)
    else:
        _print_record(shown, related, limit)


def _order(order_by: Sequence[str] | None, descending: bool, table: Table) -> list[tuple[str, str]]:
    try:
        names = [table.column(name).name for name in order_by or table.key_names]
    except CloudpubError as error:
        raise typer.BadParameter(str(error)) from None
    return [(name, "DESC" if descending else "ASC") for name in names]


def _rows(
    manager: Manager[Any],
    where: Conditions | None,
    names: Sequence[str],
    order: Sequence[tuple[str, str]],
    limit: int | None,
) -> Iterator[Row]:
    if limit is None or limit > STREAM_CHUNK_SIZE:
        found: Iterator[Any] = islice(manager.iterate(where, order_by=order), limit)
    else:  # the database has an easier time when it knows how few are wanted
        found = iter(manager.find_all(where, order_by=order, limit=limit, select=names))
    for instance in found:
        values = instance.to_dict()
        yield {name: values[name] for name in names}


def _find_one(manager: Manager[peewee.Model], key: str, limit: int) -> peewee.Model:
    related = {name: relation_of(manager.model, name).many for name in relation_names(manager.model)}
    latest = {"limit": limit, "order_by": "id", "order_direction": "DESC"}
    include = {name: latest if many else {} for name, many in related.items()}
    column = "uuid"
    try:
        number = read_integer(key)
        column = "uuid" if number is None else "id"
        found = manager.find_one({column: key if number is None else number}, include=include)
    except InvalidValueError:
        raise typer.BadParameter(f"expected the UUID of a row, or its id; got {shortened(key)}") from None
    if found is None:
        raise NotFoundError(f"{manager.table.name} has no row with the {column} {key}")
    return found


def _columns_of(row: peewee.Model, with_secrets: bool) -> dict[str, Any]:
    assert isinstance(row, Entity)
    hidden = frozenset() if with_secrets else secret_columns(table_of(type(row)))
    return {name: value for name, value in row.to_dict().items() if name not in hidden}


def _related(row: peewee.Model, name: str, with_secrets: bool) -> Any:
    found = getattr(row, name)
    if isinstance(found, list):
        return [_columns_of(one, with_secrets) for one in found]
    return None if found is None else _columns_of(found, with_secrets)


def _print_record(row: Row, related: dict[str, Any], limit: int) -> None:
    console = data_console()
    console.print(table_of_record(row, exact=True))
    for name, found in related.items():
        title = f"{name}, the latest {limit}" if isinstance(found, list) and len(found) == limit else name
        console.print(Text(f"\n{title}", style="bold"))
        print_table(found if isinstance(found, list) else [found] if found else [])
