"""A script for cron: name the functions of which too many invocations failed, and say so with the exit code.

    CLOUDPUB_DATABASE_URL=postgresql://… python nightly_report.py --days 1 --most-failing 0.05

Exit codes: 0 when all is well, 1 when a function fails too often, 2 when the report could not be made.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from datetime import timedelta

from cloudpub_models import Function, FunctionStats, database, managers
from cloudpub_models.errors import CloudpubError


def failing_functions(since: timedelta, most_failing: float) -> Iterator[tuple[Function, FunctionStats]]:
    """Yield the active functions of which a larger share of invocations failed, with their statistics."""
    for function in managers.functions.find_all({"status": "active"}, order_by=("name", "id"), include=("user",)):
        stats = managers.function_invocations.get_function_stats(function, since)
        if stats.failed > most_failing * stats.total:
            yield function, stats


def main() -> int:
    """Print the report and return the exit code."""
    parser = argparse.ArgumentParser(description="name the functions of which too many invocations failed")
    parser.add_argument("--days", type=int, default=1, help="how far to look back")
    parser.add_argument("--most-failing", type=float, default=0.05, help="the share that may fail, from 0 to 1")
    options = parser.parse_args()
    database.initialize()  # $CLOUDPUB_DATABASE_URL
    found = 0
    try:
        with database.transaction(read_only=True, isolation="REPEATABLE READ"):  # all numbers are of one moment
            for function, stats in failing_functions(timedelta(days=options.days), options.most_failing):
                print(f"{function.name} of {function.user.email}: {stats.failed} of {stats.total} failed")
                found += 1
    except CloudpubError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    finally:
        database.close()
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
