"""``include=``: related rows loaded with one statement per relation, however many rows there are.

The rows found are put on the instances where Peewee and the models look first, so that reading the attribute sends
nothing. Which rows are the parents is the manager's business; ``related`` reads the others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import peewee

from cloudpub_models.entity.base import BackLink, Entity
from cloudpub_models.entity.relations import ManyToMany, OneThrough, OneToOneAccessor
from cloudpub_models.errors import InvalidQueryError, did_you_mean
from cloudpub_models.manager.arguments.order import Order, parse_order, require_own_columns
from cloudpub_models.manager.arguments.shape import NO_CONDITIONS, Conditions
from cloudpub_models.manager.related import RelatedRows
from cloudpub_models.manager.relations import find_relation
from cloudpub_models.sql.identifiers import shown
from cloudpub_models.sql.values import check_count

Include = Sequence[str] | Mapping[str, Mapping[str, Any]]
RelatedOf = Callable[[type[peewee.Model]], RelatedRows[Any]]

_OPTIONS = ("limit", "order_by", "order_direction", "where")
# Every level is a statement, and one of the program's own is never this deep.
_DEEPEST = 20


class Limits(NamedTuple):
    """In which order the related rows of each row come, how many of them at most, and what they have to meet."""

    order: Order = ()
    limit: int | None = None
    conditions: Conditions = NO_CONDITIONS


class Included(NamedTuple):
    """One relation to load, and what to load for the rows found."""

    relation: Relation
    limits: Limits
    children: Tree


Tree = tuple[Included, ...]


def parse_include(include: Include, model: type[peewee.Model], related_of: RelatedOf) -> Tree:
    """Return the tree of relations that an ``include`` argument names, checked before anything is sent.

    Args:
        include: relation names, or a dict of name to options; ``"deployments.function"`` names a relation of a
            relation.
        model: what the relations are of.
        related_of: gives what reads the rows of a related model on the same database.

    Raises:
        InvalidQueryError: the argument is of another kind, or has an option that is unknown.
        UnknownColumnError: there is no such relation.
    """
    if type(include) is tuple and set(map(type, include)) == {str}:
        return _of_names(include, model)
    return _resolved(_named(include), model, related_of)


@lru_cache(maxsize=1024)
def _of_names(names: tuple[str, ...], model: type[peewee.Model]) -> Tree:
    # Names alone ask nothing of the database, which is not to be kept alive by being remembered here.
    return _resolved(_named(names), model, None)


class _Named:
    """What one name of an ``include`` argument says, and the names below it."""

    def __init__(self) -> None:
        self.options: Mapping[str, Any] = {}
        self.children: dict[str, _Named] = {}


def _named(include: Include) -> dict[str, _Named]:
    if isinstance(include, str) or not isinstance(include, Sequence | Mapping):
        hint = f": write ({shown(include)},)" if isinstance(include, str) else ""
        raise InvalidQueryError(
            f"expected include to be a sequence of relation names or a dict; got {shown(include)}{hint}"
        )
    tree: dict[str, _Named] = {}
    for path in include:
        if not isinstance(path, str) or not path:
            raise InvalidQueryError(f"expected the name of a relation in include; got {shown(path)}")
        options = include[path] if isinstance(include, Mapping) else {}
        if not isinstance(options, Mapping):
            raise InvalidQueryError(f"expected the options of include {shown(path)} to be a dict; got {shown(options)}")
        for option in options:
            if option not in _OPTIONS:
                raise InvalidQueryError(
                    f"expected an option of include {shown(path)}; got {shown(option)}: "
                    f"{did_you_mean(str(option), _OPTIONS)}"
                )
        level = tree
        *parents, last = path.split(".", _DEEPEST)
        if "." in last:
            raise InvalidQueryError(
                f"expected relations of relations at most {_DEEPEST} deep in include; got {shown(path)}"
            )
        for name in parents:
            level = level.setdefault(name, _Named()).children
        level.setdefault(last, _Named()).options = options
    return tree


def _resolved(named: Mapping[str, _Named], model: type[peewee.Model], related_of: RelatedOf | None) -> Tree:
    relations = [(relation_of(model, name), node) for name, node in named.items()]
    tree = [
        Included(
            relation,
            _limits(relation, node.options, related_of),
            _resolved(node.children, relation.related, related_of),
        )
        for relation, node in relations
    ]
    # Rows that refer back come last, lists of them at the very end: they keep what this row has by then.
    return tuple(sorted(tree, key=lambda node: (isinstance(node.relation, _Referring), node.relation.many)))


def _limits(relation: Relation, options: Mapping[str, Any], related_of: RelatedOf | None) -> Limits:
    if not options or related_of is None:
        return Limits()
    if not relation.many:
        raise InvalidQueryError(
            f"expected no options of include {relation.name!r}, which is one row; got {', '.join(options)}"
        )
    limit = options.get("limit")
    direction = options.get("order_direction", "ASC")
    related = related_of(relation.related)
    order = parse_order(options.get("order_by"), direction, related.table, related.database.engine)
    if limit is not None:
        require_own_columns(order, f"a limited include {relation.name!r}")
    return Limits(
        order,
        None if limit is None else check_count(limit, f"the limit of include {relation.name!r}"),
        related.parse(options.get("where")),
    )


def load_included(rows: Sequence[peewee.Model], tree: Tree, related_of: RelatedOf) -> None:
    """Load what the tree names and attach it to the rows.

    Args:
        rows: the instances; nothing is sent where there are none.
        tree: the relations, from ``parse_include``.
        related_of: gives what reads the rows of a related model on the same database.
    """
    if rows:
        for relation, limits, children in tree:
            found = relation.load(rows, related_of(relation.related), limits)
            if children:
                load_included(found, children, related_of)


class Relation:
    """A relation of a model, and how its rows are loaded for many rows at once."""

    many = False

    def __init__(self, name: str, related: type[peewee.Model]) -> None:
        self.name = name
        self.related = related

    def load(self, rows: Sequence[peewee.Model], source: RelatedRows[Any], limits: Limits) -> list[peewee.Model]:
        """Load the related rows, attach them to the rows and return them."""
        raise NotImplementedError


class _Reference(Relation):
    """The row that a foreign key refers to."""

    def __init__(self, key: peewee.ForeignKeyField[Any]) -> None:
        super().__init__(key.name, key.rel_model)
        self._key = key

    def load(self, rows: Sequence[peewee.Model], source: RelatedRows[Any], limits: Limits) -> list[peewee.Model]:
        name, target = self._key.name, self._key.rel_field
        wanted = _distinct([row.__data__[name] for row in rows])
        found = source.having(target.column_name, wanted) if wanted else []
        by_key = {related.__data__[target.name]: related for related in found}
        for row in rows:
            key = row.__data__[name]
            if key is None or key in by_key:
                attributes = row.__dict__
                if "__rel__" in attributes or "_back_link" in attributes:
                    row.__rel__[name] = by_key.get(key)
                else:
                    # What reading the attribute for the first time would make.
                    attributes["__rel__"] = {name: by_key.get(key)}
        return found


class _Referring(Relation):
    """The rows whose foreign key refers to this one; one row where the key is unique."""

    def __init__(self, name: str, key: peewee.ForeignKeyField[Any], *, many: bool) -> None:
        super().__init__(name, key.model)
        self.many = many
        self._key = key
        self._of_entities = issubclass(key.model, Entity) and issubclass(key.rel_model, Entity)

    def load(self, rows: Sequence[peewee.Model], source: RelatedRows[Any], limits: Limits) -> list[peewee.Model]:
        own_key, reference = self._key.rel_field.name, self._key.name
        wanted = _distinct([row.__data__[own_key] for row in rows])
        found = source.referring(self._key.column_name, wanted, *limits) if wanted else []
        grouped: dict[Any, list[Any]] = defaultdict(list)
        for related in found:
            grouped[related.__data__[reference]].append(related)
        for row in rows:
            own = grouped.get(row.__data__[own_key], [])
            if own and self._of_entities:
                link = BackLink(reference, row)  # type: ignore[arg-type]
                for related in own:
                    related._back_link = link
            elif own:
                for related in own:
                    related.__rel__ = {reference: row}
            row.__dict__[self.name] = own if self.many else own[0] if own else None
        return found


class _Connected(Relation):
    """The rows that a table in between connects with this one; one row where that allows no more."""

    def __init__(self, relation: ManyToMany | OneThrough) -> None:
        super().__init__(relation.name, relation.rel_model)
        self.many = not isinstance(relation, OneThrough)
        self._relation = relation

    def load(self, rows: Sequence[peewee.Model], source: RelatedRows[Any], limits: Limits) -> list[peewee.Model]:
        near, far = self._relation.near, self._relation.far
        own_key = near.rel_field.name
        wanted = _distinct([row.__data__[own_key] for row in rows])
        connected = source.connected(near, far, wanted, *limits) if wanted else []
        grouped: dict[Any, list[Any]] = defaultdict(list)
        for key, related in connected:
            grouped[key].append(related)
        for row in rows:
            own = grouped.get(row.__data__[own_key], [])
            row.__dict__[self.name] = own if self.many else own[0] if own else None
        return [related for _, related in connected]


def relation_of(model: type[peewee.Model], name: str) -> Relation:
    """Return a model's relation by the name of its attribute.

    Raises:
        UnknownColumnError: the model has no such relation.
    """
    found = find_relation(model, name)
    if isinstance(found, ManyToMany | OneThrough):
        return _Connected(found)
    if isinstance(found, peewee.BackrefAccessor):
        return _Referring(name, found.field, many=not isinstance(found, OneToOneAccessor))
    return _Reference(found)


def _distinct(keys: Iterable[Any]) -> list[Any]:
    return [key for key in dict.fromkeys(keys) if key is not None]
