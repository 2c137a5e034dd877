"""``python -m benchmarks.recorded_updates``: what a recorded update takes, here and by libraries that record as well.

Each way updates the name of one row of a table like ``functions``, once where nothing is recorded and once where it is,
in turn and in one run. What counts is the processor time of this process and of the server's for the session (Linux). A
library that is not installed is left out, and so is what a database has not; the two for Django are
``django-simple-history`` and ``django-pghistory``.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import random
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Any, NamedTuple

import peewee

from benchmarks.databases import BenchmarkDatabase, Dialect, postgresql_database, sqlite_database
from benchmarks.measuring import first_quartile, processor_clock
from cloudpub_models import Database, Managers

_CALLS = 20
_ROWS = 200


class Update(NamedTuple):
    """One update, and what tells how long it has computed."""

    call: Callable[[], object]
    clock: Callable[[], float]


class Way(NamedTuple):
    """One library's update, where nothing is recorded and where it is."""

    plain: Update
    recorded: Update


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table, and return 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recorded_updates", description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--database", choices=("postgresql", "sqlite"), default="postgresql")
    options = parser.parse_args(arguments)
    print("| | an update | recorded | times | of ours |\n|---|---:|---:|---:|---:|")
    with ExitStack() as opened:
        ways, left_out = _ways(options.database, opened)
        taken = _seconds(ways, options.rounds)
    ours = taken["this library"][1]
    for name, (plain, recorded) in taken.items():
        microseconds = f"{plain * 1e6:.0f} µs | {recorded * 1e6:.0f} µs"
        print(f"| {name} | {microseconds} | {recorded / plain:.2f} | {recorded / ours:.2f} |")
    for name, reason in left_out.items():
        print(f"{name} is left out: {reason}")
    return 0


def _ways(kind: Dialect, opened: ExitStack) -> tuple[dict[str, Way], dict[str, str]]:
    """Return the ways to measure, and why others are left out."""
    targets = [opened.enter_context(sqlite_database() if kind == "sqlite" else postgresql_database(None, "off"))]
    server = None if kind == "sqlite" else targets[0].target
    targets += [
        opened.enter_context(sqlite_database() if kind == "sqlite" else postgresql_database(server, "off"))
        for _ in range(3)
    ]
    ways = {
        "this library": Way(_ours(targets[0], opened, recorded=False), _ours(targets[1], opened, recorded=True)),
        "Peewee, with a row written by hand": _peewee(targets[2], opened),
    }
    lacking = {name: f"{package} is not installed" for name, package in _DJANGOS.items() if find_spec(package) is None}
    if kind == "sqlite":
        lacking["django-pghistory"] = "it records on PostgreSQL only"
    if "django-simple-history" not in lacking:
        ways |= _django(targets[3], opened, by_triggers="django-pghistory" not in lacking)
    else:
        lacking.setdefault("django-pghistory", "it is measured beside django-simple-history")
    return ways, lacking


_DJANGOS = {"django-simple-history": "simple_history", "django-pghistory": "pghistory"}


def _ours(target: BenchmarkDatabase, opened: ExitStack, *, recorded: bool) -> Update:
    database = Database(target.url)
    opened.callback(database.close)
    if recorded:
        database.history.enable()
    managers = Managers(database)
    ids = itertools.cycle(_functions(managers))
    names = itertools.count()
    opened.enter_context(database.session())
    clock = _clock(target, lambda sql: database.engine.execute_sql(sql))
    return Update(lambda: managers.functions.update_by_id(next(ids), {"name": f"g{next(names)}"}), clock)


def _clock(target: BenchmarkDatabase, execute: Callable[[str], Any]) -> Callable[[], float]:
    """Return what tells how long this process and a session have computed, whose cursor ``execute`` returns."""
    return processor_clock(execute("SELECT pg_backend_pid()").fetchone() if target.dialect == "postgresql" else ())


def _functions(managers: Managers) -> list[int]:
    user = managers.users.insert({"email": "ada@example.com", "password_hash": "x"})
    managers.functions.batch_insert({"user_id": user.id, "name": f"f{number}"} for number in range(_ROWS))
    return managers.functions.values("id", order_by="id")


def _peewee(target: BenchmarkDatabase, opened: ExitStack) -> Way:
    """Return Peewee's, which reads the row, changes it, and inserts what has changed, in one transaction."""
    from benchmarks.libraries.peewee_models import Function, Peewee

    library = Peewee(target)
    filled = Database(target.url)
    ids = itertools.cycle(_functions(Managers(filled)))
    filled.close()
    library.open()
    opened.callback(library.close)
    database = Function._meta.database

    class Audit(peewee.Model):
        """What was changed."""

        table_name = peewee.TextField()
        row_id = peewee.BigIntegerField()
        at = peewee.DateTimeField()
        before = peewee.TextField()
        after = peewee.TextField()

        class Meta:
            """Its index is that of a row's history."""

            table_name = "audits"
            indexes = ((("table_name", "row_id", "id"), False),)

    Audit.bind(database)
    Audit.create_table()
    names = itertools.count()
    reading = Function.select(Function.name)
    if target.dialect == "postgresql":
        reading = reading.for_update()

    def change(id: int) -> None:
        Function.update(name=f"g{next(names)}", updated_at=_now()).where(Function.id == id).execute()

    def change_and_record(id: int) -> None:
        with database.atomic():
            row = reading.where(Function.id == id).get()
            name = f"g{next(names)}"
            Function.update(name=name, updated_at=_now()).where(Function.id == id).execute()
            Audit.insert(
                table_name="functions",
                row_id=id,
                at=_now(),
                before=json.dumps({"name": row.name}),
                after=json.dumps({"name": name}),
            ).execute()

    clock = _clock(target, database.execute_sql)
    return Way(Update(lambda: change(next(ids)), clock), Update(lambda: change_and_record(next(ids)), clock))


def _django(target: BenchmarkDatabase, opened: ExitStack, *, by_triggers: bool) -> dict[str, Way]:
    """Return Django's, whose ``save`` has a signal write the row again, or triggers."""
    import django
    from django.conf import settings

    from benchmarks.libraries.django_models import connection_settings

    settings.configure(
        DATABASES={"default": connection_settings(target)},
        USE_TZ=False,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=[
            "benchmarks.libraries.django_tables",
            "simple_history",
            *(["pgtrigger", "pghistory"] if by_triggers else []),
        ],
    )
    django.setup()
    from django.db import connection

    opened.callback(connection.close)
    from benchmarks.libraries import django_history

    def execute(sql: str) -> Any:
        cursor = connection.cursor()
        cursor.execute(sql)
        return cursor

    clock = _clock(target, execute)
    plain = Update(django_history.saving(django_history.Plain, _ROWS), clock)
    signalled = Update(django_history.saving(django_history.Signalled, _ROWS), clock)
    ways = {"django-simple-history": Way(plain, signalled)}
    if by_triggers:
        triggered = Update(django_history.saving(django_history.triggered(), _ROWS), clock)
        ways["django-pghistory"] = Way(plain, triggered)
    return ways


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def _seconds(ways: dict[str, Way], rounds: int) -> dict[str, tuple[float, float]]:
    """Return what each update takes, as the first quartile of many short blocks in random order."""
    updates = [(name, number, update) for name, way in ways.items() for number, update in enumerate(way)]
    taken: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in ways}
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            random.shuffle(updates)
            for name, number, (call, clock) in updates:
                call()  # which fills caches again
                started = clock()
                for _ in range(_CALLS):
                    call()
                taken[name][number].append((clock() - started) / _CALLS)
    finally:
        gc.enable()
    return {name: (first_quartile(plain), first_quartile(recorded)) for name, (plain, recorded) in taken.items()}


if __name__ == "__main__":
    raise SystemExit(main())
