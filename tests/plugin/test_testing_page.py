"""The tests that docs/TESTING.md shows pass, with the ``conftest.py`` that it shows."""

import re
from pathlib import Path

from cloudpub_models.testing.postgresql import SERVER_VARIABLE

pytest_plugins = ["pytester"]

PAGE = Path(__file__).parents[2] / "docs" / "TESTING.md"


def test_the_tests_of_the_page(pytester, monkeypatch, postgresql_server):
    monkeypatch.setenv(SERVER_VARIABLE, postgresql_server)
    about_the_plugin = PAGE.read_text(encoding="utf-8").partition("## No query per row")[0]
    blocks = re.findall(r"^```python\n(.*?)^```$", about_the_plugin, re.DOTALL | re.MULTILINE)
    fixtures = [block for block in blocks if "@pytest.fixture" in block]
    assert len(fixtures) == 1
    pytester.makeconftest(fixtures[0])
    code = "\n".join(block for block in blocks if block not in fixtures)
    pytester.makepyfile(code)
    with_fixtures = len(re.findall("^def test_", code, re.MULTILINE))
    without = len(re.findall("^    def test_", code, re.MULTILINE))
    assert with_fixtures >= 6
    assert without == 1
    outcome = pytester.runpytest_inprocess("-W", "error", "-p", "no:cacheprovider")
    outcome.assert_outcomes(passed=2 * with_fixtures + without)
