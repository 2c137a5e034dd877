"""``cloudpub delete``: rows that meet conditions deleted, and what goes with them, after a look at how many."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cloudpub_models.cli.given.filters import FiltersArgument, parse_filters
from cloudpub_models.cli.given.options import JsonOption, TableArgument, YesOption, require_consent
from cloudpub_models.cli.given.target import Target, takes_target
from cloudpub_models.cli.shown.counted import counted
from cloudpub_models.cli.shown.output import print_document, print_table
from cloudpub_models.cli.shown.terminal import print_line
from cloudpub_models.manager.arguments.conditions import ALL_ROWS
from cloudpub_models.manager.manager import Manager
from cloudpub_models.platform.registry import Managers


@takes_target()
def delete(
    target: Target,
    table: TableArgument,
    conditions: FiltersArgument = None,
    all_rows: Annotated[bool, typer.Option("--all", help="Every row of the table, without a condition.")] = False,
    preview: Annotated[bool, typer.Option("--preview", help="Say how many rows would go; delete none.")] = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Delete the rows of a table that meet every condition, and those that go with them; conditions are those of find.

    It shows how many rows of which tables would go, and asks first.
    """
    if all_rows == bool(conditions):
        got = "both" if all_rows else "neither"
        raise typer.BadParameter(f"expected conditions, or --all for every row; got {got}")
    known = target.table(table)
    with target.opened() as database:
        managers = Managers(database)
        manager: Manager[Any] = managers.for_model(known.model)
        where = parse_filters(conditions, known, managers) or ALL_ROWS
        rows = manager.delete_preview(where) if preview or not yes else {}
        if (rows or preview) and not as_json:
            print_table({"table": name, "rows": count} for name, count in rows.items())
        if rows and not preview:
            require_consent(f"Delete these {sum(rows.values()):,} rows?", yes=yes)
        deleted = 0 if preview else manager.delete(where)
    if as_json:
        print_document({"preview": rows} if preview else {"deleted": deleted})
    elif not preview:
        print_line(f"deleted {counted(deleted, 'row')} of {known.name}")
