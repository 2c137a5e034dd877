"""Where an error of a command becomes one line on stderr and an exit code.

Errors that are expected (the library's own, and the operating system's about files) are shown without a traceback and
without a password. Any other is a bug, and keeps its traceback.
"""

from __future__ import annotations

from typing import Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from cloudpub_models.errors import CloudpubError


class CommandGroup(TyperGroup):
    """A group of commands that reports expected errors and exits with 1."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # the reader of our output has gone; Typer ends quietly
        except CloudpubError as error:
            print_error(str(error))
        except OSError as error:
            print_error(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        raise typer.Exit(1)


def print_error(message: str) -> None:
    """Write one error to stderr; its URL, if it has one, was masked where the message was made."""
    console = Console(stderr=True, highlight=False)
    console.print("error:", message.strip(), style="red", markup=False, soft_wrap=True)
