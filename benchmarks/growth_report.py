"""What came out of measuring growth, as Markdown for a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.growth_plans import GROWING_TABLES
from benchmarks.growth_promises import Figure

BEGIN, END = "<!-- growth -->", "<!-- end of growth -->"
PROMISES_BEGIN, PROMISES_END = "<!-- promises -->", "<!-- end of promises -->"
STATISTICS_MILLISECONDS = 50
BIG_TABLES = ("function_logs", "function_invocations")
_SPREAD = ("median", "p99", "maximum")

Results = dict[str, Any]


def show_in(results: Results, page: Path) -> None:
    """Put the report into a page, between its two markers."""
    _show_between(BEGIN, END, markdown(results), page)


def show_promises_in(results: Results, page: Path) -> None:
    """Put what was measured of promises into a page, between its two markers."""
    _show_between(PROMISES_BEGIN, PROMISES_END, promises(results), page)


def _show_between(begin: str, end: str, text: str, page: Path) -> None:
    head, found_begin, rest = page.read_text(encoding="utf-8").partition(begin)
    _, found_end, tail = rest.partition(end)
    if not found_begin or not found_end:
        raise ValueError(f"expected {begin} and {end} in {page}; one is missing: add them where the report belongs")
    page.write_text(f"{head}{begin}\n{text}{end}{tail}", encoding="utf-8")


def promises(results: Results) -> str:
    """Return a table of what was measured of each promise."""
    lines = [["", "", "measured", "promised", ""], ["---", "---", "---:", "---:", "---"]]
    for name, found in results.items():
        for figure in (Figure(**each) for each in found["figures"]):
            limit = f"{'≥' if figure.at_least else '≤'} {_amount(figure.limit, figure.unit)}"
            mark = ("✓" if figure.kept else "✗") if figure.valid else "void"
            lines.append([name, figure.name, _amount(figure.value, figure.unit), limit, mark])
    return _table(lines)


def are_kept(found: Results) -> bool:
    """Return whether all that was measured of a promise keeps it."""
    return all(Figure(**each).kept for each in found["figures"])


def _amount(value: float, unit: str) -> str:
    digits = 0 if value >= 1_000 or value == round(value) else 2 if value < 10 else 1
    return f"{value:,.{digits}f} {unit}"


def markdown(results: Results) -> str:
    """Return the whole report."""
    return "\n".join(
        [
            _circumstances(results),
            _loading(results),
            _verdict(results),
            _patterns(results),
            _meanwhile(results),
        ]
    )


def unindexed(results: Results) -> list[str]:
    """Return the patterns that go through a big table from its beginning to its end."""
    return [
        one["name"]
        for one in results["patterns"]
        if any(scan["kind"] == "Seq Scan" and scan["table"] in BIG_TABLES for scan in one["scans"])
    ]


def statistics_seconds(results: Results) -> float:
    """Return how long the statistics of the busy function over 30 days take."""
    return next(float(one["seconds"]) for one in results["patterns"] if one["name"] == "function statistics")


def _circumstances(results: Results) -> str:
    versions = results["versions"]
    return (
        f"{results['date']}; {results['machine']}; Python {versions['python']}, {versions['database']}, "
        f"synchronous_commit={results['synchronous_commit']}. {results['rows']:,} log lines and as many invocations of "
        f"{results['functions']:,} functions in 60 days, one of which has every 25th.\n"
    )


def _loading(results: Results) -> str:
    header = ["`batch_insert` from a generator", "seconds", "rows per second", "memory", "peak of the process"]
    lines = [[*header, "table", "its indexes"], ["---", *["---:"] * 6]]
    sizes = {one["table"]: one for one in results["sizes"]}
    for one in results["loads"]:
        size, extra = sizes[one["table"]], one["extra_megabytes"]
        lines.append(
            [
                one["table"],
                f"{one['seconds']:.0f}",
                f"{one['rows'] / one['seconds']:,.0f}",
                "–" if extra is None else f"+{extra:.1f} MB",
                f"{one['peak_megabytes']:.0f} MB",
                f"{size['rows_bytes'] / 1e6:,.0f} MB",
                f"{size['indexes_bytes'] / 1e6:,.0f} MB",
            ]
        )
    return _table(lines)


def _verdict(results: Results) -> str:
    without, seconds = unindexed(results), statistics_seconds(results)
    sequential = f"✗ {', '.join(without)}" if without else "none ✓"
    counted = next(one for one in results["patterns"] if one["name"] == "function statistics")["scans"][0]["rows"]
    mark = "✓" if seconds * 1e3 < STATISTICS_MILLISECONDS else "✗"
    return (
        f"Sequential scans of logs or invocations among the {len(results['patterns'])} patterns: {sequential}.\n"
        f"Statistics of one function over 30 days, {counted:,} invocations: {seconds * 1e3:.1f} ms "
        f"(< {STATISTICS_MILLISECONDS} ms {mark}).\n"
    )


def _patterns(results: Results) -> str:
    lines = [["pattern", "read by", "rows gone through", "ms", "ms without"], ["---", "---", "---:", "---:", "---:"]]
    without = {one["name"]: one["seconds"] for one in results["patterns_without"]}
    for one in results["patterns"]:
        ways = ", ".join(dict.fromkeys(_way(scan) for scan in one["scans"]))
        rows = sum(scan["rows"] for scan in one["scans"])
        name = one["name"]
        lines.append([name, ways, f"{rows:,}", _milliseconds(one["seconds"]), _milliseconds(without[name])])
    return _table(lines)


def _way(scan: dict[str, Any]) -> str:
    if scan["index"] is None:
        return f"{scan['table']}: {scan['kind']}"
    name = scan["index"]
    for table in sorted(GROWING_TABLES, key=len, reverse=True):
        if name.startswith(f"{table}_"):
            name = name.removeprefix(f"{table}_")
            break
    return f"`{name.removesuffix('_idx')}`"


def _meanwhile(results: Results) -> str:
    lines = [["while", "rows", "seconds", "an insert before", "an insert meanwhile"], ["---", *["---:"] * 4]]
    migration = results["migration"]
    lines.append(["the migration builds its indexes", "–", f"{migration['seconds']:.1f}", *_inserts(migration)])
    for one in results["prunes"]:
        name = f"a month of {one['table']} is pruned"
        lines.append([name, f"{one['result']:,}", f"{one['seconds']:.1f}", *_inserts(one)])
    return _table(lines) + "\nInserts: median, 99th percentile and longest, in ms.\n"


def _inserts(one: dict[str, Any]) -> list[str]:
    return [
        " / ".join("–" if one[phase][name] is None else _milliseconds(one[phase][name]) for name in _SPREAD)
        for phase in ("insert_before", "insert_meanwhile")
    ]


def _table(lines: list[list[str]]) -> str:
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _milliseconds(seconds: float) -> str:
    milliseconds = seconds * 1e3
    digits = 2 if milliseconds < 1 else 1 if milliseconds < 100 else 0
    return f"{milliseconds:,.{digits}f}"
