"""The keyword arguments of ``Database``, for type checkers; what each is for stands in ``options``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from cloudpub_models.connection.options import Causality


class DatabaseOptions(TypedDict, total=False):
    """The keyword arguments of ``Database`` and ``Database.initialize``, for type checkers."""

    max_connections: int
    pool_timeout: float
    connect_timeout: float
    statement_timeout: float
    lock_timeout: float
    idle_in_transaction_timeout: float
    tcp_user_timeout: float
    busy_timeout: float
    application_name: str
    transaction_pooler: bool
    slow_query: float | None
    prepared: bool
    cursor_key: str | Sequence[str] | None
    require_owner: bool
    row_security: bool
    rollups: bool
    replicas: Sequence[str]
    replica_max_lag: float | None
    replica_wait: float
    replica_causality: Causality
    primary_share: float
    cached_rows: int
    history: Sequence[str]
