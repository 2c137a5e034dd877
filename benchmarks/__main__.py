"""``python -m benchmarks``: measure, and write the table and the chart."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import chart, libraries, report
from benchmarks.data import SCALES
from benchmarks.operations import OPERATIONS
from benchmarks.runner import Plan, run

# Measured in other ways than by calling them, so they are no `Operation`s.
MEMORY = "memory"
PROCESS_START = "process_start"
THREADS = "threads"
_SPECIAL = (MEMORY, PROCESS_START, THREADS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 1 where an operation failed, 0 otherwise."""
    options = _parser().parse_args(arguments)
    # Told to end, leave as from an error: with the server stopped and the databases gone.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    if options.results is not None:
        results = json.loads(options.results.read_text(encoding="utf-8"))
    else:
        results = {"date": datetime.now(UTC).date().isoformat(), **run(_plan(options))}
    print(report.markdown(results))
    if options.output is not None:
        _write(results, options.output)
    if options.page is not None:
        report.show_in(results, options.page)
    return 1 if results["errors"] else 0


def _write(results: report.Results, directory: Path) -> None:
    """Write the table as Markdown and JSON, and one chart for each database."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (directory / "table.md").write_text(report.markdown(results), encoding="utf-8")
    for database in report.databases_of(results):
        (directory / f"{database}.svg").write_text(chart.svg(results, database), encoding="utf-8")


def _plan(options: argparse.Namespace) -> Plan:
    return Plan(
        dialects=("postgresql", "sqlite") if options.database == "both" else (options.database,),
        operations=[name for name in options.operations if name not in _SPECIAL],
        libraries=options.libraries,
        scale=options.scale,
        rounds=options.rounds or (100 if options.scale == "normal" else 2),
        attempts=3 if options.scale == "normal" else 1,
        server=options.server,
        synchronous_commit=options.synchronous_commit,
        core=options.core,
        clock=options.clock,
        memory=MEMORY in options.operations,
        process_start=PROCESS_START in options.operations,
        threads=THREADS in options.operations,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure cloudpub_models and its peers against the raw driver, in ratios within one run.",
    )
    names = [operation.name for operation in OPERATIONS] + list(_SPECIAL)
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--operations", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    parser.add_argument(
        "--libraries",
        nargs="+",
        choices=libraries.NAMES,
        default=list(libraries.DEFAULT),
        metavar="NAME",
        help=", ".join(libraries.NAMES),
    )
    parser.add_argument("--rounds", type=int, help="blocks of each point operation: 100, or 2 at scale tiny")
    parser.add_argument("--scale", choices=tuple(SCALES), default="normal", help="tiny only shows that it works")
    parser.add_argument("--server", metavar="URI", help="a PostgreSQL server to use, instead of starting one")
    parser.add_argument(
        "--clock",
        choices=("wall", "processor"),
        default="wall",
        help="the time of day, or that of the processors, which other work on the machine does not change",
    )
    parser.add_argument(
        "--synchronous-commit", choices=("on", "off"), default="off", help="whether PostgreSQL waits for its disk"
    )
    parser.add_argument("--core", type=int, help="the core for point operations; the last one when left out")
    parser.add_argument("--output", type=Path, metavar="DIR", help="where to write the table and the charts")
    parser.add_argument(
        "--page", type=Path, metavar="FILE", help="a Markdown page to show the table in, as docs/PERFORMANCE.md"
    )
    parser.add_argument(
        "--results", type=Path, metavar="FILE", help="show an earlier run's results.json; measure nothing"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
