"""Rows by their words: the same on both databases, and the same as plain Python says."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import groupby
from typing import Any

import pytest

from cloudpub_models import Database, Function, Manager, Managers, Organization, Scope, SearchQuery
from cloudpub_models.entity import AutoField, CharField, Entity, ForeignKey, IntegerField, TextField
from cloudpub_models.errors import InvalidCountError, InvalidCursorError, InvalidQueryError, UnguardedError
from cloudpub_models.schema import create_all
from cloudpub_models.schema.search_index import switch_on


class Shelf(Entity):
    id = AutoField()
    name = CharField(max_length=20)

    class Meta:
        table_name = "shelves"


class Book(Entity):
    secret_columns = frozenset({"marginalia"})

    id = AutoField()
    shelf = ForeignKey(Shelf, null=True, backref="books")
    title = CharField(max_length=200, null=True)
    text = TextField(column_name="body", default="")
    year = IntegerField(default=0)
    marginalia = TextField(default="")

    class Meta:
        table_name = "books"
        searchable = ("title", "body")


@pytest.fixture
def books(database: Database) -> Manager[Book]:
    create_all(database.engine, [Shelf, Book])
    return Manager(Book, database)


def plain(sql: str) -> str:
    """Return a statement in SQLite's words, in which LIKE ignores the case of ASCII letters, as it is wanted."""
    return sql.replace("%s", "?").replace(" ILIKE ", " LIKE ")


def test_what_is_sent(books: Manager[Book], statements: Any) -> None:
    found = books.insert({"title": "Out, out", "body": "of memory", "year": 1999})
    books.insert({"title": "memory", "body": "out of", "year": 2001})
    books.insert({"title": None, "body": "of memory: a debugging session", "year": 1999})
    statements.clear()
    page = books.find_by_text('"of mem"* out -debug*', {"year": 1999}, order_by="-year")
    assert (page.items, page.next_cursor) == ([found], None)
    # The first one looks whether the table has an index of words.
    assert [plain(sql) for sql in statements.sql[1:]] == [
        "SELECT id, shelf_id, title, body, year, marginalia FROM books WHERE year = ? AND "
        "(title LIKE ? OR body LIKE ?) AND (title LIKE ? OR body LIKE ?) ORDER BY year DESC, id DESC LIMIT ?"
    ]
    assert list(statements[1][1]) == [1999, "%of%mem%", "%of%mem%", "%out%", "%out%", 52]


def test_rows_that_only_look_like_it_are_passed_over(books: Manager[Book], statements: Any) -> None:
    books.batch_insert([{"title": "outer" if number % 40 else "out", "year": number} for number in range(400)])
    statements.clear()
    years: list[int] = []
    sizes: list[int] = []
    cursor = None
    while True:
        page = books.find_by_text("out", cursor=cursor, page_size=3, order_by="-year")
        years += [book.year for book in page.items]
        sizes.append(len(page.items))
        cursor = page.next_cursor
        if cursor is None:
            break
    assert years == [360, 320, 280, 240, 200, 160, 120, 80, 40, 0]
    assert sizes == [3, 3, 3, 1]
    # Each statement asks for twice as many rows as the one before it.
    assert [values[-1] for sql, values in statements if "LIKE" in sql][:6] == [5, 9, 17, 33, 65, 129]


def test_a_page_that_is_exactly_full_is_the_last(books: Manager[Book]) -> None:
    books.batch_insert([{"title": "out"}] * 4)
    first = books.find_by_text("out", page_size=2)
    second = books.find_by_text("out", page_size=2, cursor=first.next_cursor)
    assert [book.id for book in [*first.items, *second.items]] == [1, 2, 3, 4]
    assert second.next_cursor is None


def test_related_rows_come_with_those_of_the_page_alone(books: Manager[Book], statements: Any) -> None:
    shelves = Manager(Shelf, books.database)
    poems, crime = shelves.insert({"name": "poems"}), shelves.insert({"name": "crime"})
    books.insert({"shelf_id": poems.id, "title": "out"})
    books.insert({"shelf_id": crime.id, "title": "outer"})
    statements.clear()
    (book,) = books.find_by_text("out", include=["shelf"]).items
    assert book.shelf == poems
    assert len(statements) == 3
    assert list(statements[2][1]) in (["[1]"], ["{1}"])


def test_conditions_of_every_kind_go_with_it(books: Manager[Book]) -> None:
    poems = Manager(Shelf, books.database).insert({"name": "poems"})
    book = books.insert({"shelf_id": poems.id, "title": "out", "year": 5})
    books.insert({"title": "out", "year": 7})
    for where in ({"shelf.name": "poems"}, Book.year < 6, {"title": "out", "year": 5}):
        assert books.find_by_text("out", where).items == [book]
    assert books.find_by_text(SearchQuery("out"), {"title": "Out"}).items == []


def test_a_scope_holds_it(managers: Managers) -> None:
    ada, grace = [
        managers.users.insert({"email": f"{name}@example.com", "password_hash": "x"}) for name in ("ada", "grace")
    ]
    for user in (ada, grace):
        managers.functions.insert({"user_id": user.id, "name": f"resize-{user.id}"})
    scope = Scope({Function: {"user_id": ada.id}}, "the functions of ada")
    hers = Manager(Function, managers.users.database, scope=scope)
    assert [function.user_id for function in hers.find_by_text("resize").items] == [ada.id]
    with pytest.raises(UnguardedError):
        Manager(Organization, managers.users.database, scope=scope).find_by_text("x")


def test_what_is_refused(books: Manager[Book], statements: Any) -> None:
    class Note(Entity):
        text = TextField()

        class Meta:
            table_name = "notes"

    class Secret(Book):
        class Meta:
            table_name = "books"
            searchable = "marginalia"

    class Numbered(Book):
        class Meta:
            table_name = "books"
            searchable = ("title", "year")

    def find(model: type[Entity], *args: Any, **options: Any) -> None:
        Manager(model, books.database).find_by_text(*args, **options)

    with pytest.raises(InvalidQueryError, match=r"columns of notes to search in; its model names none: say searchable"):
        find(Note, "x")
    secret = "columns of text that may be shown to search in; got 'marginalia' of books"
    with pytest.raises(InvalidQueryError, match=secret):
        find(Secret, "x")
    with pytest.raises(InvalidQueryError, match="got 'year' of books"):
        find(Numbered, "x")
    with pytest.raises(InvalidQueryError, match="expected a word to search for beside what is left out"):
        find(Book, "-x")
    with pytest.raises(InvalidCountError, match="page_size"):
        find(Book, "x", page_size=0)
    with pytest.raises(InvalidCursorError):
        find(Book, "x", cursor="x")
    assert len(statements) == 0


VOCABULARY = """
nova api osapi compute wsgi server req 3810 38 10 11 101 GET status 200 len time 0 9e2d 9E2D5f out of memory worker
ERROR error Größe GRÖßE größer straße K k \u212a \u0130 i I ı é e\u0301 É 日本 日本語 ½ ² ſ s σ ς
"""
WORDS = VOCABULARY.split()
SEPARATORS = [" ", " ", " ", "-", ".", ": ", "/", "_", "\n", "'", "%", '"', "\\", "\t<", "🙂"]


def text_at_random(chance: random.Random) -> str:
    return "".join([chance.choice(WORDS) + chance.choice(SEPARATORS) for _ in range(chance.randint(0, 12))])


def words_of(text: str) -> list[str]:
    """Runs of letters and digits in small letters, but for those beyond ASCII whose small ones are none or several."""
    runs = ["".join(run) for is_word, run in groupby(text, str.isalnum) if is_word]
    return ["".join([c if c in "\u212a\u0130" else c.lower() for c in run]) for run in runs]


Term = tuple[bool, list[str], bool]


def holds(term: Term, texts: list[list[str]]) -> bool:
    return any(has(term, words) for words in texts) != term[0]


def has(term: Term, words: list[str]) -> bool:
    _, sought, beginning = term
    for start in range(len(words) - len(sought) + 1):
        there = words[start : start + len(sought)]
        if beginning:
            there = [*there[:-1], there[-1][: len(sought[-1])]]
        if there == sought:
            return True
    return False


def query_at_random(chance: random.Random) -> tuple[str, list[list[Term]]]:
    """Return what is typed, and what it means: alternatives of terms."""
    alternatives = []
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        terms = [
            (
                number > 0 and chance.random() < 0.3,
                chance.choices(WORDS, k=chance.choice([1, 1, 2])),
                chance.random() < 0.2,
            )
            for number in range(chance.randint(1, 3))
        ]
        chance.shuffle(terms)
        alternatives.append(terms)
    typed = " OR ".join(
        " ".join(
            ("-" if unwanted else "")
            + (f'"{" ".join(words)}"' if len(words) > 1 and chance.random() < 0.5 else chance.choice("-./").join(words))
            + ("*" if beginning else "")
            for unwanted, words, beginning in terms
        )
        for terms in alternatives
    )
    meant = [
        [(unwanted, words_of(" ".join(words)), beginning) for unwanted, words, beginning in terms]
        for terms in alternatives
    ]
    return typed, meant


# What it runs is covered by other tests, and takes twice as long when coverage is measured.
@pytest.mark.no_cover
@pytest.mark.parametrize("indexed", [False, True])
def test_it_finds_what_plain_python_finds(
    books: Manager[Book], scale: Callable[[int, int], int], indexed: bool, request: pytest.FixtureRequest
) -> None:
    if indexed:
        request.getfixturevalue("session_locks")
        assert switch_on(books.database.engine, [Book]) == ("books",)
    queries = scale(300, 2_500)
    chance = random.Random(11)
    texts = {
        book.id: [words_of(book.title), words_of(book.text)]
        for book in books.batch_insert(
            [{"title": text_at_random(chance)[:200], "body": text_at_random(chance)} for _ in range(100)],
            returning=True,
        )
    }
    found_any = 0
    for _ in range(queries):
        typed, alternatives = query_at_random(chance)
        expected = [
            id for id, both in texts.items() if any(all(holds(term, both) for term in terms) for terms in alternatives)
        ]
        assert [book.id for book in books.find_by_text(typed, page_size=200).items] == expected, typed
        found_any += bool(expected)
    assert found_any > queries / 3
