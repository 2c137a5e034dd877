"""``OwnedScope``: the rows of one owner, found by the references that lead to it.

Each model says in its ``Meta`` which of its references that is: ``owner = "user"``, or ``owner = "function"`` where the
row that it refers to is owned. ``scope`` is what holds statements to the rows; here is which rows those are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import peewee

from cloudpub_models.entity.origin import Origin
from cloudpub_models.errors import ConfigurationError, InvalidValueError, UnguardedError, did_you_mean
from cloudpub_models.manager.columns.table import table_of
from cloudpub_models.manager.scope import Scope
from cloudpub_models.sql.identifiers import shown

# Model → the reference by which its rows are owned; model → the key that a condition names, and the owner's column.
Owners = Mapping[type[peewee.Model], Any]
Columns = Mapping[type[peewee.Model], tuple[str, str]]


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
        self.owners, columns = _ownership(root, tuple(models))
        keys = {name: _value(owner, name) for name in table_of(root).key_names}
        rows = {model: {key: _value(owner, name)} for model, (key, name) in columns.items()}
        super().__init__({root: keys, **rows}, f"the {root.__name__.lower()} {'-'.join(map(str, keys.values()))}")
        if statements is not None:
            self.statements = statements


@lru_cache(maxsize=64)
def _ownership(root: type[peewee.Model], models: tuple[type[peewee.Model], ...]) -> tuple[Owners, Columns]:
    """Return for each model by which of its references a row is owned by one of ``root``, and what tells by which one.

    Raises:
        ConfigurationError: a model's ``owner`` is none of its references, ``root`` is not among the models, or owners
            are owned in a circle.
    """
    if root not in models:
        raise ConfigurationError(
            f"expected the row of an owner whose model the database knows; got one of {root.__name__}: name its "
            "component when the database is opened"
        )
    keys = {model: key for model in models if (key := _owner_key(model)) is not None}
    paths = {model: path for model in keys if (path := _path(model, root, keys))}
    return {model: path[0] for model, path in paths.items()}, {
        model: (".".join([*(key.name for key in path[:-1]), path[-1].column_name]), path[-1].rel_field.name)
        for model, path in paths.items()
    }


def _owner_key(model: type[peewee.Model]) -> Any:
    name = getattr(model._meta, "owner", None)
    if name is None:
        return None
    keys = [name for name, field in model._meta.fields.items() if isinstance(field, peewee.ForeignKeyField)]
    if name not in keys:
        raise ConfigurationError(
            f"expected Meta.owner of {model.__name__} to be one of its references; got {shown(name)}: "
            f"{did_you_mean(str(name), keys)}"
        )
    return model._meta.fields[name]


def _path(model: type[peewee.Model], root: type[peewee.Model], keys: Owners) -> list[Any]:
    """Return the references that lead from a model to the owner's; none where they lead elsewhere."""
    path: list[Any] = []
    while model is not root:
        key = keys.get(model)
        if key is None:
            return []
        if any(key is each for each in path):
            circle = " → ".join(each.model.__name__ for each in path)
            raise ConfigurationError(
                f"expected owners that lead to one row; got the circle {circle}: change Meta.owner"
            )
        path.append(key)
        model = key.rel_model
    return path


def _value(owner: peewee.Model, name: str) -> Any:
    value = getattr(owner, name)
    if value is None:
        raise InvalidValueError(
            f"expected a saved {type(owner).__name__}; this one has no {name} yet: insert it first, or load it"
        )
    return value
