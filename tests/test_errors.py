"""The tree of errors: as its drawing says, each a Peewee error too, none lost on its way between processes."""

from __future__ import annotations

import inspect
import pickle
import re

import peewee
import pytest

from cloudpub_models import errors

CLASSES = {name: cls for name, cls in vars(errors).items() if inspect.isclass(cls) and issubclass(cls, Exception)}


def drawn() -> dict[str, str | None]:
    """Each class that the module's drawing names, with the one that stands above it."""
    above: list[str] = []
    found: dict[str, str | None] = {}
    for indentation, name in re.findall(r"^    ([│├└─ ]*)(\w+)", inspect.getdoc(errors) or "", re.MULTILINE):
        del above[len(indentation) // 4 :]
        found[name] = above[-1] if above else None
        above.append(name)
    return found


def test_the_drawing_shows_the_tree() -> None:
    tree = {
        name: next((base.__name__ for base in cls.__bases__ if base in CLASSES.values()), None)
        for name, cls in CLASSES.items()
    }
    assert drawn() == tree


@pytest.mark.parametrize("cls", [cls for name, cls in CLASSES.items() if name != "CloudpubError"])
def test_who_catches_errors_of_peewee_catches_it(cls: type[Exception]) -> None:
    assert issubclass(cls, errors.CloudpubError)
    assert issubclass(cls, peewee.PeeweeException | peewee.DoesNotExist | peewee.ImproperlyConfigured)


def test_a_constraint_says_what_it_is_about_in_another_process_too() -> None:
    error = errors.UniqueViolationError("taken", table="users", columns=["email"], constraint="users_email_key")
    copied = pickle.loads(pickle.dumps(error))
    assert (str(copied), copied.table, copied.columns, copied.constraint) == (
        "taken",
        "users",
        ("email",),
        "users_email_key",
    )


def test_a_commit_without_an_answer_asks_whom_it_was_given() -> None:
    assert errors.CommitUnknownError("lost", lambda: "committed").resolve() == "committed"
    assert errors.CommitUnknownError("lost").resolve() == "unknown"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("STATUS", "did you mean 'status'?"),
        ("stauts", "did you mean 'status'?"),
        ("zzz", "known are: id, name, status"),
    ],
)
def test_the_nearest_name(name: str, hint: str) -> None:
    assert errors.did_you_mean(name, ["status", "name", "id"]) == hint
