"""The command that measures growth works, and the page shows what it found. No time is judged."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import growth, growth_cost, growth_picture, growth_report
from benchmarks.growth_patterns import PATTERNS
from benchmarks.growth_promises import PROMISES, Figure

ROOT = Path(__file__).parents[2]
PERFORMANCE = ROOT / "docs" / "performance"
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


def test_a_promise_is_measured_by_itself(
    tmp_path: Path, postgresql_server: str, scale: Callable[[int, int], int]
) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"{growth_report.PROMISES_BEGIN}\n{growth_report.PROMISES_END}\n", encoding="utf-8")
    names = ["U2", "A1", "P3", "P4", "P5", "U3", "I1"][: scale(1, 7)]
    options = ["--rows", "200", "--rounds", "1", "--server", postgresql_server]
    # Whether so little keeps what is promised of much is not asked.
    growth.main(["--only", *names, *options, "--output", str(tmp_path), "--page", str(page)])
    results = json.loads((tmp_path / growth.PROMISES_FILE).read_text(encoding="utf-8"))
    assert sorted(results) == sorted(names)
    assert all(figure["value"] > 0 for found in results.values() for figure in found["figures"])
    assert growth_report.promises(results) in page.read_text(encoding="utf-8")


def test_a_promise_is_kept_at_most_or_at_least() -> None:
    figure = Figure("a call", 2.0, "ms", 3.0)
    assert figure.kept
    assert not figure._replace(value=3.1).kept
    assert not figure._replace(at_least=True).kept
    found = {"figures": [figure._asdict(), figure._replace(value=4.0, valid=False)._asdict()]}
    assert growth_report.promises({"P0": found}).splitlines()[2:] == [
        "| P0 | a call | 2 ms | ≤ 3 ms | ✓ |",
        "| P0 | a call | 4 ms | ≤ 3 ms | void |",
    ]
    assert not growth_report.are_kept(found)


def test_the_picture_has_a_line_for_each_call() -> None:
    results = json.loads((PERFORMANCE / growth.COST_FILE).read_text(encoding="utf-8"))
    drawn = growth_picture.svg(results)
    assert (PERFORMANCE / growth.COST_FILE).with_suffix(".svg").read_text(encoding="utf-8") == drawn
    texts = [text.text for text in ElementTree.fromstring(drawn).iter() if text.tag.endswith("}text")]
    assert set(growth_cost.CALLS) < set(texts)
    assert {*(f"{point['rows']:,}" for point in results["by_rows"]), "1 ms", "rows in one table"} < set(texts)


def test_the_page_shows_the_promises_that_were_measured() -> None:
    results = json.loads((PERFORMANCE / growth.PROMISES_FILE).read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "PERFORMANCE.md").read_text(encoding="utf-8")
    shown = page.partition(growth_report.PROMISES_BEGIN + "\n")[2].partition(growth_report.PROMISES_END)[0]
    assert shown == growth_report.promises(results)
    assert list(results) == list(PROMISES)


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
