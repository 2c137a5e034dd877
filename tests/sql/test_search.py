"""What is typed to search for words, held against texts."""

from __future__ import annotations

import random
import re

import pytest

from cloudpub_models import SearchQuery
from cloudpub_models.errors import InvalidQueryError
from cloudpub_models.sql.patterns import ilike_matches, like_matches


@pytest.mark.parametrize(
    ("typed", "found", "not_found"),
    [
        ("memory", ["Memory low", "a memory-leak", "_memory_"], ["memories", "inmemory", ""]),
        ("out memory", ["memory ran out"], ["out", "memory"]),
        (
            '"out of memory"',
            ["OUT OF MEMORY!", "out-of,memory"],
            ["of out memory", "out of my memory", "out of memorys"],
        ),
        ("mem*", ["mem", "memory"], ["inmem"]),
        ('"out of mem"*', ["out of mem", "out of memory"], ["out of my mem"]),
        ("nova-api", ["nova.api", "nova api 2"], ["api nova", "nova-apis", "novaapi"]),
        ("req-38*", ["req-3810", "req 38"], ["req-1 38x"]),
        ("10.11.10.1", ["from 10.11.10.1:80"], ["10.11.10.11", "110.11.10.1"]),
        ("9e2d5", ["id=9e2d5,"], ["9e2d", "e2d5"]),
        ("out -debug", ["out"], ["out debug", "DEBUG: out"]),
        ('out -"of memory"', ["out of my memory"], ["out of memory"]),
        ("out -deb*", ["out deb1x deb"[:3]], ["out debug"]),
        ("timeout OR out memory", ["timeout", "memory out"], ["memory", "out"]),
        ("a OR b OR c -d", ["a d", "b", "c"], ["c d", "or"]),
        ('"OR" x', ["x or y"], ["x"]),
        ("x or y", ["or y x"], ["x y"]),
        ('"out of', ["out of it"], ["of out"]),
        ('foo"bar baz"', ["bar baz foo"], ["foo bar"]),
        ("größe", ["GRÖSSE größe", "GRÖßE"], ["grosse", "gr e"]),
        ("straße*", ["STRAßEN"], ["STRASSEN"]),
        ("k", ["K"], ["\u212a"]),
        ("\u212a", ["\u212a"], ["k"]),
        ("i", ["I"], ["\u0130", "\u0131"]),
        ("日本", ["日本, 東京"], ["日本語"]),
        ("a - * \u00b7 _ b", ["b a"], ["a"]),
    ],
)
def test_what_is_found(typed: str, found: list[str], not_found: list[str]) -> None:
    query = SearchQuery(typed)
    assert [text for text in found if not query.matches(text)] == []
    assert [text for text in not_found if query.matches(text)] == []


def test_terms_may_stand_in_several_texts_but_no_phrase_does() -> None:
    assert SearchQuery("out memory").matches("run out", None, "no memory")
    assert not SearchQuery('"out memory"').matches("run out", "memory")
    assert not SearchQuery("out -memory").matches("run out", "memory")
    assert not SearchQuery("out").matches(None)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (None, "expected a text to search for; got None"),
        (7, "expected a text to search for; got 7"),
        ("", "expected words to search for, on both sides of an OR too; got ''"),
        ("*** --- \0", "expected words to search for"),
        ("-debug", "expected a word to search for beside what is left out; got '-debug'"),
        ("a OR -b", "expected a word to search for beside what is left out"),
        ("OR a", "on both sides of an OR"),
        ("a OR", "on both sides of an OR"),
        ("a OR OR b", "on both sides of an OR"),
        ("a" * 1_001, "expected at most 1,000 characters to search for; got 1,001"),
        ("a " * 33, "expected at most 32 words to search for"),
        ("a" * 1_000_000, "expected at most 1,000 characters"),
    ],
)
def test_what_is_refused(typed: object, message: str) -> None:
    with pytest.raises(InvalidQueryError, match=re.escape(message)):
        SearchQuery(typed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("typed", "text", "marked"),
    [
        ('"out of memory" -debug', "w7: Out, of memory; out", ["Out, of memory"]),
        ("mem* OR out", "memory out", ["memory", "out"]),
        ('"a b" "b c"', "a b c", ["a b c"]),
        ("a", "b", []),
        ("größe", "İ Größe", ["Größe"]),
        ("x", "", []),
        ("late", " " * 20_000 + "late", []),
    ],
)
def test_where_it_stands(typed: str, text: str, marked: list[str]) -> None:
    assert [text[start:end] for start, end in SearchQuery(typed).highlights(text)] == marked


def test_a_long_text_is_searched_at_its_beginning() -> None:
    text = "word " * 4_000 + "late"
    assert SearchQuery("word").matches(text)
    assert not SearchQuery("late").matches(text)


LETTERS = "abAB9éÉßσςΣıİKÅ日²·-_ .\u0301'\"%*"


def typed_at_random(chance: random.Random) -> str:
    terms = []
    for _ in range(chance.randint(1, 4)):
        term = "".join(chance.choices(LETTERS.replace('"', ""), k=chance.randint(1, 4)))
        term = f'"{term} {chance.choice(LETTERS)}"' if chance.random() < 0.3 else term
        terms.append(chance.choice(["", "", "", "-"]) + term + chance.choice(["", "", "*"]))
        if chance.random() < 0.2:
            terms.append("OR")
    return " ".join(terms)


def as_in_the_c_locale(pattern: str, text: str) -> bool | None:
    """ILIKE of a database that knows the case of ASCII letters only."""
    return like_matches(pattern, "".join([letter.lower() if letter.isascii() else letter for letter in text]))


def test_what_matches_contains_what_is_said_to_be_contained() -> None:
    chance = random.Random(7)
    matched = 0
    for _ in range(4_000):
        typed = typed_at_random(chance)
        try:
            query = SearchQuery(typed)
        except InvalidQueryError:
            continue
        text = " ".join(chance.sample([*typed.split(), "".join(chance.choices(LETTERS, k=9))], 2))
        if query.matches(text):
            matched += 1
            for ilike in (ilike_matches, as_in_the_c_locale):
                assert any(all(ilike(pattern, text) for pattern in patterns) for patterns in query.contained())
            assert query.highlights(text)
    assert matched > 300
