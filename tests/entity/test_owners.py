"""Whose rows are whose: the references that lead to an owner, and those that do not."""

from __future__ import annotations

import pytest

from cloudpub_models import FunctionLog, Organization, User, errors
from cloudpub_models.entity import CharField, Entity, ForeignKey, IntegerField
from cloudpub_models.entity.owners import paths_to_owner
from cloudpub_models.models import ALL_MODELS


class Team(Entity):
    name = CharField()


def test_paths_lead_to_the_owner() -> None:
    paths = paths_to_owner(User, ALL_MODELS)
    assert {model.__name__ for model in ALL_MODELS} - {model.__name__ for model in paths} == {"User"}
    assert [key.name for key in paths[FunctionLog]] == ["function", "user"]
    assert [key.name for key in paths[Organization]] == ["owner"]


def test_owners_that_lead_nowhere_are_refused() -> None:
    class Left(Entity):
        number = IntegerField()

        class Meta:
            owner = "right"

    class Right(Entity):
        left = ForeignKey(Left)

        class Meta:
            owner = "left"

    with pytest.raises(errors.ConfigurationError, match="Meta.owner of Left to be one of its references; got 'right'"):
        paths_to_owner(Team, (Team, Left, Right))
    Left._meta.add_field("right", ForeignKey(Right, null=True))
    with pytest.raises(errors.ConfigurationError, match="expected owners that lead to one row; got the circle Left → "):
        paths_to_owner(Team, (Team, Left, Right))
