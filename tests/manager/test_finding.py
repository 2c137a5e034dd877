"""Finding rows that have to be there; what else finds rows is tested in ``test_manager``."""

from uuid import UUID

import pytest

from cloudpub_models import Function, errors, operators

NOBODY = UUID("11111111-1111-4111-8111-111111111111")


@pytest.fixture
def ada(managers):
    return managers.users.insert({"email": "ada@example.com", "password_hash": "secret"})


@pytest.fixture
def resize(managers, ada):
    return managers.functions.insert({"user_id": ada.id, "name": "resize"})


def test_a_row_that_is_there_comes_by_the_statement_of_its_finder(managers, ada, resize, statements):
    functions = managers.functions
    pairs = [
        (lambda: functions.get_by_id(resize.id), lambda: functions.find_by_id(resize.id)),
        (lambda: functions.get_by_uuid(str(resize.uuid)), lambda: functions.find_by_uuid(str(resize.uuid))),
        (
            lambda: functions.get_by_id("resize", id_column="name", select=["id"]),
            lambda: functions.find_by_id("resize", id_column="name", select=["id"]),
        ),
        (
            lambda: functions.get_one({"user_id": ada.id}, order_by="name", include=("user",)),
            lambda: functions.find_one({"user_id": ada.id}, order_by="name", include=("user",)),
        ),
    ]
    for get, find in pairs:
        statements.clear()
        got = get()
        sent = list(statements)
        statements.clear()
        assert got == find() == resize
        assert sent == statements


MISSING = [
    (lambda m: m.functions.get_by_id(7), "expected a row of functions with the id 7; there is none"),
    (lambda m: m.functions.get_by_uuid(NOBODY), f"expected a row of functions with the uuid {NOBODY}; there is none"),
    (
        lambda m: m.users.get_by_uuid(str(NOBODY)),
        f"expected a row of users with the uuid '{NOBODY}'; there is none",
    ),
    (
        lambda m: m.functions.get_one({"user": 1, "name": "crop"}),
        "expected a row of functions with the user_id 1 and the name 'crop'; there is none",
    ),
    (
        lambda m: m.functions.get_one({"name": operators.like("a%")}),
        "expected a row of functions with the name a value of type Operator; there is none",
    ),
    (
        lambda m: m.functions.get_one(Function.id > 7),
        "expected a row of functions that meets the conditions; there is none",
    ),
    (lambda m: m.function_logs.get_one(), "expected a row of function_logs; there is none"),
    (
        lambda m: m.users.get_by_id("hunter2", id_column="password_hash"),
        "expected a row of users with this password_hash; there is none",
    ),
]


@pytest.mark.parametrize(("get", "message"), MISSING)
def test_a_row_that_is_not_there_is_an_error_that_names_the_table_and_what_was_given(
    managers, statements, get, message
):
    with pytest.raises(errors.NotFoundError) as caught:
        get(managers)
    assert str(caught.value) == message
    assert caught.value.table in message
    assert len(statements) == 1


def test_what_is_refused_is_refused_as_by_the_finders(managers, statements):
    with pytest.raises(errors.InvalidValueError):
        managers.functions.get_by_id(None)
    with pytest.raises(errors.InvalidValueError):
        managers.functions.get_by_id(NOBODY)
    with pytest.raises(errors.UnknownColumnError):
        managers.organization_members.get_by_uuid(NOBODY)
    with pytest.raises(errors.UnknownColumnError):
        managers.functions.get_one({"nmae": "x"})
    assert statements == []
