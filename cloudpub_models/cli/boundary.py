"""How a command ends: errors become one line on stderr and an exit code, and Ctrl-C ends what the database does.

Errors that are expected (the library's own, and the operating system's about files) are shown without a traceback and
without a password. Any other is a bug, and keeps its traceback.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

from cloudpub_models.cli.shown.terminal import print_error
from cloudpub_models.connection import Database
from cloudpub_models.errors import CloudpubError
from cloudpub_models.sql.identifiers import printable

FAILED = 1
PENDING = 3

# What a program does and whoever types a command does otherwise.
_SAID_OTHERWISE = {
    "send them with batch_execute()": "send each with a command of its own",
    "call database.migrate()": "run 'cloudpub migrate up'",
    "run `migrate adopt`": "run 'cloudpub migrate adopt'",
    "run `migrate up`": "run 'cloudpub migrate up'",
    "call history.enable(), or run cloudpub history on": "run 'cloudpub history on'",
    "say force=True": "say --force",
}


class RefusedError(CloudpubError):
    """A command goes no further; the message is the last that it says."""


class CommandGroup(TyperGroup):
    """A group of commands that reports expected errors, and exits with 1 then; help has no types of Python."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command by its name."""
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            _without_types(command.get_params(ctx))
        return command

    def get_params(self, ctx: Any) -> Any:
        """Return what the group itself takes."""
        return _without_types(super().get_params(ctx))

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # the reader of our output has gone; Typer ends quietly, with 1
        except typer.BadParameter as error:
            # "Value error" is pydantic's, which reads for Typer.
            error.message = printable(error.message.removeprefix("Value error, "))
            raise
        except CloudpubError as error:
            print_error(_for_the_command_line(str(error)))
        except OSError as error:
            print_error(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        raise typer.Exit(FAILED)


def _without_types(parameters: Any) -> Any:
    """Have help not say ``<str>`` behind what is named already, and ``<bool>`` behind a flag, as newer Typers do."""
    for parameter in parameters:
        if parameter.param_type_name == "argument" and parameter.metavar is not None:
            parameter.display_type_rich = _no_type
        elif getattr(parameter, "is_flag", False) and parameter.metavar is None:
            parameter.metavar = ""
    return parameters


def _no_type(ctx: Any) -> None:
    return None


def _for_the_command_line(message: str) -> str:
    for advice, command in _SAID_OTHERWISE.items():
        message = message.replace(advice, command)
    return message


@contextmanager
def interruptible(database: Database) -> Iterator[None]:
    """Have SIGINT end what the database does for this process while the block runs; in the main thread only.

    The drivers wait for a result in C, where Python's own handler of the signal does not come to run. What Python does
    at once is to write the signal's number to a pipe (``signal.set_wakeup_fd``); a thread that reads it has the
    statement ended, and then the handler runs and raises KeyboardInterrupt as ever.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    listener = threading.Thread(target=_listen, args=(reading, database), daemon=True)
    listener.start()
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(writing)
        listener.join()
        os.close(reading)


def _listen(reading: int, database: Database) -> None:
    while number := os.read(reading, 1):
        if number[0] == signal.SIGINT and database.is_open:
            database.engine.interrupt()
