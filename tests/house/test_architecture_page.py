"""The page that shows newcomers around names rooms and modules that are there, all rooms, and in their order."""

from __future__ import annotations

import re

from tests.house.package import FACE, ROOT, modules
from tests.house.test_rooms import FLOORS

PAGE = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
DRAWING = PAGE.partition("```text\n")[2].partition("```")[0]


def test_what_it_names_is_there() -> None:
    text = re.sub(r"^```.*?^```", "", PAGE, flags=re.MULTILINE | re.DOTALL)
    named = {name.rstrip("/") for name in re.findall(r"`([a-z_/]+/[a-z_]*)`", text)}
    assert len(named) > 30
    there = {name.replace(".", "/") for name in modules()}
    tests = {name for name in named if name.startswith("tests")}
    assert sorted(named - there - tests) == []
    assert [name for name in tests if not (ROOT / name).exists() and not (ROOT / f"{name}.py").exists()] == []


def test_the_drawing_shows_every_room_at_its_height() -> None:
    shown = {found[1]: found.start() for found in re.finditer(r"│ ([a-z_]+)(?=[ /.])", DRAWING)}
    floors = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
    rooms = {module.room for module in modules().values()} - {FACE, "migrations"}
    assert rooms == shown.keys() & rooms
    heights = [floors[room] for room in sorted(rooms & shown.keys(), key=shown.__getitem__)]
    assert heights == sorted(heights, reverse=True)


def test_the_drawing_is_not_wider_than_a_page() -> None:
    assert max(map(len, DRAWING.splitlines())) <= 96
