"""The words that cannot stand for a table, a column or an alias unless they are quoted, for each database.

For: `dialects`, which quotes these and leaves other names alone.

Not for: the keywords that both databases accept as names in every place where we write one (``timestamp``, ``level``,
``name``, ``version`` …). The lists were found by trying every keyword of PostgreSQL 18 and SQLite 3.40 as a table, an
alias and a column in every kind of statement that the renderer writes.
"""

from __future__ import annotations

_POSTGRESQL = """
    all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate
    collation column concurrently constraint create cross current_catalog current_date current_role current_schema
    current_time current_timestamp current_user default deferrable desc distinct do else end except false fetch
    for foreign freeze from full grant group having ilike in initially inner intersect into is isnull join lateral
    leading left like limit localtime localtimestamp natural not notnull null offset on only or order outer
    overlaps placing primary references returning right select session_user similar some symmetric system_user
    table tablesample then to trailing true union unique user using variadic verbose when where window with
"""

_SQLITE = """
    add all alter and as autoincrement between case cast check collate commit constraint create cross current_date
    current_time current_timestamp default deferrable delete distinct drop else escape except exists false foreign
    from full group having in index indexed inner insert intersect into is isnull join left limit natural not
    nothing notnull null on or order outer primary raise references returning right select set table then to
    transaction true union unique update using values when where with
"""

POSTGRESQL = frozenset(_POSTGRESQL.split())
SQLITE = frozenset(_SQLITE.split())
