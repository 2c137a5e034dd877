"""PostgreSQL's index of words: a GIN index of each searched column over the words of its text.

It is made while others write, and serves statements that ask for words by the same expression. That of a table with
partitions is made of theirs, of which each is made so; only then do writers wait for a moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

import peewee

from cloudpub_models.entity.fields import name_of_part
from cloudpub_models.schema.catalogue.read import read_partitions
from cloudpub_models.schema.search.tables import Ask, SearchedTable
from cloudpub_models.schema.statements import fetch, run
from cloudpub_models.sql.dialects import LONGEST_INDEXED_WORD, POSTGRESQL, WORDS_OF_TEXT
from cloudpub_models.sql.search import SearchQuery

_LOCK_SECONDS = 2

_MADE = """
    SELECT i.relname::text FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
    WHERE x.indrelid = to_regclass(%s) AND x.indisvalid AND i.relname = ANY(%s)
"""
# Those of columns that are searched no longer too, and those that an interrupted command has left invalid; none that
# somebody else has made over an expression of their own.
_OURS = r"""
    SELECT i.relname::text FROM pg_catalog.pg_index x
    JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid JOIN pg_catalog.pg_am m ON m.oid = i.relam
    WHERE x.indrelid = to_regclass(%s) AND m.amname = 'gin' AND x.indexprs IS NOT NULL
      AND i.relname LIKE '%%\_search' AND pg_get_expr(x.indexprs, x.indrelid) LIKE 'array_to_tsvector(%%' ORDER BY 1
"""
# Of which column each of them is, which its name does not tell once its table or that column was renamed.
_COLUMNS = """
    SELECT i.relname::text, a.attname::text FROM pg_catalog.pg_index x
    JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
    JOIN pg_catalog.pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = i.oid
     AND d.refclassid = d.classid AND d.refobjid = x.indrelid AND d.refobjsubid > 0
    JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    WHERE x.indrelid = to_regclass(%s) AND i.relname = ANY(%s)
"""


def is_made(ask: Ask, table: SearchedTable) -> bool:
    """Return whether a table has the indexes of all its columns, and they serve."""
    names = index_names(table)
    return len(ask(_MADE, (POSTGRESQL.quote(table.name), POSTGRESQL.pack_members(names)))) == len(names)


def numbers(ask: Ask, table: SearchedTable, query: SearchQuery) -> None:
    """Return none: the planner knows better than anybody whether the index or another one finds fewer rows."""
    return


def words(runs: Sequence[tuple[str, bool]]) -> str | None:
    """Return a tsquery for words, of which each is to be there, or a longer one that begins so.

    >>> words([("out", False), ("mem", True)])
    "'out' & 'mem':*"
    """
    return " & ".join([f"'{run[:LONGEST_INDEXED_WORD]}'{':*' * beginning}" for run, beginning in runs]) or None


def make(database: peewee.Database, table: SearchedTable) -> None:
    """Make the indexes while others write, and have the planner know how frequent the words are."""
    drop(database, table)
    parts = read_partitions(database, table.name)
    for part in parts:
        _create(database, table._replace(name=part.name), POSTGRESQL.create_index)
    with _briefly(database) if parts else nullcontext():
        _create(database, table, "CREATE INDEX" if parts else POSTGRESQL.create_index)
    run(database, f"ANALYZE {POSTGRESQL.quote(table.name)}")


def _create(database: peewee.Database, table: SearchedTable, create: str) -> None:
    for name, column in zip(index_names(table), table.columns, strict=True):
        expression = WORDS_OF_TEXT.format(column=POSTGRESQL.quote(column))
        place = f"{POSTGRESQL.quote(name)} ON {POSTGRESQL.quote(table.name)}"
        run(database, f"{create} {place} USING gin (({expression}))")


@contextmanager
def _briefly(database: peewee.Database) -> Iterator[None]:
    """Give a transaction for a moment in which others wait, which is given up where it cannot be had soon."""
    with database.atomic():
        run(database, f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'")
        yield


def drop(database: peewee.Database, table: SearchedTable) -> bool:
    """Drop the indexes, however they were left, while others write."""
    found = fetch(database, _OURS, (POSTGRESQL.quote(table.name),))
    parts = read_partitions(database, table.name)
    if found and parts:
        with _briefly(database):
            run(database, f"DROP INDEX {', '.join([POSTGRESQL.quote(name) for (name,) in found])}")
    # What an interrupted command has made of a partition belongs to none of the table's yet.
    names = [part.name for part in parts] or [table.name]
    left = [name for each in names for (name,) in fetch(database, _OURS, (POSTGRESQL.quote(each),))]
    for name in left:
        run(database, f"DROP INDEX CONCURRENTLY IF EXISTS {POSTGRESQL.quote(name)}")
    return bool(found or left)


def is_there(database: peewee.Database, table: SearchedTable) -> bool:
    """Return whether there is any of the indexes, even one that does not serve."""
    return bool(fetch(database, _OURS, (POSTGRESQL.quote(table.name),)))


def keep_current(database: peewee.Database, table: SearchedTable) -> None:
    """Have the indexes go on serving a table that was renamed, or whose columns were: they are known by their names."""
    quoted = POSTGRESQL.quote(table.name)
    ours = [name for (name,) in fetch(database, _OURS, (quoted,))]
    names = dict(zip(table.columns, index_names(table), strict=True))
    for name, column in fetch(database, _COLUMNS, (quoted, POSTGRESQL.pack_members(ours))) if ours else ():
        if names.get(column, name) not in ours:
            run(database, f"ALTER INDEX {POSTGRESQL.quote(name)} RENAME TO {POSTGRESQL.quote(names[column])}")


def index_names(table: SearchedTable) -> list[str]:
    """Return the names of the indexes of a table's columns.

    >>> index_names(SearchedTable("books", ("title", "body"), "id"))
    ['books_title_search', 'books_body_search']
    """
    return [name_of_part(table.name, [column], "search") for column in table.columns]
