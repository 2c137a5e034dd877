"""Receipts: what has been done, in the same transaction as what was done."""

from __future__ import annotations

import peewee

from cloudpub_models.work.tables import checked_text, send

_RECORD = "INSERT INTO receipts (key) VALUES (?) ON CONFLICT (key) DO NOTHING"


def record(database: peewee.Database, key: str) -> bool:
    """Write down that something is done, and return whether it was not before.

    A transaction that is doing the same is waited for.

    Args:
        database: the database, in a transaction.
        key: what is done.

    Raises:
        InvalidValueError: the key is no text, empty, or too long.
        UnknownTableError: the table is not there.
    """
    return bool(send(database, _RECORD, checked_text(key, "the key")).rowcount == 1)
