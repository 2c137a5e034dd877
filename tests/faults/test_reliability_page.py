"""The page that states the promises names tests that exist."""

import re
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "RELIABILITY.md"


def test_every_promise_names_a_test_that_exists():
    named = 0
    for line in PAGE.read_text().splitlines():
        file = None
        for path, test in re.findall(r"`((?:tests/)?[\w/]*\.py)?::(test_\w+)`", line):
            file = path or file
            assert file is not None, line
            source = HERE.parents[1] / file if file.startswith("tests/") else HERE / file
            assert f"def {test}(" in source.read_text(), f"{file} has no {test}"
            named += 1
    assert named > 40
