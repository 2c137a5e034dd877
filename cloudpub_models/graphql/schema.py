"""The types of a graph, for the libraries and tools that read them; made of ``kinds``."""

from __future__ import annotations

import enum
from collections.abc import Callable
from datetime import date, datetime
from functools import lru_cache
from typing import Annotated, Any, NamedTuple, get_args, get_origin
from uuid import UUID

import peewee
from graphql import (
    GraphQLArgument,
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLEnumValue,
    GraphQLField,
    GraphQLFloat,
    GraphQLID,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInt,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLString,
)
from pydantic import AwareDatetime, JsonValue

from cloudpub_models.errors import ConfigurationError
from cloudpub_models.graphql.kinds import Kind, Leaf, Shown, kinds_of
from cloudpub_models.graphql.mutations import MUTATIONS, Mutation

DEFAULT_FIRST = 20


class _Form(NamedTuple):
    type: Any
    write: Callable[[Any], Any]


def _as_it_is(value: Any) -> Any:
    return value


_DATE_TIME = GraphQLScalarType("DateTime", description="A moment: ISO 8601 with its offset.")
_DATE = GraphQLScalarType("Date", description="A day: ISO 8601.")
_JSON = GraphQLScalarType("JSON", description="A JSON document, as it was stored.")
_FORMS = {
    UUID: _Form(GraphQLID, str),
    str: _Form(GraphQLString, _as_it_is),
    int: _Form(GraphQLInt, _as_it_is),
    bool: _Form(GraphQLBoolean, _as_it_is),
    float: _Form(GraphQLFloat, _as_it_is),
    date: _Form(_DATE, date.isoformat),
    datetime: _Form(_DATE_TIME, datetime.isoformat),
}
_PAGE_INFO = GraphQLObjectType(
    "PageInfo",
    {
        "hasNextPage": GraphQLField(GraphQLNonNull(GraphQLBoolean), description="Whether more rows come after these."),
        "hasPreviousPage": GraphQLField(
            GraphQLNonNull(GraphQLBoolean), description="Whether the page was asked for with `after`."
        ),
        "startCursor": GraphQLField(
            GraphQLString, description="The cursor of the first row; null where there is none."
        ),
        "endCursor": GraphQLField(
            GraphQLString,
            description="The cursor of the last row, to give as `after` for the next page; null where there is none.",
        ),
    },
    description="Where a page ends.",
)


class Field(NamedTuple):
    """A field of a type, and what it stands for: the name of a leaf or relation of its kind."""

    name: str
    write: Callable[[Any], Any] | None


class Graph(NamedTuple):
    """The types made of some models, and the kinds behind them.

    Attributes:
        schema: the types.
        kinds: the kinds by their models.
        fields: for each kind's name, what each of its fields stands for.
        rows: for each field of Query that is a row, its kind.
        connections: for each field of Query that is a page of rows, their kind.
        mutations: the mutations by their fields' names.
    """

    schema: GraphQLSchema
    kinds: dict[type[peewee.Model], Kind]
    fields: dict[str, dict[str, Field]]
    rows: dict[str, Kind]
    connections: dict[str, Kind]
    mutations: dict[str, Mutation]


@lru_cache(maxsize=64)
def graph_of(shown: Shown) -> Graph:
    """Return the graph of models that have DTOs."""
    kinds = kinds_of(shown)
    types = _Types(kinds)
    objects = {kind.name: types.object_type(kind) for kind in kinds.values()}
    own = [kind for kind in kinds.values() if "uuid" in kind.leaves and kind.leaves["uuid"].is_required]
    rows = {_camel(kind.name[0].lower() + kind.name[1:]): kind for kind in own}
    connections = {_camel(kind.model._meta.table_name): kind for kind in own}
    connections = {name: kind for name, kind in connections.items() if name not in rows}
    one = {"uuid": GraphQLArgument(GraphQLNonNull(GraphQLID))}
    query = GraphQLObjectType(
        "Query",
        {name: GraphQLField(objects[kind.name], one, description=kind.description) for name, kind in rows.items()}
        | {name: types.connection(kind) for name, kind in connections.items()},
    )
    mutations = {name: mutation for name, mutation in MUTATIONS.items() if mutation.model in kinds}
    mutation = GraphQLObjectType("Mutation", {name: types.mutation(name, made) for name, made in mutations.items()})
    return Graph(
        GraphQLSchema(query, mutation if mutations else None),
        kinds,
        types.fields,
        rows,
        connections,
        mutations,
    )


class _Types:
    def __init__(self, kinds: dict[type[peewee.Model], Kind]) -> None:
        self.kinds = kinds
        self.fields: dict[str, dict[str, Field]] = {kind.name: {} for kind in kinds.values()}
        self._objects: dict[str, GraphQLObjectType] = {}
        self._connections: dict[str, GraphQLObjectType] = {}
        self._enums: dict[type[enum.Enum], GraphQLEnumType] = {}

    def object_type(self, kind: Kind) -> GraphQLObjectType:
        if kind.name not in self._objects:
            forms = {name: self._form(leaf, kind) for name, leaf in kind.leaves.items()}
            # The fields are made when all types are there: they refer to each other.
            self._objects[kind.name] = GraphQLObjectType(
                kind.name, lambda: self._fields_of(kind, forms), description=kind.description
            )
        return self._objects[kind.name]

    def connection(self, kind: Kind) -> GraphQLField:
        if kind.name not in self._connections:
            row = GraphQLNonNull(self.object_type(kind))
            edge = GraphQLObjectType(
                f"{kind.name}Edge",
                {
                    "node": GraphQLField(row),
                    "cursor": GraphQLField(
                        GraphQLNonNull(GraphQLString),
                        description="What to give as `after` for the rows behind this one.",
                    ),
                },
                description="A row, and where it stands.",
            )
            self._connections[kind.name] = GraphQLObjectType(
                f"{kind.name}Connection",
                {
                    "nodes": GraphQLField(GraphQLNonNull(GraphQLList(row)), description="The rows."),
                    "edges": GraphQLField(
                        GraphQLNonNull(GraphQLList(GraphQLNonNull(edge))), description="The rows, each with its cursor."
                    ),
                    "pageInfo": GraphQLField(GraphQLNonNull(_PAGE_INFO)),
                },
                description="A page of rows, the latest first.",
            )
        arguments = {
            "first": GraphQLArgument(GraphQLInt, default_value=DEFAULT_FIRST, description="How many rows at most."),
            "after": GraphQLArgument(GraphQLString, description="The endCursor of the page before."),
        }
        return GraphQLField(self._connections[kind.name], arguments)

    def mutation(self, name: str, mutation: Mutation) -> GraphQLField:
        given = {
            _camel(argument): GraphQLInputField(GraphQLNonNull(_FORMS[annotation].type))
            for argument, annotation in mutation.arguments.items()
        }
        input_type = GraphQLInputObjectType(f"{name[0].upper()}{name[1:]}Input", given)
        arguments = {"input": GraphQLArgument(GraphQLNonNull(input_type))}
        shown = self.object_type(self.kinds[mutation.model]) if mutation.gives_row else GraphQLBoolean
        return GraphQLField(shown, arguments, description=mutation.description)

    def _fields_of(self, kind: Kind, forms: dict[str, _Form]) -> dict[str, GraphQLField]:
        fields: dict[str, GraphQLField] = {}
        for name, leaf in kind.leaves.items():
            form = forms[name]
            self.fields[kind.name][_camel(name)] = Field(name, form.write)
            shown = GraphQLNonNull(form.type) if leaf.is_required else form.type
            fields[_camel(name)] = GraphQLField(shown, description=leaf.description)
        for name, relation in kind.relations.items():
            related = self.kinds[relation.model]
            self.fields[kind.name][_camel(name)] = Field(name, None)
            fields[_camel(name)] = (
                self.connection(related) if relation.many else GraphQLField(self.object_type(related))
            )
        return fields

    def _form(self, leaf: Leaf, kind: Kind) -> _Form:
        found = _without_none(leaf.annotation)
        if get_origin(found) is Annotated:
            found = get_args(found)[0]
        if found is AwareDatetime:
            found = datetime
        if found is JsonValue:
            return _Form(_JSON, _as_it_is)
        if isinstance(found, type) and issubclass(found, enum.Enum):
            return _Form(self._enum(found), lambda value: value.value)
        if found not in _FORMS:
            raise ConfigurationError(f"expected fields of {kind.name} that GraphQL has a type for; got {found}")
        return _FORMS[found]

    def _enum(self, choices: type[enum.Enum]) -> GraphQLEnumType:
        if choices not in self._enums:
            values = {choice.value: GraphQLEnumValue(choice.value) for choice in choices}
            self._enums[choices] = GraphQLEnumType(choices.__name__, values)
        return self._enums[choices]


def _without_none(annotation: Any) -> Any:
    others = [choice for choice in get_args(annotation) if choice is not type(None)]
    return others[0] if len(others) == 1 and type(None) in get_args(annotation) else annotation


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join([other.capitalize() for other in others])
