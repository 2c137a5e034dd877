"""Every public argument that takes a string: how it is called, what it takes, and what comes of it."""

from . import builder, conditions, database, domain, dto, history, legacy, names, queries, rows, summaries
from .door import Canonical, Door

__all__ = ["DOORS", "RAW_SQL", "Canonical", "Door"]

DOORS: list[Door] = [
    *conditions.DOORS,
    *names.DOORS,
    *rows.DOORS,
    *queries.DOORS,
    *summaries.DOORS,
    *builder.DOORS,
    *domain.DOORS,
    *legacy.DOORS,
    *dto.DOORS,
    *database.DOORS,
    *history.DOORS,
]

# Where SQL is meant, and taken as it is. docs/SECURITY.md names them.
RAW_SQL = frozenset(
    (
        "raw(sql)",
        "QueryBuilder.where_raw(sql)",
        "Manager.raw(sql)",
        "Database.raw_query_all(sql)",
        "Database.raw_query_single(sql)",
        "Database.raw_query_iter(sql)",
        "Database.raw_execute(sql)",
        "Database.batch_execute(statements)",
        "Connection.execute(sql)",
    )
)
