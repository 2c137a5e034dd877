"""The registry of managers: one for each table, made when it is first asked for."""

from __future__ import annotations

import peewee
import pytest

from cloudpub_models import ALL_ROWS, Database, Managers, Scope
from cloudpub_models.connection.default import database as default_database
from cloudpub_models.manager.manager import Manager
from cloudpub_models.models import ALL_MODELS


class Order(peewee.Model):
    """A table that the platform does not have."""


@pytest.fixture
def registry() -> Managers:
    """The managers of a database that nobody opens."""
    return Managers(Database("sqlite:///:memory:"))


@pytest.mark.parametrize("model", ALL_MODELS)
def test_each_table_has_an_attribute(registry: Managers, model: type[peewee.Model]) -> None:
    manager = getattr(registry, model._meta.table_name)
    assert isinstance(manager, Manager)
    assert manager.model is model
    assert manager.database is registry.database
    assert registry.for_model(model) is manager


@pytest.mark.parametrize("model", ALL_MODELS)
def test_a_manager_by_itself_is_of_the_default_database_or_what_it_is_given(
    registry: Managers, model: type[peewee.Model]
) -> None:
    kind = type(getattr(registry, model._meta.table_name))
    given = () if kind is not Manager else (model,)
    assert kind(*given).database is default_database
    scope = Scope(dict.fromkeys(ALL_MODELS, ALL_ROWS))
    limited = kind(*given, registry.database, scope=scope)
    assert (limited.database, limited.scope) == (registry.database, scope)


def test_a_model_of_ones_own_has_one_manager(registry: Managers) -> None:
    orders = registry.for_model(Order)
    assert (orders.model, orders.database) == (Order, registry.database)
    assert registry.for_model(Order) is orders
    assert Managers(registry.database).for_model(Order) is not orders


def test_nothing_is_opened(registry: Managers) -> None:
    made = [registry.users, registry.for_model(Order)]
    assert len(made) == 2
    assert not registry.database.is_open
