"""The registry of managers: one for each table, on one database."""

from __future__ import annotations

from typing import Any, TypeVar, cast

import peewee

from cloudpub_models.connection import Database
from cloudpub_models.manager.deployments import FunctionDeploymentManager
from cloudpub_models.manager.functions import FunctionManager
from cloudpub_models.manager.invocations import FunctionInvocationManager
from cloudpub_models.manager.logs import FunctionLogManager
from cloudpub_models.manager.manager import Manager
from cloudpub_models.manager.organizations import OrganizationManager
from cloudpub_models.manager.users import UserManager
from cloudpub_models.models import OrganizationMember, UserInformation

M = TypeVar("M", bound=peewee.Model)


class Managers:
    """The managers of a database's tables.

    Args:
        database: the database that they all use.

    >>> from cloudpub_models import Database
    >>> shop = Managers(Database("sqlite:///:memory:"))
    >>> shop.users
    UserManager(User)
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.users = UserManager(database)
        self.user_information = Manager(UserInformation, database)
        self.organizations = OrganizationManager(database)
        self.organization_members = Manager(OrganizationMember, database)
        self.functions = FunctionManager(database)
        self.function_deployments = FunctionDeploymentManager(database)
        self.function_logs = FunctionLogManager(database)
        self.function_invocations = FunctionInvocationManager(database)
        self._by_model: dict[type[peewee.Model], Manager[Any]] = {
            manager.model: manager for manager in vars(self).values() if isinstance(manager, Manager)
        }

    def __repr__(self) -> str:
        return f"Managers({self.database!r})"

    def for_model(self, model: type[M]) -> Manager[M]:
        """Return the manager of a model; one is made for a model that has none here yet.

        Args:
            model: any Peewee model.

        >>> from cloudpub_models import User, managers
        >>> managers.for_model(User) is managers.users
        True
        """
        manager = self._by_model.get(model)
        if manager is None:
            manager = self._by_model[model] = Manager(model, self.database)
        return cast("Manager[M]", manager)
