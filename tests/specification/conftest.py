"""What the specification's examples take for granted: a user, a function of theirs, and the shared files."""

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2].parent / "shared"


@pytest.fixture
def user(managers):
    return managers.users.insert({"email": "ada@example.com", "password_hash": "a hash"})


@pytest.fixture
def function(managers, user):
    return managers.functions.insert({"user_id": user.id, "name": "resize"})


@pytest.fixture
def shared_file():
    """Gives the path of a file that lies beside the checkout, and skips the test where it does not."""

    def path(name):
        found = SHARED / name
        if not found.exists():
            pytest.skip(f"{found} is not there; it comes with the project's shared files, not with the checkout")
        return found

    return path
