"""What the specification's examples take for granted: a user and a function of theirs."""

import pytest


@pytest.fixture
def user(managers):
    return managers.users.insert({"email": "ada@example.com", "password_hash": "a hash"})


@pytest.fixture
def function(managers, user):
    return managers.functions.insert({"user_id": user.id, "name": "resize"})
