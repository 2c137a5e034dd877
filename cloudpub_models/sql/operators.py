"""How a column is compared with a value, where it is not simply equal: ``{"created_at": operators.gt(cutoff)}``.

For: the functions that make an `Operator`, taken as a value in the managers' ``where`` and in the builder's ``where``;
and `operator_for`, which says what a plain value means.

Not for: deciding that (`comparing`), columns (`conditions` joins the two) and SQL (`dialects` has the text of each
operator).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cloudpub_models.sql.comparing import SYMBOLS as SYMBOLS
from cloudpub_models.sql.comparing import Operator as Operator
from cloudpub_models.sql.comparing import meaning_of, members_of


def eq(value: Any) -> Operator:
    """Equal to `value`; `None` is NULL, and a list, tuple or set is any of its members.

    >>> eq(5).name, eq(None).name, eq([1, 2]).name
    ('=', 'IS NULL', 'IN')
    """
    return operator_for(value, "=")


def ne(value: Any) -> Operator:
    """Not equal to `value`; `None` is NULL, and a list, tuple or set is none of its members.

    As always in SQL, a NULL in the column is neither equal nor unequal to a value.

    >>> ne("failed").name, ne(None).name, ne([1, 2]).name
    ('!=', 'IS NOT NULL', 'NOT IN')
    """
    return operator_for(value, "!=")


def gt(value: Any) -> Operator:
    """Greater than `value`.

    >>> from cloudpub_models.sql import QueryBuilder
    >>> print(QueryBuilder().table("function_invocations").where("duration_ms", gt(1000)).build_select())
    SELECT * FROM function_invocations WHERE duration_ms > @param_0
    """
    return operator_for(value, ">")


def ge(value: Any) -> Operator:
    """Greater than or equal to `value`.

    >>> ge(5)
    Operator(name='>=', values=(5,))
    """
    return operator_for(value, ">=")


def lt(value: Any) -> Operator:
    """Less than `value`.

    >>> lt(5)
    Operator(name='<', values=(5,))
    """
    return operator_for(value, "<")


def le(value: Any) -> Operator:
    """Less than or equal to `value`.

    >>> le(5)
    Operator(name='<=', values=(5,))
    """
    return operator_for(value, "<=")


def like(pattern: str) -> Operator:
    r"""Like `pattern`, case-sensitively: ``%`` is any text, ``_`` any one character, a backslash escapes either.

    >>> like(r"100\%%").values
    ('100\\%%',)
    """
    return operator_for(pattern, "LIKE")


def ilike(pattern: str) -> Operator:
    """Like `pattern`, ignoring case.

    >>> ilike("report%")
    Operator(name='ILIKE', values=('report%',))
    """
    return operator_for(pattern, "ILIKE")


def not_like(pattern: str) -> Operator:
    """Not like `pattern`, case-sensitively.

    >>> not_like("test-%")
    Operator(name='NOT LIKE', values=('test-%',))
    """
    return operator_for(pattern, "NOT LIKE")


def between(low: Any, high: Any) -> Operator:
    """Between `low` and `high`, both included.

    >>> between(1, 5)
    Operator(name='BETWEEN', values=(1, 5))
    """
    return operator_for((low, high), "BETWEEN")


def in_(values: Iterable[Any]) -> Operator:
    """Any of `values`, a list, tuple, set, range or another iterable; of an empty one, nothing.

    A `None` among them matches no row, as in SQL; use `is_null` for those.

    >>> in_(["active", "building"])
    Operator(name='IN', values=(['active', 'building'],))
    """
    return Operator("IN", (members_of(values),))


def not_in(values: Iterable[Any]) -> Operator:
    """None of `values`; of an empty one, every row is.

    A `None` among them makes the condition true of no row, as in SQL.

    >>> not_in({"failed"})
    Operator(name='NOT IN', values=(['failed'],))
    """
    return Operator("NOT IN", (members_of(values),))


def is_null() -> Operator:
    """NULL.

    >>> is_null()
    Operator(name='IS NULL', values=())
    """
    return Operator("IS NULL")


def is_not_null() -> Operator:
    """Not NULL.

    >>> is_not_null()
    Operator(name='IS NOT NULL', values=())
    """
    return Operator("IS NOT NULL")


def operator_for(value: Any, symbol: str = "=") -> Operator:
    """Return the operator that ``where(column, value, operator=symbol)`` compares with, and its operands.

    >>> operator_for("a"), operator_for(None), operator_for((1, 5), "between")
    (Operator(name='=', values=('a',)), Operator(name='IS NULL', values=()), Operator(name='BETWEEN', values=(1, 5)))

    Raises:
        InvalidQueryError: for a symbol that is not one of `SYMBOLS`, or a value that it cannot be used with.
    """
    return Operator(*meaning_of(value, symbol))
