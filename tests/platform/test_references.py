"""Which row an operation of the platform means, told by an instance or by the key that foreign keys to it hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from cloudpub_models.errors import InvalidValueError
from cloudpub_models.models import Function, FunctionDeployment, Organization, User
from cloudpub_models.platform import references

SEVEN = UUID(int=7)
TEXT = str(SEVEN)


@pytest.mark.parametrize(
    ("key", "instance", "value", "expected"),
    [
        (references.function_key, Function(id=7), 7, 7),
        (references.deployment_key, FunctionDeployment(id=7), 7, 7),
        (references.owner_key, User(id=7), 7, 7),
        (references.user_key, User(uuid=SEVEN), SEVEN, TEXT),
        (references.user_key, User(uuid=SEVEN), TEXT.upper(), TEXT),
        (references.organization_key, Organization(uuid=SEVEN), SEVEN, TEXT),
    ],
)
def test_an_instance_and_its_key_mean_the_same(
    key: Callable[[Any], Any], instance: Any, value: Any, expected: Any
) -> None:
    assert (key(instance), key(value)) == (expected, expected)


@pytest.mark.parametrize(
    ("key", "refused", "message"),
    [
        (
            references.function_key,
            None,
            "expected a function, as an instance or by its key; got None: was the row found",
        ),
        (references.deployment_key, None, "deployment, as an instance or by its key; got None"),
        (references.function_key, SEVEN, "got the public UUID"),
        (references.owner_key, SEVEN, "got the public UUID"),
        (references.user_key, 7, "expected a UUID"),
        (references.function_key, User(id=7), "got User <User id=7"),
        (references.function_key, Function(name="new"), "expected a saved Function"),
    ],
)
def test_what_means_no_row(key: Callable[[Any], Any], refused: Any, message: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        key(refused)
    assert message in str(caught.value)
