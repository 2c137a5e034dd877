"""``include=``: related rows loaded with one statement per relation, however many rows there are.

The rows found are put on the instances where Peewee and the models look first, so that reading the attribute sends
nothing. Which rows are the parents is the manager's business.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import peewee

from cloudpub_models.entity.base import BackLink, Entity
from cloudpub_models.entity.relations import ManyThrough, OneThrough, OneToOneAccessor
from cloudpub_models.errors import InvalidQueryError, UnknownColumnError, did_you_mean
from cloudpub_models.manager.arguments.order import Order, check_count, parse_order
from cloudpub_models.manager.columns.table import table_of
from cloudpub_models.sql.identifiers import shown

Include = Sequence[str] | Mapping[str, Mapping[str, Any]]

_OPTIONS = ("limit", "order_by", "order_direction")
# Every level is a statement, and one of the program's own is never this deep.
_DEEPEST = 20


class Finder(Protocol):
    """What finds the rows of a related model: its manager."""

    def find_all(self, where: Mapping[str, Any]) -> list[Any]:
        """Return the rows that meet every condition."""
        ...

    def _find_for_each(self, column: str, keys: Sequence[Any], order: Order, limit: int | None) -> list[Any]: ...

    def _find_connected(
        self,
        near: peewee.ForeignKeyField[Any],
        far: peewee.ForeignKeyField[Any],
        keys: Sequence[Any],
        order: Order,
        limit: int | None,
    ) -> list[tuple[Any, Any]]: ...


FinderOf = Callable[[type[peewee.Model]], Finder]


class Node:
    """What to load for one relation, and for the relations of the rows found."""

    def __init__(self) -> None:
        self.options: Mapping[str, Any] = {}
        self.children: dict[str, Node] = {}


def parse_include(include: Include, model: type[peewee.Model]) -> dict[str, Node]:
    """Return the tree of relations that an ``include`` argument names, checked before anything is sent.

    Args:
        include: relation names, or a dict of name to options; ``"deployments.function"`` names a relation of a
            relation.
        model: what the relations are of.

    Raises:
        InvalidQueryError: the argument is of another kind, or has an option that is unknown.
        UnknownColumnError: there is no such relation.
    """
    if isinstance(include, str) or not isinstance(include, Sequence | Mapping):
        raise InvalidQueryError(f"expected include to be a sequence of relation names or a dict; got {shown(include)}")
    tree: dict[str, Node] = {}
    for path in include:
        if not isinstance(path, str) or not path:
            raise InvalidQueryError(f"expected the name of a relation in include; got {shown(path)}")
        options = include[path] if isinstance(include, Mapping) else {}
        if not isinstance(options, Mapping):
            raise InvalidQueryError(f"expected the options of include {shown(path)} to be a dict; got {shown(options)}")
        for option in options:
            if option not in _OPTIONS:
                raise InvalidQueryError(
                    f"unknown option {shown(option)} of include {shown(path)}: {did_you_mean(str(option), _OPTIONS)}"
                )
        level = tree
        *parents, last = path.split(".", _DEEPEST)
        if "." in last:
            raise InvalidQueryError(
                f"expected relations of relations at most {_DEEPEST} deep in include; got {shown(path)}"
            )
        for name in parents:
            level = level.setdefault(name, Node()).children
        level.setdefault(last, Node()).options = options
    _check_names(model, tree)
    return tree


def _check_names(model: type[peewee.Model], tree: Mapping[str, Node]) -> None:
    for name, node in tree.items():
        relation = relation_of(model, name)
        _Limits.of(name, node.options, relation)
        _check_names(relation.related, node.children)


def load_included(
    rows: Sequence[peewee.Model], model: type[peewee.Model], tree: Mapping[str, Node], manager_of: FinderOf
) -> None:
    """Load what the tree names and attach it to the rows.

    Args:
        rows: the instances; nothing is sent where there are none.
        model: their model.
        tree: the relations, from ``parse_include``.
        manager_of: gives the manager of a related model on the same database.

    Raises:
        UnknownColumnError: the model has no such relation.
    """
    relations = {name: relation_of(model, name) for name in tree}
    # Rows that refer back come last, lists of them at the very end: they keep what this row has by then.
    for name in sorted(tree, key=lambda name: (isinstance(relations[name], _Referring), relations[name].many)):
        node, relation = tree[name], relations[name]
        limits = _Limits.of(name, node.options, relation)
        if not rows:
            continue
        found = relation.load(rows, manager_of(relation.related), limits)
        load_included(found, relation.related, node.children, manager_of)


class _Limits(NamedTuple):
    order: Order
    limit: int | None

    @classmethod
    def of(cls, name: str, options: Mapping[str, Any], relation: Relation) -> _Limits:
        if options and not relation.many:
            raise InvalidQueryError(f"{name!r} is one row, which takes no limit and no order in include")
        table = table_of(relation.related)
        limit = options.get("limit")
        return cls(
            parse_order(options.get("order_by"), options.get("order_direction", "ASC"), table),
            None if limit is None else check_count(limit, f"the limit of include {name!r}"),
        )


class Relation:
    """A relation of a model, and how its rows are loaded for many rows at once."""

    many = False

    def __init__(self, name: str, related: type[peewee.Model]) -> None:
        self.name = name
        self.related = related

    def load(self, rows: Sequence[peewee.Model], manager: Finder, limits: _Limits) -> list[peewee.Model]:
        """Load the related rows, attach them to the rows and return them."""
        raise NotImplementedError


class _Reference(Relation):
    """The row that a foreign key refers to."""

    def __init__(self, key: peewee.ForeignKeyField[Any]) -> None:
        super().__init__(key.name, key.rel_model)
        self._key = key

    def load(self, rows: Sequence[peewee.Model], manager: Finder, limits: _Limits) -> list[peewee.Model]:
        name, target = self._key.name, self._key.rel_field
        wanted = _distinct([row.__data__[name] for row in rows])
        found = manager.find_all({target.column_name: wanted}) if wanted else []
        by_key = {related.__data__[target.name]: related for related in found}
        for row in rows:
            value = row.__data__[name]
            if value is None or value in by_key:
                row.__rel__[name] = by_key.get(value)
        return found


class _Referring(Relation):
    """The rows whose foreign key refers to this one."""

    many = True

    def __init__(self, name: str, key: peewee.ForeignKeyField[Any]) -> None:
        super().__init__(name, key.model)
        self._key = key
        of_entities = issubclass(key.model, Entity) and issubclass(key.rel_model, Entity)
        self._link_back = _link_entities if of_entities else _link_others

    def load(self, rows: Sequence[peewee.Model], manager: Finder, limits: _Limits) -> list[peewee.Model]:
        own_key, reference = self._key.rel_field.name, self._key.name
        wanted = _distinct([row.__data__[own_key] for row in rows])
        found = manager._find_for_each(self._key.column_name, wanted, limits.order, limits.limit)
        grouped: dict[Any, list[peewee.Model]] = defaultdict(list)
        for related in found:
            grouped[related.__data__[reference]].append(related)
        for row in rows:
            own = grouped.get(row.__data__[own_key], [])
            self._link_back(own, reference, row)
            self.attach(row, own)
        return found

    def attach(self, row: peewee.Model, related: list[peewee.Model]) -> None:
        """Put the related rows where the attribute looks first."""
        row.__dict__[self.name] = related


def _link_entities(entities: Iterable[Any], reference: str, row: Any) -> None:
    link = BackLink(reference, row)
    for entity in entities:
        entity._back_link = link


def _link_others(others: Iterable[Any], reference: str, row: Any) -> None:
    for other in others:
        other.__rel__ = {reference: row}


class _ReferringOne(_Referring):
    """The one row whose unique foreign key refers to this one."""

    many = False

    def attach(self, row: peewee.Model, related: list[peewee.Model]) -> None:
        row.__dict__[self.name] = related[0] if related else None


class _Through(Relation):
    """The rows that a table in between connects with this one."""

    many = True

    def __init__(self, relation: ManyThrough) -> None:
        super().__init__(relation.name, relation.rel_model)
        self._relation = relation

    def load(self, rows: Sequence[peewee.Model], manager: Finder, limits: _Limits) -> list[peewee.Model]:
        near, far = self._relation.near, self._relation.far
        own_key = near.rel_field.name
        wanted = _distinct([row.__data__[own_key] for row in rows])
        connected = manager._find_connected(near, far, wanted, limits.order, limits.limit)
        grouped: dict[Any, list[peewee.Model]] = defaultdict(list)
        for key, related in connected:
            grouped[key].append(related)
        for row in rows:
            self.attach(row, grouped.get(row.__data__[own_key], []))
        return [related for _, related in connected]

    def attach(self, row: peewee.Model, related: list[peewee.Model]) -> None:
        """Put the related rows where the attribute looks first."""
        row.__dict__[self.name] = related


class _ThroughOne(_Through):
    """The one row that a table in between connects with this one."""

    many = False

    def attach(self, row: peewee.Model, related: list[peewee.Model]) -> None:
        row.__dict__[self.name] = related[0] if related else None


def relation_of(model: type[peewee.Model], name: str) -> Relation:
    """Return a model's relation by the name of its attribute.

    Raises:
        UnknownColumnError: the model has no such relation.
    """
    key = model._meta.fields.get(name)
    if isinstance(key, peewee.ForeignKeyField):
        return _Reference(key)
    found = getattr(model, name, None) if name.isidentifier() and not name.startswith("_") else None
    if isinstance(found, OneThrough):
        return _ThroughOne(found)
    if isinstance(found, ManyThrough):
        return _Through(found)
    if isinstance(found, OneToOneAccessor):
        return _ReferringOne(name, found.field)
    if isinstance(found, peewee.BackrefAccessor):
        return _Referring(name, found.field)
    raise UnknownColumnError(
        f"{model.__name__} has no relation {shown(name)}: {did_you_mean(name, relation_names(model))}"
    )


def relation_names(model: type[peewee.Model]) -> list[str]:
    """Return the names of a model's relations: its references first, then what refers to it."""
    keys = [name for name, own in model._meta.fields.items() if isinstance(own, peewee.ForeignKeyField)]
    others = [name for name, found in vars(model).items() if isinstance(found, ManyThrough | peewee.BackrefAccessor)]
    return keys + others


def _distinct(keys: Iterable[Any]) -> list[Any]:
    return [key for key in dict.fromkeys(keys) if key is not None]
