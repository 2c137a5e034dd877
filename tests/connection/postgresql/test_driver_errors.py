"""What is said of a connection that could not be opened, and whether that passes by itself."""

import psycopg2
import pytest

from cloudpub_models.connection.postgresql.driver_errors import classify, classify_failed_connect
from cloudpub_models.errors import ConnectionLostError, DatabaseError, InvalidQueryError, RefusedQueryError


@pytest.mark.parametrize(
    ("reason", "passes"),
    [
        ("Connection refused", True),
        ("No route to host", True),
        ('could not translate host name "db" to address: Temporary failure in name resolution', True),
        ("session is read-only", True),
        ("server is in hot standby mode", True),
        ("the database system is starting up", True),
        ('could not translate host name "db" to address: Name or service not known', False),
        ('password authentication failed for user "ada"', False),
        ('database "shop" does not exist', False),
    ],
)
def test_what_passes_by_itself_in_a_failover_is_waited_for(reason, passes):
    error = classify_failed_connect(psycopg2.OperationalError(reason), "postgresql://db/shop", 5.0)
    assert error.transient is passes
    assert reason in str(error)


@pytest.mark.parametrize(
    ("reasons", "seconds"),
    [
        (["timeout expired"], 5.0),
        (["timeout expired", "Connection timed out"], 5.0),
        (["timeout expired", "session is read-only"], 0.0),
        (["Connection refused"], 0.0),
        ([], 0.0),
    ],
)
def test_a_host_that_answers_is_not_silent(reasons, seconds):
    lines = [f'connection to server at "10.0.0.{n}", port 5432 failed: {reason}' for n, reason in enumerate(reasons)]
    error = classify_failed_connect(psycopg2.OperationalError("\n".join(lines)), "postgresql://db/shop", 5.0)
    assert error.silent_seconds == seconds


@pytest.mark.parametrize(
    "text",
    [
        "server closed the connection unexpectedly",
        "connection already closed",
        "SSL connection has been closed unexpectedly",
        "could not receive data from server: Connection reset by peer",
        "no connection to the server",
        "cursor already closed",
        "lost synchronization with server",
    ],
)
@pytest.mark.parametrize("kind", [psycopg2.OperationalError, psycopg2.InterfaceError, psycopg2.DatabaseError])
def test_a_connection_is_lost_when_the_driver_says_so_without_a_code(kind, text):
    error = classify(kind(text))
    assert type(error) is ConnectionLostError
    assert f"the connection was lost: {text}" in str(error)


def test_what_else_has_no_code_is_a_mistake_of_the_call_or_the_databases():
    assert type(classify(psycopg2.ProgrammingError("can't adapt type 'object'"))) is InvalidQueryError
    assert type(classify(psycopg2.OperationalError("something else"))) is DatabaseError


@pytest.mark.parametrize("backend", ["postgresql"])
def test_where_a_statement_cannot_be_read_no_value_is_shown(database, backend):
    with pytest.raises(RefusedQueryError) as caught:
        database.raw_query_all("SELECT 1 AS one @value", {"value": "of-a-secret"})
    assert "near a value" in str(caught.value)
    assert "of-a-secret" not in str(caught.value)
    with pytest.raises(RefusedQueryError, match='column "nothing" does not exist'):
        database.raw_query_all("SELECT nothing FROM users WHERE email = @value", {"value": "of-a-secret"})
