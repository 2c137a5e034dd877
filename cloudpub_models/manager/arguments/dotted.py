"""Keys of ``where`` that follow relations: ``{"user.email": …, "deployments.status": …}``.

The names are those that ``include`` knows. Resolved once for each combination of keys, and rendered by shape like any
other condition; ``where`` reads the values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import peewee

from cloudpub_models.errors import InvalidQueryError, UnknownColumnError
from cloudpub_models.manager.arguments.shape import Conditions, Part, Shape, condition_of, group_of
from cloudpub_models.manager.columns.table import Column, table_of
from cloudpub_models.manager.relations import Link, links_of
from cloudpub_models.sql.identifiers import shown
from cloudpub_models.sql.nodes import expressions
from cloudpub_models.sql.nodes.conditions import Comparison, Condition, DocumentComparison, Group, Negation, Related
from cloudpub_models.sql.remembering import Remembered

# What else the rows of a model have to meet wherever they are looked at.
HeldTo = Callable[[type[peewee.Model]], Conditions]

# SQLite's parser goes no deeper than about ten subqueries in each other, and a table in between takes one, too.
_MOST_RELATIONS = 5
# Those that are true of a column that is NULL, as all columns of a row are that does not exist.
_TRUE_OF_NULL = frozenset({"IS NULL", "IN OR NULL", "IS NOT TRUE", "IS NOT FALSE", "MISSING"})


class RelatedColumn(NamedTuple):
    """A column and the relations by which it is reached; none where it is the table's own.

    Attributes:
        relations: their names, in order.
        links: the steps that they consist of.
        column: the column.
    """

    relations: tuple[str, ...]
    links: tuple[Link, ...]
    column: Column


@lru_cache(maxsize=4096)
def related_column(model: type[peewee.Model], key: str) -> RelatedColumn:
    """Return the column that a key means, which may be dotted.

    Raises:
        UnknownColumnError: there is no such relation or column; the message names the nearest.
        InvalidQueryError: the key follows more relations than are followed.

    >>> from cloudpub_models import FunctionLog
    >>> reached = related_column(FunctionLog, "function.user.email")
    >>> reached.relations, reached.column.name, any(link.many for link in reached.links)
    (('function', 'user'), 'email', False)
    """
    if not isinstance(key, str) or "." not in key:
        return RelatedColumn((), (), table_of(model).column(key))
    *names, last = key.split(".")
    if len(names) > _MOST_RELATIONS:
        raise InvalidQueryError(
            f"expected a key that follows at most {_MOST_RELATIONS} relations; got {shown(key)}: "
            "ask for the rows in between first, or write the join with query()"
        )
    links: list[Link] = []
    try:
        for name in names:
            _refuse_document(model, name)
            links += links_of(model, name)
            model = links[-1].model
        return RelatedColumn(tuple(names), tuple(links), table_of(model).column(last))
    except UnknownColumnError as error:
        raise UnknownColumnError(f"{shown(key)}: {error}") from None


def _refuse_document(model: type[peewee.Model], name: str) -> None:
    if isinstance(model._meta.combined.get(name), peewee.JSONField):
        raise UnknownColumnError(
            f"expected a relation of {model.__name__}; got {shown(name)}, a JSON document: "
            f"look into it with {{{shown(name)}: operators.at(path, value)}}"
        )


class Keys(NamedTuple):
    """The keys of a dict, some of them dotted.

    Attributes:
        columns: what each key means.
        tree: the relations that they follow.
    """

    columns: tuple[Column, ...]
    tree: _Tree


class _Tree:
    """The keys that lead to one row: numbers of those that compare its own columns, and what is related to it."""

    def __init__(self) -> None:
        self.entries: dict[int | str, _Tree | None] = {}
        self.links: tuple[Link, ...] = ()

    def add(self, position: int, relations: Sequence[str], model: type[peewee.Model]) -> None:
        if not relations:
            self.entries[position] = None
            return
        links = links_of(model, relations[0])
        below = self.entries.setdefault(relations[0], _Tree())
        assert below is not None
        below.links = links
        below.add(position, relations[1:], links[-1].model)


@lru_cache(maxsize=1024)
def keys_of(model: type[peewee.Model], keys: tuple[str, ...]) -> Keys:
    """Return what the keys of a dict mean.

    Raises:
        UnknownColumnError, InvalidQueryError: see ``related_column``.
    """
    tree = _Tree()
    columns = []
    for position, key in enumerate(keys):
        relations, _, column = related_column(model, key)
        tree.add(position, relations, model)
        columns.append(column)
    return Keys(tuple(columns), tree)


# Where values of a shape come from: the number of a key, or values themselves.
Sources = tuple[int | tuple[Any, ...], ...]


def shape_of(
    model: type[peewee.Model], keys: tuple[str, ...], parts: tuple[Part, ...], held: HeldTo | None
) -> tuple[Shape, Sources]:
    """Return the shape of conditions by dotted keys, and which values belong to its parameters, in order.

    Args:
        model: the model that the keys begin at.
        keys: the keys.
        parts: how the column of each is compared.
        held: gives what the rows of related models have to meet as well.
    """
    if held is None:
        return _shapes[model, keys, parts]
    return _shape(keys_of(model, keys).tree, parts, held)


_shapes = Remembered(lambda model, keys, parts: _shape(keys_of(model, keys).tree, parts, None))


class _Term(NamedTuple):
    part: Part
    sources: Sources
    # Whether it is true where there is no row.
    of_nothing: bool


def _shape(tree: _Tree, parts: tuple[Part, ...], held: HeldTo | None) -> tuple[Shape, Sources]:
    terms = _terms(tree, parts, held)
    return tuple([term.part for term in terms]), tuple([source for term in terms for source in term.sources])


def _terms(tree: _Tree, parts: tuple[Part, ...], held: HeldTo | None) -> list[_Term]:
    terms = []
    for entry, below in tree.entries.items():
        if isinstance(entry, int):
            terms.append(_Term(parts[entry], (entry,), _is_true_of_nothing(parts[entry])))
        elif below is not None:
            terms.append(_related(below, _terms(below, parts, held), held))
    return terms


def _related(tree: _Tree, terms: list[_Term], held: HeldTo | None) -> _Term:
    """Return the condition that there is a related row of which all terms are true.

    Where there can be one such row only, its columns are compared: they are NULL where it does not exist. Terms that
    are all true of NULL are met unless there is a row of which one is not.
    """
    group = group_of(tuple([term.part for term in terms]))
    sources = tuple([source for term in terms for source in term.sources])
    of_nothing = all(term.of_nothing for term in terms)
    for link in reversed(tree.links):
        shape, values = held(link.model) if held is not None else ((), ())
        of_nothing = of_nothing and not link.many
        items = (*group_of(shape).items, *(Group.all(_negated(group)) if of_nothing else group).items)
        found = Related(
            expressions.Column(None, link.column), table_of(link.model).node, link.key, link.many, Group(items)
        )
        group = Group.all(Negation(found) if of_nothing else found)
        sources = (tuple(values), *sources) if values else sources
    return _Term(group.items[0][1], sources, of_nothing)


def _negated(group: Group) -> Condition:
    condition = group.items[0][1] if len(group.items) == 1 else group
    if isinstance(condition, Comparison) and condition.operator == "IS NULL":
        return condition.changed(operator="IS NOT NULL")
    return condition.condition if isinstance(condition, Negation) else Negation(condition)


def _is_true_of_nothing(part: Part) -> bool:
    condition = condition_of(part)
    if isinstance(condition, Comparison | DocumentComparison):
        return condition.operator in _TRUE_OF_NULL
    if isinstance(condition, Negation):
        return not _is_true_of_nothing(condition.condition)
    if isinstance(condition, Group):
        connectors = {connector for connector, _ in condition.items[1:]}
        return (any if connectors == {"OR"} else all)(_is_true_of_nothing(item) for _, item in condition.items)
    return False


def values_of(sources: Sources, values: Sequence[Sequence[Any]]) -> list[Any]:
    """Return the values of a shape's parameters.

    Args:
        sources: where they come from, as ``shape_of`` says.
        values: those of each key.
    """
    return [value for source in sources for value in (values[source] if isinstance(source, int) else source)]


def is_dotted(keys: Mapping[Any, Any]) -> bool:
    """Return whether any key follows a relation."""
    return any(isinstance(key, str) and "." in key for key in keys)
