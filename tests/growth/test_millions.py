"""Millions of rows, where ``CLOUDPUB_SOAK`` is set: plans, statistics, and who writes while a month is thrown away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median

import pytest

from benchmarks.databases import BenchmarkDatabase
from benchmarks.growth_measuring import prune_a_month
from benchmarks.growth_patterns import PATTERNS, Visitor
from tests.growth.plan_checks import require_indexes
from tests.growth.platform_of_a_year import grown

pytestmark = pytest.mark.soak

SOAK_ROWS = {"postgresql": 5_000_000, "sqlite": 500_000}


@pytest.fixture(scope="module")
def visitor_of_millions(module_url: str) -> Iterator[Visitor]:
    with grown(module_url, SOAK_ROWS) as visitor:
        yield visitor


def test_every_pattern_uses_indexes(visitor_of_millions: Visitor) -> None:
    for pattern in PATTERNS:
        require_indexes(visitor_of_millions, pattern)


@pytest.mark.parametrize("module_url", ["postgresql"], indirect=True)
def test_statistics_of_a_busy_function_over_a_month(visitor_of_millions: Visitor) -> None:
    durations = []
    for _ in range(9):
        start = time.perf_counter()
        stats = visitor_of_millions.managers.function_invocations.get_function_stats(visitor_of_millions.busy)
        durations.append(time.perf_counter() - start)
    assert stats.total > 99_000
    assert median(durations) < 0.05


@pytest.mark.parametrize("module_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("table", ["function_logs", "function_invocations"])
def test_inserts_go_on_while_a_month_is_thrown_away(visitor_of_millions: Visitor, module_url: str, table: str) -> None:
    found = prune_a_month(BenchmarkDatabase("postgresql", module_url), visitor_of_millions.platform, table)
    assert found["result"] >= SOAK_ROWS["postgresql"] / 2 - 1
    assert found["insert_meanwhile"]["p99"] < 0.1
    assert found["insert_meanwhile"]["maximum"] < 1
