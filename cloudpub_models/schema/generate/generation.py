"""Writing a component's next script: what its models have that its scripts have not, tried before it is kept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from types import ModuleType

import peewee

from cloudpub_models.component import Component, with_what_they_are_after
from cloudpub_models.entity.binding import current_database
from cloudpub_models.errors import MigrationError, did_you_mean
from cloudpub_models.schema.generate.difference import BY_HAND, Answers, steps_between
from cloudpub_models.schema.generate.live import scratch_of
from cloudpub_models.schema.generate.python import body, import_line, literal, words
from cloudpub_models.schema.generate.renames import renamed_columns, renamed_tables, require_known
from cloudpub_models.schema.generate.scratch import ScratchDatabase, read_tables, replay, tables_of_models
from cloudpub_models.schema.generate.steps import WORDS, Step, Steps
from cloudpub_models.schema.generate.structure import Tables
from cloudpub_models.schema.migrations.migrator import Migrator
from cloudpub_models.schema.migrations.scripts import Direction, scripts_of
from cloudpub_models.sql.identifiers import shown

_CHOOSING_WORDS = f'''
def {WORDS}(db: Any, postgresql: str, sqlite: str) -> str:
    """Return the SQL of the database at hand."""
    return postgresql if isinstance(db, PostgresqlDatabase) else sqlite
'''


@dataclass(frozen=True)
class GeneratedScript:
    """A script that makes of a component's tables what its models ask for.

    Attributes:
        text: the script; None where there is nothing to do.
        changes: what it does, in a few words each.
        kept_back: what would destroy data, and stands commented out in it or in one before it.
    """

    text: str | None
    changes: tuple[str, ...] = ()
    kept_back: tuple[str, ...] = ()


def generate_script(
    component: Component,
    components: Sequence[Component],
    title: str,
    answers: Answers | None = None,
    database: peewee.Database | None = None,
) -> GeneratedScript:
    """Write the script that makes of a component's tables what its models ask for.

    What its scripts so far make is found by applying them to an empty SQLite database in memory, behind those of the
    components that it is ``after``. The script is tried there too, forward and back, before it is returned.

    Args:
        component: the component.
        components: all components that there are, it among them.
        title: what the script does, in a few words.
        answers: what the models cannot say; nothing when None.
        database: one that the component's scripts have been applied to, whose tables count instead of what those make
            of an empty one; nothing of it is changed.

    Raises:
        UnansweredError: something may have been renamed.
        MissingValueError: a column that may not be NULL has no value for rows that are there.
        MigrationError: the scripts cannot be applied to an empty database, the models' tables not be made, an answer is
            about nothing, or a change is one that no script is written for.

    >>> from cloudpub_models.platform.component import component
    >>> generate_script(component, [component], "add locale").text is None
    True
    """
    given = Answers() if answers is None else answers
    wanted = tables_of_models(component.models)
    if database is None:
        scratch, foreign = _replayed(component, components, wanted)
    else:
        scratch, foreign = _living(component, components, wanted, given, database)
    before = scratch.copy()
    try:
        old = _own(scratch, foreign)
        require_known(old, wanted, given.renames)
        steps = Steps()
        found = [*_rename(scratch, foreign, wanted, steps, given)]
        old = _own(scratch, foreign)
        given = replace(given, defaults=_by_place(given.defaults, old, wanted))
        found += steps_between(old, wanted, steps, given)
        earlier = "".join(script.path.read_text(encoding="utf-8") for script in scripts_of(component))
        kept_back = [step for step in found if step.is_kept_back]
        written = [step for step in found if not (step.is_kept_back and _stands_in(step, earlier))]
        if not written:
            return GeneratedScript(None, (), tuple(step.description for step in kept_back))
        text = _script(title, written, steps)
        _try(text, before, foreign, wanted, given)
        return GeneratedScript(
            text,
            tuple(step.description for step in written if not step.is_kept_back),
            tuple(step.description for step in kept_back),
        )
    finally:
        scratch.close()
        before.close()


def _replayed(
    component: Component, components: Sequence[Component], wanted: Tables
) -> tuple[ScratchDatabase, set[str]]:
    """Return a database with what all scripts make, and the tables in it that are others'."""
    scratch = ScratchDatabase()
    try:
        for other in with_what_they_are_after(component.after, components):
            replay(scratch, other)
        foreign = set(read_tables(scratch)) - set(wanted)
        replay(scratch, component)
    except BaseException:
        scratch.close()
        raise
    return scratch, foreign


def _living(
    component: Component,
    components: Sequence[Component],
    wanted: Tables,
    answers: Answers,
    database: peewee.Database,
) -> tuple[ScratchDatabase, set[str]]:
    """Return a database with the tables of one that lives, and those in it that are others'."""
    _require_applied(database, component)
    own = {*wanted, *answers.renames}
    # Scripts for PostgreSQL alone tell no table that went.
    with suppress(MigrationError):
        scratch, foreign = _replayed(component, components, wanted)
        own.update(_own(scratch, foreign))
        scratch.close()
    scratch = scratch_of(database, component.models, wanted, own)
    return scratch, set(read_tables(scratch)) - own


def _require_applied(database: peewee.Database, component: Component) -> None:
    status = Migrator(database, component).status()
    left = [each.name for each in status if each.component == component.name and each.state != "applied"]
    if left:
        raise MigrationError(
            f"expected a database that all migrations of {component.name!r} are applied to; got one where "
            f"{', '.join(left)} {'is' if len(left) == 1 else 'are'} not: run 'cloudpub migrate up' first"
        )


def _own(database: ScratchDatabase, foreign: Iterable[str]) -> Tables:
    return {name: table for name, table in read_tables(database).items() if name not in foreign}


def _rename(
    scratch: ScratchDatabase, foreign: Iterable[str], wanted: Tables, steps: Steps, answers: Answers
) -> Iterator[Step]:
    """Yield the steps that rename, and take them in the database, so that all else goes by the names it has then."""
    migrator = scratch.migrator
    old = _own(scratch, foreign)
    for table in renamed_tables(old, wanted, answers.renames):
        for column in old[table.old].touched:
            # A trigger's name has the table's in it.
            yield steps.touch(table.old, column).reversed
            migrator.migrate(migrator.drop_touch_trigger(table.old, column))
        yield steps.rename_table(table.old, table.new)
        migrator.migrate(migrator.rename_table(table.old, table.new))
    old = _own(scratch, foreign)
    for column_renamed in renamed_columns(old, wanted, answers.renames):
        name = str(column_renamed.table)
        if column_renamed.old in old[name].touched:
            yield steps.touch(name, column_renamed.old).reversed
            migrator.migrate(migrator.drop_touch_trigger(name, column_renamed.old))
        yield steps.rename_column(name, column_renamed.old, column_renamed.new)
        migrator.migrate(migrator.rename_column(name, column_renamed.old, column_renamed.new))


def _by_place(defaults: Mapping[str, str], old: Tables, wanted: Tables) -> dict[str, str]:
    """Return the values for rows that are there by table and column; a column that is the only one may stand alone.

    Raises:
        MigrationError: there is no such column that needs one, or several of one name.
    """
    places = [
        f"{name}.{column}"
        for name, table in wanted.items()
        if name in old
        for column, state in table.columns.items()
        if column not in old[name].columns or (old[name].columns[column].nullable and not state.nullable)
    ]
    found = {}
    for given, value in defaults.items():
        meant = [place for place in places if given in (place, place.partition(".")[2])]
        if len(meant) != 1:
            hint = did_you_mean(given, meant or places) if places else "there is none"
            raise MigrationError(
                "expected --default TABLE.COLUMN=VALUE for a column that is added or may not be NULL any more; "
                f"got {shown(given)}: {hint}"
            )
        found[meant[0]] = value
    return found


def _stands_in(step: Step, earlier: str) -> bool:
    """Whether what a step would do has been commented out by an earlier script, which was left so."""
    comments = _squeezed("".join(line for line in earlier.splitlines() if line.lstrip().startswith("#")))
    return all(_squeezed(line.call.text()) in comments for line in step.up)


def _squeezed(text: str) -> str:
    return re.sub(r"[\s#]|,(?=[\s#]*\))", "", text)


def _script(title: str, found: Sequence[Step], steps: Steps) -> str:
    up = body(
        (line for step in found for line in step.up), "Apply this migration; it and its record are one transaction."
    )
    down = body((line for step in reversed(found) for line in step.down), "Undo it.")
    names = steps.names
    blocks = [
        *(f"class {name}(Field):\n    field_type = {literal(kind.upper())}\n" for kind, name in names.own.items()),
        *steps.classes.values(),
        f"def up(migrator: Any, db: Any) -> None:\n{up}",
        f"def down(migrator: Any, db: Any) -> None:\n{down}",
        *([_CHOOSING_WORDS.lstrip()] if WORDS in up + down else []),
    ]
    code = "\n\n".join(blocks)
    # Some of the steps that were made are not written.
    imported = {
        place: [name for name in used if re.search(rf"\b{name}\b", code)] for place, used in names.imported.items()
    }
    lines = [import_line(place, imported[place]) for place in sorted(imported) if imported[place]]
    paragraphs = ["from __future__ import annotations\n", "from typing import Any\n", *filter(None, ["".join(lines)])]
    return f'"""{words(title).capitalize()}."""\n\n' + "\n".join(paragraphs) + "\n\n" + code


def _try(text: str, before: ScratchDatabase, foreign: Iterable[str], wanted: Tables, answers: Answers) -> None:
    """Raise MigrationError unless a script makes of a database what it should, and takes it back."""
    old = _own(before, foreign)
    _run(text, "up", before)
    left = [step for step in steps_between(_own(before, foreign), wanted, Steps(), answers) if not step.is_kept_back]
    if left:
        raise MigrationError(
            f"expected changes that a script can make; got one that it cannot: {left[0].description}: {BY_HAND}"
        )
    _run(text, "down", before)
    again = steps_between(_own(before, foreign), old, Steps(), Answers(defaults={}, allows_destruction=True))
    if again:
        raise MigrationError(
            f"expected changes that a script can take back; got one that it cannot: {again[0].description}: {BY_HAND}"
        )


def _run(text: str, direction: Direction, database: ScratchDatabase) -> None:
    module = ModuleType("migration")
    try:
        exec(compile(text, "<the script>", "exec"), module.__dict__)
        with current_database.bound_to(database), database.atomic():
            getattr(module, direction)(database.migrator, database)
    except Exception as error:
        raise MigrationError(
            f"expected changes that a script can make; got some that it cannot ({direction}): {type(error).__name__}: "
            f"{error}: {BY_HAND}"
        ) from error
