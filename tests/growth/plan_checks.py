"""What is asked of the plan of a pattern, whatever the size of the tables."""

from __future__ import annotations

from benchmarks.growth_patterns import PATTERNS, Visitor
from benchmarks.growth_plans import Scan, scans_of

# How many rows of any one table a statement may go through, whatever the size of the table.
FEW_ROWS = {
    "tail": 100,
    "tail, one level": 100,
    "tail, two levels": 100,
    "tail, a level that there is not": 0,
    "tail of a silent function": 100,
    "log by uuid": 1,
    "function details": 100,
    "next page of its errors": 60,
    "next page of all logs": 60,
    "next page of all logs by id": 60,
    "next page of all invocations": 60,
    "exists an error": 1,
    "latest failures": 25,
    "prune logs": 1000,
    "prune invocations": 1000,
    "user by address in another case": 1,
    "user by an unknown address": 0,
    "a user's newest functions": 10,
    "claim a build": 1,
    "include the latest logs": 400,
    "claim where there is nothing": 0,
}


def scans(visitor: Visitor, pattern: str) -> list[Scan]:
    return scans_of(visitor.managers.database, lambda: PATTERNS[pattern](visitor))


def require_indexes(visitor: Visitor, pattern: str) -> None:
    found = scans(visitor, pattern)
    assert found
    assert [scan for scan in found if scan.kind == "Seq Scan"] == []
    for scan in found:
        # Those of one function or user, and never most of the table.
        assert scan.rows is None or scan.rows < visitor.platform.rows / 10
        assert scan.rows is None or scan.rows <= FEW_ROWS.get(pattern, scan.rows)
