"""``cloudpub partition``: what it would do, what it does, and what it says of it."""

from __future__ import annotations

import json
import re

import pytest

from cloudpub_models import Database
from tests.cli.conftest import Run


@pytest.fixture
def url(run: Run, shared_postgresql_url: str) -> str:
    return shared_postgresql_url


def test_first_said_then_done_then_nothing_to_do(run: Run, url: str) -> None:
    first = run("partition", "function_logs", "--width", "day", "--dry-run", "--database", url)
    assert re.fullmatch(
        r"rows from before (....-..-..) would stay together in one partition\n"
        r"13 partitions of function_logs, a day each, from \1 to ....-..-..: would be made; nothing was changed\n",
        first.stdout,
    )
    database = Database(url)
    assert database.partitions("function_logs") == []
    done = run("partition", "function_logs", "--width", "day", "--database", url)
    assert done.stdout == first.stdout.replace("would stay", "are").replace(
        "would be made; nothing was changed", "made"
    )
    assert len(database.partitions("function_logs")) == 15
    again = run("partition", "function_logs", "--database", url)
    assert re.fullmatch(r"nothing to do: function_logs has partitions up to ....-..-..\n", again.stdout)
    database.close()


def test_a_table_that_is_copied(run: Run, url: str) -> None:
    database = Database(url)
    database.raw_execute("ALTER TABLE function_logs ALTER COLUMN id TYPE INTEGER")
    first = run("partition", "function_logs", "--width", "month", "--dry-run", "--database", url)
    assert re.fullmatch(
        r"rows would be copied, which takes 0 MB, and ids of 64 bits\n"
        r"\d partitions? of function_logs, a month each, from ....-..-01 to ....-..-01: would be made; "
        r"nothing was changed\n",
        first.stdout,
    )
    kept = run("partition", "function_logs", "--way", "attach", "--dry-run", "--database", url)
    assert "together in one partition" in kept.stdout
    assert database.partitions("function_logs") == []
    done = json.loads(run("partition", "function_logs", "--width", "month", "--json", "--database", url).stdout)
    assert (done["way"], done["widens"]) == ("move", True)
    assert len(database.partitions("function_logs")) == len(done["made"]) + 2
    database.close()


def test_for_programs(run: Run, url: str) -> None:
    options = ("--json", "--width", "month", "--database", url)
    told = json.loads(run("partition", "function_logs", "--dry-run", *options).stdout)
    assert (told["dry_run"], told["width"], told["partitions"]) == (True, "month", [])
    done = json.loads(run("partition", "function_logs", *options).stdout)
    assert done["made"] == told["made"]
    assert [each["name"] for each in done["partitions"]][1:-1] == done["made"]
    more = json.loads(run("partition", "function_logs", "--json", "--ahead", "52w", "--database", url).stdout)
    assert len(more["made"]) >= 10
    assert more["partitions"][0]["begin"] is None


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("functions",), "got functions: say partitioned_by"),
        (("function_log",), "did you mean 'function_logs'"),
        (("function_logs", "--width", "week"), "'week' is not one of"),
        (("function_logs", "--way", "copy"), "'copy' is not one of"),
        (("function_logs", "--ahead", "soon"), "expected a time as 14d"),
        (("function_logs", "--ahead", "999999999w"), "expected a time as 14d"),
        (("function_logs", "--ahead", "53w"), "expected ahead to be a timedelta of 0 to 366 days"),
    ],
)
def test_mistakes_are_told_in_one_line(run: Run, url: str, given: tuple[str, ...], told: str) -> None:
    failed = run("partition", *given, "--database", url)
    assert failed.exit_code != 0
    assert told in failed.stderr
    assert "Traceback" not in failed.stderr
    database = Database(url)
    assert database.partitions("function_logs") == []
    database.close()


def test_on_sqlite_there_is_nothing_to_do(run: Run) -> None:
    run("migrate", "up", "--database", "sqlite:///here.db")
    failed = run("partition", "function_logs", "--database", "sqlite:///here.db")
    assert failed.exit_code == 1
    assert failed.stderr.endswith("got sqlite: there is nothing to do, prune() deletes\n")
