"""The arguments and options that several data commands share: a table, its columns, its secrets, a file's format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import peewee
import typer

from cloudpub_models.cli.shown.interchange import RowFormat, format_of
from cloudpub_models.errors import CloudpubError, did_you_mean
from cloudpub_models.manager.columns.table import Table
from cloudpub_models.models import ALL_MODELS

_MODELS = {model._meta.table_name: model for model in ALL_MODELS}


def _check_table(name: str) -> str:
    if name not in _MODELS:
        raise typer.BadParameter(f"there is no table {name!r}: {did_you_mean(name, _MODELS)}")
    return name


TableArgument = Annotated[
    str, typer.Argument(metavar="TABLE", callback=_check_table, help=f"One of {', '.join(_MODELS)}.")
]
ColumnsOption = Annotated[
    str | None,
    typer.Option("--columns", metavar="NAME,…", help="Only these columns, in this order.", show_default=False),
]
ExceptOption = Annotated[
    str | None, typer.Option("--except", metavar="NAME,…", help="All columns but these.", show_default=False)
]
RowFormatOption = Annotated[
    RowFormat | None,
    typer.Option("--format", help="CSV or JSON lines; else what the file's name says, else JSON lines."),
]
SecretsOption = Annotated[bool, typer.Option("--with-secrets", help="Password hashes too, which are left out else.")]


def model_named(table: str) -> type[peewee.Model]:
    """Return the model of a table that ``TableArgument`` has let through."""
    return _MODELS[table]


def secret_columns(table: Table) -> frozenset[str]:
    """Return the columns of a table that are shown only when asked for."""
    found: Any = getattr(table.model, "secret_columns", frozenset())
    return frozenset(found)


def chosen_columns(table: Table, only: str | None, but: str | None, *, with_secrets: bool = True) -> tuple[str, ...]:
    """Return the columns that ``--columns``, ``--except`` and ``--with-secrets`` ask for together.

    Args:
        table: what the columns belong to.
        only: the columns named by ``--columns``, separated by commas.
        but: those named by ``--except``.
        with_secrets: whether secret columns may be among them.

    Raises:
        typer.BadParameter: a name is no column, none is left, or a secret one is named without ``--with-secrets``.
    """
    named = named_columns(only, table) or table.column_names
    excluded = named_columns(but, table)
    secret = () if with_secrets else secret_columns(table)
    for name in named if only else ():
        if name in secret:
            raise typer.BadParameter(f"{table.name}.{name} is secret: add --with-secrets to have it shown")
    kept = tuple(name for name in named if name not in excluded and name not in secret)
    if not kept:
        raise typer.BadParameter("expected at least one column to be left; got none")
    return kept


def named_columns(text: str | None, table: Table) -> Sequence[str]:
    """Return the columns in a list separated by commas.

    Raises:
        typer.BadParameter: a name is no column.
    """
    if text is None:
        return ()
    try:
        return tuple(dict.fromkeys(table.column(name.strip()).name for name in text.split(",")))
    except CloudpubError as error:
        raise typer.BadParameter(str(error)) from None


def chosen_row_format(format: RowFormat | None, file: str) -> RowFormat:
    """Return the format that ``--format`` or else the file's name tells.

    Raises:
        typer.BadParameter: neither does.
    """
    chosen = format or format_of(file)
    if chosen is None:
        raise typer.BadParameter(f"expected a name ending in .csv or .jsonl (also .gz); got {file!r}: add --format")
    return chosen
