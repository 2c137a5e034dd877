"""Values are put into statements byte by byte as psycopg2 puts them, or left to it."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from psycopg2.extensions import adapt

from cloudpub_models.connection.postgresql.literals import filled
from cloudpub_models.sql.text.secrets import SecretText

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.text(alphabet=st.characters(codec="utf-8"), max_size=30),
    st.text(alphabet="a'\\\"%s$\n\0;-", max_size=30),
)


def by_the_driver(value):
    if value is None:
        return b"NULL"
    adapted = adapt(value)
    if hasattr(adapted, "encoding"):
        adapted.encoding = "utf-8"
    return adapted.getquoted()


@given(st.lists(VALUES, min_size=1, max_size=4))
@example(["%s", "%%", "%(a)s", "{}", "$1"])
def test_it_is_what_the_driver_would_send(values):
    sql = f"SELECT 5 %% 2, {', '.join(['%s'] * len(values))}"
    text, remaining = filled(sql, values)
    if remaining is None:
        expected = b"SELECT 5 % 2, " + b", ".join([by_the_driver(value) for value in values])
        assert text.encode() == expected
    else:
        assert (text, remaining) == (sql, values)


@pytest.mark.parametrize(
    "value", [*range(3), 2**70, True, False, None, "", *map(chr, set(range(1, 128)) - {39, 92})], ids=ascii
)
def test_plain_values_need_no_driver(value):
    text, remaining = filled("SELECT %s", (value,))
    assert remaining is None
    assert text.encode() == b"SELECT " + by_the_driver(value)


@pytest.mark.parametrize("value", ["'", "\\", "\0", "é", -1, 1.5, b"x", SecretText("x"), [1]], ids=ascii)
def test_everything_else_is_left_to_it(value):
    assert filled("SELECT %s, %s", (1, value)) == ("SELECT %s, %s", (1, value))


@pytest.mark.parametrize("parameters", [None, (), []])
def test_a_statement_without_values_stays_as_it_is(parameters):
    assert filled("SELECT 5 % 2", parameters) == ("SELECT 5 % 2", parameters)


@pytest.mark.parametrize("backend", ["postgresql"])
def test_the_server_gets_back_what_was_sent(managers):
    ada = managers.users.insert({"email": "%s %% %(x)s {} $1\t;--/*", "password_hash": "…"})
    assert managers.users.find_all({"email": ada.email, "id": ada.id}) == [ada]
    assert managers.users.find_by_id(ada.id).email == "%s %% %(x)s {} $1\t;--/*"
