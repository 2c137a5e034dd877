"""The page that states the promises names tests that exist."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "RELIABILITY.md"


def source_of(file: str) -> str:
    (found,) = [TESTS.parent / file] if file.startswith("tests/") else TESTS.rglob(Path(file).name)
    return found.read_text()


def test_every_promise_names_a_test_that_exists():
    named = 0
    for line in PAGE.read_text().splitlines():
        file = None
        for path, test in re.findall(r"`((?:tests/)?[\w/]*\.py)?::(test_\w+)`", line):
            file = path or file
            assert file is not None, line
            assert f"def {test}(" in source_of(file), f"{file} has no {test}"
            named += 1
    assert named > 40
