"""What leases and receipts have in common: texts that their columns hold, statements, and tables that are missing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NoReturn

import peewee

from cloudpub_models.errors import InvalidValueError, RefusedQueryError, UnknownTableError
from cloudpub_models.schema.statements import run
from cloudpub_models.sql.identifiers import shown, surrogate_in

_LONGEST = 255


def checked_text(text: Any, what: str) -> str:
    """Return a text that a column of either table holds.

    Args:
        text: the text.
        what: what it is, for the message.

    Raises:
        InvalidValueError: it is none, or empty, or longer than 255 characters.
    """
    if not isinstance(text, str) or not text or "\0" in text or surrogate_in(text) is not None:
        raise InvalidValueError(f"expected {what} to be a text that is not empty; got {shown(text)}")
    if len(text) > _LONGEST:
        raise InvalidValueError(
            f"expected {what} to be a text of at most {_LONGEST} characters; got {len(text)} of them"
        )
    return str.__str__(text)


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
