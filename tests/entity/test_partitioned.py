"""By which column a model says that its table may be partitioned."""

from __future__ import annotations

import peewee
import pytest

from cloudpub_models import FunctionInvocation, FunctionLog, User
from cloudpub_models.entity import Entity, TextField, TimestampField
from cloudpub_models.entity.partitioned import partition_column
from cloudpub_models.errors import ConfigurationError


def model(by: str, table: str = "readings") -> type[peewee.Model]:
    class Reading(Entity):
        moment = TimestampField(column_name="taken_at")
        ended = TimestampField(null=True)
        text = TextField()

        class Meta:
            table_name = table
            partitioned_by = by

    return Reading


def test_the_platforms_growing_tables_say_so() -> None:
    assert [partition_column(each) for each in (FunctionLog, FunctionInvocation)] == ["timestamp"] * 2


@pytest.mark.parametrize("name", ["moment", "taken_at"])
def test_a_field_or_its_column(name: str) -> None:
    assert partition_column(model(name)) == "taken_at"


@pytest.mark.parametrize("name", ["ended", "text", "nowhere"])
def test_what_is_no_moment_of_every_row(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"Meta.partitioned_by of Reading .* got '{name}'"):
        partition_column(model(name))


def test_none_is_said() -> None:
    with pytest.raises(ConfigurationError, match=r'got users: say partitioned_by = "…" in its Meta'):
        partition_column(User)
