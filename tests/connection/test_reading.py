"""What a unit of work asks of its reads: nested blocks, other databases, other contexts."""

from __future__ import annotations

import asyncio
from contextvars import copy_context

import pytest

from cloudpub_models import Database
from cloudpub_models.connection.reading import ANY_READING, Reading, asking, reading_of
from cloudpub_models.errors import InvalidValueError


def test_nothing_is_asked_by_itself() -> None:
    assert reading_of("a") is ANY_READING


def test_what_is_asked_around_a_block_holds_on_inside() -> None:
    with asking("a", source="replica", token=1):
        with asking("a", token=2):
            assert reading_of("a") == Reading("replica", (1, 2))
        assert reading_of("a") == Reading("replica", (1,))
    assert reading_of("a") == ANY_READING


def test_an_inner_block_chooses_another_source() -> None:
    with asking("a", source="replica"), asking("a", source="primary"):
        assert reading_of("a").source == "primary"


def test_another_database_is_not_asked() -> None:
    with asking("a", source="primary"):
        assert reading_of("b") is ANY_READING


def test_each_task_asks_for_itself() -> None:
    async def ask(number: int) -> tuple[object, ...]:
        with asking("a", token=number):
            await asyncio.sleep(0)
            return reading_of("a").tokens

    async def ask_all() -> list[tuple[object, ...]]:
        return await asyncio.gather(*map(ask, range(3)))

    assert asyncio.run(ask_all()) == [(0,), (1,), (2,)]


def test_a_block_may_end_in_another_context_than_it_began_in() -> None:
    block = asking("a", source="primary")
    copy_context().run(block.__enter__)
    block.__exit__(None, None, None)
    assert reading_of("a") is ANY_READING


def test_one_file_has_all(database: Database) -> None:
    if database.dialect == "sqlite":
        assert database.token() == ""
        with pytest.raises(InvalidValueError, match=r"expected a token of this database, which gives empty ones"):
            with database.at_least("7312:1:0/304DAF8"):
                pass
    assert database.replicas() == []
    with database.at_least(database.token()), database.at_least(None), database.at_least(""):
        assert database.raw_query_all("SELECT 1 AS one") == [{"one": 1}]
    with database.reading_from("replica"):
        assert database.raw_query_all("SELECT 1 AS one") == [{"one": 1}]


@pytest.mark.parametrize("source", ["standby", None, 1, "PRIMARY"])
def test_what_is_no_source(database: Database, source: object) -> None:
    with pytest.raises(InvalidValueError, match=r"expected 'primary' or 'replica' to read from; got"):
        with database.reading_from(source):  # type: ignore[arg-type]
            pass
