"""``cloudpub logs``: what a function has logged, and what it logs from now on.

Following is asking again: once a second for the lines with higher ids. Ids are given out before a transaction commits,
so a line may appear below one that is shown already; ``RecentLines`` has the last seconds asked for again, and shows no
line twice.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from cloudpub_models.cli.given.options import FunctionArgument, JsonOption, find_function, repeatable
from cloudpub_models.cli.given.target import Target, takes_target
from cloudpub_models.cli.shown.files import binary_stdout
from cloudpub_models.cli.shown.row_files import json_line
from cloudpub_models.cli.shown.terminal import data_console, print_note
from cloudpub_models.models import Function, FunctionLog
from cloudpub_models.platform.logs import FunctionLogManager
from cloudpub_models.platform.registry import Managers
from cloudpub_models.sql import operators
from cloudpub_models.sql.identifiers import printable
from cloudpub_models.sql.search import SearchQuery

POLL_SECONDS = 1.0
LOOK_BACK_SECONDS = 5.0
_CHUNK_ROWS = 500
_STYLES = {
    "trace": "dim",
    "debug": "dim",
    "info": "green",
    "notice": "cyan",
    "warn": "yellow",
    "warning": "yellow",
    "error": "bold red",
    "critical": "bold white on red",
    "fatal": "bold white on red",
}

Show = Callable[[Iterable[FunctionLog]], None]


@takes_target()
def logs(
    target: Target,
    function: FunctionArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines until Ctrl-C.")] = False,
    level: Annotated[
        list[str] | None,
        repeatable("--level", "LEVEL", "Only this level; may be given again."),
    ] = None,
    grep: Annotated[
        str | None,
        typer.Option(
            "--grep",
            metavar="SEARCH",
            help="Only lines with these words: '\"out of memory\" worker* -debug'.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=0, metavar="N", help="How many of the latest lines to begin with.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """Show a function's latest log lines, the oldest of them first; with --follow, new ones as they come.

    With --json each line is an object. Times are UTC.

    Exit code: 0, also after Ctrl-C.
    """
    query = None if grep is None else SearchQuery(grep)
    show = _show_json if as_json else _shown_on(data_console(), query)
    with target.opened() as database:
        managers = Managers(database)
        chosen = _conditions(find_function(managers, function), level or ())
        recent = _recent_lines(managers.function_logs, chosen) if follow else None
        latest = _latest(managers.function_logs, chosen, query, limit)
        show(reversed(latest))
        if recent is not None:
            recent.note(latest)
            try:
                _follow(managers.function_logs, chosen, query, recent, show)
            except KeyboardInterrupt:
                return
        elif not latest and limit:
            _say_why_nothing(managers.function_logs, chosen)


class RecentLines:
    """Remembers the lines of the last seconds, to find those that were committed late.

    Args:
        floor: the id above which lines are recent.
        clock: gives seconds.

    >>> seconds = iter([0.0, 1.0, 9.0])
    >>> recent = RecentLines(7, clock=lambda: next(seconds))
    >>> [line.id for line in recent.unseen([FunctionLog(id=9), FunctionLog(id=10)])]
    [9, 10]
    >>> [line.id for line in recent.unseen([FunctionLog(id=8), FunctionLog(id=9), FunctionLog(id=11)])]
    [8, 11]
    >>> recent.floor
    10
    """

    def __init__(self, floor: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._newest = floor
        self._seen: set[int] = set()
        # When which id was the newest; the first is what is asked for again.
        self._marks = deque([(clock(), floor)])

    @property
    def floor(self) -> int:
        """The id above which lines have to be read."""
        return self._marks[0][1]

    def note(self, lines: Iterable[FunctionLog]) -> None:
        """Count lines as shown."""
        self._seen.update(line.id for line in lines if line.id > self.floor)
        self._newest = max(self._seen, default=self._newest)

    def unseen(self, lines: Iterable[FunctionLog]) -> Iterator[FunctionLog]:
        """Yield the lines that were not shown, and count them as shown."""
        for line in lines:
            if line.id not in self._seen:
                self._seen.add(line.id)
                self._newest = max(self._newest, line.id)
                yield line
        self._forget()

    def _forget(self) -> None:
        now = self._clock()
        while len(self._marks) > 1 and self._marks[1][0] <= now - LOOK_BACK_SECONDS:
            self._marks.popleft()
        self._marks.append((now, self._newest))
        self._seen = {number for number in self._seen if number > self.floor}


def _latest(
    manager: FunctionLogManager, chosen: dict[str, Any], query: SearchQuery | None, limit: int
) -> list[FunctionLog]:
    if query is None or not limit:
        return manager.tail(chosen["function_id"], limit, chosen.get("level"))
    return manager.search(query, function=chosen["function_id"], level=chosen.get("level"), limit=limit).items


def _follow(
    manager: FunctionLogManager, chosen: dict[str, Any], query: SearchQuery | None, recent: RecentLines, show: Show
) -> None:
    while True:
        time.sleep(POLL_SECONDS)
        lines = recent.unseen(_lines_above(manager, chosen, recent.floor))
        show(line for line in lines if query is None or query.matches(line.message))


def _lines_above(manager: FunctionLogManager, chosen: dict[str, Any], floor: int) -> Iterator[FunctionLog]:
    while True:
        lines = manager.find_all(chosen | {"id": operators.gt(floor)}, order_by="id", limit=_CHUNK_ROWS)
        yield from lines
        if len(lines) < _CHUNK_ROWS:
            return
        floor = lines[-1].id


def _conditions(function: Function, levels: Sequence[str]) -> dict[str, Any]:
    chosen: dict[str, Any] = {"function_id": function.id}
    if levels:
        chosen["level"] = list(levels)
    return chosen


def _recent_lines(manager: FunctionLogManager, chosen: dict[str, Any]) -> RecentLines:
    """Return the lines of the last seconds, those that are there counted as shown: others may be on their way."""
    before = operators.lt(datetime.now(UTC) - timedelta(seconds=LOOK_BACK_SECONDS))
    older = {"function_id": chosen["function_id"], "timestamp": before}
    newest = manager.find_one(older, order_by="id", order_direction="DESC", select=["id"])
    recent = RecentLines(newest.id if newest else 0)
    recent.note(_lines_above(manager, chosen, recent.floor))
    return recent


def _say_why_nothing(manager: FunctionLogManager, chosen: dict[str, Any]) -> None:
    levels = sorted({line.level for line in manager.tail(chosen["function_id"], 1000)})
    if not levels:
        print_note("the function has logged nothing")
    elif "level" in chosen and not set(chosen["level"]) & set(levels):
        print_note(f"no lines; the levels of its latest lines are {', '.join(levels)}")
    else:
        print_note("no lines match")


def _show_json(lines: Iterable[FunctionLog]) -> None:
    with binary_stdout() as stream:
        for line in lines:
            values = {"uuid": line.uuid, "timestamp": line.timestamp, "level": line.level, "message": line.message}
            stream.write(json_line(values))


def _shown_on(console: Console, query: SearchQuery | None) -> Show:
    def show(lines: Iterable[FunctionLog]) -> None:
        for line in lines:
            console.print(_rendered(line, query), soft_wrap=True)

    return show


def _rendered(line: FunctionLog, query: SearchQuery | None) -> Text:
    moment = line.timestamp.isoformat(sep=" ", timespec="milliseconds").partition("+")[0]
    first, *others = line.message.splitlines() or [""]
    level = (printable(line.level).ljust(5), _STYLES.get(line.level.lower(), ""))
    text = Text.assemble((moment, "dim"), "  ", level, "  ", _marked(first, query))
    for other in others:
        text.append(f"\n{'':{len(moment) + 9}}").append_text(_marked(other, query))
    return text


def _marked(message: str, query: SearchQuery | None) -> Text:
    text = Text(printable(message))
    for start, end in () if query is None else query.highlights(text.plain):
        text.stylize("reverse", start, end)
    return text
