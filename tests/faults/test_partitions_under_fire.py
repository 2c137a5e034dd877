"""A server that crashes while a table is given partitions: what was acknowledged is there once, whatever is done after.

It crashes within a transaction, or behind one, while somebody writes; is started again; and the run is begun again.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from cloudpub_models import Database, Function, Managers, QueryEvent, errors
from cloudpub_models.schema.drift.compare import find_drift
from cloudpub_models.schema.partitions import moving
from cloudpub_models.schema.partitions.ranges import Way
from tests.conftest import SOAK_VARIABLE
from tests.faults.servers import Server
from tests.waiting import wait_until

# By what is sent, from the first to the last.
MOMENTS: dict[Way, tuple[str, ...]] = {
    "attach": ("CREATE UNIQUE INDEX", "NOT VALID", "VALIDATE", "RENAME TO", "ATTACH PARTITION", "PARTITION OF"),
    "move": (
        "CREATE TABLE function_logs_p_future",
        "ENABLE ALWAYS TRIGGER function_logs_p_truncate_noted",
        "WITH copied AS",
        "VACUUM",
        "pg_visible_in_snapshot",
        "VALIDATE CONSTRAINT",
        "CREATE INDEX CONCURRENTLY",
        "RENAME TO function_logs_p_old",
        "DROP TABLE function_logs_p_old",
    ),
}
EVERY_DAY = ("ATTACH PARTITION", "pg_visible_in_snapshot")
in_a_soak = (pytest.mark.soak, pytest.mark.skipif(SOAK_VARIABLE not in os.environ, reason="one of many moments"))

LEFT = "SELECT relname AS name FROM pg_class WHERE relname ~ '_p_(new|journal|old|check)'"
INVALID = "SELECT indexrelid::regclass AS name FROM pg_index WHERE NOT indisvalid"


class Writer:
    """Adds lines, changes some and deletes some, and knows what is there of them."""

    def __init__(self, url: str, function: Function) -> None:
        self._url = url
        self._function = function
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.there: dict[int, str] = {}
        # Rows of which a server that crashed has not said what became of them.
        self.unsure: set[int] = set()
        self.rounds = 0
        self.failures: list[BaseException] = []

    def __enter__(self) -> Writer:
        self._thread.start()
        self.go_on()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        assert [repr(failure) for failure in self.failures] == []

    def go_on(self) -> None:
        """Return when more was written."""
        rounds = self.rounds
        wait_until(lambda: self.failures or self.rounds > rounds + 5)

    def _run(self) -> None:
        database = Database(self._url)
        try:
            while not self._done.is_set():
                with suppress(errors.ConnectionLostError, errors.ConnectionFailedError):
                    self._write(Managers(database))
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is told
            self.failures.append(error)
        finally:
            database.close()

    def _write(self, managers: Managers) -> None:
        logs, number = managers.function_logs, self.rounds
        line = logs.insert({"function_id": self._function.id, "level": "written", "message": str(number)})
        self.there[line.id] = line.message
        older = line.id - 3
        if older in self.there and older not in self.unsure:
            self.unsure.add(older)
            if number % 2:
                assert logs.delete_by_id(older)
                del self.there[older]
            else:
                assert logs.update_by_id(older, {"message": "changed"}) is not None
                self.there[older] = "changed"
            self.unsure.remove(older)
        self.rounds += 1


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = Database(url)
    # As servers have it: who wants a table for a moment has given up by then, and nobody is ended for it.
    database.raw_execute(f"ALTER DATABASE {url.rpartition('/')[2]} SET deadlock_timeout = '1s'")
    database.close()
    database.migrate()
    yield database
    database.close()


def crash_at(words: str, database: Database, server: Server) -> list[str]:
    """Have the server crash when a statement with some words was run, and start again; return where it did."""
    crashed: list[str] = []

    def crash(query: QueryEvent) -> None:
        if words in query.sql and not crashed:
            crashed.append(query.sql)
            server.restart()

    database.on_query(crash)
    return crashed


@pytest.mark.parametrize(
    ("way", "words"),
    [
        pytest.param(way, words, marks=() if words in EVERY_DAY else in_a_soak)
        for way, moments in MOMENTS.items()
        for words in moments
    ],
)
def test_nothing_is_lost_doubled_or_undead(
    database: Database, url: str, server: Server, monkeypatch: pytest.MonkeyPatch, way: Way, words: str
) -> None:
    monkeypatch.setattr(moving, "_ROWS_AT_ONCE", 100)
    managers = Managers(database)
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    function = managers.functions.insert({"user_id": ada.id, "name": "resize"})
    now = datetime.now(UTC)
    managers.function_logs.batch_insert(
        {"function_id": function.id, "level": "old", "message": f"{n}", "timestamp": now - timedelta(hours=n)}
        for n in range(300)
    )
    with Writer(url, function) as writer:
        crashed = crash_at(words, database, server)
        with suppress(errors.ConnectionLostError, errors.ConnectionFailedError, errors.MigrationError):
            database.partition("function_logs", "month", way=way)
        assert crashed
        writer.go_on()
        database.partition("function_logs", "month", way=way)
        writer.go_on()
    assert len(database.partitions("function_logs")) >= 3
    found = managers.function_logs.find_all({"level": "written"})
    assert len({line.uuid for line in found}) == len({line.id for line in found}) == len(found)
    rows = {line.id: line.message for line in found}
    sure = {id: message for id, message in writer.there.items() if id not in writer.unsure}
    assert sure == {id: message for id, message in rows.items() if id in sure}
    # An insert whose answer was lost, or a deletion: one for each crash at most.
    assert len(rows.keys() - sure.keys()) <= 2
    assert managers.function_logs.count({"level": "old"}) == 300
    assert database.raw_query_all(LEFT) == database.raw_query_all(INVALID) == []
    assert find_drift(database.engine, database.models) == []
