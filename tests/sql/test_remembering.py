"""What is remembered of statements stays small, however long they are and however many there have been."""

import gc
import tracemalloc

import pytest

from cloudpub_models.sql import POSTGRESQL, QueryBuilder, raw
from cloudpub_models.sql.text.parameters import bind
from cloudpub_models.sql.text.secrets import declare_secret_columns, secrets_expected
from cloudpub_models.sql.text.summary import summary_of, without_literals

declare_secret_columns(["pass_phrase"])
QUERY = QueryBuilder().table("users")


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
    use("x")
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(60):
            use("x" * 12_000 + str(number))
        gc.collect()
        kept = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    # The last few of them may be, with what was made of each; all would be 720,000 characters.
    assert kept < 300_000


def test_short_ones_are():
    assert QUERY.where_raw("email <> 'a'").as_query() is QUERY.where_raw("email <> 'a'").as_query()
    assert summary_of("SELECT 1", POSTGRESQL) is summary_of("SELECT 1", POSTGRESQL)
