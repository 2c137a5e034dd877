"""A platform that has grown, on each database, loaded once: see ``benchmarks/growth_data.py``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.growth_patterns import Visitor
from tests.growth.platform_of_a_year import grown

# SQLite's planner goes by what ANALYZE found and not by the size, so that a small table tells as much.
ROWS = {"postgresql": 100_000, "sqlite": 20_000}


@pytest.fixture(scope="module")
def visitor(module_url: str) -> Iterator[Visitor]:
    """Somebody who looks things up; whoever writes rolls it back, since the rows are everybody's."""
    with grown(module_url, ROWS) as visitor:
        yield visitor


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def module_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a database of the module's own; migrated on PostgreSQL, in memory on SQLite."""
    if request.param == "sqlite":
        yield "sqlite:///:memory:"
        return
    make = request.getfixturevalue("postgresql_databases")
    with make(request.getfixturevalue("postgresql_template")) as url:
        # VACUUM does not count rows as visible to everybody whose commit has not reached the disk, and reading an
        # index alone depends on that.
        yield url + ("&" if "?" in url else "?") + "options=-csynchronous_commit%3Don"
