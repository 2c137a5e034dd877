"""``Component``: a set of models with its migrations, as the platform's own eight tables are one.

A database is opened for some components. What they are is said here, and which ones a project uses; applying their
scripts, comparing their tables and managing their rows is the business of the rooms above.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import peewee

from cloudpub_models.errors import ConfigurationError
from cloudpub_models.sql.identifiers import shown

PLATFORM = "cloudpub_models.platform.component:component"
"""The component that every database has unless it is told otherwise; imported when its tables are asked for."""

ENTRY_POINTS = "cloudpub_models.components"
_PROJECT_FILE = "pyproject.toml"


class Component:
    """A set of models and the migrations that make their tables.

    Args:
        name: a word of lower-case letters, digits and underscores, under which the migrations are recorded.
        models: the Peewee models of the tables.
        migrations: the package (``"billing.migrations"``) or the directory (a ``Path``) of the numbered scripts;
            ``None`` for none.
        after: the names of the components to whose tables these models refer.
        dtos: for models that are shown by GraphQL, what is shown of their rows: a DTO, whose fields are columns.

    Raises:
        ConfigurationError: a name is malformed, a model is none, two models have one table, or one refers to a model
            without a key of one column.

    >>> Component("billing", after=("cloudpub",))
    Component('billing')
    """

    def __init__(
        self,
        name: str,
        models: Iterable[type[peewee.Model]] = (),
        migrations: str | Path | None = None,
        after: Sequence[str] = (),
        dtos: Mapping[type[peewee.Model], type[Any]] | None = None,
    ) -> None:
        self.name = _checked_name(name)
        self.dtos = dict(dtos or {})
        self.models = tuple(models)
        self.migrations = migrations
        if isinstance(after, str):
            raise ConfigurationError(
                f"expected after to be a list of components' names; got {shown(after)}: write [{after!r}]"
            )
        self.after = tuple(map(_checked_name, after))
        check_tables((self,))

    def __repr__(self) -> str:
        return f"Component({self.name!r})"

    def with_migrations(self, migrations: str | Path | None) -> Component:
        """Return this component with its scripts elsewhere.

        >>> Component("billing").with_migrations(Path("migrations")).migrations
        PosixPath('migrations')
        """
        return Component(self.name, self.models, migrations, self.after, self.dtos)

    @property
    def tables(self) -> tuple[str, ...]:
        """The names of its tables, in the order of the models."""
        return tuple(model._meta.table_name for model in self.models)


def load_component(reference: str) -> Component:
    """Return the component that ``"module:attribute"`` names, importing the module.

    Raises:
        ConfigurationError: there is no such module or attribute, or it is no component or a malformed one.

    >>> load_component("cloudpub_models.platform.component:component")
    Component('cloudpub')
    """
    module, colon, attribute = reference.partition(":")
    if not (module and colon and attribute):
        raise ConfigurationError(f"expected a component as 'module:attribute'; got {shown(reference)}")
    try:
        found: Any = getattr(import_module(module), attribute)
    except ConfigurationError:
        raise  # It says what is wrong with the component.
    except Exception as error:
        reason = error if isinstance(error, ImportError | AttributeError) else f"{type(error).__name__}: {error}"
        raise ConfigurationError(f"expected a component at {shown(reference)}; got none: {reason}") from error
    if not isinstance(found, Component):
        raise ConfigurationError(f"expected a component at {shown(reference)}; got a {type(found).__name__}")
    return found


def project_components(references: Iterable[str] = ()) -> tuple[Component, ...]:
    """Return the components that a project uses beside the platform's, each once.

    They are those given here, those of ``[tool.cloudpub] components = ["billing:component"]`` in the nearest
    ``pyproject.toml`` (of the working directory or one above it), and the entry points of installed packages in the
    group ``cloudpub_models.components``. The modules of the first two may also stand in the working directory or beside
    that file.

    Args:
        references: components as ``"module:attribute"``.

    Raises:
        ConfigurationError: one is not there or is none, or the file is malformed; it says which, and who names it.

    >>> project_components(["cloudpub_models.platform.component:component"])
    (Component('cloudpub'),)
    """
    found: dict[Component, None] = {}
    for reference, place in _references(references):
        try:
            found[load_component(reference)] = None
        except ConfigurationError as error:
            raise ConfigurationError(f"{error}{place and f' (named by {place})'}") from error
    return tuple(found)


def _references(given: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield references to components, each with who names it."""
    here = Path.cwd()
    file = next((path for each in (here, *here.parents) if (path := each / _PROJECT_FILE).is_file()), None)
    named = [*[(reference, "") for reference in given], *([] if file is None else _named_in(file))]
    if named:
        # Behind everything else, so that nothing is hidden by a module of the project's.
        places = [str(here), *([] if file is None else [str(file.parent)])]
        sys.path += [place for place in dict.fromkeys(places) if place not in sys.path]
    yield from named
    yield from _installed(tuple(sys.path))


@lru_cache(maxsize=8)
def _installed(_path: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return what the packages on a path name; looked for once, since that reads a file of each."""
    from importlib.metadata import entry_points

    return [
        (
            entry.value.partition("[")[0].strip(),
            f"the entry point {entry.name!r}" + (f" of {entry.dist.name}" if entry.dist else ""),
        )
        for entry in entry_points(group=ENTRY_POINTS)
    ]


def _named_in(file: Path) -> list[tuple[str, str]]:
    import tomllib

    try:
        settings = tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {}).get("cloudpub", {})
        named = settings.get("components", [])
    except (ValueError, AttributeError) as error:
        raise ConfigurationError(f"expected TOML in {file}; got something else: {error}") from error
    if not isinstance(named, list) or not all(isinstance(reference, str) for reference in named):
        raise ConfigurationError(
            f'expected components = ["module:attribute", …] under [tool.cloudpub] in {file}; got {named!r}'
        )
    return [(reference, str(file)) for reference in named]


def in_order(components: Iterable[Component]) -> tuple[Component, ...]:
    """Return components so that each stands behind those that it names in ``after``.

    Raises:
        ConfigurationError: two have one name or one table, one that is named in ``after`` is missing, or they wait for
            each other in a circle.

    >>> in_order([Component("billing", after=["cloudpub"]), Component("cloudpub")])
    (Component('cloudpub'), Component('billing'))
    """
    given = tuple(components)
    for component in given:
        if not isinstance(component, Component):
            raise ConfigurationError(f"expected a Component; got {shown(component)}: write Component('name', models=…)")
    by_name = {component.name: component for component in given}
    if len(by_name) != len(given):
        names = [component.name for component in given]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ConfigurationError(f"expected a name of its own for each component; got {repeated!r} twice: rename one")
    check_tables(given)
    ordered: dict[str, Component] = {}

    def place(component: Component, waiting: tuple[str, ...]) -> None:
        if component.name in waiting:
            circle = " → ".join((*waiting[waiting.index(component.name) :], component.name))
            raise ConfigurationError(f"expected components that do not wait for each other; got the circle {circle}")
        for name in component.after:
            if name not in by_name:
                raise ConfigurationError(
                    f"expected the component {name!r}, since {component.name!r} comes after it; "
                    f"got {', '.join(sorted(by_name))}: name it too"
                )
            place(by_name[name], (*waiting, component.name))
        ordered[component.name] = component

    for component in given:
        place(component, ())
    return tuple(ordered.values())


def with_what_they_are_after(names: Iterable[str], components: Iterable[Component]) -> tuple[Component, ...]:
    """Return the components of these names and all that they are ``after``, near or far, in the order given.

    >>> billing = Component("billing", after=["cloudpub"])
    >>> with_what_they_are_after(["billing"], [Component("cloudpub"), Component("flags"), billing])
    (Component('cloudpub'), Component('billing'))
    """
    by_name = {component.name: component for component in components}
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in by_name and name not in found:
            found.add(name)
            waiting.extend(by_name[name].after)
    return tuple(component for name, component in by_name.items() if name in found)


def owners_of_tables(components: Iterable[Component]) -> dict[str, str]:
    """Return the components' names by those of their tables.

    >>> owners_of_tables([Component("accounts", [User])])
    {'users': 'accounts'}
    """
    return {table: component.name for component in components for table in component.tables}


def check_tables(components: Iterable[Component]) -> None:
    """Raise ConfigurationError unless all are models with a table of their own, and refer to keys of one column."""
    owners: dict[str, str] = {}
    for component in components:
        for model in component.models:
            if not (isinstance(model, type) and issubclass(model, peewee.Model)):
                raise ConfigurationError(
                    f"expected Peewee models in the component {component.name!r}; got {shown(model)}"
                )
            table = model._meta.table_name
            if table in owners:
                raise ConfigurationError(
                    f"expected a table of its own for each model; got {table!r} in the components "
                    f"{owners[table]!r} and {component.name!r}"
                )
            owners[table] = component.name
            for reference in model._meta.refs:
                if not isinstance(reference.rel_field, peewee.Field) or isinstance(
                    reference.rel_field, peewee.CompositeKey
                ):
                    target = reference.rel_model
                    raise ConfigurationError(
                        f"expected a key of one column in {target._meta.table_name!r}, to which "
                        f"{table}.{reference.name} refers; got none: give {target.__name__} a primary key, or name a "
                        "unique column by field=…"
                    )


def _checked_name(name: Any) -> str:
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", str.__str__(name)):
        raise ConfigurationError(
            f"expected a component's name of lower-case letters, digits and underscores; got {shown(name)}"
        )
    return str.__str__(name)
