"""The numbered scripts of a component: where they are, what they are called, what is in them, how the next one begins.

A migration's name is the one that is recorded, and no other migration of a database has it: ``billing.0001_keys`` for
the script ``0001_keys.py`` of the component ``billing``. Those of the first component that there was
(``FIRST_COMPONENT``) stand without it, as they did before there were others.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from dataclasses import dataclass
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from cloudpub_models.component import Component
from cloudpub_models.errors import MigrationError

FIRST_COMPONENT = "cloudpub"

Direction = Literal["up", "down"]

TEMPLATE = '''\
"""{title}."""

from __future__ import annotations

from typing import Any


def up(migrator: Any, db: Any) -> None:
    """Apply this migration; it and its record are one transaction."""


def down(migrator: Any, db: Any) -> None:
    """Undo it."""
'''


@dataclass(frozen=True)
class Script:
    """A migration's file, and the name of its component."""

    component: str
    path: Path

    @property
    def name(self) -> str:
        """The migration's name."""
        return self.path.stem if self.component == FIRST_COMPONENT else f"{self.component}.{self.path.stem}"

    @property
    def number(self) -> int:
        """The number that its file's name begins with."""
        return number_of(self.path.stem)

    @property
    def checksum(self) -> str:
        """SHA-256 of the file, the same whether a checkout made its lines end in LF or CRLF."""
        return hashlib.sha256(self.path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()

    def load(self, direction: Direction) -> ModuleType:
        """Return its module, which has a function for the direction.

        Raises:
            MigrationError: it cannot be loaded, or has no such function.
        """
        # By its path and past ``sys.modules``, since scripts of different components have equal names.
        spec: Any = spec_from_file_location(self.path.stem, self.path)
        module = module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            raise MigrationError(
                f"expected a migration that can be loaded; got {self.name}: {type(error).__name__}: {error}"
            ) from error
        if not callable(getattr(module, direction, None)):
            reason = "cannot be reverted" if direction == "down" else "does nothing"
            raise MigrationError(f"expected {self.name} to define {direction}(migrator, db); got none: it {reason}")
        return module


def number_of(name: str) -> int:
    """Return the number of a migration, given its name or that of its file; -1 where there is none.

    >>> number_of("billing.0007_refunds"), number_of("0007_refunds"), number_of("refunds")
    (7, 7, -1)
    """
    match = re.match(r"(?:\w+\.)?(\d+)", name)
    return int(match[1]) if match else -1


def directory_of(component: Component) -> Path | None:
    """Return where a component's scripts are; None where it has none.

    Raises:
        MigrationError: its package cannot be found.
    """
    if component.migrations is None or isinstance(component.migrations, Path):
        return component.migrations
    try:
        spec = find_spec(component.migrations)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise MigrationError(
            f"expected a package {component.migrations!r} with the migrations of the component {component.name!r}; "
            "got none: install it, or name a directory by a Path"
        )
    return Path(next(iter(spec.submodule_search_locations)))


def scripts_of(component: Component) -> list[Script]:
    """Return a component's scripts in their order.

    Raises:
        MigrationError: when the directory is not there, or two files carry one number.
    """
    directory = directory_of(component)
    if directory is None:
        return []
    if not directory.is_dir():
        raise MigrationError(
            f"expected a directory with the migrations of the component {component.name!r}; got none at {directory}: "
            "make it, or name another"
        )
    files = [Script(component.name, path) for path in directory.glob("[0-9]*.py")]
    scripts = sorted(files, key=lambda script: (script.number, script.name))
    for first, second in itertools.pairwise(scripts):
        if first.number == second.number:
            raise MigrationError(
                f"expected every migration to have a number of its own; got one for both {first.name} and "
                f"{second.name}: renumber the one that has not been applied anywhere"
            )
    return scripts


def write_script(component: Component, name: str, text: str | None = None) -> Path:
    """Write the next migration of a component.

    Args:
        component: the component.
        name: what it does, in a few words; they become the file's name.
        text: what is in it; a skeleton when None.

    Returns:
        The path of the file. Two calls at once get two numbers.

    Raises:
        MigrationError: for a name without letters or digits, and for a component without a place for scripts.

    Example: ``write_script(component, "add user locale")`` writes ``0003_add_user_locale.py``.
    """
    words = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    if not words:
        raise MigrationError(f"expected a name of letters and digits for the migration; got {name!r}: say what it does")
    directory = directory_of(component)
    if directory is None:
        raise MigrationError(
            f"expected a place for the migrations of the component {component.name!r}; got none: give it migrations=…"
        )
    directory.mkdir(parents=True, exist_ok=True)
    # A number is taken by creating its file of reservation; two scripts of one number but other names would otherwise
    # both be created.
    number = max((script.number for script in scripts_of(component)), default=0) + 1
    while True:
        reservation = directory / f".{number:04d}.taken"
        try:
            reservation.touch(exist_ok=False)
        except FileExistsError:
            number += 1
            continue
        try:
            if any(script.number == number for script in scripts_of(component)):
                number += 1
                continue
            path = directory / f"{number:04d}_{words}.py"
            path.write_text(
                text or TEMPLATE.format(title=words.replace("_", " ").capitalize()), encoding="utf-8", newline="\n"
            )
            return path
        finally:
            reservation.unlink()
