"""A model says by which reference its rows may be on several servers."""

from __future__ import annotations

from typing import Any

import peewee
import pytest

from cloudpub_models import Function, FunctionInvocation, FunctionLog, User, errors
from cloudpub_models.entity import Entity
from cloudpub_models.entity.distributed import distribution_key


def test_logs_and_invocations_are_distributed_by_their_function() -> None:
    for model in (FunctionLog, FunctionInvocation):
        key = distribution_key(model)
        assert key is not None
        assert (key.column_name, key.rel_model) == ("function_id", Function)
    assert distribution_key(Function) is None


@pytest.mark.parametrize(
    "name",
    ["status", "uuid", "nobody", "owner", 7, ["function"]],
)
def test_what_is_no_reference_to_an_integer_that_all_rows_have_is_refused(name: Any) -> None:
    class Owned(Entity):
        owner = peewee.ForeignKeyField(User, null=True, backref="+")
        uuid = peewee.ForeignKeyField(User, field="uuid", backref="+")
        status = peewee.IntegerField()

        class Meta:
            table_name = "owned"
            distributed_by = name

    with pytest.raises(
        errors.ConfigurationError, match=r"Meta\.distributed_by of Owned to be a reference to an integer"
    ):
        distribution_key(Owned)
