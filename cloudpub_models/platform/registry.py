"""The registry of managers: one for each table of a database's components.

A manager is made when it is first used, and its module imported then: most workers use two or three of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

import peewee

from cloudpub_models.connection import Database
from cloudpub_models.errors import ConfigurationError, did_you_mean

if TYPE_CHECKING:
    from cloudpub_models.manager.manager import Manager
    from cloudpub_models.manager.scope import Scope
    from cloudpub_models.models import OrganizationMember, UserInformation
    from cloudpub_models.platform.deployments import FunctionDeploymentManager
    from cloudpub_models.platform.functions import FunctionManager
    from cloudpub_models.platform.invocations import FunctionInvocationManager
    from cloudpub_models.platform.logs import FunctionLogManager
    from cloudpub_models.platform.organizations import OrganizationManager
    from cloudpub_models.platform.row_types import (
        OrganizationMemberChanges,
        OrganizationMemberData,
        UserInformationChanges,
        UserInformationData,
    )
    from cloudpub_models.platform.users import UserManager

M = TypeVar("M", bound=peewee.Model)

# The tables whose managers have operations of their own.
_MANAGERS = {
    "users": ("cloudpub_models.platform.users", "UserManager"),
    "organizations": ("cloudpub_models.platform.organizations", "OrganizationManager"),
    "functions": ("cloudpub_models.platform.functions", "FunctionManager"),
    "function_deployments": ("cloudpub_models.platform.deployments", "FunctionDeploymentManager"),
    "function_logs": ("cloudpub_models.platform.logs", "FunctionLogManager"),
    "function_invocations": ("cloudpub_models.platform.invocations", "FunctionInvocationManager"),
}


class Managers:
    """The managers of a database's tables, each an attribute with the table's name.

    That is for the tables of all its components. A subclass that annotates them tells type checkers of tables of one's
    own: ``class AppManagers(Managers): api_keys: Manager[ApiKey]``.

    Args:
        database: the database that they all use.
        scope: the rows that they all see and change; all rows when left out.

    >>> from cloudpub_models import Database
    >>> shop = Managers(Database("sqlite:///:memory:"))
    >>> shop.users
    UserManager(User)
    """

    users: UserManager
    user_information: Manager[UserInformation, UserInformationData, UserInformationChanges]
    organizations: OrganizationManager
    organization_members: Manager[OrganizationMember, OrganizationMemberData, OrganizationMemberChanges]
    functions: FunctionManager
    function_deployments: FunctionDeploymentManager
    function_logs: FunctionLogManager
    function_invocations: FunctionInvocationManager

    def __init__(self, database: Database, *, scope: Scope | None = None) -> None:
        if not isinstance(database, Database):
            raise ConfigurationError(
                f"expected a Database; got a value of type {type(database).__name__}: write Database('sqlite:///file.db')"
            )
        self.database = database
        self.scope = scope
        self._by_model: dict[type[peewee.Model], Manager[Any]] = {}

    def __repr__(self) -> str:
        return f"Managers({self.database!r})"

    # Type checkers know the annotations above, and would take any name for a table if they saw this method.
    if not TYPE_CHECKING:

        def __getattr__(self, table: str) -> Any:
            """Make the manager of a table when it is first asked for."""
            if table.startswith("_"):
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {table!r}")
            models = {model._meta.table_name: model for model in self.database.models}
            if table not in models:
                raise AttributeError(
                    f"expected a table of {self.database!r}; got {table!r}: {did_you_mean(table, models)}"
                )
            manager = self.__dict__[table] = self.for_model(models[table])
            return manager

    def __dir__(self) -> list[str]:
        """Name the tables too, whether their managers have been used or not."""
        return sorted({*object.__dir__(self), *(model._meta.table_name for model in self.database.models)})

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
            manager = self._by_model[model] = self._made(model)
        return manager

    def _made(self, model: type[M]) -> Manager[M]:
        from cloudpub_models.manager.manager import Manager
        from cloudpub_models.models import ALL_MODELS

        if model in ALL_MODELS and model._meta.table_name in _MANAGERS:
            module, name = _MANAGERS[model._meta.table_name]
            return getattr(import_module(module), name)(self.database, scope=self.scope)  # type: ignore[no-any-return]
        return Manager(model, self.database, scope=self.scope)
