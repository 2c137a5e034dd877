"""The package as its source says it: modules, rooms, and who imports whom.

Every import counts, those for type checkers and those inside functions too: what a reader has to follow, not what
happens to run.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = "cloudpub_models"
FACE = "face"


@dataclass(frozen=True)
class Module:
    """A module of the package; ``name`` leaves the package's own name out, as in ``sql.render.writer``."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def room(self) -> str:
        return self.name.partition(".")[0]

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"

    def is_in(self, *rooms: str) -> bool:
        """Whether it is one of ``rooms``, or stands in one; a room is named as in ``schema.catalogue``."""
        return any(self.name == room or self.name.startswith(f"{room}.") for room in rooms)


@cache
def modules() -> dict[str, Module]:
    """Every module of the package, by its name."""
    found = [_module(path) for path in sorted((ROOT / PACKAGE).rglob("*.py"))]
    return {module.name: module for module in found}


def _module(path: Path) -> Module:
    parts = path.relative_to(ROOT / PACKAGE).with_suffix("").parts
    name = ".".join(part for part in parts if part != "__init__") or FACE
    return Module(name, path, ast.parse(path.read_text(encoding="utf-8"), str(path)))


@cache
def imports() -> dict[str, frozenset[str]]:
    """Which modules of the package each one names in an import, by name."""
    return {name: frozenset(imported_in(module.tree)) - {name} for name, module in modules().items()}


def imported_in(tree: ast.AST) -> Iterator[str]:
    """The package's modules that are imported anywhere in ``tree``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative imports hide which room is meant"
            for alias in node.names:
                member = _name_in_package(f"{node.module}.{alias.name}")
                yield from _names(member if member in modules() else _name_in_package(str(node.module)))
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield from _names(_name_in_package(alias.name))


def _name_in_package(full_name: str) -> str | None:
    package, _, name = full_name.partition(".")
    return (name or FACE) if package == PACKAGE else None


def _names(name: str | None) -> list[str]:
    return [] if name is None else [name]


def circles(edges: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those edges that lie on a circle: from whose end one comes back to their beginning."""
    following: dict[str, set[str]] = {}
    for start, end in edges:
        following.setdefault(start, set()).add(end)

    def reached_from(start: str) -> set[str]:
        reached, waiting = set[str](), [start]
        while waiting:
            for name in following.get(waiting.pop(), set()) - reached:
                reached.add(name)
                waiting.append(name)
        return reached

    reached = {name: reached_from(name) for name in following}
    return {(start, end) for start, ends in following.items() for end in ends if start in reached.get(end, set())}
