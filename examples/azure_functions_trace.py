"""Read recorded function invocations into a database and print statistics for each function.

The file is in the format of the Azure Functions Invocation Trace 2021
(https://github.com/Azure/AzurePublicDataset): a header ``app,func,end_timestamp,duration`` and one line for each
invocation, with hashes for the application and the function, and the end and the duration in seconds, the end counted
from the start of the trace. An application becomes a user, a function of it a function, and a line an invocation.

Run it as often as you like: every row's UUID is derived from what it was read from (an invocation's from its line's
number and text), and rows that are there already are left alone. A file that has grown at its end adds its new lines.

    python examples/azure_functions_trace.py trace.csv
    python examples/azure_functions_trace.py trace.csv --database postgresql://localhost/playground

The file is read twice, so it has to be a file and not a pipe; memory use does not grow with its length.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from cloudpub_models import Database, Managers
from cloudpub_models.errors import CloudpubError

COLUMNS = ["app", "func", "end_timestamp", "duration"]
# The trace's documentation gives the day on which its two weeks begin.
TRACE_START = datetime(2021, 1, 31, tzinfo=UTC)
TRACE_DOMAIN = "azure-trace.example"
_NAMESPACE = uuid5(NAMESPACE_URL, "https://github.com/Azure/AzurePublicDataset")
_LONGEST_NAME = 200
_LONGEST_SECONDS = 20 * 24 * 3600

# The smallest duration that at least p percent of the calls do not exceed: the same words on both databases.
STATISTICS = """
    SELECT name, COUNT(*) AS calls, AVG(duration_ms) AS average, MAX(duration_ms) AS longest,
        MIN(CASE WHEN 100 * position >= 50 * total THEN duration_ms END) AS p50,
        MIN(CASE WHEN 100 * position >= 95 * total THEN duration_ms END) AS p95
    FROM (
        SELECT f.id, f.name, i.duration_ms,
            ROW_NUMBER() OVER (PARTITION BY f.id ORDER BY i.duration_ms) AS position,
            COUNT(*) OVER (PARTITION BY f.id) AS total
        FROM function_invocations i
        JOIN functions f ON f.id = i.function_id
        JOIN users u ON u.id = f.user_id
        WHERE u.email LIKE @trace_users
    ) AS ranked
    GROUP BY id, name
    ORDER BY calls DESC, name
"""


class TraceError(Exception):
    """A file that is not in the format expected."""


@dataclass(frozen=True)
class Call:
    """One line of the file.

    Attributes:
        app: the application's hash.
        function: the function's hash.
        started: when the call began.
        duration_ms: how long it took.
        identity: what tells the line from all others.
    """

    app: str
    function: str
    started: datetime
    duration_ms: int
    identity: str

    @property
    def user_uuid(self) -> UUID:
        """The UUID of the application's user."""
        return uuid5(_NAMESPACE, self.app)

    @property
    def function_uuid(self) -> UUID:
        """The UUID of the function, which belongs to one application."""
        return uuid5(_NAMESPACE, f"{self.app}/{self.function}")


def read_trace(path: Path) -> Iterator[Call]:
    """Yield the file's calls.

    Raises:
        TraceError: a line is not as it should be; the message names it.
    """
    with path.open(encoding="utf-8", newline="") as file:
        lines = csv.reader(file)
        try:
            if next(lines, None) != COLUMNS:
                raise TraceError(f"{path}, line 1: expected the header {','.join(COLUMNS)!r}")
            for fields in lines:
                if fields:
                    yield _call(fields, f"{path}, line {lines.line_num}", lines.line_num)
        except (csv.Error, UnicodeDecodeError) as error:
            raise TraceError(f"{path}, after line {lines.line_num}: expected CSV in UTF-8: {error}") from error


def load(managers: Managers, path: Path) -> int:
    """Write the file's rows, all or nothing; return how many invocations were new."""
    with managers.database.transaction():
        first_calls = {call.function_uuid: call for call in read_trace(path)}
        managers.users.batch_insert(
            [
                {"uuid": uuid, "email": f"{app}@{TRACE_DOMAIN}", "password_hash": "!"}
                for uuid, app in {call.user_uuid: call.app for call in first_calls.values()}.items()
            ],
            on_conflict="ignore",
            conflict_columns=["uuid"],
        )
        user_uuids = {call.user_uuid for call in first_calls.values()}
        users = managers.users.find_all({"uuid": user_uuids}, select=["id", "uuid"])
        user_ids = {user.uuid: user.id for user in users}
        managers.functions.batch_insert(
            [
                {"uuid": uuid, "user_id": user_ids[call.user_uuid], "name": call.function}
                for uuid, call in first_calls.items()
            ],
            on_conflict="ignore",
            conflict_columns=["uuid"],
        )
        functions = managers.functions.find_all({"uuid": list(first_calls)}, select=["id", "uuid"])
        function_ids = {function.uuid: function.id for function in functions}
        return managers.function_invocations.batch_insert(
            (
                {
                    "uuid": uuid5(_NAMESPACE, call.identity),
                    "function_id": function_ids[call.function_uuid],
                    "status": "success",
                    "duration_ms": call.duration_ms,
                    "timestamp": call.started,
                }
                for call in read_trace(path)
            ),
            on_conflict="ignore",
        )


def statistics(database: Database) -> list[dict[str, Any]]:
    """Return a row for each function of the traces in the database, the busiest first; durations in milliseconds."""
    return database.raw_query_all(STATISTICS, {"trace_users": f"%@{TRACE_DOMAIN}"})


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Print statistics as a table of plain text."""
    print(f"{'function':<14}{'calls':>8}{'average ms':>14}{'p50 ms':>12}{'p95 ms':>12}{'max ms':>12}")
    for row in rows:
        durations = f"{float(row['average']):>14,.1f}{row['p50']:>12,}{row['p95']:>12,}{row['longest']:>12,}"
        print(f"{row['name'][:12]:<14}{row['calls']:>8,}{durations}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(description="Load recorded function invocations and print their statistics.")
    parser.add_argument("path", type=Path, help="a file with the columns app,func,end_timestamp,duration")
    parser.add_argument(
        "--database", default="sqlite:///:memory:", metavar="URL", help="sqlite:///FILE or postgresql://…"
    )
    options = parser.parse_args(arguments)
    try:
        database = Database(options.database)
        database.migrate()
        new = load(Managers(database), options.path)
        rows = statistics(database)
        database.close()
    except OSError as error:
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    except (CloudpubError, TraceError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print_table(rows)
    print(f"{new:,} new invocations; {sum(row['calls'] for row in rows):,} of {len(rows)} functions in all")
    return 0


def _call(fields: list[str], place: str, number: int) -> Call:
    if len(fields) != len(COLUMNS):
        raise TraceError(f"{place}: expected {len(COLUMNS)} fields, got {len(fields)}")
    app, function, end, duration = fields
    for column, name in (("app", app), ("func", function)):
        if not name or len(name) > _LONGEST_NAME or not name.isprintable():
            raise TraceError(
                f"{place}: expected a hash of at most {_LONGEST_NAME} characters for {column}, got {name!r}"
            )
    end_seconds = _seconds(end, f"{place}: end_timestamp")
    seconds = _seconds(duration, f"{place}: duration")
    started = TRACE_START + timedelta(seconds=end_seconds - seconds)
    return Call(app, function, started, round(seconds * 1000), f"{number}:{','.join(fields)}")


def _seconds(text: str, place: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= _LONGEST_SECONDS:
        raise TraceError(f"{place}: expected a number of seconds from 0 to {_LONGEST_SECONDS}, got {text!r}")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
