"""Taking time on a machine that does other things as well.

Short blocks of calls, the contestants in a new random order in each round, the garbage collected before each block; the
25th percentile of the blocks is what a contestant takes. The control runs twice: where the two differ, the measurement
is void.
"""

from __future__ import annotations

import gc
import itertools
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BLOCK_SECONDS = 0.002
_LONGEST_BLOCK_SECONDS = 0.010
LARGEST_CONTROL_DEVIATION = 0.02


@dataclass
class Contestant:
    """One way to do an operation.

    Attributes:
        call: does it once.
        arguments: what to call it with, without end.
        clock: tells the time, in seconds.
    """

    call: Callable[[Any], Any]
    arguments: Iterator[Any]
    clock: Callable[[], float] = time.perf_counter


@dataclass(frozen=True)
class Measurement:
    """What one operation took, in seconds a call (25th percentiles).

    Attributes:
        control_seconds: the raw driver.
        control_again_seconds: the raw driver once more, on a connection of its own.
        library_seconds: the library.
        rounds: how many blocks each has run.
        calls: how many calls a block of the control was.
    """

    control_seconds: float
    control_again_seconds: float
    library_seconds: float
    rounds: int
    calls: int

    @property
    def ratio(self) -> float:
        """How many times the control's time the library takes."""
        return self.library_seconds / ((self.control_seconds + self.control_again_seconds) / 2)

    @property
    def control_deviation(self) -> float:
        """How far the two controls are apart, as a part of the first."""
        return self.control_again_seconds / self.control_seconds - 1

    @property
    def valid(self) -> bool:
        """Whether the two controls agree."""
        return abs(self.control_deviation) <= LARGEST_CONTROL_DEVIATION


def server_clock(processes: Sequence[int]) -> Callable[[], float]:
    """Return what tells how long the server's processes have computed (Linux), in seconds; see ``processor_clock``."""
    computed = [Path(f"/proc/{process}/schedstat") for process in processes]
    return lambda: sum(int(each.read_bytes().split()[0]) for each in computed) / 1e9


def processor_clock(processes: Sequence[int]) -> Callable[[], float]:
    """Return what tells how long this thread has computed, and the server's processes beside it (Linux), in seconds.

    It waits for nobody, so that it is of use where a machine does much else.

    Args:
        processes: those of the sessions on the server, of which only that computes which is being measured; none for
            SQLite.
    """
    if not processes:
        return time.thread_time
    of_server = server_clock(processes)
    return lambda: time.thread_time() + of_server()


def measure(
    control: Contestant,
    control_again: Contestant,
    library: Contestant,
    rounds: int,
    attempts: int,
    restore: Callable[[], None],
) -> Measurement:
    """Measure a library against its control.

    Args:
        control: the raw driver.
        control_again: the same on another connection.
        library: the library.
        rounds: how many blocks each runs.
        attempts: how often that many at most; more are run, in addition, while the controls deviate.
        restore: brings the tables back to what they were, after each block; its time does not count.
    """
    contestants = {"control": control, "control_again": control_again, "library": library}
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    order = list(contestants)
    shuffle = random.Random(rounds).shuffle
    # What is there already is not looked at again by the collections before each block.
    already_frozen = gc.get_freeze_count() > 0
    gc.collect()
    gc.freeze()
    try:
        calls = _calls_per_block(contestants, restore)
        for _ in range(attempts):
            for _ in range(rounds):
                shuffle(order)
                for name in order:
                    seconds[name].append(_run_block(contestants[name], calls[name]) / calls[name])
                    restore()
            measurement = _evaluate(seconds, calls["control"])
            if measurement.valid:
                break
    finally:
        if not already_frozen:
            gc.unfreeze()
    return measurement


def _evaluate(seconds: dict[str, list[float]], calls: int) -> Measurement:
    return Measurement(
        **{f"{name}_seconds": first_quartile(values) for name, values in seconds.items()},
        rounds=len(seconds["control"]),
        calls=calls,
    )


def _calls_per_block(contestants: dict[str, Contestant], restore: Callable[[], None]) -> dict[str, int]:
    """Return how many calls fill a block; a slow library gets fewer, so that it does not take the whole run."""
    once: dict[str, float] = {}
    for name, contestant in contestants.items():
        once[name] = _run_block(contestant, 1)
        restore()
        # Where a call fills a block anyway, once is enough to know.
        if once[name] < 2 * BLOCK_SECONDS:
            once[name] = _run_block(contestant, 10) / 10
            restore()
    fill = max(1, round(BLOCK_SECONDS / min(once["control"], once["control_again"])))
    longest = {name: max(1, int(_LONGEST_BLOCK_SECONDS / seconds)) for name, seconds in once.items()}
    return {
        "control": fill,
        "control_again": fill,
        "library": min(fill, longest["library"]),
    }


def _run_block(contestant: Contestant, calls: int) -> float:
    call = contestant.call
    if calls > 1:
        # The first call after others have used the tables refills caches, in the server as well.
        call(next(contestant.arguments))
    arguments = list(itertools.islice(contestant.arguments, calls))
    clock = contestant.clock
    gc.collect()
    start = clock()
    for argument in arguments:
        call(argument)
    return clock() - start


def first_quartile(values: list[float]) -> float:
    """Return the 25th percentile."""
    return statistics.quantiles(values, n=4, method="inclusive")[0] if len(values) > 1 else values[0]
