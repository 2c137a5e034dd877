"""What a person sees: talk on stderr, lines and tables on stdout; a terminal obeys none of it.

Names, values and messages may be anybody's. Whatever is written here passes a console that shows blanks for what a
terminal would take for a command, and takes no text for markup. Bytes for programs go through ``files``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from cloudpub_models.sql.identifiers import printable

# Wide enough for any table: where no terminal limits it, nothing is left out.
_UNLIMITED_WIDTH = 100_000


class HarmlessConsole(Console):
    """A console on which no text is a command, neither to the terminal nor to Rich."""

    def __init__(self, *, stderr: bool = False, width: int | None = None) -> None:
        super().__init__(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Yield what a renderable is made of, without signs that are none to be shown."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment("\n".join(map(printable, segment.text.split("\n"))), segment.style)


def data_console() -> Console:
    """Return the console for data on stdout; without a terminal it has room for everything."""
    console = HarmlessConsole()
    limited = console.is_terminal or "COLUMNS" in os.environ
    return console if limited else HarmlessConsole(width=_UNLIMITED_WIDTH)


def print_line(text: str) -> None:
    """Write one line to stdout."""
    print(printable(text))


def print_error(message: str) -> None:
    """Write an error to stderr; its URL, if it has one, was masked where the message was made."""
    _talk(f"error: {message.strip()}", "red")


def print_note(message: str) -> None:
    """Write talk to stderr: which database it is, what was left out, what to do next."""
    _talk(message, "dim")


def _talk(message: str, style: str) -> None:
    console = HarmlessConsole(stderr=True)
    for line in message.split("\n"):
        console.print(line, style=style, soft_wrap=True)
