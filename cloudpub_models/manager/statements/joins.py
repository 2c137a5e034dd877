"""Builder queries run for a manager."""

from __future__ import annotations

from typing import Any

import peewee

from cloudpub_models.connection import Database
from cloudpub_models.errors import InvalidQueryError
from cloudpub_models.manager.sending import send
from cloudpub_models.manager.statements.plans import plan_for
from cloudpub_models.manager.statements.request import Request
from cloudpub_models.sql.builder.builder import QueryBuilder


def execute_query(builder: QueryBuilder, database: Database, model: type[peewee.Model]) -> list[dict[str, Any]]:
    """Run a builder's SELECT and return its rows as dicts.

    Args:
        builder: the query.
        database: the database.
        model: the model of the manager that runs it, through which models other than ours are found.

    Raises:
        InvalidQueryError: two columns of the result have one name.
        InvalidValueError: a value does not fit the column that it is compared with.
    """
    if not isinstance(builder, QueryBuilder):
        raise InvalidQueryError(
            f"expected a QueryBuilder; got {type(builder).__name__}: send SQL with raw() or raw_query_all()"
        )
    query, values = builder.as_shape()
    plan = plan_for(query, database.engine.sql_dialect, model, database.models)
    text, bound = plan.bind(values, builder.named_values)
    columns, rows = send(database, Request(text, writes=False), bound, "fetch_undecoded")
    return plan.loader(columns)(rows)
