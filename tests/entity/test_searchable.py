"""Which columns of a model are searched for words."""

from __future__ import annotations

import pytest

from cloudpub_models import FunctionLog, User
from cloudpub_models.entity import CharField, Entity, TextField
from cloudpub_models.entity.searchable import is_searchable, searchable_fields
from cloudpub_models.errors import UnknownColumnError


def test_columns_are_named_by_themselves_or_by_their_fields() -> None:
    class Letter(Entity):
        subject = CharField(max_length=20)
        text = TextField(column_name="body")

        class Meta:
            table_name = "letters"
            searchable = ("text", "subject")

    class Note(Letter):
        class Meta:
            table_name = "notes"
            searchable = "body"

    assert [field.column_name for field in searchable_fields(Letter)] == ["body", "subject"]
    assert [field.column_name for field in searchable_fields(Note)] == ["body"]
    assert [is_searchable(model) for model in (Letter, Note, FunctionLog, User)] == [True, True, True, False]


def test_a_name_that_is_no_column_is_told() -> None:
    class Letter(Entity):
        subject = CharField(max_length=20)

        class Meta:
            table_name = "letters"
            searchable = ("subjcet",)

    with pytest.raises(UnknownColumnError, match="letters has no column 'subjcet': did you mean 'subject'"):
        searchable_fields(Letter)
