"""Asking before data is thrown away.

On a terminal the person is asked, on stderr, so that stdout stays for data. Where nobody can answer, ``--yes`` has to
have said it before.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cloudpub_models.cli.boundary import print_error, print_note

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before data is destroyed.")]


def require_consent(question: str, *, yes: bool) -> None:
    """Go on only if the person agrees; else end the command with exit code 1.

    Args:
        question: what is asked, without the question mark's alternatives.
        yes: whether ``--yes`` was given.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        print_error("refused, since nobody can be asked here: read what it would destroy, then say --yes")
        raise typer.Exit(1)
    if not typer.confirm(question, err=True):
        print_note("nothing was changed")
        raise typer.Exit(1)
