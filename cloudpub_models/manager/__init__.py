"""Managers: the documented operations on every table, and the registry of them.

A call's SQL is rendered once per shape (``statements``), run by ``connection``, and its rows become instances in one
generated function (``loading``).
"""

from cloudpub_models.manager.conditions import ALL_ROWS
from cloudpub_models.manager.manager import Manager
from cloudpub_models.manager.registry import Managers
from cloudpub_models.manager.results import CursorPage, PaginatedResult

__all__ = ["ALL_ROWS", "CursorPage", "Manager", "Managers", "PaginatedResult"]
