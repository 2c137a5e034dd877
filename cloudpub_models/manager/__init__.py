"""Managers: the documented operations on every table, and the registry of them.

A call's SQL is rendered once per shape (``statements``), run by ``connection``, and its rows become instances in one
generated function (``loading``).
"""

from cloudpub_models.manager.conditions import ALL_ROWS
from cloudpub_models.manager.functions import FunctionWithRelations
from cloudpub_models.manager.manager import Manager
from cloudpub_models.manager.organizations import OrganizationWithMembers
from cloudpub_models.manager.registry import Managers
from cloudpub_models.manager.results import CursorPage, PaginatedResult
from cloudpub_models.manager.statistics import FunctionStats, InvocationBucket, UserOverview

__all__ = [
    "ALL_ROWS",
    "CursorPage",
    "FunctionStats",
    "FunctionWithRelations",
    "InvocationBucket",
    "Manager",
    "Managers",
    "OrganizationWithMembers",
    "PaginatedResult",
    "UserOverview",
]
