"""The data layer of a functions-as-a-service platform: models, managers, query builder and migrations on Peewee.

::

    from cloudpub_models import database, managers

    database.initialize("postgresql://…")
    managers.functions.find_all({"status": "active"}, order_by="created_at", limit=10)

``database`` is the process's default database and ``managers`` its managers; they are the package's only global state.

The DTOs, the results of statistics and the types of rows are reached from here too. They are imported on first use,
as the managers are: many programs need only some, and few need pydantic.

Examples in docstrings have these names, and a database in which the user ``ada`` owns the function ``resize`` and the
organization ``acme``; the user ``grace`` owns nothing.
"""

from typing import TYPE_CHECKING, Any

from cloudpub_models import errors
from cloudpub_models.connection import Connection, Database, DatabaseOptions
from cloudpub_models.connection.default import database
from cloudpub_models.entity.unloaded import forbid_lazy_loading
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
from cloudpub_models.platform.default import managers
from cloudpub_models.platform.registry import Managers
from cloudpub_models.sql import Statement, operators, raw

if TYPE_CHECKING:
    from cloudpub_models.component import Component
    from cloudpub_models.connection.listeners import QueryEvent
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
    from cloudpub_models.manager.arguments.where import ALL_ROWS
    from cloudpub_models.manager.manager import Manager
    from cloudpub_models.manager.statements.results import CursorPage, PaginatedResult
    from cloudpub_models.platform.functions import FunctionWithRelations
    from cloudpub_models.platform.organizations import OrganizationWithMembers
    from cloudpub_models.platform.row_types import (
        FunctionDeploymentInsert,
        FunctionDeploymentUpdate,
        FunctionInsert,
        FunctionInvocationInsert,
        FunctionInvocationUpdate,
        FunctionLogInsert,
        FunctionLogUpdate,
        FunctionUpdate,
        OrganizationInsert,
        OrganizationMemberInsert,
        OrganizationMemberUpdate,
        OrganizationUpdate,
        UserInformationInsert,
        UserInformationUpdate,
        UserInsert,
        UserUpdate,
    )
    from cloudpub_models.platform.statistics import FunctionStats, InvocationBucket, UserOverview
    from cloudpub_models.sql.builder.builder import QueryBuilder

__version__ = "0.1.0"

__all__ = [
    "ALL_ROWS",
    "Component",
    "Connection",
    "CursorPage",
    "Database",
    "DatabaseOptions",
    "Function",
    "FunctionDeployment",
    "FunctionDeploymentDto",
    "FunctionDeploymentInsert",
    "FunctionDeploymentUpdate",
    "FunctionDto",
    "FunctionInsert",
    "FunctionInvocation",
    "FunctionInvocationDto",
    "FunctionInvocationInsert",
    "FunctionInvocationUpdate",
    "FunctionLog",
    "FunctionLogDto",
    "FunctionLogInsert",
    "FunctionLogUpdate",
    "FunctionStats",
    "FunctionUpdate",
    "FunctionWithRelations",
    "InvocationBucket",
    "Manager",
    "Managers",
    "Organization",
    "OrganizationDto",
    "OrganizationInsert",
    "OrganizationMember",
    "OrganizationMemberDto",
    "OrganizationMemberInsert",
    "OrganizationMemberUpdate",
    "OrganizationUpdate",
    "OrganizationWithMembers",
    "OrganizationWithMembersDto",
    "PaginatedResult",
    "QueryBuilder",
    "QueryEvent",
    "Role",
    "Statement",
    "User",
    "UserDto",
    "UserInformation",
    "UserInformationDto",
    "UserInformationInsert",
    "UserInformationUpdate",
    "UserInsert",
    "UserOverview",
    "UserProfileDto",
    "UserUpdate",
    "UserWithOrganizationDto",
    "database",
    "errors",
    "forbid_lazy_loading",
    "managers",
    "operators",
    "raw",
]

_DTO_MODULE = "cloudpub_models.dto"
_ROW_TYPES_MODULE = "cloudpub_models.platform.row_types"
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
    "Component": "cloudpub_models.component",
    "ALL_ROWS": "cloudpub_models.manager.arguments.where",
    "CursorPage": "cloudpub_models.manager.statements.results",
    "FunctionStats": "cloudpub_models.platform.statistics",
    "FunctionWithRelations": "cloudpub_models.platform.functions",
    "InvocationBucket": "cloudpub_models.platform.statistics",
    "Manager": "cloudpub_models.manager.manager",
    "PaginatedResult": "cloudpub_models.manager.statements.results",
    "OrganizationWithMembers": "cloudpub_models.platform.organizations",
    "UserOverview": "cloudpub_models.platform.statistics",
    "QueryBuilder": "cloudpub_models.sql.builder.builder",
    "QueryEvent": "cloudpub_models.connection.listeners",
    "FunctionDeploymentInsert": _ROW_TYPES_MODULE,
    "FunctionDeploymentUpdate": _ROW_TYPES_MODULE,
    "FunctionInsert": _ROW_TYPES_MODULE,
    "FunctionInvocationInsert": _ROW_TYPES_MODULE,
    "FunctionInvocationUpdate": _ROW_TYPES_MODULE,
    "FunctionLogInsert": _ROW_TYPES_MODULE,
    "FunctionLogUpdate": _ROW_TYPES_MODULE,
    "FunctionUpdate": _ROW_TYPES_MODULE,
    "OrganizationInsert": _ROW_TYPES_MODULE,
    "OrganizationMemberInsert": _ROW_TYPES_MODULE,
    "OrganizationMemberUpdate": _ROW_TYPES_MODULE,
    "OrganizationUpdate": _ROW_TYPES_MODULE,
    "UserInformationInsert": _ROW_TYPES_MODULE,
    "UserInformationUpdate": _ROW_TYPES_MODULE,
    "UserInsert": _ROW_TYPES_MODULE,
    "UserUpdate": _ROW_TYPES_MODULE,
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
