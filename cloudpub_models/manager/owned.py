"""``OwnedScope``: the rows of one owner, found by the references that lead to it.

Each model says in its ``Meta`` which of its references that is: ``owner = "user"``, or ``owner = "function"`` where the
row that it refers to is owned. ``scope`` is what holds statements to the rows; here is which rows those are.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import peewee

from cloudpub_models.entity.origin import Origin
from cloudpub_models.entity.owners import paths_to_owner
from cloudpub_models.errors import InvalidValueError, UnguardedError
from cloudpub_models.manager.columns.table import table_of
from cloudpub_models.manager.scope import Scope


class _NoSource(Origin):
    """Where rows of a scope are from: nothing is read or written by a row itself, since no scope would hold it."""

    def __init__(self) -> None:
        super().__init__(None)

    @property
    def engine(self) -> Any:
        """There is none.

        Raises:
            UnguardedError: always.
        """
        raise UnguardedError(
            "expected a call of an owner's managers; got one by a row of theirs, as save() or a relation that is not "
            "loaded: include the relation, and write with the manager"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()


_NO_SOURCE = _NoSource()


class OwnedScope(Scope):
    """The rows of an owner, in every table whose model says whose its rows are.

    Args:
        owner: the owner's row.
        models: the models of the database.
        statements: those of other scopes of the same owners' model, which are the same.

    Raises:
        ConfigurationError: a model's ``owner`` is none of its references, or the models do not know the owner's.
        InvalidValueError: the owner is not saved.

    >>> from cloudpub_models import Function, FunctionLog
    >>> rows = OwnedScope(ada, database.models).rows
    >>> rows[Function], rows[FunctionLog]
    ({'user_id': 1}, {'function.user_id': 1})
    """

    closed = True
    origin = _NO_SOURCE

    def __init__(
        self, owner: peewee.Model, models: Sequence[type[peewee.Model]], statements: dict[Any, Any] | None = None
    ) -> None:
        root = type(owner)
        paths = paths_to_owner(root, tuple(models))
        self.owners = {model: path[0] for model, path in paths.items()}
        keys = {name: _value(owner, name) for name in table_of(root).key_names}
        rows = {model: {_dotted_key(path): _value(owner, path[-1].rel_field.name)} for model, path in paths.items()}
        super().__init__({root: keys, **rows}, f"the {root.__name__.lower()} {'-'.join(map(str, keys.values()))}")
        told = {path[-1].rel_field.column_name: path[-1].rel_field.name for path in paths.values()}
        values = {**keys, **{column: _value(owner, name) for column, name in told.items()}}
        self.settings = {
            **{f"cloudpub.owner_{column}": str(value) for column, value in values.items()},
            "cloudpub.unrestricted": "",
        }
        if statements is not None:
            self.statements = statements


@lru_cache(maxsize=1024)
def _dotted_key(path: tuple[Any, ...]) -> str:
    """Return the key of a condition on the column that tells, at the end of some references, whose a row is."""
    return ".".join([*(key.name for key in path[:-1]), path[-1].column_name])


def _value(owner: peewee.Model, name: str) -> Any:
    value = getattr(owner, name)
    if value is None:
        raise InvalidValueError(
            f"expected a saved {type(owner).__name__}; this one has no {name} yet: insert it first, or load it"
        )
    return value
