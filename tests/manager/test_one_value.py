"""Where one row is meant, one value is taken: every public door that looks a row up refuses lists and operators."""

import inspect
import warnings
from uuid import uuid4

import pytest

from cloudpub_models import ALL_ROWS, Function, operators
from cloudpub_models.errors import InvalidValueError, UnknownColumnError
from cloudpub_models.legacy import QueryHelpers
from cloudpub_models.models import ALL_MODELS

SEVERAL = [[1, 2], (1,), {1, 2}, frozenset({1}), {"id": 1}, {"$gt": 0}, operators.gt(0), operators.in_([1]), [], {}]
SEVERAL += [["a", "b"], [str(uuid4())], operators.like("%"), operators.is_not_null(), ALL_ROWS, Function.id > 0]

# The parameters by which public methods are told which row, or which value, is meant.
ONE = {
    *("id", "uuid", "parent_id", "foreign_key_value", "email", "user", "function", "deployment", "organization"),
    *("owner", "new_owner", "function_id", "user_uuid", "function_uuid"),
}
# What else those methods need, as it should be.
REST = {
    "id_column": "id",
    "data": {"id": 5},
    "image_tag": "t",
    "s3_key": "k",
    "level": "info",
    "message": "m",
    "status": "success",
    "duration_ms": 1,
    "name": "x",
    "text": "x",
    "password_hash": "x",
}
RELATED = {
    "has_many": ("functions", "user_id"),
    "belongs_to": ("users", "user_id"),
    "many_to_many": ("users", "organization_members", "organization_id", "user_id"),
}


def doors():
    """Every public method of every manager and of the helpers that has such a parameter: (owner, method, parameter)."""
    found = []
    for owner in [*(model._meta.table_name for model in ALL_MODELS), "QueryHelpers"]:
        of = QueryHelpers if owner == "QueryHelpers" else owner
        for method, parameters in methods_of(of):
            # What follows relations is the same everywhere, and has arguments for one of the tables here.
            if method not in RELATED or owner == "functions":
                found += [(owner, method, parameter) for parameter in parameters if parameter in ONE]
    return found


def methods_of(owner):
    from cloudpub_models import managers

    target = owner if inspect.isclass(owner) else getattr(managers, owner)
    for name in dir(target):
        if not name.startswith("_") and inspect.isroutine(method := getattr(target, name)):
            yield name, list(inspect.signature(method).parameters)


DOORS = doors()


def test_the_doors_are_all_there():
    assert len(DOORS) > 80
    for door in [
        ("functions", "find_by_id", "id"),
        ("functions", "get_by_uuid", "uuid"),
        ("function_logs", "delete_by_id", "id"),
        ("users", "find_by_email", "email"),
        ("function_deployments", "deploy", "function"),
        ("QueryHelpers", "get_user_by_email", "email"),
        ("QueryHelpers", "delete_function", "uuid"),
    ]:
        assert door in DOORS


@pytest.mark.parametrize(("owner", "method", "parameter"), DOORS)
def test_a_door_for_one_value_takes_no_others(managers, statements, owner, method, parameter):
    class Helpers(QueryHelpers):
        pass

    Helpers.managers = managers
    target = Helpers if owner == "QueryHelpers" else getattr(managers, owner)
    call = getattr(target, method)
    for value in SEVERAL:
        arguments = given(call, method, parameter, value)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            try:
                call(**arguments)
            except InvalidValueError:
                continue
            except UnknownColumnError:
                assert "uuid" in parameter
                assert owner == "organization_members"
                continue
        pytest.fail(f"{owner}.{method}({parameter}={value!r}) was taken")
    assert statements == []


def given(call, method, parameter, value):
    """Arguments for a call in which nothing but one value is wrong."""
    if method in RELATED:
        names = list(inspect.signature(call).parameters)
        return dict(zip(names, RELATED[method], strict=False)) | {parameter: value}
    arguments = {"status": "x"} if method == "update_function" else {}
    for name, known in inspect.signature(call).parameters.items():
        if name == parameter:
            arguments[name] = value
        elif known.default is inspect.Parameter.empty:
            right = str(uuid4()) if "uuid" in name else 1
            arguments[name] = {"table": "functions"}.get(name, REST.get(name, right))
            if name in ("user", "organization", "owner", "new_owner") and method != "get_user_overview":
                arguments[name] = uuid4()
    return arguments


def test_a_list_of_ids_deletes_nothing(managers):
    user = managers.users.insert({"email": "ada@example.com", "password_hash": "x"})
    ids = [managers.functions.insert({"user_id": user.id, "name": name}).id for name in "ab"]
    with pytest.raises(InvalidValueError, match=r"expected one value for id; got a value of type list"):
        managers.functions.delete_by_id(ids)
    with pytest.raises(InvalidValueError, match="expected one value for analysis_result"):
        managers.functions.find_by_id([1], id_column="analysis_result")
    assert managers.functions.count() == 2


def test_a_key_of_find_or_insert_is_one_value(managers):
    user = managers.users.insert({"email": "ada@example.com", "password_hash": "x"})
    managers.functions.insert({"user_id": user.id, "name": "a"})
    for names in (["a", "b"], operators.like("%")):
        with pytest.raises(InvalidValueError):
            managers.functions.find_or_insert({"user_id": user.id, "name": names}, ["user_id", "name"])
    assert managers.functions.count() == 1
