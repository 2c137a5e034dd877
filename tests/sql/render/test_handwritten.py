"""Hand-written SQL says seconds, hours, days and months once, and each database is told in its own words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from cloudpub_models import Database, Managers
from cloudpub_models.sql import SQLITE
from cloudpub_models.sql.render.handwritten import in_words_of, put_together


def test_seconds_are_whole_ones_since_1970(database: Database, managers: Managers) -> None:
    user = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    function = managers.functions.insert({"user_id": user.id, "name": "resize"})
    moment = datetime(2024, 5, 1, 12, tzinfo=UTC)
    for fraction in (0, 1, 999_999):
        managers.function_logs.insert(
            {
                "function_id": function.id,
                "level": "info",
                "message": "…",
                "timestamp": moment + timedelta(microseconds=fraction),
            }
        )
    sql = in_words_of(database.engine.sql_dialect, "SELECT SECONDS_OF(timestamp) AS seconds FROM function_logs")
    assert {row["seconds"] for row in database.raw_query_all(sql)} == {int(moment.timestamp())}


@pytest.mark.parametrize(
    ("word", "end", "beginning", "last", "next_one"),
    [
        (
            "HOUR_OF",
            "END_OF_HOUR",
            datetime(2024, 2, 29, 23),
            datetime(2024, 2, 29, 23, 59, 59, 999_999),
            datetime(2024, 3, 1),
        ),
        (
            "DAY_OF",
            "END_OF_DAY",
            datetime(2024, 2, 29),
            datetime(2024, 2, 29, 23, 59, 59, 999_999),
            datetime(2024, 3, 1),
        ),
        (
            "MONTH_OF",
            "END_OF_MONTH",
            datetime(2024, 2, 1),
            datetime(2024, 2, 29, 23, 59, 59, 999_999),
            datetime(2024, 3, 1),
        ),
        (
            "MONTH_OF",
            "END_OF_MONTH",
            datetime(2023, 12, 1),
            datetime(2023, 12, 31, 23, 59, 59, 999_999),
            datetime(2024, 1, 1),
        ),
    ],
)
def test_where_hours_days_and_months_begin_and_end(
    database: Database, managers: Managers, word: str, end: str, beginning: datetime, last: datetime, next_one: datetime
) -> None:
    user = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    function = managers.functions.insert({"user_id": user.id, "name": "resize"})
    for moment in (beginning, last, next_one):
        managers.function_logs.insert(
            {"function_id": function.id, "level": "info", "message": "…", "timestamp": moment.replace(tzinfo=UTC)}
        )
    sql = in_words_of(
        database.engine.sql_dialect,
        f"SELECT COUNT(*) AS n FROM function_logs AS l JOIN (SELECT {word}(timestamp) AS start FROM function_logs "
        f"ORDER BY timestamp LIMIT 1) AS s ON l.timestamp >= s.start AND l.timestamp < {end}(s.start)",
    )
    assert database.raw_query_single(sql) == {"n": 2}


def test_parts_stand_in_their_places() -> None:
    assert put_together("SELECT {what} FROM c WHERE d = '{{}}'", what="a, b") == "SELECT a, b FROM c WHERE d = '{}'"


def test_everything_else_stays_as_it_was_written() -> None:
    sql = "SELECT 'a {b} %' FROM c WHERE d = @e -- SECONDS"
    assert in_words_of(SQLITE, sql) == sql
