"""Changes of rows as a person reads them: when, who, what, and from what to what."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from cloudpub_models.cli.shown.tables import cell
from cloudpub_models.history.changes import Change
from cloudpub_models.sql.identifiers import printable

_LONGEST_VALUE = 200


def table_of_changes(changes: Sequence[Change]) -> Table | Text:
    """Return a table with a line for each change, and one more for each further value that it has changed."""
    if not changes:
        return Text("no changes", style="dim")
    table = Table(box=box.ROUNDED, border_style="dim", header_style="bold cyan")
    for name in ("when", "who", "transaction", "what"):
        table.add_column(name, no_wrap=name in ("when", "transaction"), overflow="fold")
    has_values = any(_values(change) for change in changes)
    if has_values:
        table.add_column("change", overflow="fold")
    for change in changes:
        cells = [
            cell(change.at),
            cell(change.actor or ""),
            cell(str(change.transaction_id)),
            cell(f"{change.operation} {change.table} {change.row_id}"),
        ]
        table.add_row(*cells, *([Text("\n".join(_values(change)))] if has_values else []))
    return table


def summary(change: Change) -> str:
    """Return a change in a line."""
    who = f" by {printable(change.actor)}" if change.actor else ""
    what = f": {', '.join(values)}" if (values := _values(change)) else ""
    return f"{change.operation} at {change.at:%Y-%m-%d %H:%M:%S} UTC{who}, transaction {change.transaction_id}{what}"


def _values(change: Change) -> list[str]:
    """Return what an update has changed from what to what; nothing for what is no update."""
    if change.operation != "update":
        return []
    return [
        f"{printable(name)}: {_short(before)} → {_short(change.after.get(name))}"
        for name, before in change.before.items()
    ]


def _short(value: object) -> str:
    text = cell(value, exact=True).plain
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"
