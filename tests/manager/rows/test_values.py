"""Values are decoded a column at a time, and one at a time where one has another form."""

from uuid import UUID

import pytest

from cloudpub_models.entity.stored_forms import uuid_from_database
from cloudpub_models.errors import CloudpubError
from cloudpub_models.manager.rows.values import make_values_reader

ID = UUID("11111111-1111-4111-8111-111111111111")


@pytest.mark.parametrize("alone", [True, False])
def test_values_in_any_form_that_a_database_may_have(alone):
    read = make_values_reader([uuid_from_database], alone=alone)
    rows = [(str(ID),), (None,), (ID.hex,), (str(ID).upper(),)]
    expected = [ID, None, ID, ID]
    assert read(rows) == (expected if alone else [(value,) for value in expected])
    assert read([]) == []


def test_a_value_of_no_form_is_an_error():
    with pytest.raises((CloudpubError, ValueError)):
        make_values_reader([uuid_from_database], alone=True)([("no uuid",)])
