"""What an index of words knows of a table."""

from __future__ import annotations

import pytest

from cloudpub_models import FunctionLog, User
from cloudpub_models.entity import CharField, Entity, UuidField
from cloudpub_models.errors import InvalidQueryError
from cloudpub_models.schema.search import postgresql, sqlite
from cloudpub_models.schema.search.tables import SearchedTable, kind_of, searched_table
from cloudpub_models.sql.dialects import POSTGRESQL, SQLITE


class Letter(Entity):
    code = UuidField(primary_key=True)
    subject = CharField(max_length=20, column_name="about")

    class Meta:
        table_name = "letters"
        searchable = "subject"


def test_a_table_has_its_columns_and_its_number() -> None:
    assert searched_table(FunctionLog) == SearchedTable("function_logs", ("message",), "id")
    assert searched_table(Letter) == SearchedTable("letters", ("about",), None)
    with pytest.raises(InvalidQueryError, match="expected columns of users to search in"):
        searched_table(User)


def test_each_database_has_its_own_kind() -> None:
    assert [kind_of(dialect) for dialect in (POSTGRESQL, SQLITE)] == [postgresql, sqlite]
