"""Whatever a DTO is built from, no internal id and no password hash comes out, and nothing is sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import peewee
import pytest

import cloudpub_models.dto
from cloudpub_models import errors
from cloudpub_models.dto import OrganizationWithMembersDto
from cloudpub_models.dto.base import Dto
from cloudpub_models.models import ALL_MODELS
from tests.dto.world import BUILDERS, INTERNAL_IDS, PASSWORD_HASH, World

# The only fields that hold an integer; a new one has to be thought about.
COUNTS = {"version", "duration_ms", "member_count"}
DOCUMENTS = {"analysis_result"}


def subclasses(dto: type[Dto]) -> Iterator[type[Dto]]:
    for subclass in dto.__subclasses__():
        # Others may derive DTOs of their own in their tests.
        if subclass.__module__.startswith("cloudpub_models."):
            yield subclass
        yield from subclasses(subclass)


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a JSON-ready dict that is not a container, with the name that it stands under."""
    if isinstance(value, dict) and name not in DOCUMENTS:
        for key, inner in value.items():
            yield from leaves(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, name)
    else:
        yield name, value


def test_every_dto_is_covered_here():
    assert set(BUILDERS) == set(subclasses(Dto))
    assert {dto.__name__ for dto in BUILDERS} == set(cloudpub_models.dto.__all__)


@pytest.mark.parametrize("dto", BUILDERS, ids=lambda dto: dto.__name__)
def test_no_internal_id_and_no_password_hash_comes_out(world: World, dto: type[Dto]):
    for built in BUILDERS[dto](world):
        shown = built.to_json()
        for text in (json.dumps(shown), built.model_dump_json(), str(built.model_dump()), repr(built), str(built)):
            assert PASSWORD_HASH not in text
            assert not [id for id in INTERNAL_IDS if str(id) in text]
        for name, value in leaves(shown):
            assert not isinstance(value, int) or isinstance(value, bool) or name in COUNTS, name
            assert "password" not in name
            assert name not in {"id", "user_id", "function_id", "active_deployment_id"}
            if name.endswith(("_id", "uuid")):
                UUID(value)


@pytest.mark.parametrize("dto", BUILDERS, ids=lambda dto: dto.__name__)
def test_a_dto_takes_no_entity_but_its_own(world: World, dto: type[Dto]):
    """Every DTO over every entity: it shows one, or refuses it by name."""
    for entity in (*vars(world).values(), None):
        for make in (getattr(dto, "from_entity", None), getattr(dto, "from_entities", None)):
            if make is None:
                continue
            arguments = ([entity], None) if dto is OrganizationWithMembersDto else ()
            try:
                text = json.dumps(make(entity, *arguments).to_json())
            except (errors.InvalidValueError, errors.LazyLoadingError):
                continue
            assert PASSWORD_HASH not in text
            assert not [id for id in INTERNAL_IDS if str(id) in text]


@pytest.mark.parametrize("dto", BUILDERS, ids=lambda dto: dto.__name__)
@pytest.mark.parametrize("mode", ["validation", "serialization"])
def test_no_field_of_the_schema_could_hold_one(dto: type[Dto], mode: Any):
    schema = dto.model_json_schema(mode=mode)
    for definition in (schema, *schema.get("$defs", {}).values()):
        for name, field in definition.get("properties", {}).items():
            types = {option.get("type") for option in field.get("anyOf", [field])}
            assert "integer" not in types or name in COUNTS, name
            assert "number" not in types
            assert "password" not in name
            if name.endswith(("_id", "uuid")):
                assert "uuid" in {option.get("format") for option in field.get("anyOf", [field])}


@pytest.mark.parametrize("dto", BUILDERS, ids=lambda dto: dto.__name__)
def test_no_field_is_named_after_a_key_or_a_secret(dto: type[Dto]):
    """By the models themselves, so that a column added later is covered too."""
    fields = set(dto.model_fields)
    for model in ALL_MODELS:
        assert not fields & model.secret_columns
        for field in model._meta.sorted_fields:
            target = field.rel_field if isinstance(field, peewee.ForeignKeyField) else field
            if isinstance(target, peewee.AutoField):
                assert field.column_name not in fields
                assert field.name not in fields or field.name == "user"


@pytest.mark.parametrize("dto", BUILDERS, ids=lambda dto: dto.__name__)
def test_building_a_dto_sends_no_statement(database, statements, world: World, dto: type[Dto], monkeypatch):
    def refuse(*arguments: Any, **options: Any) -> Any:
        raise AssertionError(f"sent {arguments}")

    with database.bind():
        database.engine.connect(reuse_if_open=True)
        monkeypatch.setattr(database.engine, "execute_sql", refuse)
        with pytest.raises(AssertionError, match="sent"):
            _ = world.log.function  # what the test is about would be noticed
        statements.clear()
        for built in BUILDERS[dto](world):
            built.to_json()
    assert statements == []
