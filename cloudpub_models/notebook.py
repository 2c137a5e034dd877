"""Results as tables in Jupyter and IPython, and raw SQL in a cell: ``%load_ext cloudpub_models.notebook``.

Lists of rows (entities, or dicts as raw SQL and joins give them), pages, single entities and statistics are then shown
as tables. ``%cloudpub SELECT …`` and a ``%%cloudpub`` cell send SQL to the default database, where ``@name`` is a
variable of the notebook; read-only, unless ``--write`` stands in front. Columns that hold secrets are left out, as HTML
and as text, since a notebook keeps both; a column that SQL gives another name is not recognized.

IPython loads this module; nothing else of the library needs IPython. What is shown is what the results hold: nothing is
read from a database but by the magic.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from html import escape
from typing import TYPE_CHECKING, Any

import peewee

from cloudpub_models.connection.default import database
from cloudpub_models.entity.base import shown_values
from cloudpub_models.manager.statements.results import CursorPage, PaginatedResult
from cloudpub_models.platform.statistics import InvocationCounts
from cloudpub_models.sql.identifiers import printable
from cloudpub_models.sql.text.parameters import parse
from cloudpub_models.sql.text.secrets import is_secret_name

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

MOST_ROWS = 50

_MAGIC = "cloudpub"
_WRITE = "--write"
_LONGEST_CELL = 300
_LONGEST_LINE = 48
_NOTE = '<p style="opacity: 0.7; margin: 4px 0">{}</p>'
_CELL = '<td style="text-align: {align}; white-space: {wrap}; vertical-align: top">{text}</td>'
_HEAD = '<th style="text-align: {align}">{text}</th>'


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Show results as tables, and provide the magic; ``%load_ext cloudpub_models.notebook`` calls this.

    Args:
        shell: the running IPython.
    """
    from IPython.core.magic import no_var_expand

    def cloudpub(line: str, cell: str = "") -> list[dict[str, Any]] | int:
        """Send SQL to the default database; @name is a variable. Read-only, unless --write stands in front."""
        return send(f"{line}\n{cell}", shell.user_ns)

    # Values go into SQL as parameters, never as text.
    mark_as_plain: Any = no_var_expand
    shell.register_magic_function(mark_as_plain(cloudpub), "line_cell", _MAGIC)
    for type_ in _SHOWN_TYPES:
        _formatter(shell, "text/html").for_type(type_, html_of)
    plain = _formatter(shell, "text/plain")
    printer = _PrinterWithoutSecrets(plain.lookup_by_type(dict))
    for type_ in _DICTS:
        printer.originals[type_] = plain.for_type(type_, printer)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Leave results and magics as they were; ``%unload_ext cloudpub_models.notebook`` calls this.

    Args:
        shell: the running IPython.
    """
    for type_ in _SHOWN_TYPES:
        _formatter(shell, "text/html").pop(type_, None)
    plain = _formatter(shell, "text/plain")
    printer = plain.lookup_by_type(dict)
    if isinstance(printer, _PrinterWithoutSecrets):
        for type_, original in printer.originals.items():
            plain.for_type(type_, original)
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop(_MAGIC, None)


def send(text: str, variables: Mapping[str, Any]) -> list[dict[str, Any]] | int:
    """Send SQL to the default database.

    Args:
        text: one statement with ``@name`` parameters; ``--write`` in front of it lets it write.
        variables: where the parameters' values are looked up.

    Returns:
        the rows; with ``--write`` the number of rows touched.

    Raises:
        ParameterError: there is no variable of a parameter's name.
        InvalidQueryError: the statement writes, and ``--write`` is missing.

    >>> from cloudpub_models import database
    >>> _ = database.initialize("sqlite:///:memory:")
    >>> send("SELECT @n + 1 AS next", {"n": 41})
    [{'next': 42}]
    >>> database.close()
    """
    sql = text.strip()
    writes = sql.split(maxsplit=1)[:1] == [_WRITE]
    sql = sql.removeprefix(_WRITE).strip() if writes else sql
    names = parse(sql, database.engine.sql_dialect).names
    parameters = {name: variables[name] for name in names if name in variables}
    if writes:
        return database.raw_execute(sql, parameters)
    with database.transaction(read_only=True) as connection, database.engine.only_reading():
        return connection.execute(sql, parameters)


def html_of(result: Any) -> str | None:
    """Return a result as an HTML table without secrets; ``None`` for what is no result of this library.

    Args:
        result: what a cell gave.

    >>> "ada@example.com" in html_of([{"email": "ada@example.com", "password_hash": "…"}])
    True
    >>> html_of(["anything", "else"]) is None
    True
    """
    if isinstance(result, PaginatedResult):
        where = f"page {result.page} of {-(-result.total // result.page_size)}, {result.total:,} rows in all"
        return _table(_rows(result.items) or [], where)
    if isinstance(result, CursorPage):
        where = "there are more: pass next_cursor" if result.next_cursor else "the last page"
        return _table(_rows(result.items) or [], where)
    if isinstance(result, list):
        rows = _rows(result)
        return _table(rows) if rows else None
    return _record(_row(result))


_DICTS: tuple[type, ...] = (dict, OrderedDict, defaultdict)
_SHOWN_TYPES: tuple[type, ...] = (list, peewee.Model, PaginatedResult, CursorPage, InvocationCounts)


class _PrinterWithoutSecrets:
    """Prints a dict of any kind as IPython prints a dict, wherever in a result it is, but for its secrets."""

    def __init__(self, print_dict: Any) -> None:
        self._print_dict = print_dict
        self.originals: dict[type, Any] = {}

    def __call__(self, value: dict[Any, Any], printer: Any, cycle: bool) -> None:
        self._print_dict(_without_secrets(value), printer, cycle)


def _formatter(shell: InteractiveShell, form: str) -> Any:
    assert shell.display_formatter is not None
    return shell.display_formatter.formatters[form]


def _rows(items: Sequence[Any]) -> list[Mapping[str, Any]] | None:
    """Return items as rows, without secrets; ``None`` where some are none."""
    are_rows = all(
        isinstance(item, peewee.Model | InvocationCounts)
        or (isinstance(item, dict) and all(isinstance(name, str) for name in item))
        for item in items
    )
    return [_row(item) for item in items] if are_rows else None


def _row(item: peewee.Model | InvocationCounts | Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(item, InvocationCounts):
        return asdict(item)
    shown: Mapping[str, Any] = _without_secrets(shown_values(item) if isinstance(item, peewee.Model) else item)
    return shown


def _without_secrets(value: Any) -> Any:
    """Return a value without the names that promise a secret, in all dicts inside it."""
    if isinstance(value, Mapping):
        return {
            name: _without_secrets(inner)
            for name, inner in value.items()
            if not (isinstance(name, str) and is_secret_name(name))
        }
    return type(value)(map(_without_secrets, value)) if type(value) in (list, tuple) else value


def _table(rows: Sequence[Mapping[str, Any]], *notes: str) -> str:
    """Return HTML with one line for each row, and notes below it."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    shown = rows[:MOST_ROWS]
    align = {name: "right" if all(_is_number(row.get(name)) for row in shown) else "left" for name in names}
    head = "".join([_HEAD.format(align=align[name], text=_escaped(name)) for name in names])
    lines = [
        "".join([_cell(row[name], align[name]) if name in row else "<td></td>" for name in names]) for row in shown
    ]
    body = "".join([f"<tr>{line}</tr>" for line in lines])
    if len(rows) > len(shown):
        notes += (f"… and {len(rows) - len(shown):,} more rows",)
    below = "".join([_NOTE.format(_escaped(note)) for note in notes])
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{below}"


def _record(row: Mapping[str, Any]) -> str:
    """Return HTML with one line for each value of a row."""
    lines = [
        f"<tr>{_HEAD.format(align='left', text=_escaped(name))}{_cell(value, 'left')}</tr>"
        for name, value in row.items()
    ]
    return f"<table><tbody>{''.join(lines)}</tbody></table>"


def _cell(value: Any, align: str) -> str:
    text = _text(value)
    wrap = "nowrap" if len(text) <= _LONGEST_LINE else "pre-wrap"
    if value is None:
        return _CELL.format(align=align, wrap=wrap, text=f'<span style="opacity: 0.5">{text}</span>')
    return _CELL.format(
        align=align, wrap=wrap, text=_escaped(text if len(text) <= _LONGEST_CELL else f"{text[:_LONGEST_CELL]}…")
    )


def _text(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00")
    return f"{value:,.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _escaped(text: str) -> str:
    """Return text as HTML shows it, line by line."""
    return "\n".join([escape(printable(line)) for line in text.split("\n")])


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float | Decimal) and not isinstance(value, bool))
