"""The tests stand as the package does: ``tests/sql/render/test_writer.py`` is that of ``sql/render/writer.py``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house.package import ROOT, Module, modules
from tests.house.tested_elsewhere import TESTED_ELSEWHERE

TESTS = ROOT / "tests"


def place_of(module: Module) -> Path:
    """The place of a module's own test."""
    *rooms, name = module.name.split(".")
    return TESTS.joinpath(*rooms, f"test_{name}.py")


def test_every_module_has_its_test_or_is_said_to_be_tested_elsewhere() -> None:
    without = {name for name, module in modules().items() if not module.is_package and not place_of(module).exists()}
    listed = {name for names in TESTED_ELSEWHERE.values() for name in names.split()}
    assert without - listed == set(), "write a test at the mirrored place"
    assert listed - without == set(), "take off the list what has its test, or is gone"


@pytest.mark.parametrize("place", TESTED_ELSEWHERE)
def test_where_a_module_is_tested_instead(place: str) -> None:
    assert (TESTS / place).exists()


def test_no_test_stands_in_a_room_that_is_not_there() -> None:
    rooms = {name.partition(".")[0] for name in modules()}
    packages = {name for name, module in modules().items() if module.is_package}
    strays = [
        folder.relative_to(TESTS)
        for room in rooms
        for folder in (TESTS / room).rglob("*")
        if any(folder.glob("test_*.py")) and ".".join(folder.relative_to(TESTS).parts) not in packages
    ]
    assert strays == []
