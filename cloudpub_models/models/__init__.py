"""The platform's eight tables as Peewee models, one module per aggregate.

Peewee's own calls on them use the process's default database, unless another is bound.
"""

import cloudpub_models.connection.default  # noqa: F401 - which then answers them
from cloudpub_models.entity.base import Entity
from cloudpub_models.entity.binding import current_database
from cloudpub_models.models.functions import Function, FunctionDeployment, FunctionInvocation, FunctionLog
from cloudpub_models.models.organizations import Organization, OrganizationMember
from cloudpub_models.models.users import Role, User, UserInformation

ALL_MODELS: tuple[type[Entity], ...] = (
    User,
    UserInformation,
    Organization,
    OrganizationMember,
    Function,
    FunctionDeployment,
    FunctionLog,
    FunctionInvocation,
)
"""Every model, each after those it refers to (only `Function` and `FunctionDeployment` refer to each other)."""

__all__ = [
    "ALL_MODELS",
    "Entity",
    "Function",
    "FunctionDeployment",
    "FunctionInvocation",
    "FunctionLog",
    "Organization",
    "OrganizationMember",
    "Role",
    "User",
    "UserInformation",
    "current_database",
]
