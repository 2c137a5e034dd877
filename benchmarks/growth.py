"""``python -m benchmarks.growth``: how cost grows with millions of rows in PostgreSQL.

Loads log lines and invocations by ``batch_insert``, looks things up in every documented way, builds the indexes and
throws a month away while somebody writes, and says how long each took. Exits with 1 where a pattern reads a big table
from its beginning to its end.
"""

from __future__ import annotations

import argparse
import json
import os
import platform as machine
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import growth_measuring as measuring
from benchmarks import growth_report as report
from benchmarks.databases import postgresql_database
from benchmarks.growth_data import Platform


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, or take an earlier run's figures, and write the report."""
    options = _parser().parse_args(arguments)
    # Told to end, leave as from an error: with the server stopped and the database gone.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    results = json.loads(options.results.read_text(encoding="utf-8")) if options.results else run(options)
    print(report.markdown(results))
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "growth.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if options.page is not None:
        report.show_in(results, options.page)
    return 1 if report.unindexed(results) else 0


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Return everything that is measured."""
    platform = Platform(options.rows, datetime.now(UTC))
    with postgresql_database(options.server, options.synchronous_commit) as database:
        results: dict[str, Any] = {
            "date": platform.now.date().isoformat(),
            "machine": f"{os.cpu_count()} cores, {machine.system()} {machine.machine()}",
            "versions": {"python": machine.python_version(), "database": database.version()},
            "synchronous_commit": options.synchronous_commit,
            "rows": platform.rows,
            "functions": platform.functions,
        }
        _tell("loading")
        results["loads"] = measuring.load(database, platform)
        measuring.vacuum(database)
        results["sizes"] = measuring.sizes(database)
        _tell("looking things up")
        results["patterns"] = measuring.look_up(database, platform)
        _tell("looking things up without the indexes over several columns")
        measuring.drop_common_indexes(database)
        results["patterns_without"] = measuring.look_up(database, platform)
        _tell("building those indexes")
        results["migration"] = measuring.build_common_indexes(database, platform)
        measuring.vacuum(database)
        _tell("pruning")
        results["prunes"] = [measuring.prune_a_month(database, platform, table) for table in report.BIG_TABLES]
    return results


def _tell(stage: str) -> None:
    print(f"{datetime.now():%H:%M:%S} {stage} …", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=5_000_000, help="how many log lines, and as many invocations")
    parser.add_argument("--server", metavar="URI", help="a PostgreSQL server to use, instead of starting one")
    parser.add_argument(
        "--synchronous-commit", choices=("on", "off"), default="on", help="whether PostgreSQL waits for its disk"
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="where to write growth.json")
    parser.add_argument("--page", type=Path, metavar="FILE", help="a Markdown page to show the report in")
    parser.add_argument(
        "--results", type=Path, metavar="FILE", help="show an earlier run's growth.json; measure nothing"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
