"""The demo: migrate, fill the database with an invented platform, and walk through the library.

This module runs and shows; what it shows is in ``tour``, and what the platform is made of in ``data``.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

from rich import box
from rich.console import Console, RenderableType
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.rule import Rule
from rich.syntax import Syntax
from rich.text import Text

from cloudpub_models import Change, Database, Function, Managers, QueryEvent, User, operators
from cloudpub_models.cli.boundary import RefusedError
from cloudpub_models.cli.commands.demo.data import ANCHOR, DEMO_DOMAIN, Platform, make_platform, make_traffic, moved
from cloudpub_models.cli.commands.demo.tour import CHAPTERS, TOUR_FUNCTION, Step
from cloudpub_models.cli.given.target import Target
from cloudpub_models.cli.shown.changes import table_of_changes
from cloudpub_models.cli.shown.tables import bar_chart, show, table_of_rows
from cloudpub_models.cli.shown.terminal import HarmlessConsole
from cloudpub_models.errors import NotFoundError
from cloudpub_models.history.tables import CHANGES, CONTEXT, TABLES_OF_FEEDS, kind_of
from cloudpub_models.platform.rollups.counting import TABLES as ROLLUP_TABLES
from cloudpub_models.platform.rollups.counting import is_on
from cloudpub_models.schema.catalogue.read import read_catalogue

_PROGRESS_EVERY = 1_000
_LONGEST_STATEMENT = 700
_MOST_STATEMENTS = 12
_LONGEST_VALUE = 48
_MOST_VALUES = 12
# What the tables begin with in which the library keeps its books.
_OF_THE_LIBRARY = "cloudpub_"
_CLAUSES = ("FROM", "INNER JOIN", "LEFT JOIN", "WHERE", "GROUP BY", "HAVING", "ORDER BY", "LIMIT", "VALUES", "SET",
            "ON CONFLICT", "RETURNING")  # fmt: skip


def run_demo(target: Target, console: Console, *, seed: int, invocations: int, until: datetime) -> None:
    """Run the whole demo.

    Args:
        target: the database that the options name.
        console: where to show it.
        seed: what the data is invented from.
        invocations: how many calls of functions to invent.
        until: where the data ends.

    Raises:
        RefusedError: the database has rows or tables of others, and no option names it.
    """
    with target.opened(creates=True, local_default=True) as database:
        _require_its_own(target, database)
        applied = database.migrate()
        console.print(f"migrations: {', '.join(applied) or 'none pending'}", style="dim")
        managers = Managers(database)
        started = time.perf_counter()
        platform = make_platform(seed)
        counts = _fill(managers, platform, invocations, until - ANCHOR, console)
        seconds = time.perf_counter() - started
        console.print(table_of_rows([{"table": table, "rows": count} for table, count in counts.items()], console))
        summary = f"{sum(counts.values()):,} rows in {seconds:.1f} s, in one transaction"
        console.print(f"{summary}; seed {seed} gives the same every time")
        console.print()
        _walk(console, managers, platform, until - timedelta(days=30))
        console.print(Rule(style="blue"))
        console.print(_what_next(target))


def fill_database(target: Target, *, seed: int, invocations: int, until: datetime) -> dict[str, Any]:
    """Fill a database as the demo does, without the walk, and return what has been done, for a program.

    Args:
        target: the database that the options name.
        seed: what the data is invented from.
        invocations: how many calls of functions to invent.
        until: where the data ends.

    Raises:
        RefusedError: the database has rows or tables of others, and no option names it.
    """
    with target.opened(creates=True, local_default=True) as database:
        _require_its_own(target, database)
        applied = database.migrate()
        started = time.perf_counter()
        counts = _fill(
            Managers(database), make_platform(seed), invocations, until - ANCHOR, HarmlessConsole(stderr=True)
        )
        seconds = time.perf_counter() - started
    return {"migrations": applied, "seed": seed, "rows": counts, "seconds": round(seconds, 3)}


def _require_its_own(target: Target, database: Database) -> None:
    if target.database is not None:
        return
    tables = set(read_catalogue(database.engine).tables)
    has_users = "users" in tables
    tables -= {model._meta.table_name for model in database.models}
    if kind_of(database.engine).has_log(database.engine):
        tables -= {CHANGES, CONTEXT, *TABLES_OF_FEEDS}
    if is_on(database):
        tables -= ROLLUP_TABLES
    others = sorted(table for table in tables if not table.startswith(_OF_THE_LIBRARY))
    found = f"the table {others[0]}" if others else None
    if found is None and has_users:
        is_shared = Managers(database).users.exists({"email": operators.not_like(f"%@{DEMO_DOMAIN}")})
        found = "users of others" if is_shared else None
    if found is not None:
        raise RefusedError(
            f"expected a database for the demo alone; got one with {found}: name another, or this one by --database URL"
        )


def _fill(
    managers: Managers, platform: Platform, invocations: int, later: timedelta, console: Console
) -> dict[str, int]:
    """Replace the demo's own rows, their times so much later; return how many there are now in each table."""
    with _progress(console, invocations) as advance, managers.database.transaction():
        # Everything else of the demo hangs on its users, and goes with them.
        managers.users.delete({"email": operators.like(f"%@{DEMO_DOMAIN}")})
        user_ids = {
            user.uuid: user.id for user in managers.users.batch_insert(moved(platform.users, later), returning=True)
        }
        counts = {
            "users": len(user_ids),
            "user_information": managers.user_information.batch_insert(moved(platform.user_information, later)),
            "organizations": managers.organizations.batch_insert(moved(platform.organizations, later)),
            "organization_members": managers.organization_members.batch_insert(
                moved(platform.organization_members, later)
            ),
        }
        functions = managers.functions.batch_insert(
            moved(({**function.row, "user_id": user_ids[function.owner]} for function in platform.functions), later),
            returning=True,
        )
        function_ids = {function.uuid: function.id for function in functions}
        counts |= {
            "functions": len(functions),
            "function_deployments": _deploy(managers, platform, function_ids, later),
        }
        counts |= {"function_invocations": 0, "function_logs": 0}
        for day in make_traffic(platform, invocations, function_ids):
            before = counts["function_invocations"]
            counts["function_invocations"] += managers.function_invocations.batch_insert(
                moved(day.invocations, later),
                chunk_size=_PROGRESS_EVERY,
                progress=lambda written, before=before: advance(before + written),  # type: ignore[misc]
            )
            counts["function_logs"] += managers.function_logs.batch_insert(moved(day.logs, later))
    return counts


def _deploy(managers: Managers, platform: Platform, function_ids: Mapping[UUID, int], later: timedelta) -> int:
    rows = [
        {**deployment, "function_id": function_ids[function.uuid]}
        for function in platform.functions
        for deployment in function.deployments
    ]
    deployments = managers.function_deployments.batch_insert(moved(rows, later), returning=True)
    for deployment in deployments:
        if deployment.is_active:
            managers.functions.update_by_id(
                deployment.function_id,
                {"active_deployment_id": deployment.id, "updated_at": deployment.deployed_at},
            )
    return len(deployments)


@contextmanager
def _progress(console: Console, total: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar where somebody can see it move."""
    if not console.is_terminal:
        yield lambda written: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("recording invocations", total=total)
        yield lambda written: progress.update(task, completed=written)


def _walk(console: Console, managers: Managers, platform: Platform, since: datetime) -> None:
    function, user = _guides(managers, platform)
    known: dict[str, Any] = {
        "database": managers.database,
        "managers": managers,
        "user": user,
        "function": function,
        "since": since,
    }
    title = Text("All of this can be pasted into 'cloudpub shell', these lines first", style="bold")
    console.print(_panel(title, Syntax(names_as_code(function, user, since), "python", **_STYLE)))
    console.print()
    recorded = bool(managers.database.history.tables)
    try:
        for number, chapter in enumerate(CHAPTERS, start=1):
            console.print(Rule(Text(f"{number}. {chapter.title}", style="bold"), align="left", style="blue"))
            console.print()
            for step in chapter.steps:
                sent: list[QueryEvent] = []
                stop = managers.database.on_query(sent.append)
                try:
                    result = step.code(**{name: known[name] for name in inspect.signature(step.code).parameters})
                finally:
                    stop()
                known[step.result] = result
                _print_step(console, step, sent, result)
    finally:
        # The database keeps what the seed gives, and nothing else.
        managers.functions.delete({"user_id": user.id, "name": TOUR_FUNCTION})
        if not recorded:
            managers.database.history.disable()


def _print_step(console: Console, step: Step, sent: list[QueryEvent], result: Any) -> None:
    title = (inspect.getdoc(step.code) or "").rstrip(".")
    console.print(_panel(Text(title, style="bold"), Syntax(source_of(step), "python", **_STYLE)))
    console.print(_panel(Text("SQL"), Syntax(statements_text(sent), "sql", **_STYLE)))
    console.print(_shown(step, result, console))
    console.print()


def _shown(step: Step, result: Any, console: Console) -> RenderableType:
    if step.bars:
        return bar_chart(result, *step.bars, console)
    if isinstance(result, list) and all(isinstance(item, Change) for item in result):
        return table_of_changes(result)
    return show(result, console)


def _guides(managers: Managers, platform: Platform) -> tuple[Function, User]:
    """Return the busiest function and its user, as the database has them."""
    busiest = max(platform.functions, key=lambda function: function.popularity)
    function = managers.functions.find_by_uuid(busiest.uuid)
    user = managers.users.find_by_uuid(busiest.owner)
    if function is None or user is None:
        raise NotFoundError("expected the demo's rows; got none: run it again, and no other beside it")
    return function, user


_STYLE: dict[str, Any] = {"theme": "ansi_dark", "background_color": "default", "word_wrap": True}


def _panel(title: Text, content: RenderableType) -> Panel:
    return Panel(content, title=title, title_align="left", border_style="dim", box=box.ROUNDED, padding=(0, 1))


def names_as_code(function: Function, user: User, since: datetime) -> str:
    """Return the lines that give the names which the steps take, for the shell."""
    return "\n".join(
        [
            "from datetime import datetime",
            f"user = managers.users.find_by_uuid({str(user.uuid)!r})",
            f"function = managers.functions.find_by_uuid({str(function.uuid)!r})",
            f"since = datetime.fromisoformat({since.isoformat()!r})",
        ]
    )


def source_of(step: Step) -> str:
    """Return the body of a step's function as a reader would write it, its result given the step's name for it.

    >>> from cloudpub_models.cli.commands.demo.tour import Step, count
    >>> print(source_of(Step(count, "active")))
    active = managers.functions.count(
        {"user_id": user.id, "status": "active"},
    )
    """
    source = textwrap.dedent(inspect.getsource(step.code))
    definition = ast.parse(source).body[0]
    assert isinstance(definition, ast.FunctionDef)
    # The first line of the body is the docstring, which is shown as the title.
    lines = source.splitlines()[definition.body[1].lineno - 1 :]
    body = textwrap.dedent("\n".join(lines)).splitlines()
    return "\n".join([_assigned(line, step.result) for line in body])


def _assigned(line: str, name: str) -> str:
    code = line.lstrip()
    return (
        f"{line[: len(line) - len(code)]}{name} = {code.removeprefix('return ')}"
        if code.startswith("return ")
        else line
    )


def statements_text(sent: list[QueryEvent]) -> str:
    """Return the statements as text, the first ones of many; one that was sent several times in a row, once."""
    texts: list[str] = []
    for text, repeated in groupby([_statement_text(statement) for statement in sent]):
        times = len(list(repeated))
        texts.append(text if times == 1 else f"{text}\n-- sent {times} times")
    if len(texts) > _MOST_STATEMENTS:
        texts[_MOST_STATEMENTS:] = [f"-- … and {len(texts) - _MOST_STATEMENTS} more"]
    return "\n".join(texts)


def _statement_text(statement: QueryEvent) -> str:
    sql = laid_out(statement.sql)
    if len(sql) > _LONGEST_STATEMENT:
        sql = f"{sql[:_LONGEST_STATEMENT]} …"
    values = [_value_text(value) for value in statement.parameters[:_MOST_VALUES]]
    if len(statement.parameters) > _MOST_VALUES:
        values.append(f"… ({len(statement.parameters)} in all)")
    return f"{sql};\n-- {', '.join(values)}" if values else f"{sql};"


def _value_text(value: Any) -> str:
    text = repr(value) if isinstance(value, str | int | float | bool | None) else repr(str(value))
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"


def laid_out(sql: str) -> str:
    """Return a statement with its clauses on lines of their own.

    >>> print(laid_out("SELECT id FROM users WHERE id = ?"))
    SELECT id
    FROM users
    WHERE id = ?
    """
    text = textwrap.dedent(sql).strip()
    # Text with strings, names in quotes or lines of its own is left as it is.
    if any(mark in text for mark in "'\"`\n"):
        return text
    for clause in _CLAUSES:
        text = text.replace(f" {clause} ", f"\n{clause} ")
    return text.replace("DELETE\nFROM", "DELETE FROM")


def _what_next(target: Target) -> Text:
    option = " --database URL" if target.database else ""
    return Text.assemble(
        ("What next: ", "bold"),
        (f"cloudpub migrate check{option}", "cyan"),
        " compares this database with the models; the README's tour shows these calls in a program of yours.",
    )
