"""What queries and the builder's strings are made of: tables, columns, calls of known functions.

For: the nodes, frozen, hashable, without values. A string becomes SQL only by way of these, so nothing but names,
numbers and known functions can come out; ``raw`` is the one door for anything else.

Not for: reading strings (``builder.language``) and writing SQL; ``render`` does that, for each dialect.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from cloudpub_models.errors import InvalidQueryError
from cloudpub_models.sql.identifiers import exact, shown
from cloudpub_models.sql.records import Record
from cloudpub_models.sql.text.parameters import parse


class Raw(Record):
    """SQL that is taken as it is. Made by ``raw``."""

    sql: str

    def _check(self) -> None:
        """Check that it is text, not empty, and does not end inside a string or comment."""
        check_raw(self.sql, "raw()")
        self.__dict__["sql"] = exact(self.sql)


def raw(sql: str) -> Raw:
    """Mark ``sql`` as SQL that is meant as such, where otherwise only names are taken.

    It reaches the database unchanged, so it must never contain what a user of the program typed; values go into
    parameters (``where_raw``, ``having``).

    >>> from cloudpub_models.sql import QueryBuilder
    >>> print(QueryBuilder().table("functions").select("id", raw("now() - created_at AS age")).build_select())
    SELECT id, now() - created_at AS age FROM functions

    Raises:
        InvalidQueryError: when it is no text, empty, or ends inside a string, a quoted name or a comment.
    """
    return Raw(sql)


def check_raw(sql: Any, what: str) -> None:
    """Raise ``InvalidQueryError`` unless ``sql`` is text that other SQL may be written after."""
    if not isinstance(sql, str) or not exact(sql).strip():
        raise InvalidQueryError(f"expected SQL text in {what}; got {shown(sql)}")
    if unfinished := parse(sql).unfinished:
        raise InvalidQueryError(
            f"expected complete SQL in {what}; got text that ends inside a {unfinished}: {shown(sql)}"
        )


class NamedTable(Record):
    """A table by its name, which columns are qualified by unless it has an alias.

    >>> NamedTable("event", schema="audit").full_name, NamedTable("functions", "f").known_as
    ('audit.event', 'f')
    """

    name: str
    alias: str | None = None
    schema: str | None = None

    @property
    def known_as(self) -> str:
        """What its columns are qualified by."""
        return self.alias or self.name

    @property
    def full_name(self) -> str:
        """Its name with that of its schema, where it is in a certain one."""
        return f"{self.schema}.{self.name}" if self.schema else self.name


class Column(Record):
    """A column, qualified by a table or its alias or not."""

    table: str | None
    name: str


class Star(Record):
    """Every column, of one table or of all."""

    table: str | None


class Number(Record):
    """A number written in an expression."""

    text: str


class NamedParameter(Record):
    """An ``@name`` written in a HAVING condition."""

    name: str


class Call(Record):
    """A call of a known function, its name as it was written."""

    function: str
    arguments: tuple[Expression, ...]
    distinct: bool = False


class Aliased(Record):
    """A select item with a name of its own."""

    item: Expression
    alias: str
    keyword: str = "AS"


class Having(Record):
    """A HAVING condition: an item compared with a number or a named parameter."""

    item: Expression
    operator: str
    operand: Number | NamedParameter


class Positional(Record):
    """SQL that is an expression, in pieces between which its parameters stand, one value each; as Peewee renders it."""

    pieces: tuple[str, ...]


class RelatedValue(Record):
    """A value of the row of another table that a column leads to; NULL where there is none.

    Attributes:
        column: the column that leads there.
        table: the other table.
        key: its column that has the same value.
        value: what is wanted of its row; a column without a table is one of it.
    """

    column: Column
    table: NamedTable
    key: str
    value: Expression


class Value(Record):
    """A value, which becomes a parameter."""


class Sum(Record):
    """Two numbers added.

    Attributes:
        first: one of them.
        second: the other.
        decimal_places: of decimals those after the point, to which the sum is rounded; ``None`` of other numbers.
    """

    first: Expression
    second: Expression
    decimal_places: int | None = None


class AsDouble(Record):
    """A number as a double."""

    item: Expression


class DecimalSum(Record):
    """The exact sum of decimals."""

    item: Expression


class Assignment(Record):
    """What an update sets a column to, where that is no parameter."""

    column: str
    value: Expression


Expression: TypeAlias = (
    Column | Star | Number | Call | Aliased | Raw | Positional | RelatedValue | Value | Sum | AsDouble | DecimalSum
)
