"""``cloudpub shell``: a Python prompt, or a script from standard input, with the database, managers and models at hand.

The names are those that a program imports from ``cloudpub_models``, so that code can be moved from one to the other.
"""

from __future__ import annotations

import sys
import traceback
from contextlib import suppress
from typing import Any

import typer

import cloudpub_models
from cloudpub_models.cli.boundary import FAILED
from cloudpub_models.cli.given.target import Target, takes_target
from cloudpub_models.cli.shown.files import read_standard_input
from cloudpub_models.cli.shown.terminal import print_note

_NAMES = (
    *("database", "managers", "operators", "errors", "raw", "QueryBuilder", "ALL_ROWS", "Role"),
    *("all_of", "any_of", "none_of"),
)


@takes_target()
def shell(target: Target) -> None:
    """Open a Python prompt with database, managers and the models in scope; with IPython where it is installed.

    Without a terminal it runs the Python on standard input, and exits with 1 where that raises an error.
    """
    with target.opened(database=cloudpub_models.database):
        names = names_in_scope()
        if sys.stdin is not None and sys.stdin.isatty():
            print_note(f"in scope: {', '.join(names)}")
            _prompt(names)
        else:
            _run_script(read_standard_input(), names)


def names_in_scope() -> dict[str, Any]:
    """Return what code in the shell finds, by name."""
    models = {model.__name__: model for model in cloudpub_models.database.models if model.__name__ not in _NAMES}
    return {**{name: getattr(cloudpub_models, name) for name in _NAMES}, **models}


def _run_script(source: str, names: dict[str, Any]) -> None:
    names["__name__"] = "__main__"
    try:
        exec(compile(source, "<standard input>", "exec", dont_inherit=True), names)
    except Exception as error:  # noqa: BLE001 - the script is the user's, and so is whatever it raises
        # Without the frame of this function, which is none of the script's.
        traceback.print_exception(error.with_traceback(error.__traceback__ and error.__traceback__.tb_next))
        raise typer.Exit(FAILED) from None


def _prompt(names: dict[str, Any]) -> None:
    start_ipython: Any = None
    with suppress(ImportError):
        from IPython import start_ipython
    # Not in a handler, whose error every later traceback would name as its context.
    if start_ipython is None:
        _plain_prompt(names)
    else:
        # Else a file here that is called as some module would run in its place.
        start_ipython(argv=["--TerminalIPythonApp.ignore_cwd=True"], user_ns=names)


def _plain_prompt(names: dict[str, Any]) -> None:
    import code

    try:
        import readline
        import rlcompleter
    except ImportError:  # as on Windows
        pass
    else:
        readline.set_completer(rlcompleter.Completer(names).complete)
        readline.parse_and_bind("tab: complete")
    code.interact(banner="", local=names, exitmsg="")
