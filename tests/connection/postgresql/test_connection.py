"""Values of PostgreSQL's types as raw SQL gives them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import peewee
import pytest

from cloudpub_models import Database, Managers
from cloudpub_models.errors import InvalidValueError

pytestmark = pytest.mark.parametrize("backend", ["postgresql"])

TIMES: dict[str, Any] = {
    "'2026-05-01'::date": date(2026, 5, 1),
    "'0001-01-01'::date": date.min,
    "'9999-12-31'::date": date.max,
    "'23:59:59.999999'::time": time.max,
    "'12:00+00'::timetz": time(12, tzinfo=UTC),
    "'1 day -02:00'::interval": timedelta(days=1, hours=-2),
    "'2026-05-01 12:00+02'::timestamptz": datetime(2026, 5, 1, 10, tzinfo=UTC),
}
INEXPRESSIBLE = [
    *("infinity'::date", "-infinity'::date", "10000-06-23'::date", "0044-03-15 BC'::date"),
    *("infinity'::timestamp", "-infinity'::timestamptz", "10000-06-23'::timestamptz"),
    *("24:00'::time", "24:00+00'::timetz", "infinity'::interval", "10000000 years'::interval"),
]


@pytest.mark.parametrize(("expression", "expected"), TIMES.items())
def test_times_and_their_arrays_are_python_values(database: Database, expression: str, expected: Any) -> None:
    assert database.raw_query_single(f"SELECT {expression} AS one, NULL AS none") == {"one": expected, "none": None}
    assert database.raw_query_all(f"SELECT ARRAY[{expression}, NULL] AS several") == [{"several": [expected, None]}]


@pytest.mark.parametrize("form", ["'{}", "ARRAY['{}]"])
@pytest.mark.parametrize("expression", INEXPRESSIBLE)
def test_a_time_that_python_cannot_express_is_refused_by_name(database: Database, expression: str, form: str) -> None:
    (version,) = database.raw_query_all("SELECT current_setting('server_version_num')::integer AS number")
    if "infinity'::interval" in expression and version["number"] < 170_000:
        pytest.skip("an interval that only later servers have")
    sql = f"SELECT {form.format(expression)} AS v"
    with pytest.raises(InvalidValueError, match="that Python can express; got '.*cast the column to text"):
        database.raw_query_single(sql)
    with pytest.raises(InvalidValueError, match="cast the column to text"):
        list(database.raw_query_iter(sql))
    assert database.raw_query_single("SELECT 1 AS still") == {"still": 1}


@pytest.mark.parametrize("value", ["infinity", "10000-06-23"])
def test_so_is_one_in_a_model_s_column(database: Database, managers: Managers, value: str) -> None:
    class Day(peewee.Model):
        day = peewee.DateField()

        class Meta:
            table_name = "day"

    days = managers.for_model(Day)
    database.raw_execute("CREATE TABLE day (id SERIAL PRIMARY KEY, day DATE)")
    try:
        database.raw_execute(f"INSERT INTO day (day) VALUES ('{value}')")
        with pytest.raises(InvalidValueError, match=f"type date that Python can express; got '{value}'"):
            days.find_one()
        assert days.insert({"day": date(2026, 5, 1)}).day == date(2026, 5, 1)
    finally:
        database.raw_execute("DROP TABLE day")
