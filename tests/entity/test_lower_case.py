"""Texts whatever the case of their ASCII letters: the same to Python, SQLite and PostgreSQL."""

from __future__ import annotations

import pytest

from cloudpub_models import Managers, User
from cloudpub_models.entity.lower_case import AsciiLower, ascii_lower

ADDRESSES = ["Ada@Example.COM", "JÜRGEN@example.com", "jürgen@example.com", "\u212aim@İstanbul.ıo", "STRASSE", "straße"]


def test_a_database_makes_of_a_column_what_python_makes_of_its_text(managers: Managers) -> None:
    for address in ADDRESSES:
        managers.users.insert({"email": address, "password_hash": "…"})
    with managers.database.bind():
        lowered = [row[0] for row in User.select(AsciiLower(User.email)).order_by(User.id).tuples()]
    assert lowered == [ascii_lower(address) for address in ADDRESSES]
    assert lowered[:2] == ["ada@example.com", "jÜrgen@example.com"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_condition_finds_it(managers: Managers, address: str) -> None:
    user = managers.users.insert({"email": address, "password_hash": "…"})
    assert managers.users.find_all(AsciiLower(User.email) == ascii_lower(address)) == [user]
    assert managers.users.find_all(AsciiLower(User.email) == address.upper()) == []
