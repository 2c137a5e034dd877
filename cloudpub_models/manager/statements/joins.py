"""Builder queries run for a manager."""

from __future__ import annotations

from typing import Any

import peewee

from cloudpub_models.connection.engine import Engine
from cloudpub_models.errors import InvalidQueryError
from cloudpub_models.manager.statements.plans import plan_for
from cloudpub_models.sql.builder.builder import QueryBuilder


def execute_query(builder: QueryBuilder, engine: Engine, model: type[peewee.Model]) -> list[dict[str, Any]]:
    """Run a builder's SELECT and return its rows as dicts.

    Args:
        builder: the query.
        engine: the database.
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
    plan = plan_for(query, engine.sql_dialect, model)
    columns, rows = engine.fetch_undecoded(*plan.bind(values, builder.named_values))
    return plan.loader(columns)(rows)
