"""``python -m benchmarks.rows_in_memory``: what rows take that come from memory, beside lookups in the same run.

``session(cached=True)`` has its first lookup ask what has changed, and the others answered by what the process holds.
Of single calls what counts is the processor time of this process and of the server's for its session (Linux), which
waits for nobody.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from benchmarks.databases import Dialect, postgresql_database, session_clock, sqlite_database
from benchmarks.measuring import first_quartile
from benchmarks.side_by_side import options_of, show
from cloudpub_models import Database, Managers

_CALLS = 50
Call = Callable[[], object]
Clock = Callable[[], float]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table, and return 0."""
    options = options_of("rows_in_memory", __doc__, rounds=200).parse_args(arguments)
    show(options.database, lambda kind: measured(kind, options.rounds))
    return 0


def measured(kind: Dialect, rounds: int) -> dict[str, str]:
    """Return what there is to say of one kind of database."""
    with ExitStack() as opened:
        target = opened.enter_context(sqlite_database() if kind == "sqlite" else postgresql_database(None, "off"))
        plain, keeping = Database(target.url), Database(target.url, cached_rows=10_000)
        for database in (plain, keeping):
            opened.callback(database.close)
        plain.history.enable()
        ada = Managers(plain).users.insert({"email": "ada@example.com", "password_hash": "…"})
        asked, held = Managers(plain).users, Managers(keeping).users

        def units(database: Database, work: Call, **options: bool) -> None:
            for _ in range(_CALLS):
                with database.session(**options):
                    work()

        with plain.session(), keeping.session(cached=True):
            cache, clocks = keeping.engine.cached_rows, (session_clock(plain), session_clock(keeping))
            assert cache is not None
            lookup, by_uuid, hit, hit_by_uuid = _seconds(
                (
                    (clocks[0], lambda: _often(lambda: asked.find_by_id(ada.id))),
                    (clocks[0], lambda: _often(lambda: asked.find_by_uuid(ada.uuid))),
                    (time.thread_time, lambda: _often(lambda: held.find_by_id(ada.id))),
                    (time.thread_time, lambda: _often(lambda: held.find_by_uuid(ada.uuid))),
                ),
                rounds,
            )
            lookup_again, asking = _seconds(
                (
                    (clocks[0], lambda: _often(lambda: asked.find_by_id(ada.id))),
                    (clocks[1], lambda: _often(lambda: cache.catch_up(keeping.engine))),
                ),
                rounds,
            )
        unit, unit_from_memory = _seconds(
            (
                (time.perf_counter, lambda: units(plain, lambda: asked.find_by_id(ada.id))),
                (time.perf_counter, lambda: units(keeping, lambda: held.find_by_id(ada.id), cached=True)),
            ),
            rounds,
        )
    return {
        "`find_by_id` from memory": f"{hit * 1e6:.1f} µs, {hit / lookup:.2f}",
        "`find_by_uuid` from memory": f"{hit_by_uuid * 1e6:.1f} µs, {hit_by_uuid / by_uuid:.2f}",
        "asking what has changed": f"{asking * 1e6:.1f} µs, {asking / lookup_again:.2f}",
        "a session with one `find_by_id`": f"{unit_from_memory * 1e6:.1f} µs, {unit_from_memory / unit:.2f}",
    }


def _often(call: Call) -> None:
    for _ in range(_CALLS):
        call()


def _seconds(calls: Sequence[tuple[Clock, Call]], rounds: int) -> list[float]:
    """Return what each of some calls takes once, measured in turn: the first quartile of many."""
    taken: list[list[float]] = [[] for _ in calls]
    gc.collect()
    for _ in range(rounds):
        for number, (clock, call) in enumerate(calls):
            started = clock()
            call()
            taken[number].append((clock() - started) / _CALLS)
    return [first_quartile(each) for each in taken]


if __name__ == "__main__":
    raise SystemExit(main())
