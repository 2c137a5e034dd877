"""The benchmark works: every library does every operation with the right results. No time is judged."""

import importlib
import importlib.util
import itertools
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import psycopg2
import pytest

from benchmarks import report
from benchmarks.databases import BenchmarkDatabase
from benchmarks.maintenance import Maintenance
from benchmarks.measuring import Measurement, processor_clock
from benchmarks.operations import OPERATIONS
from tests.conftest import SOAK_VARIABLE

ROOT = Path(__file__).parents[2]
# What a peer does not have at all.
ABSENT = {"pony": {"upsert", "iterate", "batch_insert_large"}}
PACKAGES = {"sqlalchemy": "sqlalchemy", "django": "django", "pony": "pony.orm"}
CORES = itertools.cycle(sorted(os.sched_getaffinity(0)))


@pytest.fixture(scope="module")
def runs(tmp_path_factory, postgresql_server):
    """Every run, all under way at once: the machine's cores share what takes long, which is importing the peers."""
    by_name = {"ours": Run(tmp_path_factory.mktemp("ours"), postgresql_server, ["ours", "peewee"], [])}
    # The peers' part changes seldom, and takes longer than ours.
    for peer, package in PACKAGES.items() if os.environ.get(SOAK_VARIABLE) else ():
        if importlib.util.find_spec(package.partition(".")[0]) is not None:
            operations = ["--operations", *sorted(operations_of(peer))]
            by_name[peer] = Run(tmp_path_factory.mktemp(peer), postgresql_server, [peer], operations)
    yield by_name
    for run in by_name.values():
        run.process.terminate()
        run.process.wait()


class Run:
    """One run of the benchmark in a process of its own."""

    def __init__(self, output, server, libraries, options):
        self.output = output
        self.errors = output / "errors.txt"
        command = [sys.executable, "-m", "benchmarks", "--scale", "tiny", "--server", server, "--output", str(output)]
        with self.errors.open("w") as errors:
            core = str(next(CORES))
            self.process = subprocess.Popen(
                [*command, "--core", core, "--libraries", *libraries, *options],
                cwd=ROOT,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )

    def results(self):
        assert self.process.wait(timeout=300) == 0, self.errors.read_text()
        return json.loads((self.output / "results.json").read_text(encoding="utf-8"))


def operations_of(peer):
    return {one.name for one in OPERATIONS if not one.control_is_library} - ABSENT.get(peer, set())


def measured(results, library, database):
    return {
        one["operation"] for one in results["measurements"] if (one["library"], one["database"]) == (library, database)
    }


def test_ours_and_peewee_on_both_databases(runs):
    results, output = runs["ours"].results(), runs["ours"].output
    for database in ("sqlite", "postgresql"):
        assert measured(results, "ours", database) == {operation.name for operation in OPERATIONS}
        assert measured(results, "peewee", database) == operations_of("peewee")
        assert ElementTree.parse(output / f"{database}.svg").getroot().tag.endswith("svg")
    assert set(results["process_start"]) == {"ours", "peewee"}
    assert results["threads"]["ours"] > 0
    assert {one["library"] for one in results["memory"]} == {"ours", "peewee"}
    table = (output / "table.md").read_text(encoding="utf-8")
    for operation in ("find_by_id", "upsert", "batch_insert(returning=True)"):
        assert table.count(f"| {operation}") == 2
    assert "Lookups from 8 threads at once" in table


@pytest.mark.soak
@pytest.mark.parametrize("peer", PACKAGES)
def test_a_peer(peer, runs):
    pytest.importorskip(PACKAGES[peer])
    results = runs[peer].results()
    for database in ("sqlite", "postgresql"):
        assert measured(results, peer, database) == operations_of(peer)


def test_the_page_shows_the_results_that_lie_beside_it():
    results = json.loads((ROOT / "docs" / "performance" / "results.json").read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "PERFORMANCE.md").read_text(encoding="utf-8")
    assert page.partition(report.BEGIN + "\n")[2].partition(report.END)[0] == report.markdown(results)


def test_every_operation_is_measured_against_a_method_of_both_controls():
    controls = importlib.import_module("benchmarks.libraries.raw_driver")
    for operation in OPERATIONS:
        for control in (controls.RawPostgresql, controls.RawSqlite):
            assert operation.control_is_library or hasattr(control, operation.name)


@pytest.mark.parametrize(("again", "valid"), [(1.0, True), (1.019, True), (1.03, False), (0.97, False)])
def test_controls_that_differ_void_a_measurement(again, valid):
    measurement = Measurement(1.0, again, 2.0, rounds=2, calls=1)
    assert measurement.valid is valid
    assert measurement.ratio == pytest.approx(2.0 / ((1 + again) / 2))


def test_the_clock_of_processors_has_what_the_server_computes(postgresql_url):
    maintenance = Maintenance(BenchmarkDatabase("postgresql", postgresql_url), 0)
    connection = psycopg2.connect(postgresql_url)
    clock = processor_clock(maintenance.sessions())
    began, own = clock(), time.thread_time()
    connection.cursor().execute("SELECT sum(n) FROM generate_series(1, 300000) AS n")
    passed, own_passed = clock() - began, time.thread_time() - own
    connection.close()
    maintenance.close()
    assert passed > 2 * own_passed


def test_what_recording_costs_is_measured(capsys):
    from benchmarks import recording

    assert recording.main(["--rounds", "1", "--rows", "4000", "--database", "sqlite"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == [
        *(f"`{name}`" for name in recording.OPERATIONS),
        *(f"`{name}`, off again" for name in recording.WRITES),
    ]
    assert all(re.search(r"\d\.\d\d", line) for line in lines[2:])


def test_what_a_recorded_update_takes_is_measured(capsys):
    from benchmarks import recorded_updates

    assert recorded_updates.main(["--rounds", "1", "--database", "sqlite"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:4]] == ["this library", "Peewee, with a row written by hand"]
    assert lines[-1] == "django-pghistory is left out: it records on PostgreSQL only"


def test_what_an_answer_takes_is_measured(capsys):
    from benchmarks import graphql_answers

    assert graphql_answers.main(["--rounds", "1", "--database", "sqlite"]) == 0
    assert [line.split("|")[1].strip() for line in capsys.readouterr().out.splitlines()][2:4] == [
        "this library",
        "graphql-core",
    ]


def test_what_an_owner_costs_is_measured(capsys):
    from benchmarks import owners

    assert owners.main(["--rounds", "1", "--functions", "3"]) == 0
    head, _, *lines = capsys.readouterr().out.splitlines()
    assert head == "| | PostgreSQL | PostgreSQL, prepared | PostgreSQL, row security | SQLite |"
    assert [line.split("|")[1].strip() for line in lines] == list(owners.OPERATIONS)
    assert all(re.fullmatch(r"\d+\.\d\d( \(void\))?", cell.strip()) for line in lines for cell in line.split("|")[2:-1])


def test_what_statistics_take_from_rollups(capsys):
    from benchmarks import rolling_up

    assert rolling_up.main(["--rounds", "1", "--rows", "100", "--days", "2", "--database", "sqlite"]) == 0
    assert "| a year of 876,000,000: rollups |" in capsys.readouterr().out


def test_what_searches_take_is_measured(capsys):
    from benchmarks import searching

    assert searching.main(["--rounds", "1", "--lines", "100", "--database", "sqlite"]) == 0
    assert "| a word, rare: one function |" in capsys.readouterr().out


def test_what_partitions_give_is_measured(capsys):
    from benchmarks import partitions

    assert partitions.main(["--rows", "500", "--days", "4", "--rounds", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "| half of the rows pruned, s (250) |" in "\n".join(lines)
    assert lines[-1].endswith("| – | 0 |")


def test_what_feeds_take_is_measured(capsys):
    from benchmarks import feeds

    assert feeds.main(["--rounds", "2", "--changes", "100", "--database", "sqlite"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 6


def test_what_rows_take_that_come_from_memory_is_measured(capsys):
    from benchmarks import rows_in_memory

    assert rows_in_memory.main(["--rounds", "2", "--database", "sqlite"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 6
