"""One account for each address, whatever the case of its ASCII letters.

A unique index takes the place of the one by which addresses are looked up in any case. Accounts whose addresses differ
in nothing else stand in its way: they are named, and nothing is changed.

On PostgreSQL it is built CONCURRENTLY, as those of the second migration are: nobody waits, and a run that was
interrupted, or that somebody's registering made fail, is run again. On SQLite it is one transaction.
"""

from __future__ import annotations

from itertools import groupby
from string import ascii_lowercase, ascii_uppercase
from typing import Any

import peewee

from cloudpub_models.errors import MigrationError

atomic = False

INDEX = "users_email_lower_key"
FORMER = "users_lower_idx"
SEVERAL = "SELECT {key} AS address, MIN(id) AS first FROM users GROUP BY 1 HAVING COUNT(*) > 1"
NAMED = """
    SELECT id, email FROM users JOIN ({several} ORDER BY 2 LIMIT 10) AS several ON {key} = several.address
    ORDER BY several.first, id LIMIT 50
"""
INVALID = """
    SELECT c.relname FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class c ON c.oid = x.indexrelid
    WHERE NOT x.indisvalid AND c.relnamespace = current_schema()::regnamespace
"""
LOWER_CASE = str.maketrans(ascii_uppercase, ascii_lowercase)


def up(migrator: Any, db: Any) -> None:
    """Create it in place of the former one, or say what stands in its way."""
    _require_one_account_each(db)
    concurrently = _begin(db, INDEX)
    try:
        db.execute_sql(f"CREATE UNIQUE INDEX {concurrently}IF NOT EXISTS {INDEX} ON users ({_lower(db)})")
    except peewee.IntegrityError:
        # Somebody has registered meanwhile.
        _drop_invalid(db, INDEX)
        _require_one_account_each(db)
        raise
    db.execute_sql(f"DROP INDEX {concurrently}IF EXISTS {FORMER}")


def down(migrator: Any, db: Any) -> None:
    """Put the former one in its place."""
    concurrently = _begin(db, FORMER)
    db.execute_sql(f"CREATE INDEX {concurrently}IF NOT EXISTS {FORMER} ON users (LOWER(email))")
    db.execute_sql(f"DROP INDEX {concurrently}IF EXISTS {INDEX}")


def _begin(db: Any, index: str) -> str:
    """Remove what an interrupted run has left, and return how an index is made without keeping anybody waiting."""
    if not _is_postgresql(db):
        return ""
    invalid = [name for (name,) in db.execute_sql(INVALID).fetchall()]
    # Building waits for older transactions without keeping anybody from anything, so it may wait long; the run sets
    # the session back.
    db.execute_sql("SET lock_timeout = 0")
    if index in invalid:
        _drop_invalid(db, index)
    return "CONCURRENTLY "


def _is_postgresql(db: Any) -> bool:
    return isinstance(db, peewee.PostgresqlDatabase)


def _drop_invalid(db: Any, index: str) -> None:
    if _is_postgresql(db):
        db.execute_sql(f"DROP INDEX CONCURRENTLY IF EXISTS {index}")


def _lower(db: Any) -> str:
    # PostgreSQL's LOWER folds ASCII letters alone in this collation, and SQLite's always.
    return 'LOWER(email COLLATE "C")' if _is_postgresql(db) else "LOWER(email)"


def _require_one_account_each(db: Any) -> None:
    if _is_postgresql(db) and db.execute_sql("SELECT to_regclass('users')").fetchone() == (None,):
        return  # Planned for a database whose tables are still to be made.
    key = _lower(db)
    several = SEVERAL.format(key=key)
    ((count,),) = db.execute_sql(f"SELECT COUNT(*) FROM ({several}) AS several").fetchall()  # noqa: S608
    if not count:
        return
    rows = db.execute_sql(NAMED.format(key=key, several=several)).fetchall()
    named = [
        " and ".join(f"{email!r} (id {number})" for number, email in accounts)
        for _, accounts in groupby(rows, key=lambda row: str(row[1]).translate(LOWER_CASE))
    ]
    more = f"; and {count - len(named)} more" if count > len(named) else ""
    raise MigrationError(
        "expected one account for each address, whatever its case; got "
        f"{count} address{'es' if count > 1 else ''} with several: {'; '.join(named)}{more}: change or delete all of "
        "them but one, then migrate again"
    )
