"""Hand-written SQL says seconds once, and each database is told in its own words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cloudpub_models import Database, Managers
from cloudpub_models.sql import SQLITE
from cloudpub_models.sql.render.handwritten import in_words_of


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


def test_everything_else_stays_as_it_was_written() -> None:
    sql = "SELECT 'a {b} %' FROM c WHERE d = @e -- SECONDS"
    assert in_words_of(SQLITE, sql) == sql
