"""Whose rows they are, on a server that knows no owners: those that belong to keys which are the owner's on main."""

from __future__ import annotations

from collections.abc import Sequence

import peewee

from cloudpub_models.manager.scope import Scope


class OwnKeys(Scope):
    """The rows of a table that belong to some keys, for one call.

    Args:
        scope: the owner's, as main has it.
        key: the reference by which the rows are distributed.
        keys: what is the owner's of what it refers to.
    """

    closed = True

    def __init__(self, scope: Scope, key: peewee.ForeignKeyField, keys: Sequence[int]) -> None:
        super().__init__({key.model: {key.column_name: list(keys)}}, scope.name)
        self.origin = scope.origin
        # SQL is made once for all calls, on each server.
        self.statements = scope.statements


def is_held_by_key(scope: Scope, key: peewee.ForeignKeyField) -> bool:
    """Return whether a scope has the rows of a table that belong to what it has of what a reference refers to."""
    return scope.owners.get(key.model) is key
