"""What leases and receipts have in common: how long their texts are, statements, and tables that are missing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NoReturn

import peewee

from cloudpub_models.errors import RefusedQueryError, UnknownTableError
from cloudpub_models.schema.statements import run

LONGEST_TEXT = 255


def send(database: peewee.Database, sql: str, *values: Any) -> Any:
    """Send a statement whose parameters are written as ``?`` and return the driver's cursor.

    Raises:
        UnknownTableError: the tables are not there.
    """
    try:
        return run(database, sql.replace("?", str(database.param)), values)
    except RefusedQueryError as error:
        raise_missing(error, ("leases", "receipts"))


def raise_missing(error: RefusedQueryError, tables: Sequence[str]) -> NoReturn:
    """Raise UnknownTableError where a query was refused since one of the tables is not there; else the error itself."""
    missing = next((table for table in tables if re.search(rf"\b{table}\b", str(error))), None)
    if missing is None:
        raise error
    raise UnknownTableError(
        f"expected the table {missing}; got a database without it: open the database with components=[component] from "
        "cloudpub_models.work.component, and migrate"
    ) from error
