"""The documentation tells the truth: its code runs on both databases, and what it names exists."""

import re
from pathlib import Path

import pytest

import cloudpub_models
from cloudpub_models import database as default_database

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/*.md")])
CODE_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
MEMORY_URL = "sqlite:///:memory:"


@pytest.fixture
def default(database_url):
    """The process's default database, which documentation uses, pointed at a database of the test's own."""
    default_database.initialize(database_url)
    if database_url == MEMORY_URL:
        default_database.migrate()
    yield default_database
    default_database.close()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_of_a_page_runs_from_top_to_bottom(page, default, database_url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLOUDPUB_DATABASE_URL", database_url)
    names: dict[str, object] = {"__name__": "documentation"}
    for block in CODE_BLOCK.finditer(page.read_text(encoding="utf-8")):
        line = page.read_text(encoding="utf-8")[: block.start()].count("\n") + 1
        code = "\n" * line + block[1].replace(f'"{MEMORY_URL}"', repr(database_url))
        exec(compile(code, str(page), "exec"), names)


def test_ci_runs_the_test_command_of_the_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^python3 -m venv .*$", readme, re.MULTILINE)
    assert len(commands) == 2
    assert commands[1] in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_the_face_exports_what_it_says():
    for name in cloudpub_models.__all__:
        assert getattr(cloudpub_models, name) is not None
