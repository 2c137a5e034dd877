"""The conditions of a statement as a tree without values.

For: ``Comparison`` and the other kinds of ``Condition``, frozen and hashable, so that a tree is a shape whose SQL can
be kept. The values travel beside it, a flat sequence in the order of rendering: one for each parameter of each
comparison, from left to right.

Not for: values (``operators``) and SQL (``render``).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias

from cloudpub_models.errors import InvalidQueryError, ParameterError
from cloudpub_models.sql.identifiers import exact
from cloudpub_models.sql.nodes.expressions import Column, Expression, NamedTable, check_raw
from cloudpub_models.sql.records import Record
from cloudpub_models.sql.text.parameters import check_names, parse

Connector: TypeAlias = Literal["AND", "OR"]

# Every operator that a condition can have, with the number of parameters it takes.
PARAMETER_COUNTS: dict[str, int] = {
    **dict.fromkeys(("=", "!=", "<>", "<", "<=", ">", ">=", "LIKE", "NOT LIKE", "ILIKE", "IN", "NOT IN"), 1),
    **dict.fromkeys(("IS NULL", "IS NOT NULL", "IS TRUE", "IS NOT TRUE", "IS FALSE", "IS NOT FALSE"), 0),
    "BETWEEN": 2,
    "HAS PARTS": 1,
    "HAS WORDS": 2,
    # With a None among the members.
    **dict.fromkeys(("IN OR NULL", "NOT IN OR NULL"), 1),
}


class Comparison(Record):
    """A column compared by an operator, one of ``PARAMETER_COUNTS``."""

    column: Expression
    operator: str


class RowComparison(Record):
    """Several columns compared with as many values at once, the first that differs deciding: ``(a, b) > (1, 2)``."""

    columns: tuple[Column, ...]
    operator: Literal["<", ">"]


class During(Record):
    """That a column has a moment from one on, and up to another one, which stand in the SQL.

    As parameters of a prepared statement the server would not know them when it plans, and plan for all partitions.

    Attributes:
        column: the column.
        begin: the moment from which on, aware.
        end: the one up to which; ``None`` for all that is later.
    """

    column: Column
    begin: datetime
    end: datetime | None


class RawCondition(Record):
    """SQL that is a condition, its ``@name`` parameters named by whoever wrote it."""

    sql: str


class PositionalCondition(Record):
    """SQL that is a condition, in pieces between which its parameters stand, one value each; as Peewee renders it."""

    pieces: tuple[str, ...]


class Group(Record):
    """Conditions joined by AND and OR as they stand, AND binding closer; the first connector means nothing.

    >>> status, user = Column(None, "status"), Column(None, "user_id")
    >>> Group.all(Comparison(status, "="), Comparison(user, "=")).items[1]
    ('AND', Comparison(column=Column(table=None, name='user_id'), operator='='))
    """

    items: tuple[tuple[Connector, Condition], ...]

    @classmethod
    def all(cls, *conditions: Condition) -> Group:
        """Return the group that is true where each of ``conditions`` is."""
        return cls(tuple([("AND", condition) for condition in conditions]))


class DocumentComparison(Record):
    """What stands at a path in a column's JSON document, compared by an operator of ``Dialect.document_comparisons``.

    Its values are those that ``Dialect.document_values`` arranges.
    """

    column: Column
    operator: str


class Negation(Record):
    """That a condition does not hold: it is false, or neither true nor false because of a NULL."""

    condition: Condition


class Never(Record):
    """A condition that holds for no row."""


class Related(Record):
    """That a row of another table has this row's value in a column, and meets conditions.

    Attributes:
        column: the column of this row.
        table: the other table.
        key: its column.
        many: whether several of its rows may have the value.
        conditions: what the other row has to meet, all of it; columns without a table are that table's.
    """

    column: Column
    table: NamedTable
    key: str
    many: bool
    conditions: Group


Condition: TypeAlias = (
    Comparison
    | RowComparison
    | DocumentComparison
    | During
    | RawCondition
    | PositionalCondition
    | Group
    | Negation
    | Never
    | Related
)

NO_CONDITIONS = Group(())


def raw_condition(sql: Any, parameters: Mapping[str, Any] | None, what: str = "where_raw()") -> RawCondition:
    """Return the condition that ``sql`` is, after checking that ``parameters`` are those it names.

    Raises:
        InvalidQueryError: when it is not complete SQL text.
        ParameterError: for a name without a value and a value without a name.
    """
    check_raw(sql, what)
    text = exact(sql)
    check_names(parse(text).names, {} if parameters is None else parameters)
    return RawCondition(text)


def merge_named(named: Mapping[str, Any], added: Mapping[str, Any]) -> dict[str, Any]:
    """Return both sets of named values together.

    Raises:
        ParameterError: when two conditions use one name.
    """
    for name in added:
        if name in named:
            raise ParameterError(
                f"expected each parameter in one condition only; got @{name} in two: rename one of them"
            )
    return {**named, **{exact(name): value for name, value in added.items()}}


def parameter_count(condition: Condition) -> int:
    """Return how many values beside the tree belong to ``condition``.

    >>> a, b = Column(None, "a"), Column(None, "b")
    >>> parameter_count(Group.all(Comparison(a, "BETWEEN"), Comparison(b, "IS NULL"), RowComparison((a, b), ">")))
    4
    """
    if isinstance(condition, Group):
        return sum([parameter_count(item) for _, item in condition.items])
    if isinstance(condition, Comparison):
        if condition.operator not in PARAMETER_COUNTS:
            raise InvalidQueryError(
                f"expected one of the operators {', '.join(PARAMETER_COUNTS)}; got {condition.operator!r}"
            )
        return PARAMETER_COUNTS[condition.operator]
    if isinstance(condition, RowComparison):
        return len(condition.columns)
    if isinstance(condition, Negation):
        return parameter_count(condition.condition)
    if isinstance(condition, Related):
        return parameter_count(condition.conditions)
    return len(condition.pieces) - 1 if isinstance(condition, PositionalCondition) else 0
