"""Starts the workers, one library and database after the other, and collects what they found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from benchmarks import libraries
from benchmarks.data import SCALES, Data, load, load_invocations
from benchmarks.databases import BenchmarkDatabase, Dialect, postgresql_database, sqlite_database
from benchmarks.operations import BY_NAME, STREAMS
from benchmarks.process_start import measure_process_start
from benchmarks.threads import measure_threads
from benchmarks.worker import Task

_DISTRIBUTIONS = {"peewee": "peewee", "sqlalchemy": "SQLAlchemy", "django": "Django", "pony": "pony"}


@dataclass(frozen=True)
class Plan:
    """What a run measures.

    Attributes:
        dialects: the databases.
        operations: the names of the operations.
        libraries: the names of the libraries.
        scale: how much work each operation is.
        rounds: how many rounds a point operation runs.
        attempts: how often a measurement with deviating controls is made at most.
        server: the URI of a PostgreSQL server; ``None`` starts one.
        synchronous_commit: ``"on"`` or ``"off"``.
        core: the core for point operations; ``None`` takes the last one.
        clock: ``"wall"`` or ``"processor"``, as of a ``Task``.
        memory: measure the memory that streams take.
        process_start: measure what an import takes.
        threads: measure lookups of several threads at once, on PostgreSQL.
    """

    dialects: Sequence[Dialect]
    operations: Sequence[str]
    libraries: Sequence[str]
    scale: str
    rounds: int
    attempts: int
    server: str | None
    synchronous_commit: str
    core: int | None
    clock: str
    memory: bool
    process_start: bool
    threads: bool


Results = dict[str, Any]


def run(plan: Plan) -> Results:
    """Carry out a plan and return everything that was found, ready for JSON."""
    results: Results = {
        "scale": plan.scale,
        "rounds": plan.rounds,
        "synchronous_commit": plan.synchronous_commit,
        "clock": plan.clock,
        "versions": _versions(plan.libraries),
        "pinned": {},
        "measurements": [],
        "memory": [],
        "errors": [],
        "unavailable": {},
        "process_start": {},
        "threads": {},
    }
    for dialect in plan.dialects:
        with _database(dialect, plan) as database:
            results["versions"][dialect] = database.version()
            _measure_on(database, plan, results)
    if plan.process_start:
        _say("process start")
        results["process_start"] = measure_process_start(
            [name for name in plan.libraries if name not in results["unavailable"]], max(1, plan.rounds // 4)
        )
    return results


def _database(dialect: Dialect, plan: Plan) -> AbstractContextManager[BenchmarkDatabase]:
    if dialect == "sqlite":
        return sqlite_database()
    return postgresql_database(plan.server, plan.synchronous_commit)


def _measure_on(database: BenchmarkDatabase, plan: Plan, results: Results) -> None:
    scale = SCALES[plan.scale]
    load(database, Data(scale))
    for stage in _stages(plan):
        if stage.invocations:
            load_invocations(database, scale, stage.invocations)
        pinned = database.pin_server(stage.cores)
        if stage.on_one_core:
            results["pinned"][database.dialect] = pinned
        for library in plan.libraries:
            operations = [name for name in stage.operations if _may_have(library, name)]
            if operations:
                _collect(library, database, operations, plan, stage, results)
    if plan.threads and database.dialect == "postgresql" and "ours" in plan.libraries:
        database.pin_server(set(os.sched_getaffinity(0)))
        results["threads"] = measure_threads(database, Data(scale), max(2, plan.rounds // 4))
        _say(f"{database.dialect:10} {'ours':12} {'threads':24} {results['threads']['share']:6.2f} of the control's")


@dataclass(frozen=True)
class Stage:
    """Operations that are measured in one process, under the same conditions.

    Attributes:
        operations: their names.
        cores: the cores that client and server run on.
        on_one_core: whether that is one only.
        invocations: how many rows the largest table holds; 0 where nobody looks.
        memory: measure memory instead of time.
    """

    operations: Sequence[str]
    cores: set[int]
    on_one_core: bool = False
    invocations: int = 0
    memory: bool = False


def _stages(plan: Plan) -> Iterator[Stage]:
    scale = SCALES[plan.scale]
    every_core = set(os.sched_getaffinity(0))
    one_core = {max(every_core) if plan.core is None else plan.core}
    if plan.scale == "tiny":
        # No time is judged, and starting processes would take most of it.
        yield Stage(plan.operations, one_core, on_one_core=True, invocations=scale.paged_rows)
    else:
        points = [name for name in plan.operations if BY_NAME[name].kind == "point"]
        bulk = [name for name in plan.operations if BY_NAME[name].kind in ("bulk", "large")]
        pages = [name for name in plan.operations if BY_NAME[name].kind == "pages"]
        if points:
            yield Stage(points, one_core, on_one_core=True)
        if bulk:
            yield Stage(bulk, every_core, invocations=scale.streamed_rows if set(bulk) & set(STREAMS) else 0)
        if pages:
            yield Stage(pages, every_core, invocations=scale.paged_rows)
    if plan.memory:
        yield Stage(STREAMS, every_core, invocations=scale.streamed_rows, memory=True)


def _may_have(library: str, operation: str) -> bool:
    """Return whether it is worth asking a library's process for an operation: no peer pages by key."""
    return BY_NAME[operation].kind != "pages" or library not in libraries.PEERS


def _collect(
    library: str, database: BenchmarkDatabase, operations: list[str], plan: Plan, stage: Stage, results: Results
) -> None:
    if library in results["unavailable"]:
        return
    task = Task(
        library=library,
        database=database.as_dict(),
        operations=operations,
        scale=plan.scale,
        rounds=plan.rounds,
        attempts=plan.attempts,
        cores=sorted(stage.cores),
        memory=stage.memory,
        clock=plan.clock,
    )
    for outcome in _run_worker(task):
        where = {"library": library, "database": database.dialect}
        if "unavailable" in outcome:
            if database.dialect != "sqlite":
                results["unavailable"][library] = outcome["unavailable"]
            _say(f"{library}: {outcome['unavailable']}")
        elif "error" in outcome:
            results["errors"].append(where | outcome)
            _say(f"{database.dialect:10} {library:12} {outcome['operation']}: {outcome['error']}")
        elif stage.memory:
            results["memory"].append(where | outcome)
            _say(f"{database.dialect:10} {library:12} {outcome['operation']}: {outcome['extra_megabytes']} MB")
        else:
            results["measurements"].append(where | outcome)
            _say(
                f"{database.dialect:10} {library:12} {outcome['operation']:24} {outcome['ratio']:6.2f} × "
                f"{outcome['control_seconds'] * 1e6:10.1f} µs   control {outcome['control_deviation']:+.1%}"
                f"{'' if outcome['valid'] else '  VOID'}   {outcome['took']:.1f} s"
            )


def _run_worker(task: Task) -> Iterator[dict[str, Any]]:
    command = [sys.executable, "-m", "benchmarks.worker", task.to_json()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                yield json.loads(line)
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        yield {"operation": ", ".join(task.operations), "error": f"the worker ended with {process.returncode}"}


def _versions(names: Sequence[str]) -> dict[str, str]:
    versions = {
        "python": sys.version.split()[0],
        "psycopg2": metadata.version("psycopg2-binary").split()[0],
        "ours": metadata.version("cloudpub-models"),
    }
    for name in ("peewee", *names):
        if name in _DISTRIBUTIONS:
            versions[name] = metadata.version(_DISTRIBUTIONS[name])
    try:
        versions["orjson"] = metadata.version("orjson")
    except metadata.PackageNotFoundError:
        versions["orjson"] = "not installed"
    return versions


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
