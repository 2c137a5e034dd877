"""``python -m benchmarks.feeds``: what feeds and the outbox take, beside a lookup by id in the same run.

A large log stands behind what is read, so that whatever goes through it shows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from benchmarks.databases import Dialect, postgresql_database, sqlite_database
from benchmarks.measuring import first_quartile
from benchmarks.side_by_side import options_of, show
from cloudpub_models import Database, Managers

_BATCH = 1_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table, and return 0."""
    parser = options_of("feeds", __doc__, rounds=200)
    parser.add_argument("--changes", type=int, default=100_000, help="how many changes there are")
    options = parser.parse_args(arguments)
    show(options.database, lambda kind: measured(kind, options.rounds, options.changes))
    return 0


def measured(kind: Dialect, rounds: int, changes: int) -> dict[str, str]:
    """Return what there is to say of one kind of database."""
    with ExitStack() as opened:
        target = opened.enter_context(sqlite_database() if kind == "sqlite" else postgresql_database(None, "off"))
        database = Database(target.url)
        opened.callback(database.close)
        database.history.enable()
        managers = Managers(database)
        ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
        made = 0
        while made < changes:
            rows = ({"user_id": ada.id, "name": f"f{number}"} for number in range(made, made + 100))
            made += managers.functions.batch_insert(rows)
        # As a server does by itself, once so much was written.
        database.raw_execute("ANALYZE")
        started = time.perf_counter()
        read = 0
        while batch := next_batch(database, "reader"):
            read += len(batch)
        a_change = (time.perf_counter() - started) / read
        lookup = seconds(lambda: managers.users.find_by_id(ada.id), rounds)
        empty = seconds(lambda: next_batch(database, "reader"), rounds)

        def delivered() -> None:
            managers.users.update_by_id(ada.id, {"password_hash": str(time.perf_counter())})
            assert next_batch(database, "reader")

        one = seconds(delivered, rounds)
        with database.session():
            published = seconds(lambda: database.publish("topic", {"id": 1}), rounds)
    return {
        f"a change, in batches of {_BATCH:,}": f"{a_change * 1e6:.0f} µs, {1 / a_change:,.0f} in a second",
        "an empty batch": f"{empty * 1e6:.0f} µs, {empty / lookup:.1f} × `find_by_id`",
        "a change, from before its update to its consumer": f"{one * 1e6:.0f} µs, {one / lookup:.1f} ×",
        "`publish`": f"{published * 1e6:.0f} µs, {published / lookup:.1f} ×",
    }


def next_batch(database: Database, name: str) -> list[object]:
    """Return the next batch of a consumer."""
    with database.feed(name, limit=_BATCH) as batch:
        return list(batch)


def seconds(call: Callable[[], object], rounds: int) -> float:
    """Return what a call takes, in the first quartile of many."""
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return first_quartile(taken)


if __name__ == "__main__":
    raise SystemExit(main())
