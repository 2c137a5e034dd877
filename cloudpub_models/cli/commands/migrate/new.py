"""``cloudpub migrate new``: write a component's next migration, empty or from its models.

It asks, parses and prints; the script is written by the room ``schema.generate``, which is imported for it alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import peewee
import typer

from cloudpub_models.cli.boundary import RefusedError
from cloudpub_models.cli.given.options import JsonOption, repeatable
from cloudpub_models.cli.given.target import Target, takes_target
from cloudpub_models.cli.shown.output import print_document
from cloudpub_models.cli.shown.terminal import print_line, print_note
from cloudpub_models.component import PLATFORM, Component, load_component
from cloudpub_models.errors import MigrationError
from cloudpub_models.schema.migrations.scripts import directory_of, write_script
from cloudpub_models.sql.identifiers import printable, shown

if TYPE_CHECKING:
    from cloudpub_models.schema.generate.difference import Answers
    from cloudpub_models.schema.generate.generation import GeneratedScript

FromModelsOption = Annotated[
    bool, typer.Option("--from-models", help="Write what the models have and the scripts so far do not make.")
]
RenameOption = Annotated[
    list[str] | None,
    repeatable(
        "--rename",
        "OLD=NEW",
        "A table, or a column as TABLE.COLUMN, that is called otherwise now; OLD= if it was not renamed.",
    ),
]
ValueOption = Annotated[
    list[str] | None,
    repeatable(
        "--default", "TABLE.COLUMN=VALUE", "What the rows that are there get, in a column that may not be NULL."
    ),
]
DestructionOption = Annotated[
    bool, typer.Option("--allow-destruction", help="Do what destroys data, which stands commented out else.")
]


@takes_target(scripts=True, history=False)
def new(
    target: Target,
    name: Annotated[list[str], typer.Argument(metavar="NAME...", help="What the migration does, in a few words.")],
    from_models: FromModelsOption = False,
    rename: RenameOption = None,
    default: ValueOption = None,
    allow_destruction: DestructionOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write the next migration of the platform, or of --component, with the next free number: a skeleton.

    With --from-models it does what the models have and the scripts so far do not make. Those are applied to an empty
    SQLite database in memory to find out, so that no server is needed; with --database, what that one has counts. The
    script works on both databases, and back. What may have been renamed is asked. Where nothing is to be done, nothing
    is written.

    Exit code: 0; 1 for an error, and where somebody would have to be asked.
    """
    component = _component(target)
    title = " ".join(name)
    if not from_models:
        if rename or default or allow_destruction:
            raise typer.BadParameter("expected --from-models with an answer about models; got none")
        path = str(_short(write_script(component, title)))
        if as_json:
            print_document({"path": path})
        else:
            print_line(path)
        return
    from cloudpub_models.schema.generate.difference import Answers

    place = directory_of(component)
    if place is not None and not place.exists():
        component = component.with_migrations(None)
    others = [other for other in target.with_scripts if other.name != component.name]
    answers = Answers(
        _pairs(rename, "--rename", "OLD=NEW"), _pairs(default, "--default", "TABLE.COLUMN=VALUE"), allow_destruction
    )
    components = [*others, component]
    if target.database is None:
        script = _generated(component, components, title, answers, None)
    else:
        with target.opened() as database:
            script = _generated(component, components, title, answers, database.engine)
    written = None if script.text is None else write_script(component.with_migrations(place), title, script.text)
    _print(None if written is None else str(_short(written)), script, as_json=as_json)


def _component(target: Target) -> Component:
    """Return the component whose migration is meant, with a place where one can be written.

    Raises:
        RefusedError: several are named, or there is no such place.
    """
    if len(target.names) > 1:
        raise RefusedError(f"expected one component; got {', '.join(target.names)}: name one")
    platform = load_component(PLATFORM).name
    meant = target.names[0] if target.names else platform
    component = next(each for each in target.with_scripts if each.name == meant)
    place = directory_of(component)
    if meant == platform and target.directory is None and not _is_in_checkout(place):
        raise RefusedError("expected a checkout of this package; got an installed one: name a --directory")
    if place is None:
        raise MigrationError(
            f"expected a place for the migrations of the component {component.name!r}; got none: give it migrations=…"
        )
    there = next(path for path in (place, *place.absolute().parents) if path.exists())
    if not there.is_dir():
        raise RefusedError(
            f"expected a directory for the migrations of the component {component.name!r}; got {str(place)!r}, and "
            f"{there.name} is a file: name a --directory"
        )
    if not os.access(there, os.W_OK):
        raise RefusedError(f"expected a directory that can be written; got {str(there)!r}: name a --directory")
    return component


def _generated(
    component: Component,
    components: list[Component],
    title: str,
    answers: Answers,
    database: peewee.Database | None,
) -> GeneratedScript:
    """Write the script, and ask what the models cannot say where there is somebody to ask."""
    from cloudpub_models.schema.generate.difference import MissingValueError
    from cloudpub_models.schema.generate.generation import generate_script
    from cloudpub_models.schema.generate.renames import UnansweredError

    while True:
        try:
            return generate_script(component, components, title, answers, database)
        except UnansweredError as question:
            if not sys.stdin.isatty():
                raise
            place = question.candidates[0].place
            known = ", ".join(candidate.new for candidate in question.candidates)
            text = f"{place} went; what is it called now? ({known}; nothing if it is gone)"
            answers.renames[place] = typer.prompt(printable(text), default="", show_default=False, err=True).strip()
        except MissingValueError as question:
            if not sys.stdin.isatty():
                raise
            place = f"{question.table}.{question.column}"
            text = f"{place} may not be NULL; what do the rows that are there get? ({question.type})"
            answers.defaults[place] = typer.prompt(printable(text), err=True)


def _pairs(given: Iterable[str] | None, option: str, form: str) -> dict[str, str]:
    found = {}
    for text in given or ():
        old, equals, value = text.partition("=")
        if not (old and equals):
            raise typer.BadParameter(f"expected {option} {form}; got {shown(text)}")
        found[old.strip()] = value
    return found


def _print(path: str | None, script: GeneratedScript, *, as_json: bool) -> None:
    if as_json:
        print_document({"path": path, "changes": script.changes, "kept_back": script.kept_back})
        return
    for change in script.changes:
        print_note(change)
    for change in script.kept_back:
        print_note(f"commented out, since it destroys data: {change}")
    if path is not None:
        print_line(path)
    elif script.kept_back:
        print_line("nothing to do but what an earlier migration has commented out: --allow-destruction writes it")
    else:
        print_line("nothing to do: the migrations make what the models say")


def _is_in_checkout(directory: Path | None) -> bool:
    return directory is not None and (directory.parents[1] / "pyproject.toml").exists()


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
