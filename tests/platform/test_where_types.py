"""The types of conditions are those of the models of the day, and every key of them is one that a manager takes."""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Any
from uuid import UUID

import peewee
import pytest

import cloudpub_models
from cloudpub_models import Managers, errors, operators
from cloudpub_models.entity import Entity
from cloudpub_models.manager.relations import links_of, relation_names
from cloudpub_models.models import ALL_MODELS
from tests.typing.test_row_types import generator

models = pytest.mark.parametrize("model", ALL_MODELS, ids=lambda model: model.__name__)


def keys(model: type[peewee.Model], relations: int) -> set[str]:
    own = {name for field in model._meta.sorted_fields for name in (field.column_name, field.name)}
    if relations:
        for name in relation_names(model):
            own |= {f"{name}.{key}" for key in keys(links_of(model, name)[-1].model, relations - 1)}
    return own


def where_type(model: type[Entity]) -> Any:
    return getattr(cloudpub_models, f"{model.__name__}Where")


def test_the_module_is_current() -> None:
    made = generator()
    assert made.WHERE_TARGET.read_text() == made.where_module_text(), "run scripts/generate_row_types.py"


@models
def test_its_keys_are_all_that_follow_up_to_two_relations(model: type[Entity]) -> None:
    assert set(where_type(model).__annotations__) == keys(model, 2)
    assert where_type(model).__required_keys__ == frozenset()


# What it runs is covered by other tests, and takes twice as long when coverage is measured.
@pytest.mark.no_cover
@models
def test_a_manager_takes_each_key_with_no_value_several_and_an_operator(
    model: type[Entity], managers: Managers, scale: Callable[[int, int], int]
) -> None:
    manager = managers.for_model(model)
    for key, kind in list(where_type(model).__annotations__.items())[:: scale(3, 1)]:
        value: Any = _sample(kind)
        for condition in (value, None, [value, None], operators.ne(value)):
            assert manager.count({key: condition}) == 0
        with pytest.raises(errors.UnknownColumnError):
            manager.count({f"{key}x": value})


def _sample(kind: Any) -> Any:
    kinds = typing.get_args(kind)
    for sample in (UUID(int=5), "2024-05-01T12:00+02:00", True, 7, "developer"):
        wanted = "datetime" if str(sample).startswith("2024") else type(sample).__name__
        if any(getattr(each, "__name__", "") == wanted for each in kinds):
            return sample
    return "developer"
