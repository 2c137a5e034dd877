"""The types of rows are those of the models of the day, and say of every column what a manager takes."""

import importlib.util
import typing
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args, get_origin
from uuid import UUID, uuid4

import pytest
from peewee import Node

import cloudpub_models
from cloudpub_models import (
    Function,
    FunctionDeployment,
    Organization,
    OrganizationMember,
    Role,
    User,
    errors,
    operators,
)
from cloudpub_models.manager.columns.table import table_of
from cloudpub_models.models import ALL_MODELS
from cloudpub_models.testing import Factory

ROOT = Path(__file__).parents[2]
GENERATOR = ROOT / "scripts" / "generate_row_types.py"


def row_type(model, kind):
    return getattr(cloudpub_models, f"{model.__name__}{kind}")


def generator():
    specification = importlib.util.spec_from_file_location("generate_row_types", GENERATOR)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_module_is_current():
    made = generator()
    assert made.TARGET.read_text() == made.module_text(), f"run {GENERATOR.relative_to(ROOT)}"


@pytest.mark.parametrize("model", ALL_MODELS, ids=lambda model: model.__name__)
def test_the_columns_are_those_of_the_model(model):
    columns = {field.column_name for field in model._meta.sorted_fields}
    assert set(row_type(model, "Insert").__annotations__) == set(row_type(model, "Update").__annotations__) == columns
    assert row_type(model, "Update").__required_keys__ == frozenset()


@pytest.mark.parametrize("model", ALL_MODELS, ids=lambda model: model.__name__)
def test_what_is_required_is_what_the_database_needs(model, managers):
    manager, required = managers.for_model(model), row_type(model, "Insert").__required_keys__
    made = made_by(managers, model)
    row = {name: value for name, value in made.to_dict().items() if name in required}
    assert manager.delete_by_id(made.id)
    for missing in required:
        with pytest.raises(errors.NotNullViolationError) as caught:
            manager.insert({name: value for name, value in row.items() if name != missing})
        assert caught.value.columns == (missing,)
    assert manager.insert(row).id


def made_by(managers, model):
    factory = Factory(managers)
    if model is OrganizationMember:
        return managers.organization_members.find_one({"user_id": factory.organization().owner_id})
    names = {"UserInformation": "user_information", "FunctionDeployment": "deployment"}
    return getattr(factory, names.get(model.__name__, model.__name__.removeprefix("Function").lower() or "function"))()


@pytest.mark.parametrize("model", ALL_MODELS, ids=lambda model: model.__name__)
def test_managers_take_values_of_every_type_named(model):
    for name, annotation in typing.get_type_hints(row_type(model, "Update")).items():
        column = table_of(model).columns[name]
        kinds = set(get_args(annotation) or [annotation])
        assert (type(None) in kinds) == column.field.null
        assert (operators.Increment in kinds) == (
            column.kind == "integer" and name != "id" and not name.endswith("_id")
        )
        assert Node in kinds
        # Those two are what the database computes.
        for kind in kinds - {type(None), operators.Increment, Node}:
            for value in samples(kind, kinds):
                assert column.encode(value) is not None


VALUES = {bool: True, int: 7, float: 0.5, list: [1], dict: {"a": 1}, UUID: uuid4(), datetime: datetime.now(UTC)}


def samples(kind, kinds):
    """Values of one type among those that a column takes."""
    if get_origin(kind) is Literal:
        return get_args(kind)
    if kind is str:
        return [str(uuid4()) if UUID in kinds else "2024-05-01T12:00+02:00" if datetime in kinds else "text"]
    if kind in (Role, User, Organization, Function, FunctionDeployment):
        return list(kind) if kind is Role else [kind(id=7, uuid=uuid4())]
    return [VALUES[get_origin(kind) or kind]]
