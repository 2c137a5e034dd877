"""The ``cloudpub`` command: what an operator or a newcomer does from the shell.

``main`` is what the installed command calls. Typer and Rich come with the extra ``cli``; this module imports neither,
so that it can say so when they are missing. The command itself is in ``application``.
"""

from __future__ import annotations

import sys

_NEEDED = ("typer", "rich")


def main() -> None:
    """Run the command with the process's arguments, and exit.

    Exit codes: 0 for success, 1 for an error, 2 for wrong usage; a command's own are in its ``--help``.
    """
    try:
        from cloudpub_models.cli.application import application
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _NEEDED:
            raise
        print(
            f"expected {missing} to be installed; got none: pip install 'cloudpub-models[cli]'",
            file=sys.stderr,
        )
        sys.exit(1)
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character shows a question mark, instead of ending the command.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        application(prog_name="cloudpub")
    except OSError as error:  # of help and the like, which no command writes
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
