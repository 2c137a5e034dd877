"""The benchmark works: every library does every operation with the right results. No time is judged."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.measuring import Measurement
from benchmarks.operations import OPERATIONS

ROOT = Path(__file__).parents[2]
# What a peer does not have at all.
ABSENT = {"pony": {"upsert", "iterate", "batch_insert_large"}}
PACKAGES = {"sqlalchemy": "sqlalchemy", "django": "django", "pony": "pony.orm"}


def run_benchmark(output, server, *options):
    command = [
        sys.executable,
        "-m",
        "benchmarks",
        "--scale",
        "tiny",
        "--output",
        str(output),
        "--server",
        server,
        *options,
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads((output / "performance.json").read_text(encoding="utf-8"))


def measured(results, library, database):
    return {
        one["operation"] for one in results["measurements"] if (one["library"], one["database"]) == (library, database)
    }


def test_ours_and_peewee_on_both_databases(tmp_path, postgresql_server):
    results = run_benchmark(tmp_path, postgresql_server, "--libraries", "ours", "peewee")
    everything = {operation.name for operation in OPERATIONS}
    for database in ("sqlite", "postgresql"):
        assert measured(results, "ours", database) == everything
        assert measured(results, "peewee", database) == everything - {"paginate_after"}
        assert ElementTree.parse(tmp_path / f"performance-{database}.svg").getroot().tag.endswith("svg")
    assert set(results["process_start"]) == {"ours", "peewee"}
    assert {one["library"] for one in results["memory"]} == {"ours", "peewee"}
    table = (tmp_path / "performance.md").read_text(encoding="utf-8")
    for operation in ("find_by_id", "upsert", "batch_insert(returning=True)"):
        assert table.count(f"| {operation}") == 2


@pytest.mark.parametrize("peer", PACKAGES)
def test_a_peer(peer, tmp_path, postgresql_server):
    pytest.importorskip(PACKAGES[peer])
    operations = [operation.name for operation in OPERATIONS]
    results = run_benchmark(tmp_path, postgresql_server, "--libraries", peer, "--operations", *operations)
    for database in ("sqlite", "postgresql"):
        assert measured(results, peer, database) == set(operations) - {"paginate_after"} - ABSENT.get(peer, set())


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
