"""``python -m benchmarks.growth``: how cost grows with millions of rows in PostgreSQL.

Loads log lines and invocations by ``batch_insert``, looks things up in every documented way, builds the indexes and
throws a month away while somebody writes, and says how long each took. Exits with 1 where a pattern reads a big table
from its beginning to its end. with ``--only`` it measures single promises, or the picture.
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

from benchmarks import growth_cost as cost
from benchmarks import growth_measuring as measuring
from benchmarks import growth_picture as picture
from benchmarks import growth_report as report
from benchmarks.databases import postgresql_database
from benchmarks.growth_data import Platform
from benchmarks.growth_promises import PROMISES, Size

ROWS = 5_000_000
PICTURE = "picture"
PROMISES_FILE, COST_FILE = "promises.json", "cost.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, or take an earlier run's figures, and write the report."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.only and options.page is not None and options.output is None:
        parser.error("expected --output beside --page: the page shows what earlier runs have left there, too")
    # Told to end, leave as from an error: with the server stopped and the database gone.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    if options.only:
        return only(options)
    results = json.loads(options.results.read_text(encoding="utf-8")) if options.results else run(options)
    print(report.markdown(results))
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "growth.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if options.page is not None:
        report.show_in(results, options.page)
    return 1 if report.unindexed(results) else 0


def only(options: argparse.Namespace) -> int:
    """Measure what is named, put it beside what earlier runs have measured of the rest, and write the report."""
    kept = True
    circumstances = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {machine.system()} {machine.machine()}",
    }
    for name in options.only:
        _tell(f"measuring {name}")
        found: dict[str, Any] = {**circumstances}
        if name == PICTURE:
            sizes, days, in_days = cost.ROWS, cost.DAYS, cost.ROWS_IN_DAYS
            if options.rows is not None:
                sizes, days, in_days = (options.rows // 10, options.rows), (0, 7), options.rows
            found["by_rows"] = cost.by_rows(options.server, sizes)
            found["by_partitions"] = cost.by_partitions(options.server, days, in_days)
            found["rows_in_partitions"] = in_days
        else:
            size = Size(options.rows, options.rounds, options.server)
            found["figures"] = [figure._asdict() for figure in PROMISES[name](size)]
            print(report.promises({name: found}), flush=True)
            kept = kept and report.are_kept(found)
        if options.output is not None:
            _keep(options.output, name, found)
    if options.page is not None:
        report.show_promises_in(json.loads((options.output / PROMISES_FILE).read_text(encoding="utf-8")), options.page)
    return 0 if kept else 1


def _keep(output: Path, name: str, found: dict[str, Any]) -> None:
    output.mkdir(parents=True, exist_ok=True)
    if name == PICTURE:
        (output / COST_FILE).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        (output / COST_FILE).with_suffix(".svg").write_text(picture.svg(found), encoding="utf-8")
        return
    path = output / PROMISES_FILE
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    results = {each: ({**before, name: found})[each] for each in PROMISES if each in before or each == name}
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Return everything that is measured."""
    platform = Platform(options.rows or ROWS, datetime.now(UTC))
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
    parser.add_argument(
        "--rows", type=int, help=f"how many log lines, and as many invocations: {ROWS:,}; with --only, as each has it"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=(*PROMISES, PICTURE),
        metavar="NAME",
        help=f"measure only these promises ({', '.join(PROMISES)}), or the {PICTURE} of cost against size",
    )
    parser.add_argument("--rounds", type=int, default=40, help="with --only: how many blocks are measured")
    parser.add_argument("--server", metavar="URI", help="a PostgreSQL server to use, instead of starting one")
    parser.add_argument(
        "--synchronous-commit", choices=("on", "off"), default="on", help="whether PostgreSQL waits for its disk"
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="where to write the figures")
    parser.add_argument("--page", type=Path, metavar="FILE", help="a Markdown page to show the report in")
    parser.add_argument(
        "--results", type=Path, metavar="FILE", help="show an earlier run's growth.json; measure nothing"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
