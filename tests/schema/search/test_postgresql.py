"""PostgreSQL's index of words: how words are asked for, and that the index, not the table, answers."""

from __future__ import annotations

import random
import string

import pytest

from cloudpub_models import Database, FunctionLog, SearchQuery
from cloudpub_models.schema.search.postgresql import drop, is_there, make, words
from cloudpub_models.schema.search.tables import searched_table
from cloudpub_models.sql.dialects import WORDS_OF_TEXT

LETTERS = string.ascii_letters[:6] + string.digits[:3] + "éÉßİıK\u212aſ½²日_-. '\"\\:&!*()%\n\u0301"


@pytest.mark.parametrize(
    ("typed", "asked"),
    [
        ("Nova-API", "'nova' & 'api'"),
        ('"out of mem"*', "'out' & 'of' & 'mem':*"),
        ("größe*", "'gr' & 'e':*"),
        ("größ*", "'gr'"),
        ("日本", None),
        ("a" * 70, f"'{'a' * 60}'"),
    ],
)
def test_what_is_asked(typed: str, asked: str | None) -> None:
    assert words(SearchQuery(typed).runs()[0][0]) == asked


@pytest.mark.parametrize("backend", ["postgresql"])
def test_a_text_with_the_words_is_never_left_out(database: Database) -> None:
    chance = random.Random(5)
    asked = []
    for _ in range(600):
        text = "".join(chance.choices(LETTERS, k=chance.randint(1, 80)))
        start = chance.randrange(len(text))
        typed = "".join(letter for letter in text[start : start + chance.randint(1, 9)] if letter not in '-"')
        if not any(letter.isalnum() for letter in typed):
            continue
        query = SearchQuery(f'"{typed}"{chance.choice(["", "*"])}')
        (term,) = query.runs()[0]
        if query.matches(text) and words(term) is not None:
            asked.append((text, words(term)))
    assert len(asked) > 150
    told = database.raw_query_all(
        "SELECT text, query FROM jsonb_to_recordset(CAST(@asked AS jsonb)) AS asked (text text, query text) "
        f"WHERE NOT {WORDS_OF_TEXT.format(column='text')} @@ CAST(query AS tsquery)",
        {"asked": [{"text": text, "query": query} for text, query in asked]},
    )
    assert told == []


@pytest.mark.parametrize("backend", ["postgresql"])
def test_long_words_and_long_texts_have_their_place(database: Database) -> None:
    found = database.raw_query_single(
        f"SELECT length({WORDS_OF_TEXT.format(column='repeat(chr(97), 3000000)')}) AS of_one, "
        f"length({WORDS_OF_TEXT.format(column='chr(46)')}) AS of_none",
    )
    assert found == {"of_one": 1, "of_none": 0}


@pytest.mark.parametrize("backend", ["postgresql"])
def test_an_index_of_somebody_else_stays(database: Database) -> None:
    database.raw_execute("CREATE INDEX their_search ON function_logs USING gin (to_tsvector('simple', message))")
    table, theirs = searched_table(FunctionLog), "SELECT to_regclass('their_search')::text AS name"
    for change in (make, make, drop):
        change(database.engine, table)
        assert database.raw_query_single(theirs) == {"name": "their_search"}
    assert not is_there(database.engine, table)
