"""What the two databases write differently, as data.

For: quoting names, rendering comparisons, locks, limits and the order of NULLs, and packing parameter values. Code that
needs to know asks the `Dialect`; nothing else compares a database's name.

Not for: the structure of statements, which is the same on both and lives in `rendering`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

from cloudpub_models.errors import InvalidQueryError
from cloudpub_models.sql import reserved_words, values
from cloudpub_models.sql.nodes.records import Record
from cloudpub_models.sql.patterns import ILIKE_FUNCTION, LIKE_FUNCTION

_COMPARISONS: dict[str, str] = {
    **{sign: f"{{column}} {sign} {{0}}" for sign in ("=", "!=", "<>", "<", "<=", ">", ">=")},
    **{
        test: f"{{column}} {test}"
        for test in ("IS NULL", "IS NOT NULL", "IS TRUE", "IS NOT TRUE", "IS FALSE", "IS NOT FALSE")
    },
    "BETWEEN": "{column} BETWEEN {0} AND {1}",
}


class Dialect(Record):
    """One of the two databases' ways to write SQL. There are exactly two, `POSTGRESQL` and `SQLITE`."""

    name: Literal["postgresql", "sqlite"]
    placeholder: Literal["%s", "?"]
    identifier_quote: str
    reserved: frozenset[str]
    comparisons: Mapping[str, str]
    # What stands for IN and NOT IN in raw SQL when the tuple is empty.
    empty_in: str
    empty_not_in: str
    # What a non-empty tuple becomes after IN in raw SQL; None where it becomes one placeholder for each member.
    member_query: str | None
    # How the members of an IN list, encoded, become one value.
    pack_members: Callable[[Iterable[Any]], str]
    encode_decimal: Callable[[Decimal], Any]
    # Whether the driver takes every % for the start of a placeholder as soon as parameters are sent.
    doubles_percent: bool
    row_locks: bool
    # How an index is made while others write.
    create_index: str
    # The whole seconds from 1970 to the moment in a column.
    whole_seconds: str
    # The place of NULLs when a statement does not say; PostgreSQL's is the one that both are given.
    nulls_are_largest: bool
    # How OFFSET is written where there is no LIMIT.
    limit_for_offset: str
    # What the tokenizer of `parameters` has to know.
    backslash_strings: bool
    dollar_quotes: bool
    nested_comments: bool
    bracket_names: bool
    backtick_names: bool
    carriage_return_ends_line: bool

    def quote(self, identifier: str) -> str:
        """Return `identifier` as it stands in SQL, in quotes only where it must be.

        >>> POSTGRESQL.quote("status"), POSTGRESQL.quote("user"), SQLITE.quote("createdAt")
        ('status', '"user"', '`createdAt`')
        """
        plain = identifier.isascii() and identifier.isidentifier() and identifier == identifier.lower()
        if plain and identifier not in self.reserved:
            return identifier
        mark = self.identifier_quote
        return mark + identifier.replace(mark, mark * 2) + mark

    def comparison(self, column: str, operator: str, parameters: Sequence[str] = ()) -> str:
        """Return the SQL that compares `column` (already SQL) by one of the fixed operators.

        >>> POSTGRESQL.comparison("status", "IN", ["@param_0"])
        'status = ANY(@param_0)'
        >>> SQLITE.comparison("status", "IN", ["@param_0"])
        'status IN (SELECT value FROM json_each(@param_0))'
        """
        template = self.comparisons.get(operator)
        if template is None:
            raise InvalidQueryError(f"expected one of the operators {', '.join(self.comparisons)}, got {operator!r}")
        return template.format(*parameters, column=column)

    def nulls(self, direction: str, wanted: str | None, *, nullable: bool = True) -> str:
        """Return the NULLS clause of one ORDER BY item; without a wish it makes both databases sort like PostgreSQL.

        What is never NULL has none.

        >>> POSTGRESQL.nulls("ASC", None), SQLITE.nulls("ASC", None), SQLITE.nulls("DESC", "LAST")
        ('', ' NULLS LAST', ' NULLS LAST')
        >>> SQLITE.nulls("ASC", None, nullable=False)
        ''
        """
        if not nullable or (wanted is None and self.nulls_are_largest):
            return ""
        return f" NULLS {wanted or ('LAST' if direction == 'ASC' else 'FIRST')}"

    def lock(self, *, skip_locked: bool, of: str | None = None) -> str:
        """Return the clause that locks the selected rows; nothing on SQLite, where a writer is alone anyway.

        >>> POSTGRESQL.lock(skip_locked=True)
        ' FOR UPDATE SKIP LOCKED'
        """
        if not self.row_locks:
            return ""
        return " FOR UPDATE" + (f" OF {of}" if of else "") + (" SKIP LOCKED" if skip_locked else "")

    def encode(self, value: Any) -> Any:
        """Return one value as this database's driver takes it; see `values.encode`.

        >>> POSTGRESQL.encode(Decimal("1.5")), SQLITE.encode(Decimal("1.5"))
        (Decimal('1.5'), 1.5)
        """
        encoded = values.encode(value)
        return self.encode_decimal(encoded) if type(encoded) is Decimal else encoded

    def encode_list(self, members: Iterable[Any]) -> str:
        """Return the members of an IN list, not encoded yet, as the one value that the rendered comparison takes.

        >>> POSTGRESQL.encode_list(["a", "b"]), SQLITE.encode_list(["a", "b"])
        ('{"a","b"}', '["a","b"]')
        """
        return self.pack_members([self.encode(member) for member in members])

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return self.name.upper()

    def __reduce__(self) -> str:
        """Pickle by name, so that there never is a second instance."""
        return self.name.upper()


POSTGRESQL = Dialect(
    name="postgresql",
    placeholder="%s",
    identifier_quote='"',
    reserved=reserved_words.POSTGRESQL,
    comparisons={
        **_COMPARISONS,
        # PostgreSQL's LIKE is case-sensitive and has the backslash for its escape by default.
        "LIKE": "{column} LIKE {0}",
        "NOT LIKE": "{column} NOT LIKE {0}",
        "ILIKE": "{column} ILIKE {0}",
        "IN": "{column} = ANY({0})",
        "NOT IN": "NOT ({column} = ANY({0}))",
    },
    empty_in="= ANY('{}')",
    empty_not_in="<> ALL('{}')",
    member_query=None,
    pack_members=values.array_literal,
    encode_decimal=lambda value: value,
    doubles_percent=True,
    row_locks=True,
    create_index="CREATE INDEX CONCURRENTLY",
    # EXTRACT would calculate in NUMERIC, which takes twice as long; a double tells microseconds apart until 2242.
    whole_seconds="CAST(FLOOR(DATE_PART('epoch', {column})) AS BIGINT)",
    nulls_are_largest=True,
    limit_for_offset="",
    backslash_strings=True,
    dollar_quotes=True,
    nested_comments=True,
    bracket_names=False,
    backtick_names=False,
    carriage_return_ends_line=True,
)

SQLITE = Dialect(
    name="sqlite",
    placeholder="?",
    # SQLite takes an unknown name in double quotes for a string; in backticks it is an error, as it should be.
    identifier_quote="`",
    reserved=reserved_words.SQLITE,
    comparisons={
        **_COMPARISONS,
        "LIKE": f"{LIKE_FUNCTION}({{0}}, {{column}})",
        "NOT LIKE": f"NOT {LIKE_FUNCTION}({{0}}, {{column}})",
        "ILIKE": f"{ILIKE_FUNCTION}({{0}}, {{column}})",
        "IN": "{column} IN (SELECT value FROM json_each({0}))",
        "NOT IN": "{column} NOT IN (SELECT value FROM json_each({0}))",
    },
    empty_in="IN ()",
    empty_not_in="NOT IN ()",
    # One value, however many members: SQLite limits the number of placeholders.
    member_query="(SELECT value FROM json_each(?))",
    pack_members=values.json_array,
    encode_decimal=values.number_or_text,
    doubles_percent=False,
    row_locks=False,
    create_index="CREATE INDEX",
    # Without the fraction, which SQLite's date functions round.
    whole_seconds="CAST(STRFTIME('%s', SUBSTR({column}, 1, 19)) AS INTEGER)",
    nulls_are_largest=False,
    limit_for_offset="LIMIT -1",
    backslash_strings=False,
    dollar_quotes=False,
    nested_comments=False,
    bracket_names=True,
    backtick_names=True,
    carriage_return_ends_line=False,
)
