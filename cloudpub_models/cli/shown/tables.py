"""What a call returned, as Rich shows it: entities and rows as tables that fit the terminal, the rest as text.

Columns that do not fit are left out and named below the table. Secret columns are never shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import peewee
from rich import box
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from cloudpub_models.cli.shown.row_files import json_ready
from cloudpub_models.entity.base import shown_values
from cloudpub_models.manager.statements.results import PaginatedResult
from cloudpub_models.sql.identifiers import printable

MOST_ROWS = 8
_WIDEST_CELL = 44
_NARROWEST_CELL = 6
# What tells a reader least goes first where the terminal is narrow.
_DROPPED_FIRST = ("analysis_result", "build_logs", "updated_at", "uuid", "s3_key", "image_tag")
_NULL = "NULL"


def show(result: Any, console: Console) -> RenderableType:
    """Return what Rich is to print for the result of a call."""
    if isinstance(result, PaginatedResult):
        more = "more to come" if result.has_more else "the last one"
        caption = f"page {result.page} of {-(-result.total // result.page_size)} ({more}), {result.total} rows in all"
        return Group(show(result.items, console), Text(caption, style="dim"))
    if isinstance(result, Mapping):
        return table_of_record(result)
    if isinstance(result, peewee.Model):
        return table_of_record(_row_of(result))
    if isinstance(result, Sequence) and not isinstance(result, str):
        rows = [_row_of(item) for item in result]
        return table_of_rows(rows, console) if rows else Text("no rows", style="dim")
    return Text(f"→ {result!r}", style="bold")


def table_of_record(row: Mapping[str, Any], *, exact: bool = False) -> Table:
    """Return a table with one line for each value of a single row; ``exact`` as for ``table_of_rows``."""
    table = Table(box=box.ROUNDED, show_header=False, border_style="dim")
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in row.items():
        table.add_row(Text(printable(name)), cell(value, exact))
    return table


def table_of_rows(
    rows: Sequence[Mapping[str, Any]],
    console: Console,
    *,
    most_rows: int | None = MOST_ROWS,
    wrap: bool = False,
    exact: bool = False,
) -> RenderableType:
    """Return a table with one line for each row.

    Args:
        rows: all with the keys of the first.
        console: where it is to fit in.
        most_rows: how many rows are shown; all when ``None``.
        wrap: break long cells into lines, instead of leaving columns out.
        exact: leave numbers unrounded, and cells whole where there is room for them.
    """
    shown = rows[:most_rows]
    names = list(rows[0])
    cells = [[cell(row[name], exact) for name in names] for row in shown]
    widths = {
        name: max(cell_len(name), *(min(cell_len(line[position].plain), _WIDEST_CELL) for line in cells))
        for position, name in enumerate(names)
    }
    kept = names if wrap else _fitting(widths, console.width)
    room = console.width - _table_width(widths[name] for name in kept) if exact else 0
    most = _widest(names, cells, kept, room)
    table = Table(box=box.ROUNDED, border_style="dim", header_style="bold cyan")
    for name in kept:
        numeric = all(_is_number(row[name]) for row in shown)
        table.add_column(
            Text(printable(name)),
            justify="right" if numeric else "left",
            no_wrap=not wrap,
            overflow="fold" if wrap else "ellipsis",
            max_width=None if wrap else most[name],
        )
    for line in cells:
        table.add_row(*[cell for name, cell in zip(names, line, strict=True) if name in kept])
    notes = []
    if len(rows) > len(shown):
        notes.append(f"… and {len(rows) - len(shown)} more rows")
    if len(kept) < len(names):
        notes.append(printable(f"not shown: {', '.join(name for name in names if name not in kept)}"))
    return Group(table, Text("; ".join(notes), style="dim")) if notes else table


def bar_chart(rows: Sequence[Mapping[str, Any]], label: str, value: str, console: Console) -> RenderableType:
    """Return a chart with one horizontal bar for each row.

    Args:
        rows: what to draw.
        label: the column that names a row.
        value: the column that gives a bar its length.
        console: where it is to fit in.
    """
    numbers = [float(row[value]) for row in rows]
    most = max(numbers, default=0.0) or 1.0
    labels = [cell(row[label]).plain for row in rows]
    figures = [cell(row[value]).plain for row in rows]
    left = max(map(cell_len, labels), default=0)
    right = max(map(cell_len, figures), default=0)
    room = max(1, min(60, console.width - left - right - 4))
    lines = [
        Text.assemble(
            (name.rjust(left) + "  ", "cyan"),
            ("█" * max(1 if number else 0, round(room * number / most)), "green"),
            f" {figure}",
        )
        for name, number, figure in zip(labels, numbers, figures, strict=True)
    ]
    return Group(*lines)


def _row_of(item: Any) -> Mapping[str, Any]:
    if isinstance(item, peewee.Model):
        return shown_values(item)
    return item if isinstance(item, Mapping) else {"value": item}


def _fitting(widths: Mapping[str, int], room: int) -> list[str]:
    kept = list(widths)
    dropping = [name for name in _DROPPED_FIRST if name in widths]
    # The first column tells the rows apart, so it stays to the end.
    dropping += [name for name in reversed(kept) if name not in dropping and name != kept[0]]
    for name in dropping:
        if _table_width(widths[kept_name] for kept_name in kept) <= room:
            break
        if len(kept) == 2 and _table_width([_NARROWEST_CELL, _NARROWEST_CELL]) <= room:
            break
        kept.remove(name)
    return kept


def _widest(names: Sequence[str], cells: Sequence[Sequence[Text]], kept: Sequence[str], room: int) -> Mapping[str, int]:
    """Return how wide each column may be: what room is left goes to the first that can use it."""
    most = {}
    for position, name in enumerate(names):
        longest = max((cell_len(line[position].plain) for line in cells), default=0)
        more = max(0, min(room, longest - _WIDEST_CELL)) if name in kept else 0
        room -= more
        most[name] = _WIDEST_CELL + more
    return most


def _table_width(widths: Iterable[int]) -> int:
    cells = list(widths)
    return sum(cells) + 3 * len(cells) + 1


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def cell(value: Any, exact: bool = False) -> Text:
    """Return a value as a table has it; ``exact`` as for ``table_of_rows``."""
    if value is None:
        return Text(_NULL, style="dim")
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    if isinstance(value, datetime):
        return Text(value.strftime("%Y-%m-%d %H:%M:%S"))
    if isinstance(value, float | Decimal) and not exact:
        return Text(f"{value:,.1f}")
    if isinstance(value, dict | list):
        value = json.dumps(json_ready(value), ensure_ascii=False)
    # A database may hold what a terminal would take for a command.
    return Text(printable(str(value)))
