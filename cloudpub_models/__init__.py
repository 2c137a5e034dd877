"""The data layer of a functions-as-a-service platform: models, managers, query builder and migrations on Peewee.

::

    from cloudpub_models import database, managers

    database.initialize("postgresql://…")
    managers.functions.find_all({"status": "active"}, order_by="created_at", limit=10)

``database`` is the process's default database and ``managers`` its managers; they are the package's only global state.

Everything here is imported when it is first asked for: few programs need all of it, and who uses the kit for tables of
their own loads nothing of the platform.

Examples in docstrings have these names, and a database in which the user ``ada`` owns the function ``resize`` and the
organization ``acme``; the user ``grace`` owns nothing.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cloudpub_models import errors as errors
    from cloudpub_models.component import Component as Component
    from cloudpub_models.connection.database import Database as Database
    from cloudpub_models.connection.default import database as database
    from cloudpub_models.connection.keywords import DatabaseOptions as DatabaseOptions
    from cloudpub_models.connection.listeners import QueryEvent as QueryEvent
    from cloudpub_models.connection.reading import ReplicaStatus as ReplicaStatus
    from cloudpub_models.connection.transactions import Connection as Connection
    from cloudpub_models.dto import FunctionDeploymentDto as FunctionDeploymentDto
    from cloudpub_models.dto import FunctionDto as FunctionDto
    from cloudpub_models.dto import FunctionInvocationDto as FunctionInvocationDto
    from cloudpub_models.dto import FunctionLogDto as FunctionLogDto
    from cloudpub_models.dto import OrganizationDto as OrganizationDto
    from cloudpub_models.dto import OrganizationMemberDto as OrganizationMemberDto
    from cloudpub_models.dto import OrganizationWithMembersDto as OrganizationWithMembersDto
    from cloudpub_models.dto import UserDto as UserDto
    from cloudpub_models.dto import UserInformationDto as UserInformationDto
    from cloudpub_models.dto import UserProfileDto as UserProfileDto
    from cloudpub_models.dto import UserWithOrganizationDto as UserWithOrganizationDto
    from cloudpub_models.entity.unloaded import forbid_lazy_loading as forbid_lazy_loading
    from cloudpub_models.history.changes import Change as Change
    from cloudpub_models.history.feed.outbox import Message as Message
    from cloudpub_models.manager.arguments.conditions import ALL_ROWS as ALL_ROWS
    from cloudpub_models.manager.arguments.conditions import all_of as all_of
    from cloudpub_models.manager.arguments.conditions import any_of as any_of
    from cloudpub_models.manager.arguments.conditions import none_of as none_of
    from cloudpub_models.manager.leasing import Lease as Lease
    from cloudpub_models.manager.manager import Manager as Manager
    from cloudpub_models.manager.scope import Scope as Scope
    from cloudpub_models.manager.statements.results import CursorPage as CursorPage
    from cloudpub_models.manager.statements.results import PaginatedResult as PaginatedResult
    from cloudpub_models.models import Function as Function
    from cloudpub_models.models import FunctionDeployment as FunctionDeployment
    from cloudpub_models.models import FunctionInvocation as FunctionInvocation
    from cloudpub_models.models import FunctionLog as FunctionLog
    from cloudpub_models.models import Organization as Organization
    from cloudpub_models.models import OrganizationMember as OrganizationMember
    from cloudpub_models.models import Role as Role
    from cloudpub_models.models import User as User
    from cloudpub_models.models import UserInformation as UserInformation
    from cloudpub_models.platform.default import managers as managers
    from cloudpub_models.platform.functions import FunctionWithRelations as FunctionWithRelations
    from cloudpub_models.platform.organizations import OrganizationWithMembers as OrganizationWithMembers
    from cloudpub_models.platform.pruning import PrunedManager as PrunedManager
    from cloudpub_models.platform.registry import Managers as Managers
    from cloudpub_models.platform.row_types import FunctionDeploymentInsert as FunctionDeploymentInsert
    from cloudpub_models.platform.row_types import FunctionDeploymentUpdate as FunctionDeploymentUpdate
    from cloudpub_models.platform.row_types import FunctionInsert as FunctionInsert
    from cloudpub_models.platform.row_types import FunctionInvocationInsert as FunctionInvocationInsert
    from cloudpub_models.platform.row_types import FunctionInvocationUpdate as FunctionInvocationUpdate
    from cloudpub_models.platform.row_types import FunctionLogInsert as FunctionLogInsert
    from cloudpub_models.platform.row_types import FunctionLogUpdate as FunctionLogUpdate
    from cloudpub_models.platform.row_types import FunctionUpdate as FunctionUpdate
    from cloudpub_models.platform.row_types import OrganizationInsert as OrganizationInsert
    from cloudpub_models.platform.row_types import OrganizationMemberInsert as OrganizationMemberInsert
    from cloudpub_models.platform.row_types import OrganizationMemberUpdate as OrganizationMemberUpdate
    from cloudpub_models.platform.row_types import OrganizationUpdate as OrganizationUpdate
    from cloudpub_models.platform.row_types import UserInformationInsert as UserInformationInsert
    from cloudpub_models.platform.row_types import UserInformationUpdate as UserInformationUpdate
    from cloudpub_models.platform.row_types import UserInsert as UserInsert
    from cloudpub_models.platform.row_types import UserUpdate as UserUpdate
    from cloudpub_models.platform.statistics import FunctionStats as FunctionStats
    from cloudpub_models.platform.statistics import InvocationBucket as InvocationBucket
    from cloudpub_models.platform.statistics import UserOverview as UserOverview
    from cloudpub_models.platform.where_types import FunctionDeploymentWhere as FunctionDeploymentWhere
    from cloudpub_models.platform.where_types import FunctionInvocationWhere as FunctionInvocationWhere
    from cloudpub_models.platform.where_types import FunctionLogWhere as FunctionLogWhere
    from cloudpub_models.platform.where_types import FunctionWhere as FunctionWhere
    from cloudpub_models.platform.where_types import OrganizationMemberWhere as OrganizationMemberWhere
    from cloudpub_models.platform.where_types import OrganizationWhere as OrganizationWhere
    from cloudpub_models.platform.where_types import UserInformationWhere as UserInformationWhere
    from cloudpub_models.platform.where_types import UserWhere as UserWhere
    from cloudpub_models.schema.catalogue.catalogue import Partition as Partition
    from cloudpub_models.sql import operators as operators
    from cloudpub_models.sql.builder.builder import QueryBuilder as QueryBuilder
    from cloudpub_models.sql.nodes.expressions import raw as raw
    from cloudpub_models.sql.search import SearchQuery as SearchQuery
    from cloudpub_models.sql.statement import Statement as Statement

__version__ = "0.1.0"

_NAMES_OF = {
    "cloudpub_models": ("errors",),
    "cloudpub_models.component": ("Component",),
    "cloudpub_models.connection.database": ("Database",),
    "cloudpub_models.connection.default": ("database",),
    "cloudpub_models.connection.keywords": ("DatabaseOptions",),
    "cloudpub_models.connection.listeners": ("QueryEvent",),
    "cloudpub_models.connection.reading": ("ReplicaStatus",),
    "cloudpub_models.connection.transactions": ("Connection",),
    "cloudpub_models.dto": (
        "FunctionDeploymentDto",
        "FunctionDto",
        "FunctionInvocationDto",
        "FunctionLogDto",
        "OrganizationDto",
        "OrganizationMemberDto",
        "OrganizationWithMembersDto",
        "UserDto",
        "UserInformationDto",
        "UserProfileDto",
        "UserWithOrganizationDto",
    ),
    "cloudpub_models.entity.unloaded": ("forbid_lazy_loading",),
    "cloudpub_models.history.changes": ("Change",),
    "cloudpub_models.history.feed.outbox": ("Message",),
    "cloudpub_models.manager.arguments.conditions": ("ALL_ROWS", "all_of", "any_of", "none_of"),
    "cloudpub_models.manager.leasing": ("Lease",),
    "cloudpub_models.manager.manager": ("Manager",),
    "cloudpub_models.manager.scope": ("Scope",),
    "cloudpub_models.manager.statements.results": (
        "CursorPage",
        "PaginatedResult",
    ),
    "cloudpub_models.models": (
        "Function",
        "FunctionDeployment",
        "FunctionInvocation",
        "FunctionLog",
        "Organization",
        "OrganizationMember",
        "Role",
        "User",
        "UserInformation",
    ),
    "cloudpub_models.platform.default": ("managers",),
    "cloudpub_models.platform.functions": ("FunctionWithRelations",),
    "cloudpub_models.platform.organizations": ("OrganizationWithMembers",),
    "cloudpub_models.platform.pruning": ("PrunedManager",),
    "cloudpub_models.platform.registry": ("Managers",),
    "cloudpub_models.platform.row_types": (
        "FunctionDeploymentInsert",
        "FunctionDeploymentUpdate",
        "FunctionInsert",
        "FunctionInvocationInsert",
        "FunctionInvocationUpdate",
        "FunctionLogInsert",
        "FunctionLogUpdate",
        "FunctionUpdate",
        "OrganizationInsert",
        "OrganizationMemberInsert",
        "OrganizationMemberUpdate",
        "OrganizationUpdate",
        "UserInformationInsert",
        "UserInformationUpdate",
        "UserInsert",
        "UserUpdate",
    ),
    "cloudpub_models.platform.statistics": (
        "FunctionStats",
        "InvocationBucket",
        "UserOverview",
    ),
    "cloudpub_models.platform.where_types": (
        "FunctionDeploymentWhere",
        "FunctionInvocationWhere",
        "FunctionLogWhere",
        "FunctionWhere",
        "OrganizationMemberWhere",
        "OrganizationWhere",
        "UserInformationWhere",
        "UserWhere",
    ),
    "cloudpub_models.schema.catalogue.catalogue": ("Partition",),
    "cloudpub_models.sql": ("operators",),
    "cloudpub_models.sql.builder.builder": ("QueryBuilder",),
    "cloudpub_models.sql.nodes.expressions": ("raw",),
    "cloudpub_models.sql.search": ("SearchQuery",),
    "cloudpub_models.sql.statement": ("Statement",),
}
"""The names that each module has for the face; type checkers are told the same above."""

_MODULES = ("errors", "operators")
_HOMES = {name: module for module, names in _NAMES_OF.items() for name in names}

__all__ = sorted(_HOMES)


# Type checkers have the imports above, and would take any name for one of this module if they saw this function.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import a name when it is first asked for."""
        module = _HOMES.get(name)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        # A name that is a module of its own is imported as one.
        found = import_module(f"{module}.{name}") if name in _MODULES else getattr(import_module(module), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    """Name everything, whether it has been imported or not."""
    return sorted(globals().keys() | _HOMES)
