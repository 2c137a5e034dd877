"""One library in a process of its own, against a raw control of its own; ``python -m benchmarks.worker '<task>'``.

What a library registers for its whole process, as psycopg2's casters for UUID and JSON are, reaches no other library
this way. Prints one line of JSON for each operation.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from benchmarks import libraries
from benchmarks.data import SCALES, Data
from benchmarks.databases import BenchmarkDatabase
from benchmarks.library import Library
from benchmarks.maintenance import Maintenance
from benchmarks.measuring import Contestant, measure, processor_clock
from benchmarks.memory import extra_megabytes
from benchmarks.operations import BY_NAME, STREAMS, Operation


@dataclass(frozen=True)
class Task:
    """What a worker is told to do.

    Attributes:
        library: the name of the library.
        database: the database, as a dict.
        operations: the names of the operations.
        scale: the name of the scale.
        rounds: how many rounds a point operation runs.
        attempts: how often a measurement with deviating controls is made at most.
        cores: the cores to run on.
        memory: measure the memory that streams take, instead of time.
        clock: ``"wall"``, or ``"processor"`` for what the client and its sessions of the server have computed.
    """

    library: str
    database: dict[str, Any]
    operations: list[str]
    scale: str
    rounds: int
    attempts: int
    cores: list[int]
    memory: bool = False
    clock: str = "wall"

    def to_json(self) -> str:
        """Return the task as the worker's argument."""
        return json.dumps(asdict(self))


def work(task: Task) -> Iterator[dict[str, Any]]:
    """Do a task, yielding what became of each operation."""
    os.sched_setaffinity(0, task.cores)
    database = BenchmarkDatabase(**task.database)
    data = Data(SCALES[task.scale])
    library = libraries.make(task.library, database)
    if (reason := library.unavailable()) is not None:
        yield {"unavailable": reason}
        return
    with _opened(library, database, data) as (controls, maintenance):
        for name in task.operations:
            operation = BY_NAME[name]
            if not hasattr(library, name):
                continue
            start = time.perf_counter()
            try:
                if task.memory:
                    outcome = _measure_memory(operation, library, data)
                else:
                    outcome = _measure_time(operation, library, controls, data, maintenance, task)
            except Exception as error:  # noqa: BLE001 - one library's failure must not end the others' run
                traceback.print_exc()
                outcome = {"error": f"{type(error).__name__}: {error}"}
                maintenance.restore(operation.restored)
            yield {"operation": name, **outcome, "took": time.perf_counter() - start}


@contextmanager
def _opened(
    library: Library, database: BenchmarkDatabase, data: Data
) -> Iterator[tuple[tuple[Library, Library], Maintenance]]:
    from benchmarks.libraries.raw_driver import raw_driver

    maintenance = Maintenance(database, data.scale.functions)
    controls = raw_driver(database), raw_driver(database)
    everyone = (*controls, library)
    for one in everyone:
        one.scalar = maintenance.scalar
        one.open()
    try:
        yield controls, maintenance
    finally:
        for one in everyone:
            one.close()
        maintenance.close()


def _measure_time(
    operation: Operation,
    library: Library,
    controls: tuple[Library, Library],
    data: Data,
    maintenance: Maintenance,
    task: Task,
) -> dict[str, Any]:
    restore = partial(maintenance.restore, operation.restored)
    if operation.control_is_library:
        controls = library, library
    arguments_of_control = operation.control_arguments or operation.arguments
    for one, arguments in ((controls[0], arguments_of_control), (library, operation.arguments)):
        argument = next(arguments(data, one))
        operation.check(one, data, argument, getattr(one, operation.name)(argument))
        restore()
    clock = time.perf_counter if task.clock == "wall" else processor_clock(maintenance.sessions())
    control, control_again = [
        Contestant(_call(operation, one), arguments_of_control(data, one), clock) for one in controls
    ]
    measurement = measure(
        control,
        control_again,
        Contestant(_call(operation, library), operation.arguments(data, library), clock),
        rounds=operation.rounds(task.rounds),
        attempts=task.attempts,
        restore=restore if operation.restored else _nothing_to_restore,
    )
    return {
        **asdict(measurement),
        "ratio": measurement.ratio,
        "control_deviation": measurement.control_deviation,
        "valid": measurement.valid,
    }


def _call(operation: Operation, library: Library) -> Callable[[Any], Any]:
    method: Callable[[Any], Any] = getattr(library, operation.name)
    if operation.name in STREAMS:
        return lambda argument: deque(method(argument), maxlen=0)
    return method


def _nothing_to_restore() -> None:
    pass


def _measure_memory(operation: Operation, library: Library, data: Data) -> dict[str, Any]:
    argument = next(operation.arguments(data, library))
    return {"extra_megabytes": extra_megabytes(_call(operation, library), argument)}


def main() -> None:
    """Do the task of the command line."""
    task = Task(**json.loads(sys.argv[1]))
    for outcome in work(task):
        print(json.dumps(outcome), flush=True)


if __name__ == "__main__":
    main()
