"""Which other column types hold what a model's column holds, and read back the same.

Used for databases whose tables somebody else made. A wider type fits; one that changes values or their comparison does
not.
"""

from __future__ import annotations

import re

from cloudpub_models.entity.binding import Dialect

_LENGTH = re.compile(r"^varchar\((\d+)\)$")
_POSTGRESQL = {
    "integer": ("bigint",),
    "smallint": ("integer", "bigint"),
    "timestamp": ("timestamptz",),
    "text": ("varchar", "citext"),
}


def fits(dialect: Dialect, expected: str, found: str) -> bool:
    """Return whether a column of type `found` can stand where the models expect `expected` (both normalised).

    >>> fits("postgresql", "varchar(50)", "text"), fits("postgresql", "varchar(50)", "varchar(20)")
    (True, False)
    >>> fits("postgresql", "timestamp", "timestamptz"), fits("postgresql", "timestamp", "date")
    (True, False)
    """
    if expected == found:
        return True
    if dialect == "sqlite":
        return _fits_sqlite(expected, found)
    wanted = _LENGTH.match(expected)
    if wanted is None:
        return _base(found) in _POSTGRESQL.get(expected, ()) if "(" not in found else _fits_precision(expected, found)
    given = _LENGTH.match(found)
    if given is not None:
        return int(given.group(1)) >= int(wanted.group(1))
    return found in ("varchar", "text", "citext")


def _fits_precision(expected: str, found: str) -> bool:
    # timestamptz(6) is timestamptz; fewer digits lose microseconds.
    return expected == "timestamp" and re.fullmatch(r"timestamp(tz)?\(6\)", found) is not None


def _fits_sqlite(expected: str, found: str) -> bool:
    # SQLite enforces no length, and text stays text in a column of any affinity unless it looks like a number.
    affinity = _affinity(found)
    if expected == "integer":
        return affinity == "integer" or _base(found) in ("boolean", "numeric")
    if expected == "timestamp":
        return affinity in ("text", "numeric")
    if _base(found) in ("uuid", "json"):
        return expected == "text"
    return affinity == "text"


def _affinity(declared: str) -> str:
    """Return the affinity of a declared type (https://sqlite.org/datatype3.html#determination_of_column_affinity)."""
    if "int" in declared:
        return "integer"
    if any(part in declared for part in ("char", "clob", "text")):
        return "text"
    if not declared or "blob" in declared:
        return "blob"
    if any(part in declared for part in ("real", "floa", "doub")):
        return "real"
    return "numeric"


def _base(declared: str) -> str:
    return declared.partition("(")[0].strip()
