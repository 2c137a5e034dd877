"""What a service answers to an error: the right status, and nothing that is nobody's business."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from cloudpub_models import Managers, User, errors
from cloudpub_models.http import problem
from cloudpub_models.testing import Factory

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.CloudpubError)]
SECRET = "hunter2-4711"


def raised(call: Any) -> errors.CloudpubError:
    with pytest.raises(errors.CloudpubError) as caught:
        call()
    return caught.value


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_has_an_answer_that_tells_no_value(kind: type[errors.CloudpubError]) -> None:
    answer = problem(kind(f"users.email: the value {SECRET!r} of constraint users_email_key is no good"))
    assert set(answer) == {"type", "title", "status", "detail"}
    assert answer["type"] == "about:blank"
    assert 400 <= answer["status"] < 600
    assert SECRET not in json.dumps(answer)
    assert "constraint" not in answer["detail"]


@pytest.mark.parametrize("error", [ValueError(SECRET), KeyError("x"), errors.UnknownColumnError(SECRET)])
def test_what_is_a_bug_is_told_to_nobody(error: Exception) -> None:
    assert problem(error) == {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
        "detail": "the request could not be answered",
    }


@pytest.fixture
def ada(managers: Managers) -> User:
    return managers.users.insert({"email": "ada@example.com", "password_hash": SECRET})


def test_what_requests_do_wrong(managers: Managers, ada: User) -> None:
    factory = Factory(managers)
    resize = factory.function(user=ada, name="resize")
    acme = managers.organizations.create("Acme 4711", ada)
    grace = factory.user()
    functions, organizations = managers.functions, managers.organizations
    for call, status, detail in [
        (lambda: functions.get_by_uuid(uuid4()), 404, "there is no such row of functions"),
        (lambda: functions.get_by_id(4711), 404, "there is no such row of functions"),
        (lambda: managers.function_logs.append(4711, "info", "x"), 404, "there is no such row of functions"),
        (lambda: managers.function_deployments.activate(uuid4()), 404, "there is no such row of function_deployments"),
        (
            lambda: functions.insert({"user_id": ada.id, "name": "resize"}),
            409,
            "another row already has this user_id, name",
        ),
        (
            lambda: functions.insert({"user_id": 4711, "name": "x"}),
            409,
            "a row that it refers to is not there, or others refer to it",
        ),
        (lambda: functions.insert({"user_id": ada.id}), 422, "a value is missing: name"),
        (
            lambda: functions.update_by_id(resize.id, {"name": "4711" * 100}),
            422,
            "name: expected at most 255 characters",
        ),
        (lambda: functions.find_all({"user_id": "4711"}), 422, "user_id: expected an integer"),
        (lambda: functions.find_by_uuid("4711"), 422, None),
        (lambda: functions.delete_by_id([4711]), 422, "expected one value for id"),
        (lambda: functions.paginate_after(page_size=0), 422, "expected page_size to be an integer of at least 1"),
        (lambda: functions.paginate(0, 10), 422, "expected page to be an integer of at least 1"),
        (lambda: functions.find_all(limit=-4711), 422, "expected limit to be an integer of at least 0"),
        (lambda: functions.paginate_after("4711"), 422, "the cursor is none of this list: begin without one"),
        (
            lambda: managers.function_deployments.rollback(resize),
            409,
            "expected a function with an active deployment",
        ),
        (
            lambda: organizations.add_user_to_organization(ada, acme),
            409,
            "expected a user who is in no organization yet",
        ),
        (lambda: organizations.remove_user_from_organization(ada), 409, "expected a member other than the owner"),
        (
            lambda: organizations.transfer_ownership(acme, grace),
            409,
            "expected a member of the organization as its new owner",
        ),
        (lambda: functions.find_all({"stauts": "4711"}), 500, "the request could not be answered"),
    ]:
        answer = problem(raised(call))
        assert answer["status"] == status, answer
        assert detail is None or answer["detail"] == detail
        for told in ("4711", SECRET, str(ada.uuid), "_key", "_idx", "fkey"):
            assert told not in json.dumps(answer)


def test_a_database_that_is_away() -> None:
    answer = problem(errors.ConnectionFailedError("cannot connect to postgresql://ada:s3cret@host"))
    assert (answer["status"], answer["title"]) == (503, "Service Unavailable")
    assert "s3cret" not in answer["detail"]
