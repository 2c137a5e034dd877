"""References between rows: foreign keys, and relations as attributes beyond those that Peewee has.

A value put into an instance's ``__dict__`` under the name of a relation, or of one of Peewee's backrefs, is what the
attribute gives from then on. That is how ``include=`` hands over rows that it has loaded.
Nothing here loads more than the one relation that is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

import peewee

from cloudpub_models.entity.fields import name_of_part
from cloudpub_models.entity.origin import come_from, coming_from, origin_of, query_of, reading_from, writing_to
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

    def __init__(self, field: OneToOneKey[Any], name: str) -> None:
        super().__init__(field)
        self.name = name

    def __get__(self, instance: Any, instance_type: Any = None) -> Any:
        """Return the referring row or None; read from the class, the accessor itself."""
        if instance is None:
            return self
        prefetched = instance.__dict__.get(self.field.backref)
        if prefetched is not None:
            return prefetched[0] if prefetched else None
        refuse_lazy_loading(instance, self.name)
        query = query_of(instance, super().__get__(instance, instance_type))  # type: ignore[no-untyped-call]
        found = query.get_or_none()
        if found is not None:
            found.__rel__[self.field.name] = instance
            instance.__dict__[self.name] = found
        return found


class OneToOneKey(ForeignKey[_V]):
    """A unique reference, whose backref is one row and not a query.

    The query is there as well, for what in Peewee walks through backrefs: ``user.information_set`` beside
    ``user.information``.
    """

    def __init__(self: OneToOneKey[_M], model: type[_M], *, backref: str | None = None, **options: Any) -> None:
        """Take the options of every foreign key."""
        super().__init__(model, unique=True, backref=backref and f"{backref}_set", **options)
        self.one_row = backref

    def bind(self, model: Any, name: str, set_attribute: bool = True) -> None:
        """Take the field's place in a model, and show the referring row on the other one."""
        super().bind(model, name, set_attribute)
        if set_attribute and self.one_row is not None:
            setattr(self.rel_model, self.one_row, OneToOneAccessor(self, self.one_row))


class RelatedQuery(peewee.ManyToManyQuery):
    """Rows that a table in between connects with one row, as a Peewee query that also connects and disconnects them."""

    _instance: peewee.Model
    _accessor: RelatedAccessor

    def _get_model_cursor_wrapper(self, cursor: Any) -> Any:
        wrapper = super()._get_model_cursor_wrapper(cursor)  # type: ignore[misc]
        origin = origin_of(self._instance)
        return wrapper if origin is None else coming_from(wrapper, origin)

    def _id_list(self, values: Any) -> list[Any]:
        key = self._accessor.dest_fk.rel_field.name
        return [getattr(value, key) if isinstance(value, peewee.Model) else value for value in values]

    def add(self, value: Any, clear_existing: bool = False) -> None:
        """Connect rows, given as instances, keys or a query; all or none of them.

        Raises:
            UniqueViolationError: one of them is connected already, or with another row where it may be with one only.
        """
        near, far = self._accessor.src_fk, self._accessor.dest_fk
        with self._changing(value):
            if clear_existing:
                super().clear()  # type: ignore[no-untyped-call]
            if isinstance(value, peewee.ModelSelect):
                # Peewee would send the key as Python has it.
                own_key = peewee.Value(getattr(self._instance, near.rel_field.name), converter=near.db_value)
                self._accessor.through_model.insert_from(value.columns(own_key, far.rel_field), [near, far]).execute()
            else:
                super().add(value)

    def remove(self, value: Any) -> Any:
        """Disconnect rows, given as instances, keys or a query, and return how many have been connected."""
        with self._changing(value):
            return super().remove(value)  # type: ignore[no-untyped-call]

    def clear(self) -> Any:
        """Disconnect all rows and return how many have been connected."""
        with self._changing(()):
            return super().clear()  # type: ignore[no-untyped-call]

    @contextmanager
    def _changing(self, others: Any) -> Iterator[None]:
        through, origin = self._accessor.through_model, origin_of(self._instance)
        where = nullcontext() if origin is None else writing_to(origin, through)
        with where, through._meta.database.atomic():
            yield
        # What was loaded before is out of date, on both sides.
        for name in self._accessor.field.own_names:
            self._instance.__dict__.pop(name, None)
        for other in others if isinstance(others, list | tuple | set) else [others]:
            if isinstance(other, peewee.Model):
                for name in self._accessor.field.other_names:
                    other.__dict__.pop(name, None)


class RelatedAccessor(peewee.ManyToManyFieldAccessor):
    """Reads the rows that are connected with an instance, as a query; assigning rows connects these and no others."""

    def __init__(self, model: type[peewee.Model], field: ManyToMany, name: str) -> None:
        peewee.FieldAccessor.__init__(self, model, field, name)
        self.rel_model = field.rel_model
        self.through_model = field.through_model
        self.src_fk, self.dest_fk = field.near, field.far

    def get_query(self, instance: Any) -> Any:
        """Return the query of the rows that belong to ``instance``."""
        refuse_lazy_loading(instance, self.name)
        own_key = getattr(instance, self.src_fk.rel_field.name)
        if own_key is None:
            raise ValueError(
                f"expected a saved {self.model.__name__} for {self.name}; got one without a key: save it first"
            )
        query = RelatedQuery(instance, self, self.rel_model)
        query = query.join(self.through_model, on=(self.dest_fk == self.dest_fk.rel_field), attr="_through")
        query = query.where(self.src_fk == own_key)
        origin = origin_of(instance)
        return query if origin is None else query.bind(origin.engine)

    def __get__(self, instance: Any, instance_type: Any = None) -> Any:
        """Return the rows that were loaded before, or the query; read from the class, the field itself."""
        if instance is None:
            return self.field
        loaded = instance.__dict__.get(self.name)
        return self.get_query(instance) if loaded is None else loaded


class ManyToMany(peewee.ManyToManyField):
    """Peewee's relation through a table in between, by the two keys of that table that make it.

    Args:
        near: the key that refers to the model with this attribute.
        far: the key that refers to the rows wanted.
        backref: the name of the relation on the other model.
        own_names: the attributes of the model that show the relation.
        other_names: those of the other model.
    """

    accessor_class = RelatedAccessor

    def __init__(
        self,
        near: peewee.ForeignKeyField[Any],
        far: peewee.ForeignKeyField[Any],
        backref: str,
        own_names: Sequence[str],
        other_names: Sequence[str],
    ) -> None:
        # Each side is made by itself, which Peewee says of the second one.
        super().__init__(far.rel_model, backref=backref, through_model=near.model, _is_backref=True)
        self.near, self.far = near, far
        self.own_names, self.other_names = own_names, other_names


class OneThrough:
    """The row of another table that a table in between connects with this one, where a constraint allows no more.

    A row that was found is kept; None is asked for again.

    Args:
        field: the same relation as a query.
        name: the attribute.
    """

    def __init__(self, field: ManyToMany, name: str) -> None:
        self.near, self.far = field.near, field.far
        self.name = name
        self.rel_model = field.rel_model
        self._accessor = RelatedAccessor(field.near.rel_model, field, name)

    def __get__(self, instance: Any, instance_type: Any = None) -> Any:
        """Return the row or None; read from the class, the relation itself."""
        if instance is None:
            return self
        if self.name in instance.__dict__:
            return instance.__dict__[self.name]
        found = self._accessor.get_query(instance).get_or_none()
        if found is not None:
            instance.__dict__[self.name] = found
        return found

    def __set__(self, instance: Any, value: Any) -> None:
        """Connect this row with another one, in place of the one that it was connected with; None with none."""
        self._accessor.get_query(instance).add([] if value is None else [value], clear_existing=True)


def many_to_many(
    near: peewee.ForeignKeyField[Any], far: peewee.ForeignKeyField[Any], name: str, backref: str | None = None
) -> None:
    """Give two models Peewee's many-to-many relation, through the table in between that refers to both.

    Args:
        near: the key of the table in between that refers to the first model.
        far: its key that refers to the second one.
        name: the attribute of the first model: a query of rows of the second one; where ``near`` is unique, its one row
            or None.
        backref: the attribute of the second model, likewise. Where it is left out, or is one row, the query is there by
            the name that Peewee would give it, the first model's with an ``s``.

    Example, with a model ``Membership`` that has ``team = ForeignKey(Team)`` and ``person = OneToOneKey(Person)``::

        many_to_many(Membership.team, Membership.person, "people", backref="team")
        team.people.order_by(Person.name)  # a query
        team.people.add(ada)
        person.team  # a Team or None
        person.teams  # a query
    """
    query, back = _name_of_query(near, far, name), _name_of_query(far, near, backref)
    own, others = (query, name), (back, backref or back)
    _add_side(ManyToMany(near, far, back, own, others), query, name)
    _add_side(ManyToMany(far, near, query, others, own), back, backref)


def _add_side(field: ManyToMany, query: str, attribute: str | None) -> None:
    model: Any = field.near.rel_model
    if query != _NO_NAME:
        model._meta.add_field(query, field)
    if attribute is not None and attribute != query:
        setattr(model, attribute, OneThrough(field, attribute))


# Peewee's own word for a relation without one.
_NO_NAME = "+"


def _name_of_query(key: peewee.ForeignKeyField[Any], other: peewee.ForeignKeyField[Any], attribute: str | None) -> str:
    if attribute is not None and not key.unique:
        return attribute
    usual = f"{other.rel_model._meta.name}s"
    return _NO_NAME if hasattr(key.rel_model, usual) else usual
