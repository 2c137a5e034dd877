"""The pages that state the promises name tests that exist."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGES = TESTS.parent / "docs"
ROOMS = {"RELIABILITY.md": ("faults", "abuse"), "SECURITY.md": ("abuse",)}


def source_of(file: str, page: str) -> str:
    if file.startswith("tests/"):
        return (TESTS.parent / file).read_text()
    (found,) = [path for room in ROOMS[page] if (path := TESTS / room / file).exists()]
    return found.read_text()


@pytest.mark.parametrize("page", ROOMS)
def test_every_promise_names_a_test_that_exists(page):
    named = 0
    for line in (PAGES / page).read_text().splitlines():
        file = None
        for path, test in re.findall(r"`((?:tests/)?[\w/]*\.py)?::(test_\w+)", line):
            file = path or file
            assert file is not None, line
            assert f"def {test}(" in source_of(file, page), f"{file} has no {test}"
            named += 1
    assert named > 40


@pytest.mark.parametrize("page", ROOMS)
def test_every_file_of_tests_that_a_page_names_is_there(page):
    for path in re.findall(r"`(tests/[\w/]*(?:\.py)?|scripts/\w+\.py)[`:]", (PAGES / page).read_text()):
        assert (TESTS.parent / path).exists(), path
