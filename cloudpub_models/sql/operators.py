"""What stands in a dict in place of a value: how a column is compared, and what it is changed to.

For: the functions that make an ``Operator``, taken as a value in the managers' ``where`` and in the builder's
``where``, as in ``{"created_at": operators.gt(cutoff)}``; ``increment``, taken in what is updated; ``count``, ``sum``,
``avg``, ``min`` and ``max``, taken by ``aggregate``; and ``operator_for``, which says what a plain value means.

Not for: columns (``nodes.conditions`` joins the two) and SQL (``dialects`` has the text of each operator).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from math import isfinite
from typing import Any, Final, Literal
from uuid import UUID

from cloudpub_models.errors import InvalidQueryError, InvalidValueError
from cloudpub_models.sql.dialects import PATTERN_OPERATORS
from cloudpub_models.sql.identifiers import exact, shown, surrogate_in
from cloudpub_models.sql.nodes.conditions import PARAMETER_COUNTS
from cloudpub_models.sql.nodes.expressions import Raw
from cloudpub_models.sql.patterns import check_pattern
from cloudpub_models.sql.records import Record
from cloudpub_models.sql.remembering import remembered
from cloudpub_models.sql.statement import Statement
from cloudpub_models.sql.values import Members

# What the builder's `operator=` takes.
SYMBOLS = (
    *("=", "!=", "<>", "<", "<=", ">", ">=", "LIKE", "ILIKE", "NOT LIKE"),
    *("IN", "NOT IN", "IS", "IS NOT", "BETWEEN"),
)
_PLAIN = frozenset(["=", "!=", "<>", "<", "<=", ">", ">="])
_NEGATABLE = {"=": False, "!=": True, "<>": True}
_LONGEST_PATH = 50
# What a key in a path of SQLite's cannot have.
_NO_KEY = re.compile(r'["\\\x00-\x1f]')
_SCALARS = frozenset([str, int, float, bool, UUID, datetime])


class Operator(Record):
    """A comparison that waits for its column. Made by the functions of this module.

    Attributes:
        name: the operator as ``Comparison`` takes it, one of ``PARAMETER_COUNTS``.
        values: its operands, one for each parameter; the members of an IN list are one operand.
    """

    name: str
    values: tuple[Any, ...] = ()

    def _check(self) -> None:
        """Check that there is such an operator, and that it has its operands."""
        expected = PARAMETER_COUNTS.get(exact(self.name)) if isinstance(self.name, str) else None
        if expected is None:
            raise InvalidQueryError(
                f"expected one of the operators {', '.join(PARAMETER_COUNTS)}; got {shown(self.name)}"
            )
        if not isinstance(self.values, tuple) or len(self.values) != expected:
            raise InvalidQueryError(
                f"expected a tuple of {expected} operand(s) for {self.name}; got {shown(self.values)}: "
                "use operators.gt(…) and so on"
            )


def eq(value: Any) -> Operator:
    """Equal to ``value``; ``None`` is NULL, and a list, tuple or set is any of its members.

    >>> eq(5).name, eq(None).name, eq([1, 2]).name
    ('=', 'IS NULL', 'IN')
    """
    return operator_for(value, "=")


def ne(value: Any) -> Operator:
    """Not equal to ``value``; ``None`` is NULL, and a list, tuple or set is none of its members.

    As always in SQL, a NULL in the column is neither equal nor unequal to a value.

    >>> ne("failed").name, ne(None).name, ne([1, 2]).name
    ('!=', 'IS NOT NULL', 'NOT IN')
    """
    return operator_for(value, "!=")


def gt(value: Any) -> Operator:
    """Greater than ``value``.

    >>> from cloudpub_models.sql import QueryBuilder
    >>> print(QueryBuilder().table("function_invocations").where("duration_ms", gt(1000)).build_select())
    SELECT * FROM function_invocations WHERE duration_ms > @param_0
    """
    return operator_for(value, ">")


def ge(value: Any) -> Operator:
    """Greater than or equal to ``value``.

    >>> ge(5)
    Operator(name='>=', values=(5,))
    """
    return operator_for(value, ">=")


def lt(value: Any) -> Operator:
    """Less than ``value``.

    >>> lt(5)
    Operator(name='<', values=(5,))
    """
    return operator_for(value, "<")


def le(value: Any) -> Operator:
    """Less than or equal to ``value``.

    >>> le(5)
    Operator(name='<=', values=(5,))
    """
    return operator_for(value, "<=")


def like(pattern: str) -> Operator:
    r"""Like ``pattern``, case-sensitively: ``%`` is any text, ``_`` any one character, a backslash escapes either.

    >>> like(r"100\%%").values
    ('100\\%%',)
    """
    return operator_for(pattern, "LIKE")


def ilike(pattern: str) -> Operator:
    """Like ``pattern``, ignoring case.

    >>> ilike("report%")
    Operator(name='ILIKE', values=('report%',))
    """
    return operator_for(pattern, "ILIKE")


def not_like(pattern: str) -> Operator:
    """Not like ``pattern``, case-sensitively.

    >>> not_like("test-%")
    Operator(name='NOT LIKE', values=('test-%',))
    """
    return operator_for(pattern, "NOT LIKE")


def between(low: Any, high: Any) -> Operator:
    """Between ``low`` and ``high``, both included.

    >>> between(1, 5)
    Operator(name='BETWEEN', values=(1, 5))
    """
    return operator_for((low, high), "BETWEEN")


def in_(values: Iterable[Any]) -> Operator:
    """Any of ``values``, a list, tuple, set, range or another iterable; of an empty one, nothing.

    A ``None`` among them is NULL.

    >>> in_(["active", "building"]), in_([5, None])
    (Operator(name='IN', values=(['active', 'building'],)), Operator(name='IN OR NULL', values=([5],)))
    """
    return Operator(*_membership("IN", values))


def not_in(values: Iterable[Any]) -> Operator:
    """None of ``values``; of an empty one, every row is.

    NULL is none of them and yet not found, as in SQL, unless there are none at all. A ``None`` among them says so.

    >>> not_in({"failed"}), not_in([None])
    (Operator(name='NOT IN', values=(['failed'],)), Operator(name='NOT IN OR NULL', values=([],)))
    """
    return Operator(*_membership("NOT IN", values))


class Missing:
    """The type of ``MISSING``, which says that a document has nothing at a path, not even ``null``."""

    def __repr__(self) -> str:
        return "MISSING"

    def __reduce__(self) -> str:
        """Copy and pickle by name, so that there never is a second instance."""
        return "MISSING"


MISSING: Final = Missing()


class At(Operator):
    """A comparison of what stands at a path in a JSON document. Made by ``at``.

    Attributes:
        name: ``"AT"``.
        values: the one operator that compares it, or ``MISSING``.
        path: keys of objects (text) and positions in lists (integers).
    """

    name: str
    values: tuple[Any, ...]
    path: tuple[str | int, ...]

    def _check(self) -> None:
        """Check that it compares something."""
        if self.name != "AT" or len(self.values) != 1 or not self.path:
            raise InvalidQueryError(
                f"expected a path and a value; got {shown(self.name)}: use operators.at(path, value)"
            )


def at(path: str | Sequence[str | int], value: Any) -> Operator:
    """Of a JSON document, what stands at ``path``: equal to ``value``, or compared by it where it is an operator.

    Values compare with values of their own kind only: 5 equals 5.0, but neither ``"5"`` nor ``True``; ``gt("b")`` finds
    texts, in the order of their code points, and ``gt(5)`` numbers. JSON ``null`` is as NULL in a column: found by
    ``None`` and ``is_null()``, and by no other comparison. So is what a path does not lead to; ``MISSING`` finds that
    alone.

    Args:
        path: keys, with dots in between; digits are a position in a list, from 0. As a list, ``["a.b", -1]``, keys may
            have dots or be digits, and integers are positions, negative ones from the end.
        value: text, a number, a boolean or ``None``; several of them; another operator; ``MISSING``.

    >>> from cloudpub_models import operators
    >>> managers.functions.update_by_id(resize.id, {"analysis_result": {"language": {"name": "dart", "version": None}}})
    <Function id=1 uuid=... name='resize' status='active'>
    >>> managers.functions.count({"analysis_result": operators.at("language.name", "dart")})
    1
    >>> managers.functions.count({"analysis_result": operators.at("language.version", operators.MISSING)})
    0

    Raises:
        InvalidQueryError: the path is none, or what it is compared with cannot be compared there.
    """
    compared = value if value is MISSING or isinstance(value, Operator) else operator_for(value)
    if isinstance(compared, At):
        raise InvalidQueryError("expected a value or another operator in at(); got at() again: write one longer path")
    return At("AT", (compared,), _path(path))


def _path(path: Any) -> tuple[str | int, ...]:
    return _dotted_path(path) if path.__class__ is str else _checked_path(path)


def _checked_path(path: Any) -> tuple[str | int, ...]:
    steps = [_step(step) for step in exact(path).split(".")] if isinstance(path, str) else path
    if not isinstance(steps, list | tuple) or not 0 < len(steps) <= _LONGEST_PATH:
        raise InvalidQueryError(
            f"expected a path of 1 to {_LONGEST_PATH} keys and positions, as in 'language.name' or ['tags', 0]; "
            f"got {shown(path)}"
        )
    for step in steps:
        if isinstance(step, str) and not _NO_KEY.search(step) and step and surrogate_in(step) is None:
            continue
        if isinstance(step, bool) or not isinstance(step, int) or not -(2**31) < step < 2**31:
            raise InvalidQueryError(
                "expected a path of keys without quotation marks, backslashes and control characters, and of "
                f"positions; got {shown(step)} in it: compare such documents in Python, or in SQL of your own"
            )
    return tuple([exact(step) if isinstance(step, str) else int(step) for step in steps])


_dotted_path = remembered(_checked_path)


def _step(text: str) -> str | int:
    return int(text) if text.isdecimal() and text == str(int(text)) else text


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


class Increment(Record):
    """A number to add to what a column has. Made by ``increment``."""

    amount: int | float | Decimal

    def _check(self) -> None:
        """Check that it is a number."""
        amount: Any = self.amount
        is_number = isinstance(amount, int | float | Decimal) and not isinstance(amount, bool)
        if not is_number or not (isinstance(amount, int) or isfinite(amount)):
            raise InvalidValueError(f"expected a number to add; got {shown(amount)}")


def increment(amount: int | float | Decimal) -> Increment:
    """Add ``amount`` to what the column has, in the database; a negative one is taken away. NULL stays NULL.

    For ``update``, ``update_by_id``, ``claim`` and ``upsert``, whose new row has the amount itself.

    >>> increment(1), increment(-2)
    (Increment(amount=1), Increment(amount=-2))

    Raises:
        InvalidValueError: it is no number.
    """
    return Increment(amount)


class Aggregate(Record):
    """What is worked out over many rows. Made by ``count``, ``sum``, ``avg``, ``min`` and ``max``.

    Attributes:
        function: which of them.
        column: the column, which may be one of a row referred to; ``None`` counts rows.
        distinct: whether equal values count once.
    """

    function: Literal["count", "sum", "avg", "min", "max"]
    column: str | None = None
    distinct: bool = False


def count(column: str | None = None, *, distinct: bool = False) -> Aggregate:
    """How many rows there are, or how many that have a value in a column; 0 of none.

    Args:
        column: the column.
        distinct: count equal values once.

    >>> count(), count("duration_ms"), count("user_id", distinct=True).distinct
    (Aggregate(function='count', column=None, distinct=False), Aggregate(function='count', column='duration_ms', ...), True)

    Raises:
        InvalidQueryError: rows are to be counted once each, which they are.
    """  # noqa: E501 - a doctest
    if column is None and distinct:
        raise InvalidQueryError("expected a column whose distinct values are counted; got none: name it")
    return Aggregate("count", column, bool(distinct))


def sum(column: str) -> Aggregate:
    """The sum of a column of numbers: an ``int``, ``float`` or ``Decimal``, as the column's are; ``None`` of none.

    >>> sum("duration_ms").function
    'sum'
    """
    return Aggregate("sum", column)


def avg(column: str) -> Aggregate:
    """The mean of a column of numbers: a ``Decimal`` where they are decimals, else a ``float``; ``None`` of none.

    >>> avg("duration_ms").column
    'duration_ms'
    """
    return Aggregate("avg", column)


def min(column: str) -> Aggregate:
    """The smallest value of a column of numbers, text or times; ``None`` of none.

    >>> min("timestamp").function
    'min'
    """
    return Aggregate("min", column)


def max(column: str) -> Aggregate:
    """The largest value of a column of numbers, text or times; ``None`` of none.

    >>> max("timestamp").function
    'max'
    """
    return Aggregate("max", column)


def operator_for(value: Any, symbol: str = "=") -> Operator:
    """Return the operator that ``where(column, value, operator=symbol)`` compares with, and its operands.

    >>> operator_for("a"), operator_for(None), operator_for((1, 5), "between")
    (Operator(name='=', values=('a',)), Operator(name='IS NULL', values=()), Operator(name='BETWEEN', values=(1, 5)))

    Raises:
        InvalidQueryError: for a symbol that is not one of ``SYMBOLS``, or a value that it cannot be used with.
    """
    if value.__class__ in _SCALARS and symbol.__class__ is str and symbol in _PLAIN:  # by far the most calls
        name, values = symbol, (value,)
    else:
        name, values = _meaning_of(value, symbol)
    # What the meaning says needs no check, and builders ask for each of their conditions.
    operator = object.__new__(Operator)
    operator.__dict__.update(name=name, values=values)
    return operator


def _meaning_of(value: Any, symbol: str) -> tuple[str, tuple[Any, ...]]:
    name = _symbol(symbol)
    if isinstance(value, Operator):
        if isinstance(value, At):
            raise InvalidQueryError(
                "expected an operator that compares a column; got at(), which the managers' where takes: "
                "use where_raw() in a builder"
            )
        if name != "=":
            raise InvalidQueryError(
                f"expected an operator once; got {name} and the operator object {value.name}: leave one out"
            )
        return value.name, value.values
    if name in ("IS", "IS NOT"):
        return _identity(value, name), ()
    if name in PATTERN_OPERATORS:
        if not isinstance(value, str) or isinstance(value, Statement):
            raise InvalidQueryError(f"expected a pattern (text) for {name}; got {shown(value)}")
        return name, (check_pattern(exact(value)),)
    if name == "BETWEEN":
        if not isinstance(value, (list, tuple)) or len(value) != 2:
            raise InvalidQueryError(f"expected two values for BETWEEN, as in (low, high); got {shown(value)}")
        return name, (_operand(value[0], name), _operand(value[1], name))
    if name in ("IN", "NOT IN"):
        return _membership(name, value)
    if value is None and name in _NEGATABLE:
        return "IS NOT NULL" if _NEGATABLE[name] else "IS NULL", ()
    if isinstance(value, (list, tuple, set, frozenset, range)) and name in _NEGATABLE:
        return _membership("NOT IN" if _NEGATABLE[name] else "IN", value)
    return name, (_operand(value, name),)


def _symbol(symbol: Any) -> str:
    if isinstance(symbol, str) and exact(symbol).isascii():
        name = " ".join(exact(symbol).upper().split())
        if name in SYMBOLS:
            return name
    raise InvalidQueryError(
        f"expected one of the operators {', '.join(SYMBOLS)}; got {shown(symbol)}: a condition is given as column, "
        "value, operator"
    )


def _identity(value: Any, name: str) -> str:
    if value is None or value is True or value is False:
        return f"{name} {'NULL' if value is None else str(value).upper()}"
    raise InvalidQueryError(
        f"expected None, True or False for {name}; got {shown(value)}: use = or != for other values"
    )


def _operand(value: Any, name: str) -> Any:
    if value is None:
        raise InvalidQueryError(f"expected a value for {name}; got None: NULL is found by is_null() and is_not_null()")
    if isinstance(value, (list, tuple, set, frozenset, range)):
        raise InvalidQueryError(
            f"expected one value for {name}; got a {type(value).__name__}: several values go with IN"
        )
    return _no_sql(value, name)


def _no_sql(value: Any, name: str) -> Any:
    if isinstance(value, (Raw, Statement, Operator)):
        raise InvalidQueryError(
            f"expected a value for {name}; got {type(value).__name__}: SQL on the right-hand side goes into "
            'where_raw("column = …"), with the parameters of a Statement beside it'
        )
    return value


def _membership(name: str, values: Any) -> tuple[str, tuple[Members]]:
    """Return the operator for the members of an IN list, and those that are not NULL."""
    if isinstance(values, (str, bytes, bytearray, memoryview, Mapping)) or not isinstance(values, Iterable):
        raise InvalidQueryError(
            f"expected several values for IN (a list, tuple, set …); got {shown(values)}: put a single one into a list"
        )
    members = Members(values)
    has_null = False
    for member in members:
        if member is None:
            has_null = True
        elif member.__class__ not in _SCALARS:
            _no_sql(member, "IN")
    if has_null:
        return f"{name} OR NULL", (Members([member for member in members if member is not None]),)
    return name, (members,)
