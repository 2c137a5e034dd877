"""Valid rows for tests, with as little said as the test cares about: ``Factory``."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Unpack

import peewee

from cloudpub_models.models import (
    Function,
    FunctionDeployment,
    FunctionInvocation,
    FunctionLog,
    Organization,
    Role,
    User,
    UserInformation,
)
from cloudpub_models.platform.registry import Managers
from cloudpub_models.platform.row_types import (
    FunctionDeploymentUpdate,
    FunctionInvocationUpdate,
    FunctionLogUpdate,
    FunctionUpdate,
    OrganizationUpdate,
    UserInformationUpdate,
    UserUpdate,
)


class Factory:
    """Inserts valid rows: what is not said is filled in, unique where it has to be; parents are made as needed.

    A parent is given as an instance, or by its key among the columns (``user_id=7``).

    Args:
        managers: where the rows go.

    >>> from cloudpub_models import managers
    >>> factory = Factory(managers)
    >>> factory.log(level="error").function.user.email
    'user-1@example.com'
    >>> resize = factory.function(name="resize")
    >>> [factory.deployment(resize).version for _ in range(3)]
    [1, 2, 3]
    """

    def __init__(self, managers: Managers) -> None:
        self._managers = managers
        self._numbers: defaultdict[str, Iterator[int]] = defaultdict(lambda: itertools.count(1))

    def user(self, **columns: Unpack[UserUpdate]) -> User:
        """Insert a user, with an email address of its own.

        >>> factory.user().email, factory.user(email="alan@example.com").email
        ('user-1@example.com', 'alan@example.com')
        """
        row = {"email": f"{self._next('user')}@example.com", "password_hash": "no password has this hash", **columns}
        return self._managers.users.insert(row)

    def user_information(self, user: User | None = None, **columns: Unpack[UserInformationUpdate]) -> UserInformation:
        """Insert a user's profile; a developer's, where no role is said.

        >>> factory.user_information(first_name="Ada").user.email
        'user-1@example.com'
        """
        row = {"first_name": "Test", "last_name": "User", "role": Role.DEVELOPER, **columns}
        return self._managers.user_information.insert(_with_parent(row, "user", user, self.user))

    def organization(
        self, owner: User | None = None, *, members: int | Sequence[User] = 0, **columns: Unpack[OrganizationUpdate]
    ) -> Organization:
        """Insert an organization whose first member is its owner.

        Args:
            owner: the owner; a new user when left out.
            members: who belongs to it beside the owner: users, or how many new ones.
            **columns: what else is to be said of the organization.

        >>> nasa = factory.organization(name="NASA", members=2)
        >>> managers.organizations.get_organization_member_count(nasa)
        3
        """
        row = _with_parent({"name": self._next("organization"), **columns}, "owner", owner, self.user)
        others = [self.user() for _ in range(members)] if isinstance(members, int) else members
        organizations = self._managers.organizations
        with self._managers.database.transaction():
            organization = organizations.insert(row)
            organizations.add_user_to_organization(organization.owner_id, organization)
            for user in others:
                organizations.add_user_to_organization(user, organization)
        return organization

    def function(self, user: User | None = None, **columns: Unpack[FunctionUpdate]) -> Function:
        """Insert a function, with a name of its own.

        >>> factory.function(status="inactive")
        <Function id=2 uuid=... name='function-1' status='inactive'>
        """
        row = {"name": self._next("function"), **columns}
        return self._managers.functions.insert(_with_parent(row, "user", user, self.user))

    def deployment(
        self, function: Function | None = None, **columns: Unpack[FunctionDeploymentUpdate]
    ) -> FunctionDeployment:
        """Insert the next version of a function; with ``is_active=True`` it becomes the function's active one.

        >>> deployment = factory.deployment(is_active=True)
        >>> deployment.function.active_deployment_id == deployment.id
        True
        """
        row = _with_parent(dict(columns), "function", function, self.function)
        active = row.pop("is_active", False)
        with self._managers.database.transaction():
            deployments = self._managers.function_deployments
            if "version" not in row:
                row["version"] = self._next_version(row.get("function") or row["function_id"])
            name = f"function:{row['version']}"
            deployment = deployments.insert({"image_tag": name, "s3_key": f"{name}.zip", **row})
            return deployments.activate(deployment) if active else deployment

    def log(self, function: Function | None = None, **columns: Unpack[FunctionLogUpdate]) -> FunctionLog:
        """Insert a line of a function's log, of level ``info`` where nothing is said.

        >>> factory.log(message="started").message
        'started'
        """
        row = {"level": "info", "message": self._next("message"), **columns}
        return self._managers.function_logs.insert(_with_parent(row, "function", function, self.function))

    def invocation(
        self, function: Function | None = None, **columns: Unpack[FunctionInvocationUpdate]
    ) -> FunctionInvocation:
        """Insert a call of a function, a successful one of 100 ms where nothing is said.

        >>> factory.invocation(status="failed", error="out of memory").duration_ms
        100
        """
        row = {"status": "success", "duration_ms": 100, **columns}
        return self._managers.function_invocations.insert(_with_parent(row, "function", function, self.function))

    def _next(self, kind: str) -> str:
        return f"{kind}-{next(self._numbers[kind])}"

    def _next_version(self, function: Function | int) -> int:
        latest = self._managers.function_deployments.history(function, limit=1)
        return latest[0].version + 1 if latest else 1


def _with_parent(
    row: dict[str, Any], name: str, given: peewee.Model | None, make: Callable[[], peewee.Model]
) -> dict[str, Any]:
    """Return a row with its parent: the one given, one named by its key already, or one made."""
    if given is not None:
        return {**row, name: given}
    return row if f"{name}_id" in row else {**row, name: make()}
