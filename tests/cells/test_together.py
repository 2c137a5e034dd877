"""Transactions on several servers: nothing of what fails is kept, and what is kept of half a commit is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cloudpub_models import Database, errors
from cloudpub_models.cells.together import together

Ask = Callable[[str], list[list[dict[str, Any]]]]
_ADD = "INSERT INTO function_logs (function_id, level, message) VALUES (1, @level, 'x')"
_COUNT = "SELECT COUNT(*) AS number FROM function_logs"


@pytest.fixture
def refuses_to_commit(main: Database) -> Iterator[Database]:
    """The second server, which fails at the end of every transaction that has added an error."""
    server = main.history_servers[1]
    server.raw_execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not today'; END $$"
    )
    server.raw_execute(
        "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON function_logs DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW WHEN (NEW.level = 'error') EXECUTE FUNCTION refuse()"
    )
    yield server
    server.raw_execute("DROP FUNCTION refuse CASCADE")


def add(servers: tuple[Database, ...], level: str) -> None:
    for server in servers:
        server.raw_execute(_ADD, {"level": level})


def test_all_is_kept(main: Database, on_server: Ask) -> None:
    with together(main.history_servers, 1):
        add(main.history_servers, "info")
    assert on_server(_COUNT) == [[{"number": 1}], [{"number": 1}]]


def test_nothing_is_kept_where_the_block_fails(main: Database, on_server: Ask) -> None:
    with pytest.raises(ZeroDivisionError), together(main.history_servers, 1):
        add(main.history_servers, "info")
        raise ZeroDivisionError
    assert on_server(_COUNT) == [[{"number": 0}], [{"number": 0}]]


def test_nothing_is_kept_where_the_first_commit_fails(
    main: Database, refuses_to_commit: Database, on_server: Ask
) -> None:
    # The last to begin is the first to end.
    with pytest.raises(errors.DatabaseError, match="not today"), together(main.history_servers, 1):
        add(main.history_servers, "error")
    assert on_server(_COUNT) == [[{"number": 0}], [{"number": 0}]]


def test_half_a_commit_is_told_of(main: Database, refuses_to_commit: Database, on_server: Ask) -> None:
    first, second = main.history_servers
    with pytest.raises(errors.PartlyKeptError, match="not today") as raised, together((second, first), 1):
        add(main.history_servers, "error")
    assert raised.value.kept == (first.url,)
    assert raised.value.failed == second.url
    assert isinstance(raised.value.__cause__, errors.DatabaseError)
    assert on_server(_COUNT) == [[{"number": 1}], [{"number": 0}]]
