"""Valid rows for tests, with as little said as the test cares about: ``Factory``."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, Unpack
from uuid import uuid4

import peewee

from cloudpub_models.entity.fields import EnumField, TimestampField, server_default
from cloudpub_models.entity.stored_forms import utc_now
from cloudpub_models.manager.columns.table import Column
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

M = TypeVar("M", bound=peewee.Model)

# What a column holds of which nothing is said; the first kind that fits is taken.
_VALUES: Mapping[type[peewee.Field[Any]], Callable[[], Any]] = {
    TimestampField: utc_now,
    peewee.DateTimeField: lambda: utc_now().replace(tzinfo=None),
    peewee.DateField: lambda: utc_now().date(),
    peewee.TimeField: lambda: utc_now().time(),
    peewee.UUIDField: uuid4,
    peewee.BooleanField: lambda: False,
    peewee.JSONField: dict,
    peewee.BlobField: bytes,
}


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
        # The rows of these have rules of their own.
        self._own: Mapping[type[peewee.Model], Callable[..., peewee.Model]] = {
            User: self.user,
            UserInformation: self.user_information,
            Organization: self.organization,
            Function: self.function,
            FunctionDeployment: self.deployment,
            FunctionLog: self.log,
            FunctionInvocation: self.invocation,
        }

    def row(self, model: type[M], **columns: Any) -> M:
        """Insert a row of any model, that of a component of one's own among them.

        Columns without a default that have to have a value get one: numbers and texts that are different each time,
        the current time, a parent that is made.

        Args:
            model: the model.
            **columns: what is to be said of the row.

        >>> factory.row(FunctionLog, message="started").function.user.email
        'user-1@example.com'
        """
        if model in self._own:
            return self._own[model](**columns)  # type: ignore[return-value]
        manager = self._managers.for_model(model)
        given = {manager.table.column(name).name: value for name, value in columns.items()}
        missing = [column for column in manager.table.columns.values() if column.name not in given]
        filled = {column.name: self._value(column) for column in missing if self._needs_value(column)}
        return manager.insert({**given, **filled})

    def _needs_value(self, column: Column) -> bool:
        field = column.field
        given_elsewhere = field.null or isinstance(field, peewee.AutoField) or column.python_default is not None
        return not given_elsewhere and server_default(field) is None

    def _value(self, column: Column) -> Any:
        field = column.field
        if isinstance(field, peewee.ForeignKeyField):
            return getattr(self.row(field.rel_model), field.rel_field.name)
        for kind, make in _VALUES.items():
            if isinstance(field, kind):
                return make()
        if isinstance(field, EnumField):
            return field.allowed[0]
        number = self._next(f"{field.model._meta.table_name}.{column.name}")
        if isinstance(field, peewee.CharField | peewee.TextField):
            return number[-(getattr(field, "max_length", None) or len(number)) :]
        return int(number.rpartition("-")[2])

    def user(self, **columns: Unpack[UserUpdate]) -> User:
        """Insert a user, with an email address of its own.

        >>> factory.user().email, factory.user(email="alan@example.com").email
        ('user-1@example.com', 'alan@example.com')
        """
        email = f"{self._next('user')}@example.com"
        row: dict[str, Any] = {"email": email, "password_hash": "no password has this hash", **columns}
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
            values: dict[str, Any] = {"image_tag": name, "s3_key": f"{name}.zip", **row}
            deployment = deployments.insert(values)
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
