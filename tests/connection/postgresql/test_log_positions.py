"""Positions in a cluster's log: how they are written, compared and read back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudpub_models import Database
from cloudpub_models.connection.postgresql.log_positions import Position, offset_of, read_token, text_of
from cloudpub_models.errors import InvalidValueError

HERE = Position("7312", 1, 0x304DAF8)


@given(st.integers(0, 2**64 - 1))
def test_an_offset_is_read_as_it_was_written(offset: int) -> None:
    assert offset_of(text_of(offset)) == offset


def test_a_token_is_short_and_readable() -> None:
    assert str(HERE) == "7312:1:0/304DAF8"
    assert read_token(str(HERE)) == HERE


@pytest.mark.parametrize(
    ("other", "reached"),
    [
        (HERE, True),
        (HERE._replace(offset=HERE.offset + 1), True),
        (HERE._replace(offset=HERE.offset - 1), False),
        (HERE._replace(timeline=2, offset=HERE.offset + 1), False),
        (HERE._replace(cluster="1", offset=HERE.offset + 1), False),
    ],
)
def test_only_a_position_of_the_same_timeline_behind_it_reaches_one(other: Position, reached: bool) -> None:
    assert HERE.is_reached_by(other) is reached


@pytest.mark.parametrize("token", [None, ""])
def test_a_token_that_asks_for_nothing(token: Any) -> None:
    assert read_token(token) is None


@pytest.mark.parametrize(
    "token",
    ["7312", "7312:1:0/304DAF8 ", "7312:1:0/304daf8", "a:1:0/0", "7312:1:0/304DAF8\n", b"7312:1:0/0", 7, "٧:1:0/0"],
)
def test_what_is_no_token(token: Any) -> None:
    with pytest.raises(InvalidValueError, match=r"expected a token that database.token\(\) has given, or None; got"):
        read_token(token)


def test_a_server_without_replicas_gives_tokens_too(postgresql_url: str) -> None:
    database = Database(postgresql_url)
    first = read_token(database.token())
    database.raw_execute("CREATE TABLE written (id int)")
    second = read_token(database.token())
    assert first is not None
    assert second is not None
    assert first.is_reached_by(second)
    assert not second.is_reached_by(first)
    with database.at_least(str(second)):
        assert database.raw_query_all("SELECT * FROM written") == []
    with pytest.raises(InvalidValueError, match=r"expected a token of this database, whose cluster is \d+; got one of"):
        with database.at_least("1:1:0/0"):
            pass
    database.close()
