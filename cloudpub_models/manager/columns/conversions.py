"""Whether a field converts values as the class that it is made of does, or in a way of its own.

A subclass that overrides ``db_value``, ``python_value`` or ``adapt`` means something else by its values, whatever it is
a subclass of; what is known of the class is then not true of it, and its own methods have to be asked.
"""

from __future__ import annotations

import json
from typing import Any

import peewee

from cloudpub_models.entity.fields import JsonField


def stores_as(field: peewee.Field[Any], *kinds: type[peewee.Field[Any]]) -> bool:
    """Return whether a field stores values as one of these classes does.

    >>> class Reversed(peewee.TextField):
    ...     def db_value(self, value):
    ...         return value[::-1]
    >>> stores_as(peewee.TextField(), peewee.TextField), stores_as(Reversed(), peewee.TextField)
    (True, False)
    """
    return _converts_as(field, "db_value", kinds)


def reads_as(field: peewee.Field[Any], *kinds: type[peewee.Field[Any]]) -> bool:
    """Return whether a field reads values as one of these classes does."""
    return _converts_as(field, "python_value", kinds)


def writes_usual_json(field: Any) -> bool:
    """Return whether a JSON field has been given no ``dumps`` of its own."""
    return isinstance(field, JsonField) or field._dumps is json.dumps


def reads_usual_json(field: Any) -> bool:
    """Return whether a JSON field has been given no ``loads`` of its own."""
    return isinstance(field, JsonField) or field._loads is json.loads


def _converts_as(field: peewee.Field[Any], method: str, kinds: tuple[type[peewee.Field[Any]], ...]) -> bool:
    # Methods of classes: what secrets are marked with is set on the field itself.
    own = type(field)
    return any(
        isinstance(field, kind) and all(getattr(own, name) is getattr(kind, name) for name in (method, "adapt"))
        for kind in kinds
    )
