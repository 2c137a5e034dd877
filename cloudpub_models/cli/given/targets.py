"""Which database a command talks to: the options for it, and the rules where none is given.

A command takes ``--database`` itself or from the commands in front of it (``cloudpub migrate --database URL up``);
then comes ``$CLOUDPUB_DATABASE_URL``, then ``cloudpub.db`` in the current directory. Only a command that may create
that file does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from cloudpub_models.cli.boundary import print_note
from cloudpub_models.cli.interrupting import interruptible
from cloudpub_models.connection import Database
from cloudpub_models.connection.database import URL_VARIABLE
from cloudpub_models.connection.sqlite.engine import MEMORY
from cloudpub_models.connection.url import parse_url
from cloudpub_models.errors import ConfigurationError

APPLICATION_NAME = "cloudpub command"
LOCAL_FILE = "cloudpub.db"
LOCAL_URL = f"sqlite:///{LOCAL_FILE}"

DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="URL",
        help=f"sqlite:///FILE or postgresql://…; else ${URL_VARIABLE}, else {LOCAL_FILE} here.",
        show_default=False,
    ),
]
DirectoryOption = Annotated[
    Path | None,
    typer.Option(
        "--directory", metavar="DIR", help="Where the migrations are, if not the package's own.", show_default=False
    ),
]


@dataclass(frozen=True)
class Target:
    """What the options of the commands so far have named."""

    database: str | None = None
    directory: Path | None = None

    def url(self) -> str | None:
        """Return the URL that the options or else the environment name."""
        return (os.environ.get(URL_VARIABLE) or None) if self.database is None else self.database


def target_of(context: typer.Context, database: str | None = None, directory: Path | None = None) -> Target:
    """Return the target that a command's options name, those of the commands in front of it filling the gaps."""
    outer = context.obj if isinstance(context.obj, Target) else Target()
    return Target(outer.database if database is None else database, outer.directory if directory is None else directory)


@contextmanager
def open_target(
    target: Target,
    *,
    creates: bool,
    local_default: bool = False,
    empty_if_missing: bool = False,
    database: Database | None = None,
) -> Iterator[Database]:
    """Open a command's database for a block, and say on stderr which one it is.

    Args:
        target: what the options say.
        creates: whether a SQLite file that is named but not there may be made; only then is one that is there changed
            to WAL.
        local_default: whether ``cloudpub.db`` may be made when nothing is named.
        empty_if_missing: whether an empty database in memory stands for a SQLite file that is not there.
        database: the object to open it with; one of its own when left out.

    Raises:
        ConfigurationError: nothing is named and there is no ``cloudpub.db``, or the file that is named is not there.
    """
    url = target.url()
    if url is None:
        if not local_default and not Path(LOCAL_FILE).exists():
            raise ConfigurationError(
                f"no database named, and no {LOCAL_FILE} here: give --database URL, set ${URL_VARIABLE}, "
                "or let 'cloudpub demo' make one"
            )
        url = LOCAL_URL
    named = parse_url(url)
    file = Path(named.target) if named.dialect == "sqlite" and named.target != MEMORY else None
    missing = file is not None and not file.exists()
    # A command is used by one person who waits for it: no limit on a statement's time but theirs, nor on the time
    # between two of them, when rows come from a slow pipe or go into one.
    opened = (database or Database()).initialize(
        f"sqlite:///{MEMORY}" if missing and empty_if_missing else url,
        statement_timeout=0,
        idle_in_transaction_timeout=0,
        application_name=APPLICATION_NAME,
    )
    if file is not None and not file.parent.is_dir():
        raise ConfigurationError(f"there is no directory {str(file.parent)!r} for {opened.url}: make it first")
    if missing and not creates and not empty_if_missing:
        raise ConfigurationError(f"there is no database at {opened.url}: 'cloudpub migrate up' would make one")
    opened.engine.only_looks = not creates
    print_note(f"database: {named.masked}{', which is not there yet' if missing and empty_if_missing else ''}")
    try:
        with interruptible(opened):
            yield opened
    finally:
        opened.close()
