"""The third migration: what functions have given so far counts, and the models make the same table."""

from __future__ import annotations

import peewee
import pytest

from cloudpub_models import Database, Managers
from cloudpub_models.models import GivenVersion
from cloudpub_models.platform.component import component
from cloudpub_models.schema import Migrator, create_all, find_drift, read_catalogue

TABLE = "cloudpub_given_versions"


@pytest.fixture
def given(managers: Managers) -> dict[int, int]:
    """The highest version of each function, of before the migration."""
    database = managers.database.engine
    Migrator(database, component).down("0003_given_versions")
    user = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    functions = [managers.functions.insert({"user_id": user.id, "name": name}).id for name in "abc"]
    for function, version in ((functions[0], 1), (functions[0], 7), (functions[1], 2)):
        managers.function_deployments.insert(
            {"function_id": function, "version": version, "image_tag": "i", "s3_key": "k"}
        )
    return {functions[0]: 7, functions[1]: 2, functions[2]: 0}


def test_what_is_there_counts(managers: Managers, given: dict[int, int]) -> None:
    changed = {function.id: function.updated_at for function in managers.functions.find_all()}
    assert Migrator(managers.database.engine, component).up("0003_given_versions") == ["0003_given_versions"]
    assert {function.id: function.updated_at for function in managers.functions.find_all()} == changed
    managers.function_deployments.delete({"version": [7, 2]})
    for function, version in given.items():
        assert managers.function_deployments.deploy(function, "i", "k").version == version + 1


@pytest.mark.usefixtures("keys_of_models")
def test_the_models_make_the_same_table(migrated: peewee.Database) -> None:
    by_migration = read_catalogue(migrated).tables[TABLE]
    Migrator(migrated, component).down("0001_initial")
    assert TABLE not in read_catalogue(migrated).tables
    create_all(migrated, component.models)
    assert read_catalogue(migrated).tables[TABLE] == by_migration
    assert find_drift(migrated, [GivenVersion]) == []


def test_it_goes_with_the_function(database: Database, managers: Managers) -> None:
    user = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    function = managers.functions.insert({"user_id": user.id, "name": "a"})
    managers.function_deployments.deploy(function, "i", "k")
    managers.users.delete_by_id(user.id)
    assert database.raw_query_single(f"SELECT COUNT(*) AS n FROM {TABLE}") == {"n": 0}
