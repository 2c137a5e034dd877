"""What became of a transaction, asked of servers that answer as they do after faults; real ones stand in ``faults``."""

import pickle
import re
from types import SimpleNamespace

import pytest

from cloudpub_models import Database
from cloudpub_models.connection.postgresql import commit_outcome
from cloudpub_models.connection.postgresql.commit_outcome import OutcomeQuestion, TransactionMark, outcome_of
from cloudpub_models.connection.postgresql.connection import PostgresqlConnection
from cloudpub_models.errors import CommitUnknownError, ConfigurationError, InvalidValueError
from tests.schema.roles import refuse_functions

MARK = TransactionMark("1000", "2026-01-01", "00000001")


def server(status, counting_since="2026-01-01", timeline="00000001", first_id_after_recovery=None):
    """Fetches what a server answers."""

    def fetch(sql, values):
        if values is not None:
            assert values == ("1000",)
            return [(status, counting_since, timeline)]
        return [] if first_id_after_recovery is None else [(first_id_after_recovery,)]

    return fetch


@pytest.mark.parametrize(("status", "outcome"), [("committed", "committed"), ("aborted", "rolled back")])
def test_the_server_that_ran_it_is_believed(status, outcome):
    assert outcome_of(MARK, server(status), 0) == outcome


def test_what_is_forgotten_is_unknown():
    assert outcome_of(MARK, server(None), 0) == "unknown"


def test_an_id_that_is_still_to_come_never_reached_the_disk():
    def fetch(sql, values):
        raise InvalidValueError("transaction ID 1000 is in the future")

    assert outcome_of(MARK, fetch, 0) == "rolled back"


def test_what_is_under_way_is_pending():
    assert outcome_of(MARK, server("in progress"), 0.05) == "pending"


def test_a_standby_is_not_believed():
    assert outcome_of(MARK, server(None, timeline=None), 0.05) == "pending"


@pytest.mark.parametrize("counting_since", ["2026-01-01", "2026-01-02"])
def test_a_commit_on_another_timeline_may_be_anothers(counting_since):
    fetch = server("committed", counting_since, "00000002", first_id_after_recovery="0:5000")
    assert outcome_of(MARK, fetch, 0) == "unknown"


@pytest.mark.parametrize(("first", "outcome"), [("0:1001", "committed"), ("0:1000", "unknown"), (None, "unknown")])
def test_after_a_crash_only_an_id_from_before_it_is_believed(first, outcome):
    assert outcome_of(MARK, server("committed", "2026-01-02", first_id_after_recovery=first), 0) == outcome


def test_after_a_crash_only_who_asks_at_once_is_told_committed(monkeypatch):
    """Between two crashes the id may have become another's, and the server knows of the second one only."""
    crashed = server("committed", "2026-01-02", first_id_after_recovery="0:5000")
    question = OutcomeQuestion(MARK, crashed, 0, "postgresql://db/shop")
    assert question() == "committed"
    now = 1000.0
    monkeypatch.setattr(commit_outcome, "time", SimpleNamespace(monotonic=lambda: now))
    question = OutcomeQuestion(MARK, crashed, 0, "postgresql://db/shop")
    for _ in range(3):
        now += 0.9
        # Asked again and again, there is no time for a crash in between.
        assert question() == "committed"
    now += 1.1
    assert question() == "unknown"
    assert OutcomeQuestion(MARK, server("committed"), 0, "postgresql://db/shop")() == "committed"


def test_the_mark_of_a_transaction_is_asked_of_a_real_server(shared_postgresql_url):
    database = Database(shared_postgresql_url)
    marks = []
    with database.transaction():
        marks.append(database.engine.connection().transaction_mark)
        other = Database(shared_postgresql_url)
        assert outcome_of(marks[0], other.engine.fetch, 0.05) == "pending"
    assert outcome_of(marks[0], other.engine.fetch, 0) == "committed"
    with pytest.raises(KeyError), database.transaction():
        marks.append(database.engine.connection().transaction_mark)
        raise KeyError
    assert outcome_of(marks[1], other.engine.fetch, 0) == "rolled back"
    other.close()
    database.close()


def what_marks_send(database, count):
    """Give the last text that each of so many transactions in one session has sent as it began."""
    sent = "SELECT query FROM pg_stat_activity WHERE pid = @process"
    watching, texts = Database(database.url), []
    with database.session():
        for _ in range(count):
            with database.transaction():
                process = {"process": database.engine.connection().info.backend_pid}
                texts += [row["query"] for row in watching.raw_query_all(sent, process)]
                assert re.fullmatch("[0-9A-F]{8}", database.engine.connection().transaction_mark.timeline)
    watching.close()
    return texts


def test_the_timeline_is_asked_once_for_each_session(shared_postgresql_url):
    database = Database(shared_postgresql_url)
    first, *others = what_marks_send(database, 3)
    assert "pg_walfile_name" in first
    assert others == ["BEGIN; SELECT pg_current_xact_id(), pg_stat_get_bgwriter_stat_reset_time()"] * 2
    database.close()


def test_behind_a_pooler_the_timeline_is_asked_for_each_transaction(shared_postgresql_url, monkeypatch):
    """The next transaction may be on another server; what a pooler gives as the session's number is not its own."""
    monkeypatch.setattr(PostgresqlConnection, "get_backend_pid", lambda connection: 0)
    database = Database(shared_postgresql_url)
    assert all("pg_walfile_name" in text for text in what_marks_send(database, 2))
    database.close()


@pytest.mark.parametrize("transaction_pooler", [False, True])
def test_a_server_that_writes_moments_in_its_own_way_is_understood(postgresql_url, transaction_pooler):
    database = Database(postgresql_url, transaction_pooler=transaction_pooler)
    name = database.raw_query_all("SELECT current_database() AS name")[0]["name"]
    for setting in ("timezone = 'Asia/Tokyo'", "datestyle = 'German'"):
        database.raw_execute(f"ALTER DATABASE {name} SET {setting}")
    database.close()
    database = Database(postgresql_url, transaction_pooler=transaction_pooler)
    with database.transaction():
        mark = database.engine.connection().transaction_mark
    assert outcome_of(mark, database.engine.fetch, 0, at_once=False) == "committed"
    database.close()


@pytest.mark.parametrize("told", ["01.01.2026", None])
def test_what_another_style_of_dates_says_is_not_believed(told):
    assert outcome_of(MARK, server("committed", told), 0, at_once=False) == "unknown"


def test_the_error_can_be_pickled_and_asks_where_it_arrives(shared_postgresql_url):
    database = Database(shared_postgresql_url)
    with database.transaction():
        mark = database.engine.connection().transaction_mark
    engine = database.engine
    error = CommitUnknownError("lost", OutcomeQuestion(mark, engine.fetch, 0, engine.masked_url))
    arrived = pickle.loads(pickle.dumps(error))
    assert (str(arrived), arrived.resolve()) == ("lost", "committed")
    database.close()
    elsewhere = OutcomeQuestion(mark, None, 0, "postgresql://elsewhere/shop")
    with pytest.raises(ConfigurationError, match="expected a process that has postgresql://elsewhere/shop open"):
        pickle.loads(pickle.dumps(CommitUnknownError("lost", elsewhere))).resolve()


def test_a_server_that_says_nothing_of_transactions_runs_them_and_the_outcome_of_a_lost_commit_is_unknown(
    postgresql_url,
):
    database = Database(refuse_functions(postgresql_url))
    database.raw_execute("CREATE TABLE notes (text TEXT)")
    for text in ("first", "second"):
        with database.transaction() as connection:
            connection.execute("INSERT INTO notes VALUES (@text)", {"text": text})
    with pytest.raises(ZeroDivisionError), database.transaction() as connection:
        connection.execute("INSERT INTO notes VALUES ('third')")
        raise ZeroDivisionError
    assert [row["text"] for row in database.raw_query_all("SELECT text FROM notes ORDER BY text")] == [
        "first",
        "second",
    ]
    with database.transaction(read_only=True):
        assert database.engine.connection().transaction_mark is None
    database.batch_execute(
        [
            "CREATE FUNCTION break_off() RETURNS trigger LANGUAGE plpgsql AS "
            "$$BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END$$",
            "CREATE CONSTRAINT TRIGGER break_off AFTER INSERT ON notes DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION break_off()",
        ]
    )
    with pytest.raises(CommitUnknownError) as caught, database.transaction() as connection:
        connection.execute("INSERT INTO notes VALUES ('fourth')")
    assert caught.value.resolve() == pickle.loads(pickle.dumps(caught.value)).resolve() == "unknown"
    database.close()
