"""The rooms stand above each other: a module imports only what is below its room, and no imports run in a circle."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from tests.house.package import FACE, circles, imported_in, imports, modules

# From the bottom to the top. Rooms of one floor do not import each other.
FLOORS = [
    ("errors",),
    ("sql",),
    ("entity",),
    ("component",),
    ("schema",),
    ("history", "work"),
    ("connection",),
    ("manager",),
    ("archive", "cells"),
    ("models", "migrations"),
    ("platform",),
    ("dto",),
    ("testing", "legacy", "telemetry", "notebook", "http"),
    ("graphql",),
    (FACE,),
    ("cli",),
]
KIT = {"errors", "sql", "entity", "component", "schema", "history", "work", "connection", "manager", "archive", "cells"}

FLOORS_OF_SQL = [
    (
        "identifiers",
        "values",
        "decimals",
        "patterns",
        "search",
        "blobs",
        "documents",
        "remembering",
        "records",
        "dialects",
        "statement",
    ),
    ("text",),
    ("nodes", "operators"),
    ("render",),
    ("builder",),
]


def floor_of(floors: list[tuple[str, ...]]) -> dict[str, int]:
    return {room: height for height, rooms in enumerate(floors) for room in rooms}


def edges() -> set[tuple[str, str]]:
    return {(name, imported) for name, names in imports().items() for imported in names}


def within(room: str) -> set[tuple[str, str]]:
    """The imports between the modules of ``room`` from one sub-room to another; its ``__init__`` is in none."""
    return {
        (name, imported)
        for name, imported in edges()
        if name.startswith(f"{room}.") and imported.startswith(f"{room}.")
        if sub_room(room, name) != sub_room(room, imported)
    }


def sub_room(room: str, name: str) -> str:
    return name.removeprefix(f"{room}.").partition(".")[0]


def test_every_module_stands_in_a_room() -> None:
    assert {module.room for module in modules().values()} - floor_of(FLOORS).keys() == set()


def test_no_room_imports_upward_and_no_imports_run_in_a_circle() -> None:
    floor = floor_of(FLOORS)
    rooms = {name: module.room for name, module in modules().items()}
    upward = {
        (name, imported)
        for name, imported in edges()
        if rooms[name] != rooms[imported] and floor[rooms[imported]] >= floor[rooms[name]]
    }
    assert upward == set()
    assert circles(edges()) == set()


def test_no_imports_between_sub_rooms_run_in_a_circle() -> None:
    found = set()
    for room in (name for name, module in modules().items() if module.is_package and name != FACE):
        of_sub_rooms = {(sub_room(room, name), sub_room(room, imported)) for name, imported in within(room)}
        found |= {(room, *pair) for pair in circles(of_sub_rooms)}
    assert found == set()


def test_sql_is_a_pipeline() -> None:
    floor = floor_of(FLOORS_OF_SQL)
    strangers = {sub_room("sql", name) for name in modules() if name.startswith("sql.")} - floor.keys()
    assert strangers == set(), "say in FLOORS_OF_SQL on which floor it stands"
    upward = {
        (name, imported)
        for name, imported in within("sql")
        if floor[sub_room("sql", imported)] > floor[sub_room("sql", name)]
    }
    assert upward == set()


def test_the_kit_knows_nothing_of_the_platform() -> None:
    """Said again in its own words, since it is what everything else is built on."""
    mixed = {(name, imported) for name, imported in edges() if name.partition(".")[0] in KIT}
    assert [(name, imported) for name, imported in mixed if imported.partition(".")[0] not in KIT] == []


@pytest.mark.parametrize(
    "program",
    [
        "from cloudpub_models import Database, Manager",
        "from cloudpub_models.entity import Entity",
    ],
)
def test_the_kit_works_alone(program: str) -> None:
    assert {name.partition(".")[0] for name in loaded_by(program)} <= KIT


def test_a_program_begins_with_little() -> None:
    """Models, managers and what queries are made of are loaded when they are first used."""
    loaded = loaded_by("from cloudpub_models import Database, Managers")
    assert {name.partition(".")[0] for name in loaded} == {
        "component",
        "connection",
        "entity",
        "errors",
        "platform",
        "sql",
    }
    assert {name for name in loaded if name.startswith(("entity.", "platform."))} == {
        "entity.binding",
        "platform.registry",
    }
    later = ("cached_rows", "cursor_seal", "opening", "reading", "retrying")
    assert loaded.isdisjoint({f"connection.{name}" for name in later})
    assert [name for name in loaded if name.startswith(("sql.nodes", "sql.operators"))] == []


def loaded_by(program: str) -> set[str]:
    """Return the modules of the package that a process has loaded once a program has run."""
    show = "; import sys; print(*[name for name in sys.modules if name.startswith('cloudpub_models.')])"
    finished = subprocess.run([sys.executable, "-c", program + show], capture_output=True, text=True, check=True)
    return {name.partition(".")[2] for name in finished.stdout.split()}


# The reading itself, since a test that reads nothing would pass.


@pytest.mark.parametrize(
    "code",
    [
        "from cloudpub_models.sql import values",
        "from cloudpub_models.sql.values import stored",
        "import cloudpub_models.sql.values as values",
        "if TYPE_CHECKING:\n    from cloudpub_models.sql import values",
        "def f():\n    from cloudpub_models.sql import values",
    ],
)
def test_an_import_is_seen(code: str) -> None:
    assert set(imported_in(ast.parse(code))) == {"sql.values"}


def test_the_face_is_seen() -> None:
    assert set(imported_in(ast.parse("from cloudpub_models import __version__, errors"))) == {FACE, "errors"}


def test_circles_are_found() -> None:
    assert circles([("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")]) == {("a", "b"), ("b", "c"), ("c", "a")}
    assert circles([("a", "b"), ("a", "c"), ("b", "c")]) == set()
