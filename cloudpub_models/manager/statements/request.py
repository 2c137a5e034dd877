"""``Request``: a statement as a database is sent it, with what it is."""

from __future__ import annotations

from typing import NamedTuple


class Request(NamedTuple):
    """A statement as a database is sent it, with what it is.

    Attributes:
        sql: in the driver's notation.
        writes: whether it may change anything, or lock it.
        tables: the tables that it is about; empty where that is not known, as of SQL that a caller wrote.
    """

    sql: str
    writes: bool = True
    tables: tuple[str, ...] = ()
