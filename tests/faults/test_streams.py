"""A server that is killed while rows are streamed from it: an error, never a short result."""

import pytest

from cloudpub_models import Database, Managers
from cloudpub_models.errors import ConnectionLostError
from tests.faults.servers import terminate_backends

LOGS = """
    INSERT INTO function_logs (function_id, level, message)
    SELECT @function, 'info', 'line ' || n FROM generate_series(1, @count) AS n
"""


@pytest.fixture
def logs(url, scale):
    count = scale(20_000, 1_000_000)
    database = Database(url, statement_timeout=120)
    database.migrate()
    managers = Managers(database)
    user = managers.users.insert({"email": "ada@example.com", "password_hash": "x"})
    function = managers.functions.insert({"name": "f", "user_id": user.id})
    database.raw_execute(LOGS, {"function": function.id, "count": count})
    yield managers, count
    database.close()


def kill(server, how):
    if how == "session":
        observer = server.connect()
        assert terminate_backends(observer.cursor()) >= 1
        observer.close()
    else:
        server.restart("immediate")


@pytest.mark.parametrize("how", ["session", "server"])
@pytest.mark.parametrize("where", ["outside", "in a transaction"])
def test_a_stream_that_is_cut_raises(server, logs, how, where):
    managers, count = logs
    seen = 0

    def read():
        nonlocal seen
        for _ in managers.function_logs.iterate(chunk_size=500):
            seen += 1
            if seen == count // 2:
                kill(server, how)

    with pytest.raises(ConnectionLostError):
        if where == "outside":
            read()
        else:
            with managers.database.transaction():
                read()
    assert count // 2 <= seen < count
    assert sum(1 for _ in managers.function_logs.iterate()) == count


def test_a_raw_stream_that_is_cut_raises(server, url):
    database = Database(url)
    seen = 0
    with pytest.raises(ConnectionLostError):
        for _ in database.raw_query_iter("SELECT n FROM generate_series(1, 100000) AS n", chunk_size=1000):
            seen += 1
            if seen == 50_000:
                kill(server, "session")
    assert seen == 50_000
    database.close()
