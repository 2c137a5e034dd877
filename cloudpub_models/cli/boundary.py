"""Where an error of a command becomes one line on stderr and an exit code, and where talk goes to stderr too.

Stdout is for what a command gives: rows, figures, documents. Errors that are expected (the library's own, and the
operating system's about files) are shown without a traceback and without a password. Any other is a bug, and keeps its
traceback.
"""

from __future__ import annotations

from typing import Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from cloudpub_models.errors import CloudpubError

# What a program does and whoever types a command does otherwise.
_SAID_OTHERWISE = {
    "send them with batch_execute()": "send each with a command of its own",
    "call database.migrate()": "run 'cloudpub migrate up'",
}


class CommandGroup(TyperGroup):
    """A group of commands that reports expected errors and exits with 1."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # the reader of our output has gone; Typer ends quietly, with 1
        except typer.BadParameter as error:
            error.message = error.message.removeprefix("Value error, ")  # pydantic's, which reads for Typer
            raise
        except CloudpubError as error:
            print_error(_for_the_command_line(str(error)))
        except OSError as error:
            print_error(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        raise typer.Exit(1)


def _for_the_command_line(message: str) -> str:
    for advice, command in _SAID_OTHERWISE.items():
        message = message.replace(advice, command)
    return message


def print_error(message: str) -> None:
    """Write one error to stderr; its URL, if it has one, was masked where the message was made."""
    _print(f"error: {message.strip()}", "red")


def print_note(message: str) -> None:
    """Write one line of talk to stderr: which database it is, what was left out, what to do next."""
    _print(message, "dim")


def printable(text: str) -> str:
    """Return text in which blanks stand for what a terminal would take for a command.

    >>> printable("bad\\x1b[2Jname")
    'bad [2Jname'
    """
    return text if text.isprintable() else "".join(character if character.isprintable() else " " for character in text)


def _print(message: str, style: str) -> None:
    console = Console(stderr=True, highlight=False)
    for line in message.split("\n"):
        console.print(printable(line), style=style, markup=False, soft_wrap=True)
