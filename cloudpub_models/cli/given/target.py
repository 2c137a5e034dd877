"""Which database a command talks to, and whose tables: the options for it, and the rules where none is given.

A command takes ``--database`` itself or from the commands in front of it (``cloudpub migrate --database URL up``);
then comes ``$CLOUDPUB_DATABASE_URL``, then ``cloudpub.db`` in the current directory. Only a command that may create
that file does. Its tables are the platform's, and those of the project's components.
"""

from __future__ import annotations

import functools
import inspect
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, get_args

import peewee
import typer

from cloudpub_models.cli.boundary import interruptible
from cloudpub_models.cli.given.options import repeatable
from cloudpub_models.cli.shown.terminal import print_note
from cloudpub_models.component import (
    PLATFORM,
    Component,
    in_order,
    load_component,
    project_components,
    with_what_they_are_after,
)
from cloudpub_models.connection import Database
from cloudpub_models.connection.environment import HISTORY_VARIABLE, REPLICAS_VARIABLE, URL_VARIABLE, urls_in
from cloudpub_models.connection.url import MEMORY_URL, parse_url
from cloudpub_models.errors import ConfigurationError, did_you_mean
from cloudpub_models.manager.columns.table import Table, table_of
from cloudpub_models.sql.dialects import dialect_named
from cloudpub_models.sql.identifiers import shown

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
HistoryOption = Annotated[
    list[str] | None,
    repeatable(
        "--history",
        "URL",
        f"A server that has logs and invocations, where several do; may be repeated. Else, beside ${URL_VARIABLE}, "
        f"${HISTORY_VARIABLE}.",
    ),
]
ComponentOption = Annotated[
    list[str] | None,
    repeatable(
        "--component",
        "MODULE:NAME",
        "Tables of one's own, beside those that pyproject.toml and installed packages name; may be repeated.",
    ),
]
RestrictingOption = Annotated[
    list[str] | None,
    repeatable(
        "--component",
        "NAME",
        "Only this one of the project's components. MODULE:NAME adds one to them. May be repeated.",
    ),
]
DirectoryOption = Annotated[
    Path | None,
    typer.Option(
        "--directory",
        metavar="DIR",
        help="Where the migrations of the one component are that --component names, else of the platform.",
        show_default=False,
    ),
]


@dataclass(frozen=True)
class Target:
    """What the options of the commands so far have named.

    Attributes:
        database: the URL; None where none is given.
        references: components as ``module:attribute``.
        names: the components that are meant, by their names; all where there are none.
        directory: where the migrations of one component are.
        history: the URLs of the servers that have logs and invocations; none for what is about the main database alone.
    """

    database: str | None = None
    references: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    directory: Path | None = None
    history: tuple[str, ...] = ()

    @property
    def url(self) -> str | None:
        """The URL that the options or else the environment name."""
        return (os.environ.get(URL_VARIABLE) or None) if self.database is None else self.database

    @property
    def replicas(self) -> tuple[str, ...]:
        """The read replicas that the environment names, where it names the database too."""
        return urls_in(REPLICAS_VARIABLE) if self.database is None else ()

    @cached_property
    def components(self) -> tuple[Component, ...]:
        """The project's components, beside the platform's.

        Raises:
            ConfigurationError: one cannot be had, or they do not fit together.
        """
        found = project_components(self.references)
        in_order((load_component(PLATFORM), *found))
        return found

    @cached_property
    def known(self) -> tuple[Component, ...]:
        """All components, the platform's too, each behind those that it is after."""
        return Database(components=self.components).components

    @cached_property
    def models(self) -> dict[str, type[peewee.Model]]:
        """The models of all components, by the names of their tables."""
        return {model._meta.table_name: model for component in self.known for model in component.models}

    @cached_property
    def with_scripts(self) -> tuple[Component, ...]:
        """All components, each with its migrations; where ``--directory`` is given, that of one is there.

        Raises:
            ConfigurationError: ``--component`` names one that there is not, or several for one directory.
        """
        by_name = {component.name: component for component in self.known}
        for name in self.names:
            if name not in by_name:
                raise ConfigurationError(
                    f"expected the name of a component; got {shown(name)}: {did_you_mean(name, by_name)}"
                )
        if self.directory is None:
            return self.known
        if len(self.names) > 1:
            raise ConfigurationError(
                f"expected one component whose migrations are in --directory; got {', '.join(self.names)}: name one"
            )
        moved = by_name[self.names[0]] if self.names else load_component(PLATFORM)
        needed = with_what_they_are_after(moved.after, self.known)
        return (*needed, moved.with_migrations(self.directory))

    @property
    def meant(self) -> tuple[Component, ...]:
        """The components that ``--component`` names, else all of them."""
        return tuple(one for one in self.with_scripts if not self.names or one.name in self.names)

    def table(self, name: str) -> Table:
        """Return a table by its name.

        Raises:
            typer.BadParameter: no component has it.
        """
        if name not in self.models:
            raise typer.BadParameter(f"expected a table; got {name!r}: {did_you_mean(name, self.models)}")
        return table_of(self.models[name])

    @contextmanager
    def opened(
        self,
        *,
        creates: bool = False,
        local_default: bool = False,
        empty_if_missing: bool = False,
        database: Database | None = None,
        replicas: Sequence[str] = (),
    ) -> Iterator[Database]:
        """Open the database for a block, and say on stderr which one it is.

        Args:
            creates: whether a SQLite file that is named but not there may be made; only then is one that is there
                changed to WAL.
            local_default: whether ``cloudpub.db`` may be made when nothing is named.
            empty_if_missing: whether an empty database in memory stands for a SQLite file that is not there.
            database: the object to open it with; one of its own when left out.
            replicas: the URLs of its read replicas.

        Raises:
            ConfigurationError: nothing is named and there is no ``cloudpub.db``, the file that is named is not there,
                or it can have no replicas.
        """
        components = self.components
        url = self.url
        if url is None:
            if not local_default and not Path(LOCAL_FILE).exists():
                raise ConfigurationError(
                    f"expected a database; got none named, and no {LOCAL_FILE} here: give --database URL, "
                    f"set ${URL_VARIABLE}, or let 'cloudpub demo' make one"
                )
            url = LOCAL_URL
        named = parse_url(url)
        if replicas and not dialect_named(named.dialect).replicas:
            raise ConfigurationError(
                f"expected a PostgreSQL database beside --replica or ${REPLICAS_VARIABLE}; got {named.masked}, which "
                "has none: leave it out"
            )
        missing = named.file is not None and not Path(named.file).exists()
        # A command is used by one person who waits for it: no limit on a statement's time but theirs, nor on the time
        # between two of them, when rows come from a slow pipe or go into one.
        opened = (database or Database()).initialize(
            MEMORY_URL if missing and empty_if_missing else url,
            components=components,
            statement_timeout=0,
            idle_in_transaction_timeout=0,
            application_name=APPLICATION_NAME,
            replicas=replicas,
            history=self.history,
        )
        if named.file is not None and not (directory := Path(named.file).parent).is_dir():
            raise ConfigurationError(
                f"expected a directory for {opened.url}; got none at {str(directory)!r}: make it first"
            )
        if missing and not creates and not empty_if_missing:
            raise ConfigurationError(
                f"expected a database at {opened.url}; got none there: 'cloudpub migrate up' would make one"
            )
        opened.engine.only_looks = not creates
        print_note(f"database: {named.masked}{', which is not there yet' if missing and empty_if_missing else ''}")
        try:
            with interruptible(opened):
                yield opened
        finally:
            opened.close()


def takes_target(
    *, scripts: bool = False, history: bool = True
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that gives a command the options for its database, in place of its parameter ``target``.

    What they do not say, those of the commands in front of it do; a ``typer.Context`` is passed on where the command
    takes one.

    Args:
        scripts: whether it is about migrations: then there is ``--directory`` too, and ``--component NAME`` restricts
            it to one component.
        history: whether it may ask the servers that have logs and invocations: then there is ``--history`` too.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        # Evaluated here, in the command's module: Typer reads the signature elsewhere.
        own = inspect.signature(command, eval_str=True).parameters
        options = {
            "database": DatabaseOption,
            "history": HistoryOption,
            "component": RestrictingOption if scripts else ComponentOption,
        }
        if not history:
            del options["history"]
        if scripts:
            options["directory"] = DirectoryOption
        parameters = [
            inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context),
            *(own[name].replace(kind=inspect.Parameter.KEYWORD_ONLY) for name in own if name not in _NOT_TYPED),
            *(
                inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=option)
                for name, option in options.items()
            ),
        ]

        for parameter in parameters:
            kind, *said = get_args(parameter.annotation) or (parameter.annotation,)
            for option in said:
                # Newer versions of Typer say <bool> behind a flag, which takes nothing.
                option.metavar = "" if kind is bool and option.metavar is None else option.metavar

        @functools.wraps(command)
        def run(*, context: typer.Context, **given: Any) -> None:
            outer = context.obj if isinstance(context.obj, Target) else Target()
            url, components, place = given.pop("database"), given.pop("component"), given.pop("directory", None)
            database = outer.database if url is None else url
            servers = (*outer.history, *(given.pop("history", None) or ()))
            if history and not servers and database is None:
                servers = urls_in(HISTORY_VARIABLE)
            names = [each for each in components or () if scripts and re.fullmatch(r"\w+", each)]
            context.obj = Target(
                database,
                (*outer.references, *(each for each in components or () if each not in names)),
                (*outer.names, *names),
                outer.directory if place is None else place,
                servers if history else (),
            )
            passed = {"context": context} if "context" in own else {}
            command(target=context.obj, **passed, **given)

        signature = inspect.Signature(parameters)
        run.__signature__ = signature  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate


_NOT_TYPED = ("target", "context")
