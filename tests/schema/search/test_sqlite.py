"""SQLite's index of words: which rows it names, and what keeps it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import peewee
import pytest

from cloudpub_models import SearchQuery
from cloudpub_models.errors import ConfigurationError
from cloudpub_models.schema.search.sqlite import (
    MOST_ROWS,
    drop,
    index_name,
    is_made,
    is_search_trigger,
    is_there,
    keep_current,
    make,
    numbers,
)
from cloudpub_models.schema.search.tables import SearchedTable
from cloudpub_models.schema.statements import fetch, run

BOOKS = SearchedTable("books", ("title", "order"), "number")
LETTERS = "abAB9éßİK\u212aſ日-_. '\"%\n\u0301"


@pytest.fixture
def file() -> Iterator[peewee.Database]:
    """A database with a table of books, as another program may have made it."""
    database = peewee.SqliteDatabase(":memory:")
    run(database, "CREATE TABLE books (number INTEGER PRIMARY KEY, title TEXT, `order` TEXT, year INTEGER DEFAULT 0)")
    yield database
    database.close()


def found(file: peewee.Database, typed: str) -> list[int] | None:
    return numbers(lambda sql, values: fetch(file, sql, values), BOOKS, SearchQuery(typed))


def made(file: peewee.Database) -> bool:
    return is_made(lambda sql, values: fetch(file, sql, values), BOOKS)


def test_what_was_written_before_and_after_is_found(file: peewee.Database) -> None:
    run(file, "INSERT INTO books (number, title) VALUES (1, 'Out of memory')")
    assert (is_there(file, BOOKS), made(file)) == (False, False)
    make(file, BOOKS)
    assert (is_there(file, BOOKS), made(file)) == (True, True)
    run(file, "INSERT INTO books (number, title, `order`) VALUES (2, NULL, 'memory'), (3, 'mem', 'ory')")
    assert found(file, "memory") == [1, 2]
    run(file, "UPDATE books SET title = 'in MEMORY of' WHERE number = 3")
    run(file, "UPDATE books SET title = 'gone' WHERE number = 1")
    run(file, "UPDATE books SET number = 20 WHERE number = 2")
    run(file, "UPDATE books SET year = 1999")
    assert found(file, "memory") == [3, 20]
    run(file, "DELETE FROM books WHERE number = 3")
    assert found(file, "memory OR gone") == [1, 20]


def test_a_row_that_takes_the_place_of_another_is_found(file: peewee.Database) -> None:
    make(file, BOOKS)
    run(file, "INSERT INTO books (number, title) VALUES (1, 'apple')")
    run(file, "INSERT OR REPLACE INTO books (number, title) VALUES (1, 'cherry')")
    assert 1 in (found(file, "cherry") or ())
    run(file, "INSERT INTO books (number, title) VALUES (1, 'x') ON CONFLICT (number) DO UPDATE SET title = 'plum'")
    assert 1 in (found(file, "plum") or ())


def test_writes_give_what_they_give_without_it(file: peewee.Database) -> None:
    make(file, BOOKS)
    written = run(file, "INSERT INTO books (title) VALUES ('apple'), ('pear')")
    assert (written.lastrowid, written.rowcount) == (2, 2)
    assert run(file, "UPDATE books SET title = 'plum'").rowcount == 2
    assert run(file, "DELETE FROM books").rowcount == 2


@pytest.mark.parametrize("typed", ["ab", "größe", "9", "memory OR ab", "日本語"])
def test_short_words_are_not_looked_for(file: peewee.Database, typed: str) -> None:
    make(file, BOOKS)
    assert found(file, typed) is None


def test_frequent_words_are_not_looked_for(file: peewee.Database) -> None:
    make(file, BOOKS)
    run(
        file,
        "INSERT INTO books (title) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i <= ?) "
        "SELECT CASE i WHEN 1 THEN 'rare request' ELSE 'request' END FROM n",
        (MOST_ROWS,),
    )
    assert found(file, "request") is None
    assert found(file, "request rare -request") == [1]
    run(file, "DELETE FROM books WHERE number = 1")
    assert len(found(file, "request") or ()) == MOST_ROWS


def test_a_text_with_the_words_is_never_left_out(file: peewee.Database) -> None:
    chance = random.Random(3)
    texts = {number: "".join(chance.choices(LETTERS, k=chance.randint(3, 60))) for number in range(300)}
    for number, text in texts.items():
        run(file, "INSERT INTO books (number, title, `order`) VALUES (?, ?, ?)", (number, text[:20], text[20:]))
    make(file, BOOKS)
    looked_for = 0
    for text in texts.values():
        start = chance.randrange(len(text))
        typed = "".join(letter for letter in text[start : start + 8] if letter not in '-"')
        if not any(letter.isalnum() for letter in typed):
            continue
        query = SearchQuery(f'"{typed}"{chance.choice(["", "*"])}')
        candidates = numbers(lambda sql, values: fetch(file, sql, values), BOOKS, query)
        if candidates is not None:
            looked_for += 1
            missed = {n for n, t in texts.items() if query.matches(t[:20], t[20:])} - set(candidates)
            assert not missed, (typed, missed)
    assert looked_for > 30


def test_the_end_of_a_long_text_is_not_in_it(file: peewee.Database) -> None:
    make(file, BOOKS)
    run(file, "INSERT INTO books (number, title) VALUES (1, ?)", (f"early {'x ' * 1_000_000} late",))
    assert (found(file, "early"), found(file, "late")) == ([1], [])


def test_it_is_dropped_without_a_trace(file: peewee.Database) -> None:
    assert not drop(file, BOOKS)
    make(file, BOOKS)
    assert drop(file, BOOKS)
    assert fetch(file, "SELECT name FROM sqlite_master") == [("books",)]


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TRIGGER books_words_search_insert",
        "DROP TABLE books_words_search",
        "ALTER TABLE books RENAME COLUMN year TO `order2`",
    ],
)
def test_what_is_left_of_one_is_made_whole(file: peewee.Database, statement: str) -> None:
    make(file, BOOKS)
    run(file, statement)
    is_spoilt = "RENAME" not in statement
    assert made(file) is not is_spoilt
    if statement.startswith("DROP TRIGGER"):
        run(file, "INSERT INTO books (title) VALUES ('unknown')")
    keep_current(file, BOOKS)
    assert made(file)
    assert found(file, "unknown") == ([1] if statement.startswith("DROP TRIGGER") else [])


def test_one_that_another_name_left_behind_goes(file: peewee.Database) -> None:
    make(file, BOOKS)
    run(file, "INSERT INTO books (title) VALUES ('memory')")
    run(file, "ALTER TABLE books RENAME TO volumes")
    volumes = BOOKS._replace(name="volumes")
    assert not is_made(lambda sql, values: fetch(file, sql, values), volumes)
    keep_current(file, volumes)
    named: set[Any] = {name for (name,) in fetch(file, "SELECT name FROM sqlite_master WHERE type = 'trigger'")}
    assert named == {f"volumes_words_search_{event}" for event in ("insert", "update", "delete")}
    assert numbers(lambda sql, values: fetch(file, sql, values), volumes, SearchQuery("memory")) == [1]


def test_columns_that_are_not_there_yet_are_waited_for(file: peewee.Database) -> None:
    make(file, BOOKS)
    wider = BOOKS._replace(columns=("title", "summary"))
    keep_current(file, wider)
    assert made(file)
    run(file, "ALTER TABLE books ADD COLUMN summary TEXT")
    keep_current(file, wider)
    assert is_made(lambda sql, values: fetch(file, sql, values), wider)
    # One that was never made is not made now.
    drop(file, wider)
    keep_current(file, wider)
    assert not is_there(file, wider)


def test_a_table_without_a_number_has_none(file: peewee.Database) -> None:
    nameless = BOOKS._replace(number=None)
    assert not is_made(lambda sql, values: fetch(file, sql, values), nameless)
    with pytest.raises(ConfigurationError, match="primary key is one whole number.*got books"):
        make(file, nameless)


def test_names() -> None:
    assert is_search_trigger(f"{index_name('books')}_delete")
    assert not is_search_trigger("books_updated_at_touch")
    assert len(index_name("b" * 63)) <= 63
