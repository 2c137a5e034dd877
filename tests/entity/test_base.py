"""What every entity can do: to a dict and back, copies, equality, a ``repr`` without secrets."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime
from uuid import UUID, uuid4

import peewee
import pytest

from cloudpub_models.entity.base import Entity
from cloudpub_models.entity.unloaded import PartialData
from cloudpub_models.errors import InvalidValueError, UnknownColumnError
from cloudpub_models.models import (
    ALL_MODELS,
    Function,
    FunctionDeployment,
    Organization,
    OrganizationMember,
    Role,
    User,
    UserInformation,
)

MOMENT = datetime(2024, 5, 1, 12, tzinfo=UTC)
UUID_TEXT = "550e8400-e29b-41d4-a716-446655440000"


def a_user(**changes: object) -> User:
    values: dict[str, object] = {"id": 1, "uuid": UUID(UUID_TEXT), "email": "a@b.c", "password_hash": "secret-hash"}
    return User(**{**values, "created_at": MOMENT, "updated_at": MOMENT, **changes})


def test_to_dict_is_by_column() -> None:
    function = Function(id=3, uuid=UUID(UUID_TEXT), user=a_user(), name="f", created_at=MOMENT, updated_at=MOMENT)
    assert function.to_dict() == {
        "id": 3,
        "uuid": UUID(UUID_TEXT),
        "user_id": 1,
        "name": "f",
        "status": "active",
        "created_at": MOMENT,
        "updated_at": MOMENT,
    }


def test_to_dict_round_trips_for_every_model(bound: peewee.Database) -> None:
    user = User.create(email="a@b.c", password_hash="x")
    UserInformation.create(user=user, first_name="A", last_name="B", role=Role.DEVELOPER)
    organization = Organization.create(name="acme", owner=user)
    OrganizationMember.create(organization=organization, user=user)
    function = Function.create(user=user, name="f", analysis_result={"a": [1]})
    deployment = FunctionDeployment.create(function=function, version=1, image_tag="i", s3_key="k")
    function.active_deployment = deployment
    function.save()
    ALL_MODELS[6].create(function=function, level="info", message="m")
    ALL_MODELS[7].create(function=function, status="success", duration_ms=5)
    for model in ALL_MODELS:
        entity = model.get()
        data = entity.to_dict()
        assert list(data) == [field.column_name for field in model._meta.sorted_fields]
        again = model.from_dict(data)
        assert again == entity
        assert again.to_dict() == data
        # And through text, as from a JSON document.
        texts = {
            name: str(value) if isinstance(value, datetime | UUID | Role) else value for name, value in data.items()
        }
        assert model.from_dict(texts).to_dict() == data


def test_from_dict_fills_nothing_in() -> None:
    user = User.from_dict({"email": "a@b.c"})
    assert user.to_dict() == {"email": "a@b.c"}
    assert User.from_dict(PartialData(email="x")).email == "x"


def test_from_dict_takes_text_and_field_names() -> None:
    data = {
        "user": UUID_TEXT,
        "role": "team",
        "created_at": "2024-05-01T14:00:00+02:00",
        "updated_at": "2024-05-01 12:00",
    }
    information = UserInformation.from_dict(data)
    assert information.user_id == UUID(UUID_TEXT)
    assert information.role is Role.TEAM
    assert information.created_at == information.updated_at == MOMENT
    assert FunctionDeployment.from_dict({"is_active": 1}).is_active is True
    assert Function.from_dict({"user": a_user()}).user.email == "a@b.c"


@pytest.mark.parametrize(
    ("model", "data", "message"),
    [
        (User, {"created_at": datetime(2024, 1, 1)}, "attach its timezone"),
        (User, {"uuid": "x"}, "expected a UUID"),
        (UserInformation, {"role": "boss"}, "expected a Role"),
        (UserInformation, {"user_id": 7}, "expected a UUID"),
        (Function, {"analysis_result": {1: 2}}, "strings for keys"),
        (FunctionDeployment, {"is_active": "yes"}, "expected True or False for is_active; got 'yes'"),
    ],
)
def test_from_dict_refuses_what_a_column_cannot_hold(
    model: type[Entity], data: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidValueError, match=message):
        model.from_dict(data)


def test_unknown_columns_are_refused_with_the_nearest_name() -> None:
    with pytest.raises(UnknownColumnError, match="expected a column of users; got 'emial': did you mean 'email'"):
        User.from_dict({"emial": "a@b.c"})
    with pytest.raises(UnknownColumnError, match="did you mean 'email'"):
        a_user().copy_with(emial="x")


def test_copy_with_leaves_the_original_alone() -> None:
    function = Function(id=1, user=a_user(), name="f", analysis_result={"a": [1]})
    changed = function.copy_with(name="g", status="inactive")
    assert (function.name, function.status) == ("f", "active")
    assert (changed.name, changed.status) == ("g", "inactive")
    assert type(changed) is Function
    assert changed.user is function.user
    changed.analysis_result["a"].append(2)  # type: ignore[index,call-overload,union-attr]
    assert function.analysis_result == {"a": [1]}


def test_copy_with_another_key_forgets_the_related_row() -> None:
    function = Function(id=1, user=a_user(), name="f")
    changed = function.copy_with(user_id=2)
    assert changed.user_id == 2
    assert "user" not in changed.__rel__
    assert changed.copy_with(user=a_user(id=9)).user_id == 9


def test_copy_with_of_a_partial_instance_stays_partial() -> None:
    partial = User.__new__(User)
    partial.__data__ = PartialData({"id": 1, "email": "a@b.c"})
    changed = partial.copy_with(email="x")
    assert changed.to_dict() == {"id": 1, "email": "x"}
    with pytest.raises(Exception, match="'password_hash' was not loaded"):
        _ = changed.password_hash
    assert changed.dirty_field_names == ["email"]


def test_equality_is_by_primary_key() -> None:
    assert a_user() == a_user(email="other")
    assert a_user() != a_user(id=2)
    assert a_user(id=None) != a_user(id=None)
    unsaved = a_user(id=None)
    assert unsaved == unsaved
    assert a_user() != Function(id=1)
    assert a_user() != "a user"
    assert hash(a_user()) == hash(a_user(email="other"))
    assert len({a_user(), a_user(email="other"), a_user(id=2)}) == 2


def test_comparing_and_hashing_do_not_raise_without_the_key() -> None:
    partial = User.__new__(User)
    partial.__data__ = PartialData({"email": "a@b.c"})
    assert partial != a_user()
    assert isinstance(hash(partial), int)


def test_repr_names_the_row() -> None:
    assert repr(a_user()) == f"<User id=1 uuid={UUID_TEXT} email='a@b.c'>"
    assert repr(Function(id=2, uuid=UUID(UUID_TEXT), name="f")) == (
        f"<Function id=2 uuid={UUID_TEXT} name='f' status='active'>"
    )


def test_no_repr_shows_a_secret() -> None:
    class Account(User):
        """Shows, by mistake, what must not be shown."""

        shown_columns = ("email", "password_hash")

    for user in (a_user(), Account(id=1, email="a@b.c", password_hash="secret-hash")):
        assert "secret-hash" not in repr(user)
        assert "secret-hash" not in str(user)
    assert "password_hash" in User.secret_columns
    for model in ALL_MODELS:
        assert not model.secret_columns & set(model.shown_columns)


def test_entities_can_be_copied_and_pickled() -> None:
    user = a_user()
    for again in (copy.copy(user), copy.deepcopy(user), pickle.loads(pickle.dumps(user))):
        assert again == user
        assert again.to_dict() == user.to_dict()


def test_an_instance_made_by_filling_its_data_is_clean_and_works(bound: peewee.Database) -> None:
    stored = User.create(email="a@b.c", password_hash="x")
    user = User.__new__(User)
    user.__data__ = dict(stored.__data__)
    assert not user.is_dirty()
    assert user.__rel__ == {}
    user.email = "new@b.c"
    assert user.dirty_field_names == ["email"]
    assert user.save() == 1
    assert not user.is_dirty()
    assert User.get().email == "new@b.c"
    other = User.__new__(User)
    assert other.__rel__ is not user.__rel__


def test_a_model_of_ones_own() -> None:
    class Note(Entity):
        """A user's own model."""

        uuid = peewee.UUIDField(default=uuid4)
        text = peewee.TextField()

        class Meta:
            table_name = "notes"

    assert Note(id=1, uuid=UUID(UUID_TEXT), text="x").to_dict() == {"id": 1, "uuid": UUID(UUID_TEXT), "text": "x"}
    assert repr(Note(id=1, uuid=UUID(UUID_TEXT))) == f"<Note id=1 uuid={UUID_TEXT}>"


@pytest.mark.parametrize("only", [["nickname"], "email", [5], ["email", "\ud800"]])
def test_only_fields_are_saved_alone(bound: peewee.Database, only: object) -> None:
    user = a_user()
    with pytest.raises(UnknownColumnError, match="expected a list of fields"):
        user.save(only=only)


def test_fields_to_save_may_be_named(bound: peewee.Database) -> None:
    user = User.create(email="a@b.c", password_hash="x")
    user.email, user.password_hash = "new@b.c", "y"
    assert user.save(only=["email"]) == 1
    assert user.save(only=iter([User.email])) == 1
    assert (User.get().email, User.get().password_hash) == ("new@b.c", "x")
