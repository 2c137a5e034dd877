"""Decimals added in Python, for SQLite, as PostgreSQL adds them."""

import pytest

from cloudpub_models.sql.decimals import DecimalSum, add_decimals


@pytest.mark.parametrize(
    ("first", "second", "places", "expected"),
    [
        (0.1, 0.2, 2, 0.3),
        (1, "0.005", 2, 1.01),
        (-1, "-0.005", 2, -1.01),
        (2, 3, 0, 5),
        ("12345678901234567890123.45", 1, 2, "12345678901234567890124.45"),
        (None, 1, 2, None),
        (1, None, 2, None),
    ],
)
def test_a_sum_is_exact_and_rounded_half_away_from_zero(first, second, places, expected):
    total = add_decimals(first, second, places)
    assert (total, type(total)) == (expected, type(expected))


def test_a_sum_of_many_is_exact():
    total = DecimalSum()
    for _ in range(1000):
        total.step(0.1)
    total.step(None)
    assert total.finalize() == 100
    assert DecimalSum().finalize() is None
