"""The arguments and options that several commands share, each said once, and what they mean together."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from cloudpub_models.cli.boundary import FAILED, RefusedError
from cloudpub_models.cli.shown.row_files import FileFormat, format_of
from cloudpub_models.cli.shown.terminal import print_note
from cloudpub_models.entity.base import secret_columns
from cloudpub_models.errors import CloudpubError, NotFoundError
from cloudpub_models.manager.columns.table import Table
from cloudpub_models.sql import operators
from cloudpub_models.sql.identifiers import printable, shown

if TYPE_CHECKING:
    from cloudpub_models.manager.manager import Manager
    from cloudpub_models.models import Function
    from cloudpub_models.platform.registry import Managers

_MOST_LISTED = 5
_MOST_COMPARED = 5_000


class OutputFormat(StrEnum):
    """How rows are shown."""

    TABLE = "table"
    CSV = "csv"
    JSONL = "jsonl"


def repeatable(name: str, metavar: str, help: str) -> Any:
    """Return an option that may be given several times, of which nothing is said where it is left out."""
    return typer.Option(name, metavar=metavar, help=help, show_default=False)


TableArgument = Annotated[str, typer.Argument(metavar="TABLE", help="As users or functions; 'schema' shows them all.")]
ArchiveOption = Annotated[
    Path | None,
    typer.Option("--archive", metavar="DIR", help="Ask this archive instead of the database.", show_default=False),
]
FunctionArgument = Annotated[str, typer.Argument(metavar="FUNCTION", help="Its uuid, or its name if no other has it.")]
ColumnsOption = Annotated[
    str | None,
    typer.Option("--columns", metavar="NAME,…", help="Only these columns, in this order.", show_default=False),
]
ExceptOption = Annotated[
    str | None, typer.Option("--except", metavar="NAME,…", help="All columns but these.", show_default=False)
]
SecretsOption = Annotated[bool, typer.Option("--with-secrets", help="Password hashes too, which are left out else.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON to stdout, for programs.")]
FormatOption = Annotated[
    OutputFormat | None,
    typer.Option("--format", help="A table, CSV, or JSON lines (one object per line).", show_default="table"),
]
FileFormatOption = Annotated[
    FileFormat | None,
    typer.Option("--format", help="CSV or JSON lines; else what the file's name says, else JSON lines."),
]
UntilOption = Annotated[
    datetime | None,
    typer.Option(
        metavar="MOMENT",
        formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"],
        help="Where it ends, as 2025-06-02T12:00, in UTC if it has no offset; now if left out.",
        show_default=False,
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before data is destroyed.")]


def aware(moment: datetime | None) -> datetime | None:
    """Return a moment in UTC where it has no offset."""
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def chosen_format(format: OutputFormat | None, as_json: bool) -> FileFormat | None:
    """Return the format that ``--format`` and ``--json`` ask for together; ``None`` for a table.

    Raises:
        typer.BadParameter: they contradict each other.
    """
    if as_json and format not in (None, OutputFormat.JSONL):
        raise typer.BadParameter(f"expected --json or --format {format}; got both: leave one out")
    chosen = OutputFormat.JSONL if as_json else format or OutputFormat.TABLE
    return None if chosen is OutputFormat.TABLE else FileFormat(chosen.value)


def chosen_file_format(format: FileFormat | None, file: str) -> FileFormat:
    """Return the format that ``--format`` or else the file's name tells.

    Raises:
        typer.BadParameter: neither does.
    """
    chosen = format or format_of(file)
    if chosen is None:
        raise typer.BadParameter(f"expected a name ending in .csv or .jsonl (also .gz); got {file!r}: add --format")
    return chosen


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
    secret = frozenset() if with_secrets else secret_columns(table.model)
    for name in named if only else ():
        if name in secret:
            raise typer.BadParameter(
                f"expected columns to be shown; got the secret {table.name}.{name}: add --with-secrets"
            )
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


def require_consent(question: str, *, yes: bool) -> None:
    """Go on only if the person agrees, who is asked on stderr, so that stdout stays for data.

    Args:
        question: what is asked, without the question mark's alternatives.
        yes: whether ``--yes`` was given, which it has to be where nobody can answer.

    Raises:
        typer.Exit: the person does not.
        RefusedError: nobody can be asked.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise RefusedError("expected somebody to ask; got no terminal: read what it would destroy, then say --yes")
    if not typer.confirm(printable(question), err=True):
        print_note("nothing was changed")
        raise typer.Exit(FAILED)


def find_function(managers: Managers, text: str) -> Function:
    """Return the function that ``FUNCTION`` means, by its uuid or by a name that no other has, with its user loaded.

    Args:
        managers: of the database to look in.
        text: the argument.

    Raises:
        NotFoundError: no function has this uuid or name, or several have this name.
    """
    uuid = uuid_in(text)
    found = [] if uuid is None else _matching(managers, {"uuid": uuid})
    # A name may look like a uuid.
    found = found or _matching(managers, {"name": text})
    if len(found) == 1:
        return found[0]
    if found:
        owned = [f"  {function.uuid} of {printable(function.user.email)}" for function in found[:_MOST_LISTED]]
        more = ["  and more"] if len(found) > _MOST_LISTED else []
        raise NotFoundError(
            "\n".join([f"expected one function; got the name {shown(text)} of several: give a uuid:", *owned, *more])
        )
    if uuid is not None:
        raise NotFoundError(f"expected a function; got the uuid {uuid}, which none here has: give the uuid of one")
    hint = nearest_of(managers.functions, "name", text)
    raise NotFoundError(f"expected a function; got {shown(text)}, which none is called: {hint}")


def uuid_in(text: str) -> UUID | None:
    """Return the UUID that a text is, ``None`` where it is none."""
    try:
        return UUID(text)
    except ValueError:
        return None


def _matching(managers: Managers, where: dict[str, Any]) -> list[Function]:
    return managers.functions.find_all(where, order_by="id", limit=_MOST_LISTED + 1, include=("user",))


def nearest_of(manager: Manager[Any], column: str, text: str) -> str:
    """Return a hint for a text that no row has in a column: the nearest that one has."""
    rows = manager.find_all({column: operators.is_not_null()}, select=[column], limit=_MOST_COMPARED)
    nearest = difflib.get_close_matches(text, [getattr(row, column) for row in rows], n=1)
    return f"did you mean {shown(nearest[0])}?" if nearest else "give that of one"
