"""Answering a request: read, checked against the types and the limits, then loaded, one statement for each relation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import lru_cache
from operator import itemgetter
from typing import Any
from uuid import UUID

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    MaxIntrospectionDepthRule,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    OperationType,
    TokenKind,
    execute_sync,
    get_operation_ast,
    parse,
    print_schema,
    specified_rules,
    validate,
)
from graphql.execution.values import VariableValues, get_variable_values

from cloudpub_models.entity.stored_forms import uuid_to_text
from cloudpub_models.errors import CloudpubError, InvalidValueError
from cloudpub_models.graphql.kinds import Kind, Shown, shown_by
from cloudpub_models.graphql.schema import Graph, graph_of
from cloudpub_models.graphql.selections import Include, Selections
from cloudpub_models.http import problem
from cloudpub_models.models import User
from cloudpub_models.platform.registry import Managers

_MOST_TOKENS = 2_000
_LONGEST_QUERY = 50_000
_LONGEST_NUMBER = 40
_MOST_ROOTS = 20
_MOST_ERRORS = 10
_MOST_OF_ONE_NAME = 40
_LONGEST_REMEMBERED = 4_000
_INTROSPECTION = frozenset({"__schema", "__type"})


def answer(
    managers: Managers,
    query: str,
    variables: Mapping[str, Any] | None = None,
    *,
    requester: User | UUID | str | None = None,
    documents: Mapping[str, str] | None = None,
    operation_name: str | None = None,
) -> dict[str, Any]:
    """Return the answer to a GraphQL request, which ``json.dumps`` takes.

    What a DTO does not show cannot be asked for. Which rows there are is up to the managers: pass those of the rows
    that the requester may see.

    Args:
        managers: whose rows are shown.
        query: the request's document; where ``documents`` is given, the id of one.
        variables: the values of its variables.
        requester: the user who asks, as an instance or a public id: by the privacy rule of organizations, members' ids
            are shown to the owner only.
        documents: the only documents that are answered, by their ids; the types are not told then.
        operation_name: which operation of the document, where it has several.

    Returns:
        ``data``, ``errors`` or both, as the GraphQL specification says (October 2021, section 7.1). An error has the
        ``status`` that HTTP has for it in its ``extensions``, where the database's side has it.

    Raises:
        InvalidValueError: ``requester`` is no user.

    >>> answer(managers, "{ functions(first: 1) { nodes { name deployments { nodes { version } } } } }")
    {'data': {'functions': {'nodes': [{'name': 'resize', 'deployments': {'nodes': []}}]}}}
    """
    asking = _public_id(requester)
    try:
        shown = shown_by(managers.database.components)
        graph = graph_of(shown)
        text = _known(query, documents)
        checked = _remembered if len(text) <= _LONGEST_REMEMBERED else _checked
        document = checked(shown, text, documents is None)
        operation = get_operation_ast(document, operation_name)
        if operation is None:
            raise GraphQLError("expected the name of one of the document's operations; got another, or none")
        if not isinstance(variables, Mapping | None):
            raise GraphQLError(f"expected variables as an object; got a value of type {type(variables).__name__}")
        values = _values_of(variables, operation, graph)
        selections = Selections(graph, managers, document, operation, values, asking)
        roots = selections.roots()
        if len(roots) > _MOST_ROOTS:
            raise GraphQLError(f"expected at most {_MOST_ROOTS} fields of an operation; got {len(roots)}")
        if any(fields[0].name.value in _INTROSPECTION for fields in roots.values()):
            return _introspected(graph, document, roots, variables, operation_name)
        return _answered(_Operation(graph, managers, selections, asking).calls(operation, roots))
    except _RefusedError as refused:
        return {"errors": [error.formatted for error in refused.errors]}
    except GraphQLError as error:
        return {"errors": [error.formatted]}


def schema_text(managers: Managers) -> str:
    """Return the types of a database's graph, in the schema language of GraphQL.

    >>> "type Function {" in schema_text(managers)
    True
    """
    return print_schema(graph_of(shown_by(managers.database.components)).schema)


class _RefusedError(Exception):
    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__(errors)
        self.errors = errors


class _Operation:
    """Makes, of each field of an operation, what answers it."""

    def __init__(self, graph: Graph, managers: Managers, selections: Selections, requester: UUID | None) -> None:
        self._graph = graph
        self._managers = managers
        self._selections = selections
        self._requester = requester

    def calls(self, operation: OperationDefinitionNode, roots: dict[str, list[FieldNode]]) -> dict[str, _Call]:
        """Return what answers each field, by the name that it has in the answer; all are made before one is called."""
        made = self._change if operation.operation is OperationType.MUTATION else self._reading
        return {key: made(fields) for key, fields in roots.items()}

    def _reading(self, fields: list[FieldNode]) -> _Call:
        name = fields[0].name.value
        if name == "__typename":
            return lambda: "Query"
        if name in self._graph.connections:
            return self._selections.page(self._graph.connections[name], fields, "Query")
        uuid = self._selections.arguments("Query", fields[0])["uuid"]
        return self._row(self._graph.rows[name], fields, lambda: {"uuid": uuid})

    def _change(self, fields: list[FieldNode]) -> _Call:
        name = fields[0].name.value
        if name == "__typename":
            return lambda: "Mutation"
        mutation = self._graph.mutations[name]
        given = self._selections.arguments("Mutation", fields[0])["input"]

        def change() -> Any:
            return mutation.call(self._managers, given, self._requester)

        if not mutation.gives_row:
            return change
        return self._row(self._graph.kinds[mutation.model], fields, lambda: {"id": change()}, mutation.needs)

    def _row(
        self, kind: Kind, fields: list[FieldNode], where: Callable[[], dict[str, Any]], needs: tuple[str, ...] = ()
    ) -> _Call:
        selected = self._selections.row(kind, fields)
        include: Include = {name: {} for name in needs} | selected.include
        manager = self._managers.for_model(kind.model)

        def row() -> Any:
            found = manager.find_one(where(), include=include)
            return None if found is None else selected.write(found)

        return row


_Call = Callable[[], Any]


def _answered(calls: dict[str, _Call]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    errors = []
    for key, call in calls.items():
        try:
            data[key] = call()
        except CloudpubError as error:
            told = problem(error)
            data[key] = None
            errors.append({"message": told["detail"], "path": [key], "extensions": {"status": told["status"]}})
    return {"data": data, "errors": errors} if errors else {"data": data}


def _introspected(
    graph: Graph,
    document: DocumentNode,
    roots: dict[str, list[FieldNode]],
    variables: Mapping[str, Any] | None,
    operation_name: str | None,
) -> dict[str, Any]:
    if others := [key for key, fields in roots.items() if not fields[0].name.value.startswith("__")]:
        raise GraphQLError(f"expected questions about the types alone; got rows beside them: {', '.join(others)}")
    result = execute_sync(graph.schema, document, variable_values=dict(variables or {}), operation_name=operation_name)
    return dict(result.formatted)


def _known(query: Any, documents: Mapping[str, str] | None) -> str:
    if not isinstance(query, str):
        raise GraphQLError(f"expected a query as text; got a value of type {type(query).__name__}")
    if documents is not None:
        if query not in documents:
            raise GraphQLError("expected the id of a document that is known here; got another")
        return documents[query]
    if len(query) > _LONGEST_QUERY:
        raise GraphQLError(f"expected a query of at most {_LONGEST_QUERY:,} characters; got {len(query):,}")
    return query


def _checked(shown: Shown, text: str, tells_types: bool) -> DocumentNode:
    rules = [*specified_rules, MaxIntrospectionDepthRule]
    if not tells_types:
        rules.append(NoSchemaIntrospectionCustomRule)
    try:
        document = parse(text, max_tokens=_MOST_TOKENS)
        _require_short_numbers(document)
        _require_few_of_one_name(document)
        errors = validate(graph_of(shown).schema, document, rules, max_errors=_MOST_ERRORS)
    except RecursionError:
        raise GraphQLError("the query is nested too deep") from None
    if errors:
        raise _RefusedError(errors)
    return document


# What is usual in a program, and takes little memory.
_remembered = lru_cache(maxsize=256)(_checked)


def _require_short_numbers(document: DocumentNode) -> None:
    """Refuse a number that Python would not read, and whose error would speak of Python."""
    token = document.loc.start_token if document.loc else None
    while token is not None:
        if token.kind in (TokenKind.INT, TokenKind.FLOAT) and token.end - token.start > _LONGEST_NUMBER:
            raise GraphQLError(
                f"expected numbers of at most {_LONGEST_NUMBER} characters; got one of {token.end - token.start:,}"
            )
        token = token.next


def _values_of(variables: Mapping[str, Any] | None, operation: OperationDefinitionNode, graph: Graph) -> VariableValues:
    """Return the values of an operation's variables, checked against their types."""
    try:
        values = get_variable_values(graph.schema, operation.variable_definitions or (), dict(variables or {}))
    except ValueError:
        # What does not fit is shown, but for an integer that Python does not write out.
        raise GraphQLError("expected variables of their types; got an integer of thousands of digits") from None
    if isinstance(values, list):
        raise _RefusedError(values)
    return values


def _require_few_of_one_name(document: DocumentNode) -> None:
    """Refuse what would take long to check: fields of one name are compared each with each other."""
    names: Counter[str] = Counter()
    left: list[Any] = list(document.definitions)
    while left:
        selection_set = getattr(left.pop(), "selection_set", None)
        for selection in selection_set.selections if selection_set else ():
            left.append(selection)
            if isinstance(selection, FieldNode):
                names[selection.alias.value if selection.alias else selection.name.value] += 1
    name, count = max(names.items(), key=itemgetter(1), default=("", 0))
    if count > _MOST_OF_ONE_NAME:
        raise GraphQLError(f"expected a field of one name at most {_MOST_OF_ONE_NAME} times; got {name} {count} times")


def _public_id(requester: User | UUID | str | None) -> UUID | None:
    if requester is None:
        return None
    found = requester.uuid if isinstance(requester, User) else requester
    if found is None:
        raise InvalidValueError("expected a saved User as requester; this one has no uuid yet: insert it first")
    return UUID(uuid_to_text(found))
