"""References between rows: foreign keys, and relations as attributes beyond those that Peewee has.

All relations, and Peewee's backrefs too, are non-data descriptors: a value put into the instance's ``__dict__`` under
the same name is what the attribute gives from then on. That is how ``include=`` hands over rows that it has loaded.
Nothing here loads more than the one relation that is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

import peewee

from cloudpub_models.entity.fields import name_of_part
from cloudpub_models.entity.origin import come_from, origin_of, query_of, reading_from
from cloudpub_models.entity.unloaded import PartialData, refuse_lazy_loading

_M = TypeVar("_M", bound=peewee.Model)
_V = TypeVar("_V")

# Peewee's fields are generic in its stubs only, and cannot be subscripted when the program runs.
if TYPE_CHECKING:
    _ForeignKeyBase = peewee.ForeignKeyField
else:

    class _ForeignKeyBase(peewee.ForeignKeyField, Generic[_V]):
        pass


def _require_loaded(instance: Any, name: str) -> None:
    data = instance.__data__
    if name not in data and isinstance(data, PartialData):
        data[name]  # raises, and says what was loaded


class ReferenceAccessor(peewee.ForeignKeyAccessor):
    """Reads a related row; one whose key was not loaded raises instead of looking absent."""

    def get_rel_instance(self, instance: Any) -> Any:
        """Return the related row, loaded now if it was not before."""
        if self.name not in instance.__rel__:
            _require_loaded(instance, self.name)
            if instance.__data__.get(self.name) is not None:
                refuse_lazy_loading(instance, self.name)
            origin = origin_of(instance)
            if origin is not None:
                with reading_from(origin):
                    found = super().get_rel_instance(instance)  # type: ignore[no-untyped-call]
                come_from(found, origin)
                return found
        return super().get_rel_instance(instance)  # type: ignore[no-untyped-call]


class RelatedRowsAccessor(peewee.BackrefAccessor):
    """Reads the rows that refer to an instance, as a Peewee query; ``include=`` puts a list in its place."""

    def __get__(self, instance: Any, instance_type: Any = None) -> Any:
        """Return the query, or the accessor itself when read from the class."""
        if instance is not None:
            refuse_lazy_loading(instance, self.field.backref)
            return query_of(instance, super().__get__(instance, instance_type))  # type: ignore[no-untyped-call]
        return super().__get__(instance, instance_type)  # type: ignore[no-untyped-call]


class ReferenceIdAccessor(peewee.ObjectIdAccessor):
    """Reads the key of a related row without loading the row."""

    def __get__(self, instance: Any, instance_type: Any = None) -> Any:
        """Return the key, or the field itself when read from the class."""
        if instance is not None:
            _require_loaded(instance, self.field.name)
        return super().__get__(instance, instance_type)  # type: ignore[no-untyped-call]


class ForeignKey(_ForeignKeyBase[_V]):
    """A reference to a row of another table, with a named constraint."""

    accessor_class = ReferenceAccessor
    backref_accessor_class: type[peewee.BackrefAccessor] = RelatedRowsAccessor

    if TYPE_CHECKING:

        @overload
        def __new__(cls, model: type[_M], *args: Any, null: Literal[True], **options: Any) -> ForeignKey[_M | None]: ...
        @overload
        def __new__(cls, model: type[_M], *args: Any, null: Literal[False] = ..., **options: Any) -> ForeignKey[_M]: ...
        @overload
        def __new__(cls, model: Literal["self"] = ..., *args: Any, **options: Any) -> ForeignKey[Any]: ...
        def __new__(cls, *args: Any, **options: Any) -> Any:
            """Typed by the related model and by whether the column may be NULL."""

    def bind(self, model: Any, name: str, set_attribute: bool = True) -> None:
        """Take the field's place in a model, and name its constraint after table and column, as PostgreSQL does."""
        super().bind(model, name, set_attribute)
        if self.constraint_name is None:
            self.constraint_name = name_of_part(model._meta.table_name, [self.column_name], "fkey")
        if set_attribute:
            setattr(model, self.object_id_name, ReferenceIdAccessor(self))


class _ForwardForeignKey(peewee.DeferredForeignKey):
    def __deepcopy__(self, memo: Any = None) -> _ForwardForeignKey:
        return _ForwardForeignKey(self.rel_model_name, **self.field_kwargs)

    def set_model(self, rel_model: type[peewee.Model]) -> None:
        options: dict[str, Any] = self.field_kwargs
        field = ForeignKey(rel_model, _deferred=True, **options)
        # Peewee would put the column last, after those that were declared after it.
        field._order, field._sort_key = self._order, self._sort_key  # type: ignore[attr-defined]
        self.model._meta.add_field(self.name, field)


def forward_foreign_key(model_name: str, **options: Any) -> Any:
    """Return a foreign key to a model that is defined further down; Peewee replaces it once that model exists."""
    return _ForwardForeignKey(model_name, **options)


class OneToOneAccessor(peewee.BackrefAccessor):
    """The other side of a unique reference: the one row that refers to this one, or None.

    A row that was found is kept on the instance, as Peewee keeps the row of a foreign key; None is asked for again.
    """

    def __get__(self, instance: Any, instance_type: Any = None) -> Any:
        """Return the referring row or None; read from the class, the accessor itself."""
        if instance is None:
            return self
        refuse_lazy_loading(instance, self.field.backref)
        query = query_of(instance, super().__get__(instance, instance_type))  # type: ignore[no-untyped-call]
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
        name: the attribute.
    """

    def __init__(self, near: peewee.ForeignKeyField[Any], far: peewee.ForeignKeyField[Any], name: str) -> None:
        self.near = near
        self.far = far
        self.name = name
        self.model = near.rel_model
        self.rel_model = far.rel_model
        self.through_model = near.model

    def query(self, instance: Any) -> Any:
        """Return the query of the rows that belong to ``instance``."""
        refuse_lazy_loading(instance, self.name)
        own_key = getattr(instance, self.near.rel_field.name)
        query = (
            self.rel_model.select()
            .join(self.through_model, on=(self.far == self.far.rel_field), attr="_through")
            .where(self.near == own_key)
        )
        return query_of(instance, query)

    def __get__(self, instance: Any, instance_type: Any = None) -> Any:
        """Return the query; read from the class, the relation itself."""
        return self if instance is None else self.query(instance)


class OneThrough(ManyThrough):
    """As ``ManyThrough``, where a constraint allows one row at most: that row, or None. A row found is kept."""

    def __get__(self, instance: Any, instance_type: Any = None) -> Any:
        """Return the row or None; read from the class, the relation itself."""
        if instance is None:
            return self
        found = self.query(instance).get_or_none()
        if found is not None:
            instance.__dict__[self.name] = found
        return found


def many_to_many(
    near: peewee.ForeignKeyField[Any], far: peewee.ForeignKeyField[Any], name: str, backref: str | None = None
) -> None:
    """Give two models a relation through the table in between that refers to both.

    Args:
        near: the key of the table in between that refers to the first model.
        far: its key that refers to the second one.
        name: the attribute of the first model: a query of rows of the second one; where ``near`` is unique, its one row
            or None.
        backref: the attribute of the second model, likewise; none when left out.

    Example, with a model ``Membership`` that has ``team = ForeignKey(Team)`` and ``person = OneToOneKey(Person)``::

        many_to_many(Membership.team, Membership.person, "people", backref="team")
        team.people.order_by(Person.name)  # a query
        person.team  # a Team or None
    """
    for key, other, attribute in ((near, far, name), (far, near, backref)):
        if attribute is not None:
            through = OneThrough if key.unique else ManyThrough
            setattr(key.rel_model, attribute, through(key, other, attribute))
