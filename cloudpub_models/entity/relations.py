"""Relations as attributes, beyond the foreign keys and backrefs that Peewee has.

All of them, and Peewee's backrefs too, are non-data descriptors: a value put into the instance's ``__dict__`` under the
same name is what the attribute gives from then on. That is how ``include=`` hands over rows that it has loaded.
Nothing here loads more than the one relation that is read.
"""

from __future__ import annotations

from typing import Any, TypeVar

import peewee

from cloudpub_models.entity.fields import ForeignKey
from cloudpub_models.entity.unloaded import refuse_lazy_loading

_M = TypeVar("_M", bound=peewee.Model)
_V = TypeVar("_V")


class OneToOneAccessor(peewee.BackrefAccessor):
    """The other side of a unique reference: the one row that refers to this one, or None.

    A row that was found is kept on the instance, as Peewee keeps the row of a foreign key; None is asked for again.
    """

    def __get__(self, instance: Any, instance_type: Any = None) -> Any:
        """Return the referring row or None; read from the class, the accessor itself."""
        if instance is None:
            return self
        refuse_lazy_loading(instance, self.field.backref)
        query = super().__get__(instance, instance_type)  # type: ignore[no-untyped-call]
        found = query.get_or_none()
        if found is not None:
            found.__rel__[self.field.name] = instance
            instance.__dict__[self.field.backref] = found
        return found


class OneToOneKey(ForeignKey[_V]):
    """A unique reference, whose backref is one row and not a query."""

    backref_accessor_class = OneToOneAccessor

    def __init__(self: OneToOneKey[_M], model: type[_M], **options: Any) -> None:
        """Take the options of every foreign key."""
        super().__init__(model, unique=True, **options)


class ManyThrough:
    """Rows of another table that a table in between joins to this one, as a Peewee query.

    Args:
        near: the key of the table in between that refers to the model with this attribute.
        far: the key of the table in between that refers to the rows wanted.
    """

    def __init__(self, near: peewee.ForeignKeyField[Any], far: peewee.ForeignKeyField[Any]) -> None:
        """Take the two keys of the table in between."""
        self.near = near
        self.far = far
        self.model = near.rel_model
        self.rel_model = far.rel_model
        self.through_model = near.model

    def __set_name__(self, owner: type[peewee.Model], name: str) -> None:
        """Learn the attribute's name."""
        self.name = name

    def query(self, instance: Any) -> Any:
        """Return the query of the rows that belong to `instance`."""
        refuse_lazy_loading(instance, self.name)
        own_key = getattr(instance, self.near.rel_field.name)
        return (
            self.rel_model.select()
            .join(self.through_model, on=(self.far == self.far.rel_field), attr="_through")
            .where(self.near == own_key)
        )

    def __get__(self, instance: Any, instance_type: Any = None) -> Any:
        """Return the query; read from the class, the relation itself."""
        return self if instance is None else self.query(instance)


class OneThrough(ManyThrough):
    """As `ManyThrough`, where a constraint allows one row at most: that row, or None. A row found is kept."""

    def __get__(self, instance: Any, instance_type: Any = None) -> Any:
        """Return the row or None; read from the class, the relation itself."""
        if instance is None:
            return self
        found = self.query(instance).get_or_none()
        if found is not None:
            instance.__dict__[self.name] = found
        return found


def relate(model: type[peewee.Model], name: str, relation: ManyThrough) -> None:
    """Give a model a relation through a table that is defined after it."""
    setattr(model, name, relation)
    relation.__set_name__(model, name)
