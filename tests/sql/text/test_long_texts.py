"""Long texts are read in linear time, whatever they are asked."""

from __future__ import annotations

import timeit
from collections.abc import Callable
from time import process_time
from typing import Any

import pytest

from cloudpub_models.schema.catalogue.facts import DatabaseFacts
from cloudpub_models.schema.catalogue.normal_form import check_constraints, normalised, normalised_statement, terminated
from cloudpub_models.schema.safety.hazards import HazardFinder
from cloudpub_models.sql import POSTGRESQL, SQLITE, Dialect
from cloudpub_models.sql.text.parameters import parse
from cloudpub_models.sql.text.secrets import declare_secret_columns, secrets_expected
from cloudpub_models.sql.text.summary import summary_of, without_literals

# What it runs is covered by other tests, and takes twice as long when coverage is measured.
pytestmark = pytest.mark.no_cover

declare_secret_columns(["pass_phrase"])

QUESTIONS: dict[str, Callable[[str, Dialect], Any]] = {
    "parse": parse,
    "summary": summary_of,
    "literals": without_literals,
    "secrets": lambda text, _: secrets_expected(text),
    "hazards": lambda text, dialect: HazardFinder(DatabaseFacts(dialect)).hazards(text, in_transaction=True),
    "normalised": normalised,
    "statement": normalised_statement,
    "checks": check_constraints,
    "terminated": terminated,
}
PARTS = [
    "'",
    "''",
    '"',
    "/*",
    "*/",
    "--\n",
    "E'\\",
    "E'a'\n",
    "$a$",
    "$",
    "[",
    "`",
    "@",
    "@a ",
    "(",
    ")",
    "::",
    ";",
    "U&",
]
PARTS += [
    "in @a ",
    "from a,",
    "insert into a.",
    "pass_phrase in (?",
    "pass_phrase = excluded.",
    "returning ",
    "check (",
]
PARTS += ["x::a(", "= any array [", "with ", "explain (", "create trigger begin;", "create or replace ", "do $$;"]
PARTS += [
    "delete from ",
    "update a set ",
    "merge into a delete ",
    "alter table a drop b,",
    "drop table a,",
    "case ",
    "end ",
]


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS.keys())
def test_ten_times_the_text_takes_about_ten_times_as_long(
    question: Callable[[str, Dialect], Any], scale: Callable[[int, int], int]
) -> None:
    long = scale(10_000, 100_000)

    def taken(part: str, characters: int) -> float:
        text = part * (characters // len(part))
        dialect = SQLITE if part in "[`" else POSTGRESQL
        # Each time another text, since answers are remembered.
        texts = iter([text, f"{text} "])
        return min(timeit.repeat(lambda: question(next(texts), dialect), timer=process_time, number=1, repeat=2))

    # A hundred times, were it quadratic; what takes no time at all cannot be compared.
    slow = [part for part in PARTS if taken(part, long) > 40 * taken(part, long // 10) + 0.02]
    assert slow == []
