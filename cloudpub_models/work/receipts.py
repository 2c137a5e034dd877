"""Receipts: what has been done, in the same transaction as what was done."""

from __future__ import annotations

import peewee

from cloudpub_models.sql.values import check_text
from cloudpub_models.work.tables import LONGEST_TEXT, send

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
    return bool(send(database, _RECORD, check_text(key, "the key", longest=LONGEST_TEXT)).rowcount == 1)
