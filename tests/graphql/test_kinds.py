"""What is shown of each table: the DTOs' fields, each read from a column or a public id, and nothing beside them."""

from __future__ import annotations

import peewee
import pytest

from cloudpub_models import User
from cloudpub_models.dto import UserDto
from cloudpub_models.dto.base import Dto
from cloudpub_models.errors import ConfigurationError
from cloudpub_models.graphql import kinds
from cloudpub_models.graphql.kinds import kinds_of
from cloudpub_models.models import ALL_MODELS


def test_each_table_of_the_platform_is_shown_as_its_dto_does() -> None:
    found = kinds_of(tuple(ALL_MODELS))
    assert set(found) == set(ALL_MODELS)
    for model, kind in found.items():
        dto, _ = kinds._PLATFORM[model]
        assert list(kind.leaves) == list(dto.model_fields)
        assert all(leaf.description for leaf in kind.leaves.values()), kind.name


def test_no_relation_leads_round_the_privacy_rule() -> None:
    found = kinds_of(tuple(ALL_MODELS))
    leading = {(kind.name, name) for kind in found.values() for name in kind.relations}
    assert {related for name, related in leading if name in ("Organization", "OrganizationMember")} == {"members"}


def test_relations_to_tables_that_are_not_there_are_left_out() -> None:
    assert list(kinds_of((User,))[User].relations) == []


@pytest.mark.parametrize("name", ["password_hash", "age"])
def test_a_field_that_may_not_be_shown_is_refused(name: str) -> None:
    class Other(Dto):
        """Another."""

    Other.model_fields[name] = UserDto.model_fields["email"]
    with pytest.raises(ConfigurationError, match=f"columns of User and may be shown; got {name}"):
        kinds._kind(User, Other, (), [User])


def test_a_model_of_ones_own_is_not_shown() -> None:
    class Note(peewee.Model):
        text = peewee.TextField()

    assert kinds_of((Note,)) == {}
