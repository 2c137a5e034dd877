"""The marks of SQLite's triggers."""

from __future__ import annotations

import pytest

from cloudpub_models import Managers
from tests.platform.rollups.conftest import BEGIN, Insert

pytestmark = pytest.mark.parametrize("backend", ["sqlite"])


def marks(managers: Managers) -> list[tuple[str, int | None]]:
    rows = managers.database.raw_query_all("SELECT hour, successful FROM function_invocation_rollups_late ORDER BY 1")
    return [(row["hour"][:13], row["successful"]) for row in rows]


def test_one_mark_for_an_hour_is_enough(rolled: Managers, insert: Insert) -> None:
    insert(0)
    assert marks(rolled) == []
    rolled.function_invocations.rollup(BEGIN.replace(hour=23, day=31))
    insert(1)
    late = insert(2)
    rolled.function_invocations.update_by_id(late.id, {"timestamp": BEGIN.replace(hour=23)})
    rolled.function_invocations.update_by_id(late.id, {"error": "no answer"})
    rolled.function_invocations.delete_by_id(late.id)
    assert marks(rolled) == [("2023-12-30 22", None), ("2023-12-30 23", None)]


def test_a_row_that_comes_into_a_frozen_hour_is_marked_itself(rolled: Managers, insert: Insert) -> None:
    insert(0)
    rolled.function_invocations.prune(BEGIN.replace(hour=23))
    insert(1, None, "error")
    insert(2)
    assert marks(rolled) == [("2023-12-30 22", 0), ("2023-12-30 22", 1)]
