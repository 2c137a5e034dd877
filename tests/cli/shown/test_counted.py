"""Numbers with a noun."""

from __future__ import annotations

import pytest

from cloudpub_models.cli.shown.counted import counted


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (21, "21 rows"), (1_234_567, "1,234,567 rows")]
)
def test_it_is_the_plural_but_for_one(number: int, words: str) -> None:
    assert counted(number, "row") == words
