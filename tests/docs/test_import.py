"""Importing the package stays light: what not every program needs is imported where it is used."""

import subprocess
import sys

HEAVY = [
    "pydantic",
    "typer",
    "rich",
    "fastapi",
    "dataclasses",
    "zoneinfo",
    "random",
    "difflib",
    "statistics",
    "playhouse",
]


def imported_by(program: str) -> set[str]:
    finished = subprocess.run(
        [sys.executable, "-c", f"{program}; import sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(finished.stdout.split())


def test_the_face_imports_nothing_heavy():
    modules = imported_by("import cloudpub_models")
    assert modules & set(HEAVY) == set()
    managers = {name for name in modules if name.startswith(("cloudpub_models.manager.", "cloudpub_models.platform."))}
    assert managers == {"cloudpub_models.platform.default", "cloudpub_models.platform.registry"}
    rooms = ("cloudpub_models.cli", "cloudpub_models.schema", "cloudpub_models.testing")
    assert not [name for name in modules if name.startswith(rooms)]


def test_a_sqlite_database_needs_no_heavy_module_either():
    program = "from cloudpub_models import Database; Database('sqlite:///:memory:').ping()"
    assert imported_by(program) & set(HEAVY) == set()
