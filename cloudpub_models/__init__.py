"""The data layer of a functions-as-a-service platform: models, managers, query builder and migrations on Peewee.

::

    from cloudpub_models import database, managers

    database.initialize("postgresql://…")
    managers.functions.find_all({"status": "active"}, order_by="created_at", limit=10)

``database`` is the process's default database and ``managers`` its managers; they are the package's only global state.
"""

from cloudpub_models import errors
from cloudpub_models.connection import Connection, Database, DatabaseOptions
from cloudpub_models.connection.default import database
from cloudpub_models.manager import ALL_ROWS, Manager, Managers, PaginatedResult
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
from cloudpub_models.sql import QueryBuilder, Statement, operators, raw

__version__ = "0.1.0"

__all__ = [
    "ALL_ROWS",
    "Connection",
    "Database",
    "DatabaseOptions",
    "Function",
    "FunctionDeployment",
    "FunctionInvocation",
    "FunctionLog",
    "Manager",
    "Managers",
    "Organization",
    "OrganizationMember",
    "PaginatedResult",
    "QueryBuilder",
    "Role",
    "Statement",
    "User",
    "UserInformation",
    "database",
    "errors",
    "managers",
    "operators",
    "raw",
]
