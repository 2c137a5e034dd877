"""Whose the rows of models are: by which of its references each is owned, as its ``Meta`` says.

``owner = "user"`` names a reference to the owner's row, or to a row that is owned in turn. What is made of that is the
business of ``manager.owned``, which holds statements to an owner's rows, and of ``schema.row_security``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import peewee

from cloudpub_models.errors import ConfigurationError, did_you_mean
from cloudpub_models.sql.identifiers import shown

# Model → the references, one after the other, that lead from its rows to the owner's.
Paths = Mapping[type[peewee.Model], tuple[Any, ...]]


@lru_cache(maxsize=64)
def paths_to_owner(root: type[peewee.Model], models: tuple[type[peewee.Model], ...]) -> Paths:
    """Return for each model whose rows are owned by one of ``root`` how they are.

    Raises:
        ConfigurationError: a model's ``owner`` is none of its references, ``root`` is not among the models, or owners
            are owned in a circle.

    >>> from cloudpub_models import FunctionLog
    >>> [key.name for key in paths_to_owner(User, database.models)[FunctionLog]]
    ['function', 'user']
    """
    if root not in models:
        raise ConfigurationError(
            f"expected the row of an owner whose model the database knows; got one of {root.__name__}: name its "
            "component when the database is opened"
        )
    keys = {model: key for model in models if (key := owner_key(model)) is not None}
    return {model: path for model in keys if (path := _path(model, root, keys))}


def owner_key(model: type[peewee.Model]) -> Any:
    """Return the reference that leads from a model's rows to their owner; ``None`` where they have none.

    Raises:
        ConfigurationError: the model's ``owner`` is none of its references.
    """
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


def _path(model: type[peewee.Model], root: type[peewee.Model], keys: Mapping[Any, Any]) -> tuple[Any, ...]:
    """Return the references that lead from a model to the owner's; none where they lead elsewhere."""
    path: list[Any] = []
    while model is not root:
        key = keys.get(model)
        if key is None:
            return ()
        if any(key is each for each in path):
            circle = " → ".join(each.model.__name__ for each in path)
            raise ConfigurationError(
                f"expected owners that lead to one row; got the circle {circle}: change Meta.owner"
            )
        path.append(key)
        model = key.rel_model
    return tuple(path)
