"""From what a query selects to what is loaded, and to how the rows become its answer; limits are checked on the way.

A relation of rows that were found together is loaded by one statement for all of them (``include``). What belongs to a
single row is a page of its own, which a cursor can go on with. Nothing is sent while this is made, and nothing is made
while rows are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLIncludeDirective,
    GraphQLObjectType,
    GraphQLSkipDirective,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)
from graphql.execution.values import VariableValues, get_argument_values, get_directive_values

from cloudpub_models.graphql.kinds import Kind, Leaf, Relation
from cloudpub_models.graphql.schema import Field, Graph
from cloudpub_models.manager.statements.pages import complete_order, encode_cursor
from cloudpub_models.platform.registry import Managers

DEEPEST = 6
MOST_FIRST = 100
MOST_ROWS = 20_000

Write = Callable[[Any], Any]
WritePage = Callable[["Page"], Any]
Include = dict[str, dict[str, Any]]


class Selected(NamedTuple):
    """What a selection asks of a row.

    Attributes:
        write: makes the answer of the row.
        include: the relations that have to be loaded with it.
    """

    write: Write
    include: Include


class Page(NamedTuple):
    """Rows of a list.

    Attributes:
        items: the rows.
        has_next: whether there are others after these.
        has_previous: whether these come after others.
    """

    items: Sequence[Any]
    has_next: bool
    has_previous: bool


class Place(NamedTuple):
    """Where a selection stands.

    Attributes:
        include: what is loaded with the rows that the nearest statement finds.
        prefix: the path of relations from those rows to the ones here, each with a dot behind it.
        depth: how many rows and lists there are above.
        rows: how many rows there may be at most.
        is_single: whether there is one row at most.
    """

    include: Include
    prefix: str
    depth: int
    rows: int
    is_single: bool


class Selections:
    """Reads the selections of one operation.

    Args:
        graph: the types.
        managers: whose rows are read.
        document: the document, which fits the types.
        operation: one of its operations.
        variables: the values of the operation's variables.
        requester: the public id of the user who asks.
    """

    def __init__(
        self,
        graph: Graph,
        managers: Managers,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        variables: VariableValues,
        requester: UUID | None,
    ) -> None:
        self._graph = graph
        self._managers = managers
        self._operation = operation
        self._fragments = {
            found.name.value: found for found in document.definitions if isinstance(found, FragmentDefinitionNode)
        }
        self._variables = variables
        self._requester = requester
        self._rows = 0

    def roots(self) -> dict[str, list[FieldNode]]:
        """Return the fields of the operation by the names under which they are answered."""
        return self._collected([self._operation.selection_set])

    def arguments(self, type_name: str, field: FieldNode) -> dict[str, Any]:
        """Return the arguments of a field."""
        parent = self._graph.schema.type_map[type_name]
        assert isinstance(parent, GraphQLObjectType)
        return get_argument_values(parent.fields[field.name.value], field, self._variables)

    def row(self, kind: Kind, fields: Sequence[FieldNode]) -> Selected:
        """Return what is asked of a single row."""
        include: Include = {}
        place = Place(include, "", 1, 1, is_single=True)
        return Selected(self._row(kind, fields, place), include)

    def page(
        self, kind: Kind, fields: Sequence[FieldNode], parent: str, place: Place | None = None
    ) -> Callable[..., Any]:
        """Return what reads a page and makes its answer.

        It takes the conditions that the rows meet, and the reference and the row that they all refer to, if they do.

        Args:
            kind: what the rows are.
            fields: the fields that ask for it, with the same arguments.
            parent: the name of the type that they are fields of.
            place: where that stands; at the top when left out.
        """
        first, after = self._page_arguments(parent, fields)
        above = place or Place({}, "", 0, 1, is_single=True)
        below = self._below(above, {}, "", first, fields[0], is_single=False)
        write = self._connection(kind, fields, below)
        manager = self._managers.for_model(kind.model)

        def read(where: dict[str, Any] | None = None, referred: tuple[str, Any] | None = None) -> Any:
            page = manager.paginate_after(
                after, first, where, order_by=kind.order, order_direction="DESC", include=below.include
            )
            if referred is not None:
                for row in page.items:
                    row.__rel__.setdefault(*referred)
            return write(Page(page.items, page.next_cursor is not None, after is not None))

        return read

    def _row(self, kind: Kind, fields: Sequence[FieldNode], place: Place) -> Write:
        writes = [
            (key, self._field(kind, below, place)) for key, below in self._collected(_selection_sets(fields)).items()
        ]
        return lambda row: {key: write(row) for key, write in writes}

    def _field(self, kind: Kind, fields: Sequence[FieldNode], place: Place) -> Write:
        name = fields[0].name.value
        if name == "__typename":
            return lambda row: kind.name
        field = self._graph.fields[kind.name][name]
        if field.name in kind.leaves:
            return self._leaf(kind.leaves[field.name], field, place)
        relation = kind.relations[field.name]
        related = self._graph.kinds[relation.model]
        if not relation.many:
            return self._one(relation, related, fields, place)
        if place.is_single and relation.link is not None:
            return self._page_of_one(kind, relation, related, fields, place)
        return self._several(kind, relation, related, fields, place)

    def _leaf(self, leaf: Leaf, field: Field, place: Place) -> Write:
        if leaf.needs:
            place.include.setdefault(place.prefix + leaf.needs, {})
        read, write, requester = leaf.read, field.write, self._requester
        assert write is not None

        def value(row: Any) -> Any:
            found = read(row, requester)
            return None if found is None else write(found)

        return value

    def _one(self, relation: Relation, related: Kind, fields: Sequence[FieldNode], place: Place) -> Write:
        place.include.setdefault(place.prefix + relation.name, {})
        below = self._below(place, place.include, relation.name, 1, fields[0], is_single=place.is_single)
        write, name = self._row(related, fields, below), relation.name

        def one(row: Any) -> Any:
            found = getattr(row, name)
            return None if found is None else write(found)

        return one

    def _page_of_one(
        self, kind: Kind, relation: Relation, related: Kind, fields: Sequence[FieldNode], place: Place
    ) -> Write:
        read = self.page(related, fields, kind.name, place)
        link = relation.link
        assert link is not None
        own_key, reference = kind.model._meta.columns[link.column].name, related.model._meta.columns[link.key].name
        return lambda row: read({link.key: getattr(row, own_key)}, (reference, row))

    def _several(
        self, kind: Kind, relation: Relation, related: Kind, fields: Sequence[FieldNode], place: Place
    ) -> Write:
        first, after = self._page_arguments(kind.name, fields)
        if after is not None:
            raise GraphQLError("a list below a list takes no after: ask for one row and its list", fields)
        path = place.prefix + relation.name
        # One row more than is shown tells whether there are others.
        options = {"limit": first + 1, "order_by": related.order, "order_direction": "DESC"}
        if place.include.get(path, options) != options:
            raise GraphQLError(
                "expected one list of these rows; got two with other arguments: ask again for the other", fields
            )
        place.include[path] = options
        below = self._below(place, place.include, relation.name, first, fields[0], is_single=False)
        write, name = self._connection(related, fields, below), relation.name

        def several(row: Any) -> Any:
            found = getattr(row, name)
            return write(Page(found[:first], len(found) > first, has_previous=False))

        return several

    def _connection(self, kind: Kind, fields: Sequence[FieldNode], place: Place) -> WritePage:
        writes: list[tuple[str, WritePage]] = []
        for key, below in self._collected(_selection_sets(fields)).items():
            name = below[0].name.value
            if name == "__typename":
                writes.append((key, lambda page: f"{kind.name}Connection"))
            elif name == "pageInfo":
                writes.append((key, self._page_info(kind, below)))
            else:
                write = self._row(kind, below, place) if name == "nodes" else self._edge(kind, below, place)
                writes.append((key, self._each(write)))
        return lambda page: {key: write(page) for key, write in writes}

    def _each(self, write: Write) -> WritePage:
        return lambda page: [write(row) for row in page.items]

    def _edge(self, kind: Kind, fields: Sequence[FieldNode], place: Place) -> Write:
        writes: list[tuple[str, Write]] = []
        for key, below in self._collected(_selection_sets(fields)).items():
            name = below[0].name.value
            if name == "__typename":
                writes.append((key, lambda row: f"{kind.name}Edge"))
            elif name == "cursor":
                writes.append((key, self._cursor(kind, below)))
            else:
                writes.append((key, self._row(kind, below, place)))
        return lambda row: {key: write(row) for key, write in writes}

    def _page_info(self, kind: Kind, fields: Sequence[FieldNode]) -> WritePage:
        writes: dict[str, WritePage] = {
            "__typename": lambda page: "PageInfo",
            "hasNextPage": lambda page: page.has_next,
            "hasPreviousPage": lambda page: page.has_previous,
        }
        wanted = {key: below[0].name.value for key, below in self._collected(_selection_sets(fields)).items()}
        if not writes.keys() >= set(wanted.values()):
            cursor = self._cursor(kind, fields)
            writes["startCursor"] = lambda page: cursor(page.items[0]) if page.items else None
            writes["endCursor"] = lambda page: cursor(page.items[-1]) if page.items else None
        return lambda page: {key: writes[name](page) for key, name in wanted.items()}

    def _cursor(self, kind: Kind, fields: Sequence[FieldNode]) -> Write:
        """Return what makes the cursor of a row, with which the list of any row goes on that it is in."""
        self._require_seal(fields)
        engine, table = self._managers.database.engine, self._managers.for_model(kind.model).table
        order = complete_order(kind.order, "DESC", table, engine)
        return lambda row: encode_cursor(row, order, table, engine.cursor_seal)

    def _page_arguments(self, parent: str, fields: Sequence[FieldNode]) -> tuple[int, str | None]:
        given = self.arguments(parent, fields[0])
        first = given.get("first")
        if first is None or not 1 <= first <= MOST_FIRST:
            raise GraphQLError(f"expected first from 1 to {MOST_FIRST}; got {first}", fields)
        if given.get("after") is not None:
            self._require_seal(fields)
        return first, given.get("after")

    def _require_seal(self, fields: Sequence[FieldNode]) -> None:
        # A cursor that is not sealed tells the internal id of the row that it stands behind.
        if self._managers.database.engine.cursor_seal is None:
            raise GraphQLError("pages go on here only where the database is opened with a cursor_key", fields)

    def _below(
        self, place: Place, include: Include, name: str, times: int, field: FieldNode, *, is_single: bool
    ) -> Place:
        depth, rows = place.depth + 1, place.rows * times
        if depth > DEEPEST:
            raise GraphQLError(f"expected rows within rows at most {DEEPEST} deep; got more", field)
        self._rows += rows
        if self._rows > MOST_ROWS:
            raise GraphQLError(
                f"expected at most {MOST_ROWS:,} rows in all, each list as long as its first allows; got more: "
                "ask for fewer",
                field,
            )
        return Place(include, f"{place.prefix}{name}." if name else "", depth, rows, is_single)

    def _collected(self, selection_sets: Sequence[SelectionSetNode]) -> dict[str, list[FieldNode]]:
        """Return the fields by the names under which they are answered, as the specification collects them."""
        found: dict[str, list[FieldNode]] = {}
        spread: set[str] = set()
        for selection_set in selection_sets:
            for field in self._fields_in(selection_set, spread):
                found.setdefault(field.alias.value if field.alias else field.name.value, []).append(field)
        return found

    def _fields_in(self, selection_set: SelectionSetNode, spread: set[str]) -> Iterator[FieldNode]:
        for selection in selection_set.selections:
            skipped = get_directive_values(GraphQLSkipDirective, selection, self._variables)
            included = get_directive_values(GraphQLIncludeDirective, selection, self._variables)
            if (skipped and skipped["if"]) or (included and not included["if"]):
                continue
            if isinstance(selection, FieldNode):
                yield selection
            elif isinstance(selection, InlineFragmentNode):
                yield from self._fields_in(selection.selection_set, spread)
            elif isinstance(selection, FragmentSpreadNode) and selection.name.value not in spread:
                spread.add(selection.name.value)
                yield from self._fields_in(self._fragments[selection.name.value].selection_set, spread)


def _selection_sets(fields: Sequence[FieldNode]) -> list[SelectionSetNode]:
    return [field.selection_set for field in fields if field.selection_set is not None]
