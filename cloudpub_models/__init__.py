"""The data layer of a functions-as-a-service platform: models, managers, query builder and migrations on Peewee.

::

    from cloudpub_models import database, managers

    database.initialize("postgresql://…")
    managers.functions.find_all({"status": "active"}, order_by="created_at", limit=10)

``database`` is the process's default database and ``managers`` its managers; they are the package's only global state.

The DTOs and the results of statistics are reached from here too. They are imported on first use, since most workers
need neither them nor pydantic.
"""

from typing import TYPE_CHECKING, Any

from cloudpub_models import errors
from cloudpub_models.connection import Connection, Database, DatabaseOptions
from cloudpub_models.connection.default import database
from cloudpub_models.manager import ALL_ROWS, CursorPage, Manager, Managers, PaginatedResult
from cloudpub_models.manager.default import managers
from cloudpub_models.models import (
    Function,
    FunctionDeployment,
    FunctionInvocation,
    FunctionLog,
    Organization,
    OrganizationMember,
    Role,
    User,
    UserInformation,
)
from cloudpub_models.models.lazy_loading import forbid_lazy_loading
from cloudpub_models.sql import Statement, operators, raw

if TYPE_CHECKING:
    from cloudpub_models.dto import (
        FunctionDeploymentDto,
        FunctionDto,
        FunctionInvocationDto,
        FunctionLogDto,
        OrganizationDto,
        OrganizationMemberDto,
        OrganizationWithMembersDto,
        UserDto,
        UserInformationDto,
        UserProfileDto,
        UserWithOrganizationDto,
    )
    from cloudpub_models.manager.functions import FunctionWithRelations
    from cloudpub_models.manager.organizations import OrganizationWithMembers
    from cloudpub_models.manager.statistics import FunctionStats, InvocationBucket, UserOverview
    from cloudpub_models.sql.builder import QueryBuilder

__version__ = "0.1.0"

__all__ = [
    "ALL_ROWS",
    "Connection",
    "CursorPage",
    "Database",
    "DatabaseOptions",
    "Function",
    "FunctionDeployment",
    "FunctionDeploymentDto",
    "FunctionDto",
    "FunctionInvocation",
    "FunctionInvocationDto",
    "FunctionLog",
    "FunctionLogDto",
    "FunctionStats",
    "FunctionWithRelations",
    "InvocationBucket",
    "Manager",
    "Managers",
    "Organization",
    "OrganizationDto",
    "OrganizationMember",
    "OrganizationMemberDto",
    "OrganizationWithMembers",
    "OrganizationWithMembersDto",
    "PaginatedResult",
    "QueryBuilder",
    "Role",
    "Statement",
    "User",
    "UserDto",
    "UserInformation",
    "UserInformationDto",
    "UserOverview",
    "UserProfileDto",
    "UserWithOrganizationDto",
    "database",
    "errors",
    "forbid_lazy_loading",
    "managers",
    "operators",
    "raw",
]

_DTO_MODULE = "cloudpub_models.dto"
_LOADED_ON_FIRST_USE = {
    "FunctionDeploymentDto": _DTO_MODULE,
    "FunctionDto": _DTO_MODULE,
    "FunctionInvocationDto": _DTO_MODULE,
    "FunctionLogDto": _DTO_MODULE,
    "OrganizationDto": _DTO_MODULE,
    "OrganizationMemberDto": _DTO_MODULE,
    "OrganizationWithMembersDto": _DTO_MODULE,
    "UserDto": _DTO_MODULE,
    "UserInformationDto": _DTO_MODULE,
    "UserProfileDto": _DTO_MODULE,
    "UserWithOrganizationDto": _DTO_MODULE,
    "FunctionStats": "cloudpub_models.manager.statistics",
    "FunctionWithRelations": "cloudpub_models.manager.functions",
    "InvocationBucket": "cloudpub_models.manager.statistics",
    "OrganizationWithMembers": "cloudpub_models.manager.organizations",
    "UserOverview": "cloudpub_models.manager.statistics",
    "QueryBuilder": "cloudpub_models.sql.builder",
}


# Type checkers have the imports above, and would take any name for one of this module if they saw this function.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Import what not every program needs when it is first asked for."""
        module = _LOADED_ON_FIRST_USE.get(name)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = globals()[name] = getattr(import_module(module), name)
        return value


def __dir__() -> list[str]:
    """Name everything, whether it has been imported or not."""
    return sorted(globals().keys() | _LOADED_ON_FIRST_USE)
