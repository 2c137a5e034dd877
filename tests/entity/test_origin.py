"""Rows of a database that is not the default one: what Peewee does with them goes where they came from."""

import copy
import pickle
import uuid

import pytest

from cloudpub_models import Managers, User
from cloudpub_models import database as default_database
from cloudpub_models.entity.origin import Origin, origin_of
from cloudpub_models.errors import ConfigurationError, InvalidQueryError


@pytest.fixture
def default(tmp_path):
    """The default database, with a row for each id that another one's may have."""
    default_database.initialize(f"sqlite:///{tmp_path}/default.db")
    default_database.migrate()
    managers = Managers(default_database)
    fill(managers, "default")
    yield managers
    default_database.close()


@pytest.fixture
def other(database, managers, default):
    fill(managers, "other")
    return managers


def fill(managers, name):
    user = managers.users.insert({"email": f"{name}@example.com", "password_hash": "x"})
    managers.user_information.insert({"user_id": user.uuid, "first_name": name, "last_name": "x", "role": "developer"})
    function = managers.functions.insert({"user_id": user.id, "name": name})
    managers.function_logs.insert({"function_id": function.id, "level": "info", "message": name})


def names(managers):
    return [user.email.partition("@")[0] for user in managers.users.find_all()]


def ways_to_a_user(managers):
    users, functions = managers.users, managers.functions
    yield users.find_by_id(1)
    yield users.find_all(limit=1)[0]
    yield users.find_all(select=["id", "email"])[0]
    yield next(iter(users.iterate()))
    yield users.raw("SELECT * FROM users")[0]
    yield functions.find_all(include=("user",))[0].user
    yield functions.find_by_id(1).user
    yield users.find_by_id(1).functions[0].user
    yield users.find_by_id(1).functions.where(True)[0].user
    yield users.find_by_id(1).information.user
    yield users.get_user_complete(users.find_by_id(1).uuid)
    yield users.find_by_id(1).copy_with(password_hash="z")
    yield copy.copy(users.find_by_id(1))
    yield copy.deepcopy(users.find_by_id(1))
    yield users.find_all(include=("functions",))[0].functions[0].user


def test_a_row_is_saved_where_it_came_from_however_it_was_found(other, default):
    for number, user in enumerate(ways_to_a_user(other)):
        assert user.email.endswith("@example.com")
        user.email = f"changed{number}@example.com"
        assert user.save() == 1
        assert names(other) == [f"changed{number}"]
    assert names(default) == ["default"]


def test_a_row_is_deleted_where_it_came_from(other, default):
    other.function_logs.find_by_id(1).delete_instance()
    assert (other.function_logs.count(), default.function_logs.count()) == (0, 1)
    other.functions.find_by_id(1).delete_instance(recursive=True)
    assert (other.functions.count(), default.functions.count()) == (0, 1)


def test_relations_are_read_where_the_row_came_from(other, default):
    log = other.function_logs.find_by_id(1)
    assert (log.function.name, log.function.user.email) == ("other", "other@example.com")
    user = other.users.find_by_id(1)
    assert [function.name for function in user.functions] == ["other"]
    assert user.functions.count() == 1
    assert user.information.first_name == "other"
    with default_database.bind():
        assert other.functions.find_by_id(1).user.email == "other@example.com"


def test_rows_of_the_default_database_carry_nothing(default):
    user = default.users.find_by_id(1)
    assert vars(user).keys() == {"__data__"}
    user.email = "changed@example.com"
    assert user.save() == 1
    assert names(default) == ["changed"]


def test_a_row_is_not_written_to_another_database_that_is_bound(other, default):
    user = other.users.find_by_id(1)
    user.email = "changed@example.com"
    with default_database.bind():
        with pytest.raises(InvalidQueryError, match="expected a row of the database that is bound here; got one of"):
            user.save()
        with pytest.raises(InvalidQueryError, match="from_dict"):
            user.delete_instance()
    assert (names(other), names(default)) == (["other"], ["default"])


def test_a_row_can_be_copied_into_another_database(other, default):
    user = other.users.find_by_id(1)
    copied = User.from_dict(user.to_dict() | {"id": 2, "uuid": uuid.uuid4()})
    assert origin_of(copied) is None
    with default_database.bind():
        copied.save(force_insert=True)
        # What is inserted overwrites nobody's.
        user.copy_with(id=3, uuid=uuid.uuid4(), email="third@example.com").save(force_insert=True)
    assert names(default) == ["default", "other", "third"]


def test_a_pickled_row_finds_its_database_again(other, default):
    user = pickle.loads(pickle.dumps(other.users.find_by_id(1)))
    user.email = "changed@example.com"
    user.save()
    assert (names(other), names(default)) == (["changed"], ["default"])


def test_one_of_a_database_that_is_not_used_here_is_refused(default):
    origin = pickle.loads(pickle.dumps(Origin(None, "postgresql://elsewhere/shop")))
    user = User(id=1, email="changed@example.com")
    vars(user)["_origin"] = origin
    with pytest.raises(ConfigurationError, match="got one of postgresql://elsewhere/shop, pickled elsewhere"):
        user.save()
    assert names(default) == ["default"]
