"""What a value means that a column is compared with: ``where(column, value, operator="=")``.

For: `meaning_of`, used by the builder, and `Operator`, a comparison as a value of its own.

Not for: the functions that users make an `Operator` with (`operators`), columns (`conditions` joins the two) and SQL
(`dialects` has the text of each operator).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from cloudpub_models.errors import InvalidQueryError
from cloudpub_models.sql.identifiers import exact, shown
from cloudpub_models.sql.nodes.conditions import PARAMETER_COUNTS
from cloudpub_models.sql.nodes.expressions import Raw
from cloudpub_models.sql.nodes.records import Record
from cloudpub_models.sql.patterns import check_pattern
from cloudpub_models.sql.statement import Statement
from cloudpub_models.sql.values import Members

# What the builder's `operator=` takes.
SYMBOLS = (
    *("=", "!=", "<>", "<", "<=", ">", ">=", "LIKE", "ILIKE", "NOT LIKE"),
    *("IN", "NOT IN", "IS", "IS NOT", "BETWEEN"),
)
_PLAIN = frozenset(["=", "!=", "<>", "<", "<=", ">", ">="])
_NEGATABLE = {"=": False, "!=": True, "<>": True}
_SCALARS = frozenset([str, int, float, bool, UUID, datetime])


class Operator(Record):
    """A comparison that waits for its column. Made by the functions of `operators`.

    Attributes:
        name: the operator as `conditions.Comparison` takes it, one of `conditions.PARAMETER_COUNTS`.
        values: its operands, one for each parameter; the members of an IN list are one operand.
    """

    name: str
    values: tuple[Any, ...] = ()

    def _check(self) -> None:
        """Check that there is such an operator, and that it has its operands."""
        expected = PARAMETER_COUNTS.get(exact(self.name)) if isinstance(self.name, str) else None
        if expected is None:
            raise InvalidQueryError(
                f"expected one of the operators {', '.join(PARAMETER_COUNTS)}, got {shown(self.name)}"
            )
        if not isinstance(self.values, tuple) or len(self.values) != expected:
            raise InvalidQueryError(
                f"expected a tuple of {expected} operand(s) for {self.name}; use operators.gt(…) and so on"
            )


def meaning_of(value: Any, symbol: str = "=") -> tuple[str, tuple[Any, ...]]:
    """Return what ``where(column, value, operator=symbol)`` means: the operator's name and its operands.

    >>> meaning_of("a"), meaning_of([1, 2], "!=")
    (('=', ('a',)), ('NOT IN', ([1, 2],)))

    Raises:
        InvalidQueryError: for a symbol that is not one of `SYMBOLS`, or a value that it cannot be used with.
    """
    name = symbol if symbol.__class__ is str and symbol in _PLAIN else _symbol(symbol)
    if value.__class__ in _SCALARS:  # by far the most calls
        if name in _PLAIN:
            return name, (value,)
    elif isinstance(value, Operator):
        if name != "=":
            raise InvalidQueryError(
                f"expected an operator once, got {name} and the operator object {value.name}; leave one out"
            )
        return value.name, value.values
    if name in ("IS", "IS NOT"):
        return _identity(value, name), ()
    if name in ("LIKE", "NOT LIKE", "ILIKE"):
        if not isinstance(value, str) or isinstance(value, Statement):
            raise InvalidQueryError(f"expected a pattern (text) for {name}, got {shown(value)}")
        return name, (check_pattern(exact(value)),)
    if name == "BETWEEN":
        if not isinstance(value, (list, tuple)) or len(value) != 2:
            raise InvalidQueryError(f"expected two values for BETWEEN, as in (low, high), got {shown(value)}")
        return name, (_operand(value[0], name), _operand(value[1], name))
    if name in ("IN", "NOT IN"):
        return name, (members_of(value),)
    if value is None and name in _NEGATABLE:
        return "IS NOT NULL" if _NEGATABLE[name] else "IS NULL", ()
    if isinstance(value, (list, tuple, set, frozenset, range)) and name in _NEGATABLE:
        return "NOT IN" if _NEGATABLE[name] else "IN", (members_of(value),)
    return name, (_operand(value, name),)


def _symbol(symbol: Any) -> str:
    if isinstance(symbol, str) and exact(symbol).isascii():
        name = " ".join(exact(symbol).upper().split())
        if name in SYMBOLS:
            return name
    raise InvalidQueryError(
        f"expected one of the operators {', '.join(SYMBOLS)}, got {shown(symbol)}: a condition is given as column, "
        "value, operator"
    )


def _identity(value: Any, name: str) -> str:
    if value is None or value is True or value is False:
        return f"{name} {'NULL' if value is None else str(value).upper()}"
    raise InvalidQueryError(
        f"expected None, True or False for {name}, got {shown(value)}; use = or != for other values"
    )


def _operand(value: Any, name: str) -> Any:
    if value is None:
        raise InvalidQueryError(f"expected a value for {name}, got None; NULL is found by is_null() and is_not_null()")
    if isinstance(value, (list, tuple, set, frozenset, range)):
        raise InvalidQueryError(
            f"expected one value for {name}, got a {type(value).__name__}; several values go with IN"
        )
    return _no_sql(value, name)


def _no_sql(value: Any, name: str) -> Any:
    if isinstance(value, (Raw, Statement, Operator)):
        raise InvalidQueryError(
            f"expected a value for {name}, got {type(value).__name__}; SQL on the right-hand side goes into "
            'where_raw("column = …"), with the parameters of a Statement beside it'
        )
    return value


def members_of(values: Any) -> Members:
    """Return the members of an IN list."""
    if isinstance(values, (str, bytes, bytearray, memoryview, Mapping)) or not isinstance(values, Iterable):
        raise InvalidQueryError(
            f"expected several values for IN (a list, tuple, set …), got {shown(values)}; put a single one into a list"
        )
    members = Members(values)
    for member in members:
        if member.__class__ not in _SCALARS:
            _no_sql(member, "IN")
    return members
