"""What a database does with a call's statements: recorded while it runs, then explained exactly as they were sent."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cloudpub_models import Database, QueryEvent

GROWING_TABLES = ("function_logs", "function_invocations", "function_deployments", "functions", "users")

_EXPLAINED = re.compile(r"\s*(SELECT|WITH|UPDATE|DELETE)\b", re.IGNORECASE)
# SQLite keeps a table in the order of its ids, so the first of them need no index.
_BY_ID = re.compile(r"FROM \w+ ORDER BY id (ASC|DESC)[\w ]* LIMIT")
_STREAM = re.compile(r"DECLARE \S+ NO SCROLL CURSOR FOR ")


@dataclass(frozen=True)
class Scan:
    """How a statement reads one table.

    Attributes:
        table: the table.
        kind: in PostgreSQL's words (``Seq Scan``, ``Index Only Scan``); SQLite's are put in these.
        index: the index, if there is one.
        rows: how many rows it went through, those thrown away included; ``None`` on SQLite, which does not tell.
    """

    table: str
    kind: str
    index: str | None
    rows: int | None


@contextmanager
def rolled_back(database: Database) -> Iterator[None]:
    """Run a block of which nothing is kept."""

    class _LeaveNothing(Exception):  # noqa: N818 - it ends the block and is no error
        pass

    try:
        with database.transaction():
            yield
            raise _LeaveNothing
    except _LeaveNothing:
        pass


def scans_of(database: Database, call: Callable[[], object]) -> list[Scan]:
    """Run a call, and return how its statements read the tables that grow; nothing that it writes is kept.

    Args:
        database: the database that the call uses.
        call: what is asked about.
    """
    sent: list[QueryEvent] = []
    stop = database.on_query(sent.append)
    try:
        with rolled_back(database):
            call()
    finally:
        stop()
    explain = _scans_on_postgresql if database.dialect == "postgresql" else _scans_on_sqlite
    found: list[Scan] = []
    for query in sent:
        sql = _STREAM.sub("", query.sql)
        if _EXPLAINED.match(sql):
            with rolled_back(database):
                found.extend(explain(database, sql, query.parameters))
    return found


def _scans_on_postgresql(database: Database, sql: str, parameters: tuple[Any, ...]) -> Iterator[Scan]:
    ((plan,),) = database.engine.fetch(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {sql}", parameters)
    yield from _scans_below((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])


def _scans_below(node: dict[str, Any]) -> Iterator[Scan]:
    if node.get("Relation Name") in GROWING_TABLES and node["Node Type"].endswith("Scan"):
        index = node.get("Index Name") or next(
            (child.get("Index Name") for child in node.get("Plans", ()) if "Index Name" in child), None
        )
        passed = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
        rows = sum(node.get(name, 0) for name in passed) * node["Actual Loops"]
        yield Scan(node["Relation Name"], node["Node Type"], index, round(rows))
    for child in node.get("Plans", ()):
        yield from _scans_below(child)


def _scans_on_sqlite(database: Database, sql: str, parameters: tuple[Any, ...]) -> Iterator[Scan]:
    names = {table: table for table in GROWING_TABLES}
    for table, alias in re.findall(r"\b(?:FROM|JOIN) (\w+) (?:AS )?([a-z])\b", sql):
        if table in GROWING_TABLES:
            names[alias] = table
    for *_, detail in database.engine.fetch(f"EXPLAIN QUERY PLAN {sql}", parameters):
        verb, _, rest = str(detail).partition(" ")
        name = rest.partition(" ")[0]
        if verb in ("SCAN", "SEARCH") and name in names:
            index = re.search(r"USING (?:COVERING )?INDEX (\w+)", rest)
            kind = "Seq Scan" if verb == "SCAN" and index is None and not _BY_ID.search(sql) else "Index Scan"
            yield Scan(names[name], kind, index[1] if index else None, None)
