"""Cursors that are sealed: nobody reads them, nobody makes one, and keys may change."""

import base64
import sys

import pytest

from cloudpub_models import Database, Managers, errors
from cloudpub_models.connection.cursor_seal import KEY_VARIABLE, CursorSeal

FIRST, SECOND, THIRD = ("A" * 43, "B" * 42 + "A", "C" * 42 + "A")


@pytest.fixture
def open_with(backend, database_url, tmp_path):
    url = f"sqlite:///{tmp_path / 'cursors.db'}" if backend == "sqlite" else database_url
    opened = []

    def open_with(**options):
        opened.append(Database(url, **options))
        return Managers(opened[-1]).users

    open_with().database.migrate()

    yield open_with
    for database in opened:
        database.close()


@pytest.fixture
def emails(open_with):
    emails = [f"{name}@example.com" for name in "abcdef"]
    open_with().batch_insert([{"email": email, "password_hash": "x"} for email in emails])
    return emails


def first_page(users, **order):
    return users.paginate_after(None, 2, **(order or {"order_by": "email"}))


def walk(users):
    found, cursor = [], None
    while True:
        page = users.paginate_after(cursor, 2, order_by="email")
        found += [user.email for user in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return found


def decoded(cursor):
    return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))


def test_pages_are_those_of_cursors_without_a_seal(open_with, emails):
    assert walk(open_with(cursor_key=FIRST)) == walk(open_with()) == emails


def test_a_sealed_cursor_tells_nothing_not_even_how_long_its_values_are(open_with, emails):
    plain, sealed = first_page(open_with()).next_cursor, first_page(open_with(cursor_key=FIRST)).next_cursor
    assert b"b@example.com" in decoded(plain)
    assert b"example" not in decoded(sealed)
    users = open_with(cursor_key=FIRST)
    users.insert({"email": f"a{'a' * 20}@example.com", "password_hash": "x"})
    # Sealed it begins after another, longer address.
    assert len(first_page(users).next_cursor) == len(sealed)
    assert first_page(users).next_cursor != sealed


def test_the_same_page_has_the_same_cursor(open_with, emails):
    assert first_page(open_with(cursor_key=FIRST)).next_cursor == first_page(open_with(cursor_key=FIRST)).next_cursor


def test_no_letter_of_it_can_be_changed(open_with, emails):
    users = open_with(cursor_key=FIRST)
    cursor = first_page(users).next_cursor
    for position, letter in enumerate(cursor):
        changed = cursor[:position] + ("A" if letter != "A" else "B") + cursor[position + 1 :]
        with pytest.raises(errors.InvalidCursorError):
            users.paginate_after(changed, 2, order_by="email")
    for other in ("", "A", cursor[:20], cursor + "AAAA", "é", first_page(open_with()).next_cursor):
        with pytest.raises(errors.InvalidCursorError):
            users.paginate_after(other, 2, order_by="email")
    with pytest.raises(errors.InvalidCursorError):
        open_with().paginate_after(cursor, 2, order_by="email")


def test_it_belongs_to_its_table_and_order(open_with, emails):
    users = open_with(cursor_key=FIRST)
    cursor = first_page(users).next_cursor
    for order in ({"order_by": "created_at"}, {"order_by": "email", "order_direction": "DESC"}, {}):
        with pytest.raises(errors.InvalidCursorError, match="a cursor of users ordered by"):
            users.paginate_after(cursor, 2, **order)


def test_keys_change_one_after_the_other(open_with, emails):
    old = first_page(open_with(cursor_key=FIRST)).next_cursor
    both = open_with(cursor_key=[SECOND, FIRST])
    assert [user.email for user in both.paginate_after(old, 2, order_by="email").items] == emails[2:4]
    fresh = first_page(both).next_cursor
    assert fresh == first_page(open_with(cursor_key=SECOND)).next_cursor
    with pytest.raises(errors.InvalidCursorError):
        open_with(cursor_key=[SECOND, THIRD]).paginate_after(old, 2, order_by="email")


def test_the_environment_names_keys(open_with, emails, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, f"{SECOND}, {FIRST}")
    named = first_page(open_with()).next_cursor
    assert named == first_page(open_with(cursor_key=SECOND)).next_cursor
    assert open_with(cursor_key=THIRD).database.engine.cursor_seal is not None
    assert first_page(open_with(cursor_key=THIRD)).next_cursor != named
    monkeypatch.setenv(KEY_VARIABLE, " ")
    assert b"example" in decoded(first_page(open_with()).next_cursor)


def test_searches_have_sealed_cursors_too(open_with):
    managers = Managers(open_with(cursor_key=FIRST).database)
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "x"})
    managers.functions.batch_insert([{"user_id": ada.id, "name": f"resize {n}"} for n in range(3)])
    page = managers.functions.find_by_text("resize", page_size=2, order_by="name")
    assert b"resize" not in decoded(page.next_cursor)
    rest = managers.functions.find_by_text("resize", cursor=page.next_cursor, page_size=2, order_by="name")
    assert [one.name for one in rest.items] == ["resize 2"]


@pytest.mark.parametrize(
    "key", ["secret", "A" * 42, "!" * 43, "", "ä" * 43, 7, [], [FIRST, "short"], [b"x"], b"A" * 43]
)
def test_what_is_no_key_is_refused_and_not_shown(key):
    with pytest.raises(
        errors.ConfigurationError, match=r"expected a cursor_key.*secrets.token_urlsafe\(32\)"
    ) as caught:
        Database("sqlite:///:memory:", cursor_key=key)
    assert "secret'" not in str(caught.value)
    assert "!!" not in str(caught.value)


def test_a_key_of_the_environment_that_is_none_is_refused_on_first_use(monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "secret")
    database = Database("sqlite:///:memory:")
    with pytest.raises(errors.ConfigurationError, match="expected a cursor_key"):
        database.ping()


def test_without_the_extra_a_key_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with pytest.raises(errors.ConfigurationError, match=r"pip install 'cloudpub-models\[cursors\]'"):
        Database("sqlite:///:memory:", cursor_key=FIRST)


def test_no_repr_shows_a_key():
    database = Database("sqlite:///:memory:", cursor_key=FIRST)
    assert FIRST not in repr(database) + repr(database.engine.options) + repr(vars(database)) + repr(CursorSeal(FIRST))
    database.close()
