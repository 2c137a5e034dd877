"""How far a long command has come: a bar on stderr where a person can see it move, and nothing elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from cloudpub_models.cli.shown.counted import counted
from cloudpub_models.cli.shown.terminal import HarmlessConsole

# Called with how much of the total is done, and how many rows that was.
Advance = Callable[[int, int], object]


class _RateColumn(ProgressColumn):
    """The number of rows so far, and how many a second."""

    def render(self, task: Task) -> Text:
        """Return the column's text."""
        rows = task.fields["rows"]
        return Text(f"{rows:,} rows, {rate(rows, task.elapsed or 0)}", style="progress.data.speed")


def rate(rows: int, seconds: float) -> str:
    """Return a rate as text.

    >>> rate(1_000_000, 8)
    '125,000 rows/s'
    """
    return f"{round(rows / seconds) if seconds else 0:,} rows/s"


@contextmanager
def row_progress(description: str, total: int | None) -> Iterator[Advance]:
    """Give a function that moves a bar.

    Args:
        description: what goes on.
        total: what the first argument of the function will have come to at the end; ``None`` where nobody knows.
    """
    console = HarmlessConsole(stderr=True)
    if not console.is_terminal:
        yield lambda done, rows: None
        return
    columns = [TextColumn("{task.description}"), BarColumn(), _RateColumn(), TimeElapsedColumn()]
    with Progress(*columns, *([TimeRemainingColumn()] if total else []), console=console, transient=True) as progress:
        task = progress.add_task(description, total=total, rows=0)
        yield lambda done, rows: progress.update(task, completed=done, rows=rows)


class Stopwatch:
    """Measures how long something took.

    >>> Stopwatch().summary(0, "users")
    '0 rows of users in 0.0 s'
    """

    def __init__(self) -> None:
        self._started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """The seconds since it was made."""
        return time.perf_counter() - self._started

    def summary(self, rows: int, table: str) -> str:
        """Return a sentence on how many rows it were, and at what rate where that says anything."""
        seconds = self.seconds
        fast = f" ({rate(rows, seconds)})" if rows and seconds >= 0.1 else ""
        return f"{counted(rows, 'row')} of {table} in {seconds:.1f} s{fast}"
