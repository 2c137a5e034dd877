"""The registry of managers: one for each table, on one database.

A manager is made when it is first used, and its module imported then: most workers use two or three of them.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, cast

import peewee

from cloudpub_models.connection import Database
from cloudpub_models.models import ALL_MODELS, OrganizationMember, UserInformation

if TYPE_CHECKING:
    from cloudpub_models.manager.manager import Manager
    from cloudpub_models.platform.deployments import FunctionDeploymentManager
    from cloudpub_models.platform.functions import FunctionManager
    from cloudpub_models.platform.invocations import FunctionInvocationManager
    from cloudpub_models.platform.logs import FunctionLogManager
    from cloudpub_models.platform.organizations import OrganizationManager
    from cloudpub_models.platform.users import UserManager

M = TypeVar("M", bound=peewee.Model)


class Managers:
    """The managers of a database's tables, each an attribute with the table's name.

    Args:
        database: the database that they all use.

    >>> from cloudpub_models import Database
    >>> shop = Managers(Database("sqlite:///:memory:"))
    >>> shop.users
    UserManager(User)
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self._others: dict[type[peewee.Model], Manager[Any]] = {}

    def __repr__(self) -> str:
        return f"Managers({self.database!r})"

    @cached_property
    def users(self) -> UserManager:
        """The manager of ``users``."""
        from cloudpub_models.platform.users import UserManager

        return UserManager(self.database)

    @cached_property
    def user_information(self) -> Manager[UserInformation]:
        """The manager of ``user_information``."""
        return self._make(UserInformation)

    @cached_property
    def organizations(self) -> OrganizationManager:
        """The manager of ``organizations``."""
        from cloudpub_models.platform.organizations import OrganizationManager

        return OrganizationManager(self.database)

    @cached_property
    def organization_members(self) -> Manager[OrganizationMember]:
        """The manager of ``organization_members``."""
        return self._make(OrganizationMember)

    @cached_property
    def functions(self) -> FunctionManager:
        """The manager of ``functions``."""
        from cloudpub_models.platform.functions import FunctionManager

        return FunctionManager(self.database)

    @cached_property
    def function_deployments(self) -> FunctionDeploymentManager:
        """The manager of ``function_deployments``."""
        from cloudpub_models.platform.deployments import FunctionDeploymentManager

        return FunctionDeploymentManager(self.database)

    @cached_property
    def function_logs(self) -> FunctionLogManager:
        """The manager of ``function_logs``."""
        from cloudpub_models.platform.logs import FunctionLogManager

        return FunctionLogManager(self.database)

    @cached_property
    def function_invocations(self) -> FunctionInvocationManager:
        """The manager of ``function_invocations``."""
        from cloudpub_models.platform.invocations import FunctionInvocationManager

        return FunctionInvocationManager(self.database)

    def for_model(self, model: type[M]) -> Manager[M]:
        """Return the manager of a model; one is made for a model that has none here yet.

        Args:
            model: any Peewee model.

        >>> from cloudpub_models import User, managers
        >>> managers.for_model(User) is managers.users
        True
        """
        if model in ALL_MODELS:
            return cast("Manager[M]", getattr(self, model._meta.table_name))
        manager = self._others.get(model)
        if manager is None:
            manager = self._others[model] = self._make(model)
        return cast("Manager[M]", manager)

    def _make(self, model: type[M]) -> Manager[M]:
        from cloudpub_models.manager.manager import Manager

        return Manager(model, self.database)
