"""What is asked for becomes nodes and readers; what it comes to is tested in ``test_summarizing``."""

from decimal import Decimal

import pytest

from cloudpub_models import Function, FunctionInvocation, errors, operators
from cloudpub_models.manager.arguments.aggregates import Summary, group_keys, parse_having, parse_result_order
from cloudpub_models.manager.columns.table import table_of
from cloudpub_models.sql import POSTGRESQL, SQLITE
from cloudpub_models.sql.dialects import Dialect


def summary(dialect: Dialect = SQLITE, *keys: str, **results: operators.Aggregate) -> Summary:
    return Summary.of(keys, tuple(results.items()), table_of(FunctionInvocation), dialect)


def test_keys_are_columns_by_their_names():
    assert group_keys("user", table_of(Function)) == ("user_id",)
    assert group_keys(["user.email", "status"], table_of(Function)) == ("user.email", "status")


def test_results_know_the_columns_that_they_are_worked_out_of():
    made = summary(SQLITE, "status", calls=operators.count(), last=operators.max("function.name"))
    assert made.columns == ("function.name",)
    assert list(made.results) == ["status", "calls", "last"]


def test_sums_are_integers_whatever_a_driver_makes_of_them():
    for sums in (90, Decimal(90)):
        assert summary(POSTGRESQL, total=operators.sum("duration_ms")).read([(sums,), (None,)]) == [
            {"total": 90},
            {"total": None},
        ]


def test_values_are_encoded_for_what_they_are_compared_with():
    results = summary(SQLITE, "status", calls=operators.count(), slowest=operators.max("duration_ms")).results
    having = {"calls": operators.between(1, 5), "slowest": None, "status": ["a", "b"]}
    shape, values = parse_having(having, results, SQLITE)
    assert shape == (("calls", "BETWEEN"), ("slowest", "IS NULL"), ("status", "IN"))
    assert values == [1, 5, '["a","b"]']
    with pytest.raises(errors.InvalidValueError, match="function_invocations.duration_ms"):
        parse_having({"slowest": "5"}, results, SQLITE)


def test_columns_grouped_by_break_ties_in_the_last_direction():
    results = summary(SQLITE, "status", "function_id", calls=operators.count()).results
    keys = ("status", "function_id")
    assert parse_result_order("-calls", "ASC", keys, results) == (
        ("calls", "DESC"),
        ("status", "DESC"),
        ("function_id", "DESC"),
    )
    assert parse_result_order(None, "ASC", keys, results) == (("status", "ASC"), ("function_id", "ASC"))
    assert parse_result_order([("function_id", "ASC")], "DESC", keys, results) == (
        ("function_id", "ASC"),
        ("status", "ASC"),
    )
