"""The command that measures growth works, and the page shows what it found. No time is judged."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import growth, growth_report
from benchmarks.growth_patterns import PATTERNS

ROOT = Path(__file__).parents[2]
ROWS = 2_000


@pytest.fixture(autouse=True)
def _own_end() -> Iterator[None]:
    """Give the tests' process its own way of ending back: the command says what SIGTERM does."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_the_command_measures_everything(tmp_path: Path, postgresql_server: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{growth_report.BEGIN}\nold\n{growth_report.END}\nafter\n", encoding="utf-8")
    growth.main(["--rows", str(ROWS), "--server", postgresql_server, "--output", str(tmp_path), "--page", str(page)])
    results = json.loads((tmp_path / "growth.json").read_text(encoding="utf-8"))
    assert [one["rows"] for one in results["loads"]] == [ROWS, ROWS]
    assert all(one["seconds"] > 0 and one["peak_megabytes"] > 10 for one in results["loads"])
    for part in ("patterns", "patterns_without"):
        assert [one["name"] for one in results[part]] == list(PATTERNS)
        assert all(one["seconds"] > 0 and one["scans"] for one in results[part])
    # Half of them are older than a month; the hundredths of a second that loading took may make it one more.
    assert all(ROWS / 2 <= one["result"] <= ROWS / 2 + 1 for one in results["prunes"])
    written = page.read_text(encoding="utf-8")
    assert written.startswith("before\n")
    assert written.endswith("\nafter\n")
    assert growth_report.markdown(results) in written
    assert "\nold\n" not in written


def test_a_sequential_scan_fails_the_command(tmp_path: Path) -> None:
    results = json.loads((ROOT / "docs" / "performance" / "growth.json").read_text(encoding="utf-8"))
    assert growth_report.unindexed(results) == []
    results["patterns"][0]["scans"][0]["kind"] = "Seq Scan"
    path = tmp_path / "growth.json"
    path.write_text(json.dumps(results), encoding="utf-8")
    assert growth.main(["--results", str(path)]) == 1


def test_the_page_shows_the_results_that_lie_beside_it() -> None:
    results = json.loads((ROOT / "docs" / "performance" / "growth.json").read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "PERFORMANCE.md").read_text(encoding="utf-8")
    assert page.partition(growth_report.BEGIN + "\n")[2].partition(growth_report.END)[0] == growth_report.markdown(
        results
    )
