"""Checks of tables that only grow, on PostgreSQL: their partitions, and the numbers that are left for their rows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from cloudpub_models.cli.commands.doctor.verdicts import Verdict, error, ok, warning
from cloudpub_models.connection import Database
from cloudpub_models.entity.stored_forms import utc_now
from cloudpub_models.schema.partitions.moving import is_unfinished
from cloudpub_models.schema.partitions.statements import PartitionedTable, is_empty

# Time to notice that nobody makes any more.
_ENOUGH = timedelta(days=3)

_CHECKS = """
    SELECT c.relname::text AS table, k.conname::text AS name, pg_get_expr(k.conbin, k.conrelid) AS condition
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
    WHERE c.relnamespace = current_schema()::regnamespace AND k.contype = 'c'
"""
_PENDING = """
    SELECT c.relname::text AS part, t.relname::text AS table, quote_ident(c.relname) AS quoted_part,
        quote_ident(t.relname) AS quoted_table
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class t ON t.oid = i.inhparent
    WHERE c.relnamespace = current_schema()::regnamespace AND i.inhdetachpending ORDER BY 1
"""
_NUMBERS = """
    SELECT c.relname::text AS table, a.attname::text AS column, format_type(a.atttypid, NULL) AS type,
        pg_sequence_last_value(s.seqrelid)::float / least(s.seqmax,
            CASE a.atttypid WHEN 'smallint'::regtype THEN 32767 WHEN 'integer'::regtype THEN 2147483647
                ELSE 9223372036854775807 END) AS used
    FROM pg_sequence s
    JOIN pg_depend d ON d.objid = s.seqrelid AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
    JOIN pg_class c ON c.oid = d.refobjid JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid
    WHERE c.relnamespace = current_schema()::regnamespace AND s.seqincrement > 0 AND NOT s.seqcycle ORDER BY 1, 2
"""


def ahead(database: Database) -> Iterator[Verdict]:
    """Say for how long there are partitions, and where rows went for which there were none."""
    for model in database.models:
        name = model._meta.table_name
        parts = database.partitions(name)
        if not parts or parts[-1].begin is None or parts[-1].end is not None:
            continue
        future, begin = parts[-1].name, parts[-1].begin
        left = max(begin - utc_now(), timedelta())
        more = f"cloudpub partition {name}, now and from time to time"
        if not is_empty(database.engine, future):
            yield warning(f"{name} has rows in {future}: moving them to partitions of their own keeps others out", more)
        elif left < _ENOUGH:
            yield warning(f"{name} has partitions up to {begin:%Y-%m-%d} only: later rows go to {future}", more)
        else:
            yield ok(f"{name} has {len(parts)}, up to {begin:%Y-%m-%d}")


def unfinished(database: Database) -> Iterator[Verdict]:
    """Find what was begun and not ended: checks that refuse rows one day, and partitions that are half detached."""
    left = {PartitionedTable(table, "").partition_name("check") for table in _tables(database)}
    for row in database.raw_query_all(_CHECKS):
        if row["name"] in left:
            yield error(
                f"cloudpub partition {row['table']} was interrupted: rows are refused but for {row['condition']}",
                f"cloudpub partition {row['table']}, again",
            )
    for model in database.models:
        name = model._meta.table_name
        if is_unfinished(database.engine, PartitionedTable(name, "")):
            yield error(
                f"cloudpub partition {name} was interrupted: what is changed in it is noted, and takes room",
                f"cloudpub partition {name}, again",
            )
    for row in database.raw_query_all(_PENDING):
        yield warning(
            f"{row['part']} is half detached from {row['table']}: nobody sees its rows, and no other partition can be",
            f"ALTER TABLE {row['quoted_table']} DETACH PARTITION {row['quoted_part']} FINALIZE;",
        )


def numbers(database: Database) -> Iterator[Verdict]:
    """Find columns that have used up more than half of their numbers: at the end of them every insert fails."""
    found = [row for row in database.raw_query_all(_NUMBERS) if row["used"] is not None]
    spent = [row for row in found if row["used"] > 0.5]
    quote = database.engine.sql_dialect.quote
    copied = {model._meta.table_name for model in database.models if getattr(model._meta, "partitioned_by", None)}
    for row in spent:
        beside_others = f"cloudpub partition {row['table']}, while others write, or " if row["table"] in copied else ""
        yield warning(
            f"{row['table']}.{row['column']} ({row['type']}) has used up {row['used']:.0%} of its numbers",
            f"{beside_others}ALTER TABLE {quote(row['table'])} ALTER COLUMN {quote(row['column'])} TYPE BIGINT; in a "
            "quiet hour, since it writes the table anew; its sequence and what refers to it as well",
        )
    if found and not spent:
        yield ok("every column that counts has more than half of its numbers left")


def _tables(database: Database) -> list[str]:
    return [model._meta.table_name for model in database.models]
