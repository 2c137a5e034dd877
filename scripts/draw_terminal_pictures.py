"""Draws ``docs/pictures``, what commands show in a terminal: ``.venv/bin/python scripts/draw_terminal_pictures.py``.

Each picture is what a command really printed, on the data of ``cloudpub demo``, drawn by Rich. A test compares their
text with what the commands print today.
"""

from __future__ import annotations

import io
import os
import pty
import re
import shlex
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from cloudpub_models import Database, Managers

TARGET = Path(__file__).parents[1] / "docs" / "pictures"

_NOT_INHERITED = ("NO_COLOR", "CLOUDPUB_DATABASE_URL")
# Fonts stay on the reader's machine: Rich would fetch one.
_REMOTE_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
_FONTS = "font-family: 'Fira Code', Menlo, Consolas, 'DejaVu Sans Mono', monospace"
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


@dataclass(frozen=True)
class Picture:
    """A command and how much of what it prints is drawn.

    Args:
        name: the name of the file, without its suffix.
        command: as one types it.
        width: how many characters fit on a line of the terminal.
        begins: a text in the first line that is drawn; all of them where it is empty. What is drawn ends with the
            paragraph.
        answer: what is typed where the command asks.
    """

    name: str
    command: str
    width: int
    begins: str = ""
    answer: str = ""


PICTURES = (
    Picture(
        "demo",
        "cloudpub demo --invocations 5000 --until 2025-06-02T12:00",
        100,
        begins="Functions and their deployments, counted",
    ),
    Picture("find", "cloudpub find functions status=active 'name~re%' --columns name,status,created_at", 90),
    Picture("doctor", "cloudpub doctor", 90),
    Picture("stats", "cloudpub stats 53d0ef9f-8708-4cb5-9624-01a1914a3ea6 --period 7d --until 2025-06-02", 90),
    Picture("delete_preview", "cloudpub delete users 'email~zeynep%' --preview", 90),
)
PICTURES_OF_THE_STORY = (
    Picture("history_show", "cloudpub history show functions f340ebad-b13b-417d-bd1f-7c7e9deda4aa", 110),
    Picture("history_undo", "cloudpub history undo 27", 110, answer="y"),
    Picture(
        "history_undelete", "cloudpub history undelete functions 53d0ef9f-8708-4cb5-9624-01a1914a3ea6", 110, answer="y"
    ),
    Picture("history_consumers", "cloudpub history consumers", 90),
)


def draw_pictures() -> dict[str, str]:
    """Run the commands, and return the pictures by their names."""
    with tempfile.TemporaryDirectory() as directory:
        # The database of the demo is there for all that follow.
        drawn = {picture.name: _svg(picture, _printed(picture, directory)) for picture in PICTURES}
        _change(f"sqlite:///{directory}/cloudpub.db")
        return drawn | {picture.name: _svg(picture, _printed(picture, directory)) for picture in PICTURES_OF_THE_STORY}


def _change(url: str) -> None:
    """Do what the pictures of ``cloudpub history`` tell of."""
    database = Database(url)
    managers = Managers(database)
    database.history.enable()
    renamed, deleted = (
        managers.functions.find_by_uuid(uuid)
        for uuid in ("f340ebad-b13b-417d-bd1f-7c7e9deda4aa", "53d0ef9f-8708-4cb5-9624-01a1914a3ea6")
    )
    assert renamed is not None
    assert deleted is not None
    with database.acting_as("user:zeynep"):
        managers.functions.update_by_id(renamed.id, {"name": "checkout"})
    with database.acting_as("job:clean-up"):
        managers.functions.update_by_id(renamed.id, {"status": "retired", "analysis_result": None})
    with database.acting_as("user:mina"):
        managers.functions.delete_by_id(deleted.id)
    with database.feed("search-index", limit=2):
        database.publish("function.retired", {"uuid": str(renamed.uuid)})
    with database.feed("mailer", source="outbox"):
        pass
    database.close()


def _printed(picture: Picture, directory: str) -> str:
    """Return what a command prints on a terminal, in colours."""
    call = _call(picture.command, picture.width, directory)
    if picture.answer:
        return _answered(call, picture.answer)
    printed: str = subprocess.run(**call, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
    return printed


def _call(command: str, width: int, directory: str) -> dict[str, Any]:
    _, *arguments = shlex.split(command)
    inherited = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
    terminal = {"COLUMNS": str(width), "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    # Unbuffered, so that stdout and stderr come in their order.
    python = {"PYTHONIOENCODING": "utf-8", "PYTHONUNBUFFERED": "1"}
    return {
        "args": [sys.executable, "-m", "cloudpub_models.cli", *arguments],
        "env": {**inherited, **terminal, **python},
        "cwd": directory,
        "encoding": "utf-8",
    }


def _answered(call: dict[str, Any], answer: str) -> str:
    """Return what a command prints that asks a question, and what is typed, once it is asked."""
    keyboard, screen = pty.openpty()
    with subprocess.Popen(**call, stdin=screen, stdout=screen, stderr=screen), suppress(OSError):
        os.close(screen)
        printed = b""
        # The end of what is printed is an error on some systems.
        while part := os.read(keyboard, 4096):
            printed += part
            if printed.endswith(b"[y/N]: "):
                os.write(keyboard, f"{answer}\n".encode())
    os.close(keyboard)
    return printed.decode().replace("\r\n", "\n")


def _svg(picture: Picture, printed: str) -> str:
    console = Console(
        record=True, width=picture.width, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(Text.assemble(("$ ", "dim"), (picture.command, "bold")))
    console.print(Text.from_ansi(_paragraph(printed, picture.begins)))
    console.print()  # room for what hangs below the last line
    drawn = console.export_svg(title="cloudpub", unique_id=picture.name)
    return _REMOTE_FONTS.sub("", drawn).replace("font-family: Fira Code, monospace", _FONTS)


def _paragraph(printed: str, begins: str) -> str:
    if not begins:
        return printed.rstrip()
    following = dropwhile(lambda line: begins not in line, printed.splitlines())
    return "\n".join(["…", *takewhile(lambda line: _ESCAPE.sub("", line).strip(), following)])


if __name__ == "__main__":
    TARGET.mkdir(exist_ok=True)
    for name, drawing in draw_pictures().items():
        TARGET.joinpath(f"{name}.svg").write_text(drawing, encoding="utf-8")
