"""What the two databases write differently, as data.

For: quoting names, rendering comparisons, locks, limits and the order of NULLs, and packing parameter values. Code that
needs to know asks the ``Dialect``; nothing else compares a database's name.

Not for: the structure of statements, which is the same on both and lives in ``render``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from string import Formatter
from typing import Any, Literal, NamedTuple

from cloudpub_models.errors import InvalidQueryError
from cloudpub_models.sql import values
from cloudpub_models.sql.records import Record

# The functions of ours that connections to SQLite have; what they do stands in `patterns`, `documents` and `decimals`.
LIKE_FUNCTION = "cloudpub_like"
ILIKE_FUNCTION = "cloudpub_ilike"
DOCUMENT_FUNCTION = "cloudpub_document"
DOCUMENTS_FUNCTION = "cloudpub_documents"
ADD_DECIMALS = "cloudpub_add_decimals"
SUM_DECIMALS = "cloudpub_sum_decimals"

DialectName = Literal["postgresql", "sqlite"]
# Columns whose values do not compare as the forms do in which they are stored or sent: numbers of 32 bits, documents.
ComparedKind = Literal["real", "json"]
# Those whose one parameter is the members of a list, and those whose is a pattern.
MEMBERSHIP_OPERATORS = frozenset({"IN", "NOT IN", "IN OR NULL", "NOT IN OR NULL"})
PATTERN_OPERATORS = ("LIKE", "NOT LIKE", "ILIKE")
# What a text meets that may have words which are searched for: parts of it, whatever the case of their ASCII letters;
# and, for PostgreSQL's index of words, those and the words.
SEARCH_OPERATORS = frozenset({"HAS PARTS", "HAS WORDS"})
# How much of a text is searched, and how much of a word is in an index.
SEARCHED_CHARACTERS = 20_000
LONGEST_INDEXED_WORD = 60
# The last one lets others refer to the rows meanwhile.
Lock = Literal["FOR UPDATE", "FOR UPDATE SKIP LOCKED", "FOR NO KEY UPDATE"]

_COMPARISONS: dict[str, str] = {
    **{sign: f"{{column}} {sign} {{0}}" for sign in ("=", "!=", "<>", "<", "<=", ">", ">=")},
    **{
        test: f"{{column}} {test}"
        for test in ("IS NULL", "IS NOT NULL", "IS TRUE", "IS NOT TRUE", "IS FALSE", "IS NOT FALSE")
    },
    "BETWEEN": "{column} BETWEEN {0} AND {1}",
}

# The runs of ASCII letters and digits in a text, as lexemes. PostgreSQL's own parser would take numbers, hosts and
# paths for words of other kinds, and what is a letter differs by locale.
WORDS_OF_TEXT = (
    "array_to_tsvector(array_remove(string_to_array(regexp_replace(regexp_replace("
    f"""lower(left({{column}}, {SEARCHED_CHARACTERS}) COLLATE "C"), '[^a-z0-9]+', ' ', 'g'), """
    rf"""'([a-z0-9]{{{{{LONGEST_INDEXED_WORD}}}}})[a-z0-9]+', '\1', 'g'), ' '), ''))"""
)

# The words that cannot stand for a table, a column or an alias unless they are quoted. Keywords that are taken as names
# in every place where we write one (timestamp, level, name …) are not among them: the lists were found by trying each
# keyword of PostgreSQL 18 and SQLite 3.40 as a table, an alias and a column in every kind of statement that we render.
_RESERVED_BY_POSTGRESQL = """
    all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate
    collation column concurrently constraint create cross current_catalog current_date current_role current_schema
    current_time current_timestamp current_user default deferrable desc distinct do else end except false fetch
    for foreign freeze from full grant group having ilike in initially inner intersect into is isnull join lateral
    leading left like limit localtime localtimestamp natural not notnull null offset on only or order outer
    overlaps placing primary references returning right select session_user similar some symmetric system_user
    table tablesample then to trailing true union unique user using variadic verbose when where window with
"""
_RESERVED_BY_SQLITE = """
    add all alter and as autoincrement between case cast check collate commit constraint create cross current_date
    current_time current_timestamp default deferrable delete distinct drop else escape except exists false foreign
    from full group having in index indexed inner insert intersect into is isnull join left limit natural not
    nothing notnull null on or order outer primary raise references returning right select set table then to
    transaction true union unique update using values when where with
"""


@lru_cache(maxsize=256)
def _fields(template: str) -> tuple[str, ...]:
    return tuple([field for _, field, _, _ in Formatter().parse(template) if field is not None])


_ORDERS = {
    **{sign: f"{sign} {{operand}}" for sign in ("<", "<=", ">", ">=")},
    "BETWEEN": "BETWEEN {operand} AND {second}",
}


def _jsonb_comparisons() -> dict[str, str]:
    text = "({at} #>> '{{}}')"
    is_text, is_number = "jsonb_typeof({at}) = 'string'", "jsonb_typeof({at}) = 'number'"
    found = {
        "IS NULL": "COALESCE(jsonb_typeof({at}), 'null') = 'null'",
        "IS NOT NULL": "jsonb_typeof({at}) != 'null'",
        "MISSING": "{at} IS NULL",
    }
    for kind, type_name in (("text", "text"), ("number", "numeric"), ("boolean", "boolean")):
        members = f"SELECT to_jsonb(member) FROM unnest(CAST({{0}} AS {type_name}[])) AS member"  # noqa: S608
        found[f"{kind} ="] = f"{{at}} = to_jsonb(CAST({{0}} AS {type_name}))"
        found[f"{kind} IN"] = f"{{at}} = ANY(ARRAY({members}))"
    for sign, order in _ORDERS.items():
        # By code points, as SQLite compares, whatever the database's collation.
        texts = order.format(operand="{0}", second="{1}")
        numbers = order.format(operand="to_jsonb(CAST({0} AS numeric))", second="to_jsonb(CAST({1} AS numeric))")
        found[f"text {sign}"] = f'({is_text} AND {text} COLLATE "C" {texts})'
        found[f"number {sign}"] = f"({is_number} AND {{at}} {numbers})"
    for operator in PATTERN_OPERATORS:
        found[f"text {operator}"] = f"({is_text} AND {text} {operator} {{0}})"
    return found


def _json_text_comparisons() -> dict[str, str]:
    value = "json_extract({at})"
    is_text, is_number = "json_type({at}) = 'text'", "json_type({at}) IN ('integer', 'real')"
    member = "SELECT value FROM json_each({0})"
    found = {
        "IS NULL": "COALESCE(json_type({at}), 'null') = 'null'",
        "IS NOT NULL": "json_type({at}) != 'null'",
        "MISSING": "json_type({at}) IS NULL",
        "boolean =": "json_type({at}) = CASE WHEN {0} THEN 'true' ELSE 'false' END",
        "boolean IN": "json_type({at}) IN (SELECT CASE WHEN value THEN 'true' ELSE 'false' END FROM json_each({0}))",
    }
    for kind, is_kind in (("text", is_text), ("number", is_number)):
        found[f"{kind} ="] = f"({is_kind} AND {value} = {{0}})"
        found[f"{kind} IN"] = f"({is_kind} AND {value} IN ({member}))"
        for sign, order in _ORDERS.items():
            found[f"{kind} {sign}"] = f"({is_kind} AND {value} {order.format(operand='{0}', second='{1}')})"
    for operator, function in (
        ("LIKE", LIKE_FUNCTION),
        ("NOT LIKE", f"NOT {LIKE_FUNCTION}"),
        ("ILIKE", ILIKE_FUNCTION),
    ):
        found[f"text {operator}"] = f"({is_text} AND {function}({{0}}, {value}))"
    return found


class ComparedAs(NamedTuple):
    """What is compared in place of a column, of a value, and of the members of a list."""

    column: str
    value: str
    members: str


class Dialect(Record):
    """One of the two databases' ways to write SQL. There are exactly two, ``POSTGRESQL`` and ``SQLITE``."""

    name: DialectName
    placeholder: Literal["%s", "?"]
    identifier_quote: str
    reserved: frozenset[str]
    comparisons: Mapping[str, str]
    # How columns are compared whose values do not compare as their forms do, by the kind of column.
    compared_as: Mapping[ComparedKind, ComparedAs]
    # How what stands at a path in a JSON document is compared; operators begin with the kind of the value.
    document_comparisons: Mapping[str, str]
    # What stands at a path in a document, or the arguments of the functions that look there; and how a path is written.
    at_path: str
    path_text: Callable[[Sequence[str | int]], str]
    # What stands for IN and NOT IN in raw SQL when the tuple is empty.
    empty_in: str
    empty_not_in: str
    # How a column is compared with the rows of a query that is run once, however the statement around it is planned.
    in_query: str
    # Whether EXISTS is planned like a join, from either side; otherwise it is asked of each row of the outer table.
    joins_exists: bool
    # What a non-empty tuple becomes after IN in raw SQL; None where it becomes one placeholder for each member.
    member_query: str | None
    # How the members of an IN list, encoded, become one value.
    pack_members: Callable[[Iterable[Any]], str]
    # How a value of each type is encoded.
    encoders: Mapping[type, Callable[[Any], Any]]
    # Whether the driver takes every % for the start of a placeholder as soon as parameters are sent.
    doubles_percent: bool
    row_locks: bool
    row_security: bool
    # Whether a table may consist of partitions.
    partitions: bool
    # Whether other servers may have what it has, and answer its reads.
    replicas: bool
    # How an index is made while others write.
    create_index: str
    # The moment at which a statement runs, by the database's clock, and one some seconds later, as columns hold them.
    now: str
    seconds_from_now: str
    # What stands for words of SQL that was written by hand for both: see ``sql.render.handwritten``.
    handwritten: Mapping[str, str]
    # The collation in which LOWER leaves letters beyond ASCII as they are; None where it always does.
    ascii_collation: str | None
    # Whether a subselect in FROM may refer to what stands before it.
    lateral_joins: bool
    # Whether statements may be prepared, so that those that mean the same then have to be told from others.
    prepared_statements: bool
    # The place of NULLs when a statement does not say; PostgreSQL's is the one that both are given.
    nulls_are_largest: bool
    # How OFFSET is written where there is no LIMIT.
    limit_for_offset: str
    # Whether the driver gives JSON documents decoded.
    decodes_json: bool
    # Whether a column takes no value that its type does not allow; otherwise whoever has one computed has to look.
    checks_values: bool
    # How two decimals are added, rounded to places after the point, and how those of many rows are.
    add_decimals: str
    sum_decimals: str
    # A number as a double, in which both databases work out means and sums of floating-point numbers.
    as_double: str
    # Whether booleans come as such, and whole numbers of a float column as floats; otherwise both are integers.
    typed_numbers: bool
    # Whether ALTER TABLE changes columns and adds constraints; otherwise a table is made anew, and takes references to
    # tables that are yet to come.
    alters_tables: bool
    # Whether a trigger calls a function; otherwise it has statements of its own.
    triggers_call_functions: bool
    # Whether a schema change keeps others from its own tables only; otherwise every other writer waits.
    locks_tables: bool
    # Whether names that differ in nothing but the case of their letters, in quotes, are different names.
    names_have_case: bool
    # Whether `RETURNING *` gives the columns of the tables that an UPDATE or DELETE joins too.
    returns_joined_rows: bool
    # Whether a function that a query calls may change the session; otherwise only a few commands do.
    functions_change_sessions: bool
    # What keeps a primary key that counts by itself from using a number twice.
    never_reuses_ids: str
    # What the tokenizer has to know: whether there are E'…' with backslashes, U&'…', and strings that go on on the next
    # line; $tag$…$tag$; comments in comments; what opens the quotes of a name; and what ends a comment.
    prefixed_strings: bool
    dollar_quotes: bool
    nested_comments: bool
    name_quotes: str
    carriage_return_ends_line: bool

    # By identity, since they are in the keys of caches.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def part_of(self, parts: Any) -> Any:
        """Return this dialect's part of a value that has one for each, as attributes of their names.

        >>> from types import SimpleNamespace
        >>> SQLITE.part_of(SimpleNamespace(postgresql="now()", sqlite="CURRENT_TIMESTAMP"))
        'CURRENT_TIMESTAMP'
        """
        return getattr(parts, self.name)

    def quote(self, identifier: str) -> str:
        """Return ``identifier`` as it stands in SQL, in quotes only where it must be.

        >>> POSTGRESQL.quote("status"), POSTGRESQL.quote("user"), SQLITE.quote("createdAt")
        ('status', '"user"', '`createdAt`')
        """
        plain = identifier.isascii() and identifier.isidentifier() and identifier == identifier.lower()
        if plain and identifier not in self.reserved:
            return identifier
        mark = self.identifier_quote
        return mark + identifier.replace(mark, mark * 2) + mark

    def folded(self, name: str) -> str:
        """Return a name, without its quotes, in a form that is the same for all its spellings.

        >>> POSTGRESQL.folded("Users"), SQLITE.folded("Users")
        ('Users', 'users')
        """
        return name if self.names_have_case else name.lower()

    def comparison(
        self, column: str, operator: str, parameters: Sequence[str] = (), kind: ComparedKind | None = None
    ) -> str:
        """Return the SQL that compares ``column`` (already SQL) by one of the fixed operators.

        Args:
            column: the column.
            operator: the operator.
            parameters: the places of its operands.
            kind: what kind of column it is, where values do not compare as their forms do.

        >>> POSTGRESQL.comparison("status", "IN", ["@param_0"])
        'status = ANY(@param_0)'
        >>> SQLITE.comparison("status", "IN", ["@param_0"])
        'status IN (SELECT value FROM json_each(@param_0))'
        >>> POSTGRESQL.comparison("weight", ">=", ["@param_0"], "real")
        'weight >= CAST(@param_0 AS real)'
        """
        template = self.comparisons.get(operator)
        if template is None:
            raise InvalidQueryError(f"expected one of the operators {', '.join(self.comparisons)}; got {operator!r}")
        compared = None if kind is None else self.compared_as.get(kind)
        if compared is not None and "{0}" in template:
            operand = compared.members if operator in MEMBERSHIP_OPERATORS else compared.value
            column, parameters = compared.column.format(column), [operand.format(place) for place in parameters]
        return template.format(*parameters, column=column)

    def document_comparison(self, column: str, operator: str, place: str) -> str:
        """Return the SQL that compares what stands at a path in a document.

        Args:
            column: the column (already SQL).
            operator: one of ``document_comparisons``.
            place: what stands for each value; ``document_values`` arranges them.

        >>> SQLITE.document_comparison("result", "number >", "?")
        "(json_type(result, ?) IN ('integer', 'real') AND json_extract(result, ?) > ?)"
        >>> POSTGRESQL.document_comparison("result", "MISSING", "%s")
        "jsonb_path_query_first(result, CAST(%s AS jsonpath), '{}', TRUE) IS NULL"
        """
        at = self.at_path.format(column, place)
        return self.document_comparisons[operator].format(place, place, at=at)

    def document_values(self, operator: str, path: Sequence[str | int], operands: Sequence[Any]) -> list[Any]:
        """Return the values of the parameters of ``document_comparison``, in their order.

        >>> SQLITE.document_values("number >", ["size", 0], [5])
        ['$."size"[0]', '$."size"[0]', 5]
        >>> POSTGRESQL.document_values("MISSING", ["size", -1], [])
        ['strict $."size"[last]']
        """
        at = self.path_text(path)
        fields = _fields(self.document_comparisons[operator])
        return [at if field == "at" else operands[int(field)] for field in fields]

    def tells_apart(self, kind: ComparedKind | None) -> bool:
        """Return whether a unique index tells values of a kind of column apart as conditions do.

        >>> POSTGRESQL.tells_apart("json"), SQLITE.tells_apart("json")
        (True, False)
        """
        compared = None if kind is None else self.compared_as.get(kind)
        return compared is None or compared.column == "{0}"

    def operand(self, place: str, kind: ComparedKind | None) -> str:
        """Return what stands for a value that is compared with a column of some kind.

        >>> POSTGRESQL.operand("@param_0", "real"), SQLITE.operand("@param_0", "real")
        ('CAST(@param_0 AS real)', '@param_0')
        """
        compared = None if kind is None else self.compared_as.get(kind)
        return place if compared is None else compared.value.format(place)

    def sum(self, first: str, second: str, decimal_places: int | None) -> str:
        """Return the SQL that adds two numbers, decimals where a number of decimal places is given.

        >>> POSTGRESQL.sum("runs", "@param_0", None), SQLITE.sum("price", "@param_0", 2)
        ('runs + @param_0', 'cloudpub_add_decimals(price, @param_0, 2)')
        """
        if decimal_places is None:
            return f"{first} + {second}"
        return self.add_decimals.format(first, second, int(decimal_places))

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

    def lock(self, kind: Lock, of: str | None = None) -> str:
        """Return the clause that locks the selected rows; nothing on SQLite, where a writer is alone anyway.

        >>> POSTGRESQL.lock("FOR UPDATE SKIP LOCKED", "f"), SQLITE.lock("FOR UPDATE")
        (' FOR UPDATE OF f SKIP LOCKED', '')
        """
        if not self.row_locks:
            return ""
        strength, skip, _ = kind.partition(" SKIP LOCKED")
        return f" {strength}{f' OF {of}' if of else ''}{skip}"

    def encode(self, value: Any) -> Any:
        """Return one value as this database's driver takes it; see ``values.encode``.

        >>> POSTGRESQL.encode(Decimal("1.5")), SQLITE.encode(Decimal("1.5"))
        (Decimal('1.5'), 1.5)
        """
        encoder = self.encoders.get(type(value))
        if encoder is not None:
            return encoder(value)
        encoded = values.encode(value)  # of a subclass, as one of these types
        return self.encoders[type(encoded)](encoded)

    def encode_list(self, members: Iterable[Any]) -> str:
        """Return the members of an IN list, not encoded yet, as the one value that the rendered comparison takes.

        >>> POSTGRESQL.encode_list(["a", "b"]), SQLITE.encode_list(["a", "b"])
        ('{"a","b"}', '["a","b"]')
        """
        return self.pack_members([self.encode(member) for member in members])

    def __repr__(self) -> str:
        return self.name.upper()

    def __reduce__(self) -> str:
        """Pickle by name, so that there never is a second instance."""
        return self.name.upper()


POSTGRESQL = Dialect(
    name="postgresql",
    placeholder="%s",
    identifier_quote='"',
    reserved=frozenset(_RESERVED_BY_POSTGRESQL.split()),
    comparisons={
        **_COMPARISONS,
        # PostgreSQL's LIKE is case-sensitive and has the backslash for its escape by default.
        "LIKE": "{column} LIKE {0}",
        "NOT LIKE": "{column} NOT LIKE {0}",
        "ILIKE": "{column} ILIKE {0}",
        "HAS PARTS": "{column} ILIKE {0}",
        # The words last: where the index does not serve, they take longest to find.
        "HAS WORDS": f"({{column}} ILIKE {{0}} AND {WORDS_OF_TEXT} @@ CAST({{1}} AS tsquery))",
        "IN": "{column} = ANY({0})",
        "NOT IN": "NOT ({column} = ANY({0}))",
        "IN OR NULL": "({column} = ANY({0}) OR {column} IS NULL)",
        "NOT IN OR NULL": "(NOT ({column} = ANY({0})) AND {column} IS NOT NULL)",
    },
    # 0.1 in 32 bits is another number than in 64; an array takes the type of the column by itself.
    compared_as={"real": ComparedAs("{0}", "CAST({0} AS real)", "{0}")},
    document_comparisons=_jsonb_comparisons(),
    at_path="jsonb_path_query_first({0}, CAST({1} AS jsonpath), '{{}}', TRUE)",
    path_text=values.jsonpath,
    empty_in="= ANY('{}')",
    empty_not_in="<> ALL('{}')",
    in_query="{column} = ANY(ARRAY({query}))",
    joins_exists=True,
    member_query=None,
    pack_members=values.array_literal,
    encoders=values.ENCODERS,
    doubles_percent=True,
    row_locks=True,
    row_security=True,
    partitions=True,
    replicas=True,
    create_index="CREATE INDEX CONCURRENTLY",
    # now() would be the moment at which the transaction began.
    now="timezone('utc', clock_timestamp())",
    seconds_from_now="timezone('utc', clock_timestamp()) + make_interval(secs => {0})",
    handwritten={
        # EXTRACT would calculate in NUMERIC, which takes twice as long; a double tells microseconds apart until 2242.
        "SECONDS_OF": "CAST(FLOOR(DATE_PART('epoch', {0})) AS BIGINT)",
        "HOUR_OF": "DATE_TRUNC('hour', {0})",
        "DAY_OF": "DATE_TRUNC('day', {0})",
        "MONTH_OF": "DATE_TRUNC('month', {0})",
        "END_OF_HOUR": "{0} + INTERVAL '1 hour'",
        "END_OF_DAY": "{0} + INTERVAL '1 day'",
        "END_OF_MONTH": "{0} + INTERVAL '1 month'",
    },
    ascii_collation='"C"',
    lateral_joins=True,
    prepared_statements=True,
    nulls_are_largest=True,
    limit_for_offset="",
    decodes_json=True,
    checks_values=True,
    add_decimals="{0} + {1}",
    sum_decimals="SUM",
    as_double="CAST({0} AS DOUBLE PRECISION)",
    typed_numbers=True,
    alters_tables=True,
    triggers_call_functions=True,
    locks_tables=True,
    names_have_case=True,
    returns_joined_rows=True,
    functions_change_sessions=True,
    never_reuses_ids="",
    prefixed_strings=True,
    dollar_quotes=True,
    nested_comments=True,
    name_quotes='"',
    carriage_return_ends_line=True,
)

SQLITE = Dialect(
    name="sqlite",
    placeholder="?",
    # SQLite takes an unknown name in double quotes for a string; in backticks it is an error, as it should be.
    identifier_quote="`",
    reserved=frozenset(_RESERVED_BY_SQLITE.split()),
    comparisons={
        **_COMPARISONS,
        "LIKE": f"{LIKE_FUNCTION}({{0}}, {{column}})",
        "NOT LIKE": f"NOT {LIKE_FUNCTION}({{0}}, {{column}})",
        "ILIKE": f"{ILIKE_FUNCTION}({{0}}, {{column}})",
        "HAS PARTS": "{column} LIKE {0}",
        "IN": "{column} IN (SELECT value FROM json_each({0}))",
        "NOT IN": "{column} NOT IN (SELECT value FROM json_each({0}))",
        "IN OR NULL": "({column} IN (SELECT value FROM json_each({0})) OR {column} IS NULL)",
        "NOT IN OR NULL": "({column} NOT IN (SELECT value FROM json_each({0})) AND {column} IS NOT NULL)",
    },
    # As text, documents differ by their spaces, by the order of their keys, and 1 from 1.0.
    compared_as={
        "json": ComparedAs(f"{DOCUMENT_FUNCTION}({{0}})", f"{DOCUMENT_FUNCTION}({{0}})", f"{DOCUMENTS_FUNCTION}({{0}})")
    },
    document_comparisons=_json_text_comparisons(),
    at_path="{0}, {1}",
    path_text=values.json_path,
    empty_in="IN ()",
    empty_not_in="NOT IN ()",
    in_query="{column} IN ({query})",
    joins_exists=False,
    # One value, however many members: SQLite limits the number of placeholders.
    member_query="(SELECT value FROM json_each(?))",
    pack_members=values.json_array,
    encoders={**values.ENCODERS, Decimal: lambda value: values.number_or_text(values.encode(value))},
    doubles_percent=False,
    row_locks=False,
    row_security=False,
    partitions=False,
    replicas=False,
    create_index="CREATE INDEX",
    now="strftime('%Y-%m-%d %H:%M:%f000', 'now')",
    seconds_from_now="strftime('%Y-%m-%d %H:%M:%f000', 'now', {0} || ' seconds')",
    handwritten={
        # Without the fraction, which SQLite's date functions round.
        "SECONDS_OF": "CAST(STRFTIME('%s', SUBSTR({0}, 1, 19)) AS INTEGER)",
        "HOUR_OF": "SUBSTR({0}, 1, 13) || ':00:00.000000'",
        "DAY_OF": "SUBSTR({0}, 1, 10) || ' 00:00:00.000000'",
        "MONTH_OF": "SUBSTR({0}, 1, 7) || '-01 00:00:00.000000'",
        # Moments are compared as texts: nothing comes between these and what begins then.
        "END_OF_HOUR": "SUBSTR({0}, 1, 13) || ':60'",
        "END_OF_DAY": "SUBSTR({0}, 1, 10) || ' 24'",
        "END_OF_MONTH": "SUBSTR({0}, 1, 7) || '-32'",
    },
    ascii_collation=None,
    lateral_joins=False,
    prepared_statements=False,
    nulls_are_largest=False,
    limit_for_offset="LIMIT -1",
    decodes_json=False,
    checks_values=False,
    add_decimals=f"{ADD_DECIMALS}({{0}}, {{1}}, {{2}})",
    sum_decimals=SUM_DECIMALS,
    as_double="{0}",
    typed_numbers=False,
    alters_tables=False,
    triggers_call_functions=False,
    locks_tables=False,
    names_have_case=False,
    returns_joined_rows=False,
    functions_change_sessions=False,
    never_reuses_ids="AUTOINCREMENT",
    prefixed_strings=False,
    dollar_quotes=False,
    nested_comments=False,
    name_quotes='"`[',
    carriage_return_ends_line=False,
)


def dialect_named(name: DialectName) -> Dialect:
    """Return the dialect of a name.

    >>> dialect_named("sqlite")
    SQLITE
    """
    return {dialect.name: dialect for dialect in (POSTGRESQL, SQLITE)}[name]
