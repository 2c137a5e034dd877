"""Instances with more than their columns."""

from __future__ import annotations

import peewee
import pytest

from cloudpub_models import User
from cloudpub_models.errors import LazyLoadingError
from cloudpub_models.manager.rows.extended import make_extended_loader
from cloudpub_models.sql import SQLITE


class Plain(peewee.Model):
    """A model of Peewee alone."""

    name = peewee.TextField()


def test_columns_are_data_and_the_others_plain_attributes(managers):
    names = ("logins", "id", "email", "doubled")
    load = make_extended_loader(User, names, (None, None, None, lambda value: value * 2), SQLITE)
    first, second = load([(3, 1, "ada@example.com", 4), (None, 2, "grace@example.com", None)], managers.users.origin)
    assert (first.id, first.email, first.logins, first.doubled) == (1, "ada@example.com", 3, 8)
    assert (second.logins, second.doubled) == (None, None)
    assert first.__data__ == {"id": 1, "email": "ada@example.com"}
    assert not first.is_dirty()
    assert first._origin is managers.users.origin
    with pytest.raises(LazyLoadingError):
        _ = first.password_hash


def test_rows_of_the_default_database_and_of_other_models_have_no_origin(managers):
    (user,) = make_extended_loader(User, ("id",), (None,), SQLITE)([(1,)], None)
    assert "_origin" not in vars(user)
    load = make_extended_loader(Plain, ("name", "id", "n"), (None, None, None), SQLITE)
    (plain,) = load([("a", 1, 5)], managers.users.origin)
    assert "_origin" not in vars(plain)
    assert (plain.name, plain.id, plain.n) == ("a", 1, 5)
    assert load([], None) == []
