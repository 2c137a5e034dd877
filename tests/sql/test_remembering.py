"""What is remembered of statements stays small, however long they are and however many there have been."""

import gc
import tracemalloc

import pytest

from cloudpub_models.sql import POSTGRESQL, QueryBuilder, raw
from cloudpub_models.sql.remembering import Remembered, remembered
from cloudpub_models.sql.text.parameters import bind
from cloudpub_models.sql.text.secrets import declare_secret_columns, secrets_expected
from cloudpub_models.sql.text.summary import summary_of, without_literals

declare_secret_columns(["pass_phrase"])
QUERY = QueryBuilder().table("users")


def kept_after(use, texts) -> int:
    """How many bytes more there are after a function has been used."""
    use("x")
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for text in texts:
            use(text)
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


# What it runs is covered by other tests, and takes twice as long when coverage is measured.
@pytest.mark.no_cover
@pytest.mark.parametrize(
    "use",
    [
        lambda text: bind(f"SELECT '{text}' WHERE @n = 1", {"n": 1}, POSTGRESQL),
        lambda text: secrets_expected(f"SELECT '{text}' AS pass_phrase"),
        lambda text: summary_of(f"SELECT '{text}'", POSTGRESQL),
        lambda text: without_literals(f"SELECT '{text}'", POSTGRESQL),
        lambda text: QUERY.where_raw(f"email <> '{text}'").build_select(),
        lambda text: QUERY.select(raw(f"'{text}'")).build_select(),
        lambda text: QUERY.where_group(lambda group: group.where_raw(f"email <> '{text}'")).build_count(),
        lambda text: QUERY.order_by(raw(f"'{text}'")).as_query(),
    ],
    ids=["bind", "secrets", "summary", "literals", "where", "select", "group", "order"],
)
def test_long_statements_are_not_kept(use):
    # The last few of them may be, with what was made of each; all would be 720,000 characters.
    assert kept_after(use, ("x" * 12_000 + str(number) for number in range(60))) < 300_000


def test_short_ones_are():
    assert QUERY.where_raw("email <> 'a'").as_query() is QUERY.where_raw("email <> 'a'").as_query()
    assert summary_of("SELECT 1", POSTGRESQL) is summary_of("SELECT 1", POSTGRESQL)


def test_all_of_them_are():
    made = []
    kept = Remembered(lambda text: made.append(text))
    texts = [f"{number:04}" * 5 for number in range(200)]
    for _ in range(2):
        for text in texts:
            assert kept[text,] is None
    assert made == texts


MADE_OF_TEXT = Remembered(len)


@pytest.mark.no_cover
@pytest.mark.parametrize("length", [1_000, 9_000, 100_000, 2_000_000])
@pytest.mark.parametrize("make", [remembered(lambda text: text + "!"), lambda text: MADE_OF_TEXT[text,]])
def test_names_are_bounded_by_their_length_too(make, length):
    number = 3_000 if length < 10_000 else 30
    assert kept_after(make, (f"{at:06}".ljust(length, "x") for at in range(number))) < 4_500_000


def test_what_failed_is_not_kept_and_what_is_long_is_found_again():
    calls = []

    def make(text):
        calls.append(len(text))
        if not text:
            raise KeyError(text)
        return [text]

    kept = Remembered(make)
    for _ in range(2):
        with pytest.raises(KeyError):
            kept["",]
        assert kept["a",] == ["a"]
        assert kept["a" * 20_000,] is kept["a" * 20_000,]
        assert kept["a" * 2_000_000,] == ["a" * 2_000_000]
    assert calls == [0, 1, 20_000, 2_000_000, 0, 2_000_000]
    kept.clear()
    assert not kept
    assert kept["a" * 20_000,]
    assert calls[-1] == 20_000
