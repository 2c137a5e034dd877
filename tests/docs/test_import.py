"""Importing the package stays light: what not every program needs is imported where it is used."""

import ast
import subprocess
import sys
from pathlib import Path

import cloudpub_models

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


def test_the_face_alone_imports_nothing_of_the_library():
    modules = imported_by("import cloudpub_models")
    assert {name for name in modules if name.startswith("cloudpub_models")} == {"cloudpub_models"}
    assert "peewee" not in modules


def test_the_default_database_and_its_managers_import_nothing_heavy():
    modules = imported_by("from cloudpub_models import database, managers")
    assert modules & set(HEAVY) == set()
    assert {name for name in modules if name.startswith(("cloudpub_models.manager.", "cloudpub_models.platform."))} == {
        "cloudpub_models.platform.default",
        "cloudpub_models.platform.registry",
    }
    rooms = ("cloudpub_models.cli", "cloudpub_models.schema", "cloudpub_models.testing", "cloudpub_models.models")
    assert not [name for name in modules if name.startswith(rooms)]


def test_the_names_for_type_checkers_are_those_that_programs_get():
    tree = ast.parse(Path(cloudpub_models.__file__).read_text(encoding="utf-8"))
    told = {
        (node.module, alias.name)
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname == alias.name
    }
    given = {(module, name) for module, names in cloudpub_models._NAMES_OF.items() for name in names}
    assert told == given
    assert cloudpub_models.__all__ == sorted(name for _, name in given)


def test_a_sqlite_database_needs_no_heavy_module_either():
    program = "from cloudpub_models import Database; Database('sqlite:///:memory:').ping()"
    assert imported_by(program) & set(HEAVY) == set()


def test_a_process_begins_with_few_modules_and_makes_little_of_them():
    program = """
import sys, typing, peewee, psycopg2
there, calls = set(sys.modules), 0

def count(frame, event, argument):
    global calls
    calls += event == "call" and not frame.f_code.co_filename.startswith("<frozen importlib")

sys.setprofile(count)
from cloudpub_models import Database, Managers
sys.setprofile(None)
added = set(sys.modules) - there
print(calls, *added)
"""
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    calls, *added = finished.stdout.split()
    ours = {name for name in added if name.startswith("cloudpub_models")}
    assert set(added) - ours <= {"contextvars", "_contextvars"}
    assert len(ours) <= 31
    # Where classes are made is what counts: each annotation of a NamedTuple or TypedDict is compiled.
    assert int(calls) <= 1_800
