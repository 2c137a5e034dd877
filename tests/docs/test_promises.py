"""What the pages of promises name is there: the tests that keep each promise, and the modules that check something."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = {"RELIABILITY": "tests/faults", "SECURITY": "tests/abuse"}
CODE = re.compile(r"`([^`\n]+)`")
TEST = re.compile(r"((?:[\w/]+/)?test_\w+\.py)?(?:::(test_\w+))?(?:\[.*\])?")
MODULE = re.compile(r"(?:sql|manager|connection|schema|entity|platform|cli)/\w[\w/]*")


def is_there(named: str, file: Path | None) -> bool:
    if MODULE.fullmatch(named):
        path = ROOT / "cloudpub_models" / named
        return path.exists() or path.with_suffix(".py").exists()
    return file is not None and file.exists() and f"def {named}(" in file.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", FOLDERS)
def test_what_a_page_of_promises_names_is_there(page: str) -> None:
    text = (ROOT / f"docs/{page}.md").read_text(encoding="utf-8")
    missing, named_tests = [], 0
    for line in text.splitlines():
        file = None
        for code in CODE.findall(line):
            test = TEST.fullmatch(code)
            if test and test[1]:
                # Each section says whose folder it is; a path of its own begins with that of all tests.
                places = [ROOT / test[1], *[ROOT / folder / test[1] for folder in FOLDERS.values()]]
                file = next((place for place in places if place.exists()), None)
            named = [code] if MODULE.fullmatch(code) else [test[2]] if test and test[2] else []
            missing += [code for name in named if not is_there(name, file)]
            missing += [code] if test and test[1] and file is None else []
            named_tests += bool(test and (test[1] or test[2]))
    assert missing == []
    assert named_tests > 50


@pytest.mark.parametrize("page", FOLDERS)
def test_each_table_of_a_page_of_promises_has_a_head(page: str) -> None:
    """A table that an empty line cuts in two is text from there on."""
    lines = (ROOT / f"docs/{page}.md").read_text(encoding="utf-8").splitlines()
    firsts = [n for n, line in enumerate(lines) if line.startswith("|") and not lines[n - 1].startswith("|")]
    assert [lines[n] for n in firsts if not lines[n + 1].startswith("|---")] == []
    assert len(firsts) > 3
