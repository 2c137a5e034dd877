"""OpenTelemetry: a span for each statement that a database is sent.

The spans follow the stable conventions for database clients (OpenTelemetry semantic conventions 1.45.0,
https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/db/database-spans.md, and postgresql.md beside
it). Parameter values are never part of one, and literals are replaced in a text that has no parameters.

Needs ``opentelemetry-api`` (``pip install cloudpub-models[otel]``); where the spans go is for the program to set up.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from cloudpub_models.connection import Database
from cloudpub_models.errors import ConfigurationError
from cloudpub_models.sql import Dialect
from cloudpub_models.sql.text.summary import summary_of, without_literals

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

    from cloudpub_models.connection.listeners import QueryEvent


def instrument(database: Database, tracer_provider: TracerProvider | None = None) -> Callable[[], None]:
    """Make a span for each statement sent through a database from now on.

    ``db.namespace`` and ``server.address`` are those of the URL. ``error.type`` is the SQLSTATE, or SQLite's extended
    result code, and the error's class where there is none.

    Args:
        database: whose statements.
        tracer_provider: where the spans go; OpenTelemetry's global one when left out.

    Returns:
        a function that ends it.

    Raises:
        ConfigurationError: ``opentelemetry-api`` is not installed.

    >>> from cloudpub_models import database
    >>> stop = instrument(database)
    >>> stop()
    """
    try:
        from opentelemetry import trace
    except ImportError as error:
        raise ConfigurationError(
            f"expected OpenTelemetry; got {error}: run 'pip install cloudpub-models[otel]'"
        ) from error
    tracer = trace.get_tracer("cloudpub_models", version("cloudpub-models"), tracer_provider)
    described: dict[str, dict[str, Any]] = {}

    def record(event: QueryEvent) -> None:
        # Looked up at each event, since ``initialize`` may point the database somewhere else.
        target = described.get(database.url) or described.setdefault(database.url, _database_attributes(database))
        dialect = database.engine.sql_dialect
        summary = summary_of(event.sql, dialect)
        end = time.time_ns()
        span = tracer.start_span(
            summary.text or database.dialect,
            kind=trace.SpanKind.CLIENT,
            attributes={**target, **_statement_attributes(event, dialect)},
            start_time=end - int(event.duration * 1e9),
        )
        if event.error is not None:
            span.set_attributes(_error_attributes(event.error))
            span.set_status(trace.Status(trace.StatusCode.ERROR, type(event.error).__name__))
        span.end(end)

    return database.on_query(record)


def _database_attributes(database: Database) -> dict[str, Any]:
    """Return what is the same for all statements: which database, and where."""
    name, host, port = database.engine.location
    told = {"db.namespace": name, "server.address": host, "server.port": port}
    return {"db.system.name": database.dialect} | {key: value for key, value in told.items() if value}


def _statement_attributes(event: QueryEvent, dialect: Dialect) -> dict[str, Any]:
    summary = summary_of(event.sql, dialect)
    attributes: dict[str, Any] = {
        "db.query.text": event.sql if event.parameters else without_literals(event.sql, dialect),
        "db.query.summary": summary.text,
    }
    # Only of statements that do one thing, as nearly all of the managers' do.
    if len(summary.operations) == 1:
        attributes["db.operation.name"] = summary.operations[0]
        if len(summary.tables) == 1:
            attributes["db.collection.name"] = summary.tables[0]
    returns_rows = summary.operations[0] == "SELECT" or "RETURNING" in event.sql
    if event.rows is not None and returns_rows:
        attributes["db.response.returned_rows"] = event.rows
    return attributes


def _error_attributes(error: Exception) -> dict[str, Any]:
    driver_error = error.__cause__
    code = getattr(driver_error, "pgcode", None) or getattr(driver_error, "sqlite_errorcode", None)
    if code is None:
        return {"error.type": f"{type(error).__module__}.{type(error).__qualname__}"}
    return {"error.type": str(code), "db.response.status_code": str(code)}
