"""The managers' operations across tables: relations, joins, builder queries and SQL of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

import peewee

from cloudpub_models.connection.results import require_distinct
from cloudpub_models.connection.transactions import whole
from cloudpub_models.errors import InvalidQueryError
from cloudpub_models.manager.arguments.conditions import Filter, Where, all_of
from cloudpub_models.manager.arguments.order import Direction, OrderBy, by_secret, parse_order, require_own_columns
from cloudpub_models.manager.columns.table import Table, model_of_table, table_of
from cloudpub_models.manager.finding import Finding
from cloudpub_models.manager.rows.extended import make_extended_loader
from cloudpub_models.manager.sending import require_value, send
from cloudpub_models.manager.statements.shapes import Request
from cloudpub_models.sql.identifiers import shown
from cloudpub_models.sql.nodes.expressions import Raw
from cloudpub_models.sql.text.secrets import names_secret_column
from cloudpub_models.sql.values import check_count

if TYPE_CHECKING:
    from cloudpub_models.sql.builder.builder import QueryBuilder

M = TypeVar("M", bound=peewee.Model)


class Relating(Finding[M, Filter], Generic[M, Filter]):
    """Follows relations, joins tables, and runs queries of one's own."""

    def has_many(
        self,
        related_table: str,
        foreign_key: str,
        parent_id: Any,
        *,
        where: Where = None,
        order_by: OrderBy = None,
        order_direction: Direction = "ASC",
        limit: int | None = None,
        select: Sequence[str] | None = None,
    ) -> list[peewee.Model]:
        """Return the rows of another table that refer to one row.

        Args:
            related_table: the table of the rows wanted.
            foreign_key: its column that refers to the row.
            parent_id: the value of that column.
            where: what else they have to meet, as for ``find_all``.
            order_by: as for ``find_all``.
            order_direction: as for ``find_all``.
            limit: how many rows at most.
            select: the columns to load.

        >>> managers.users.has_many("functions", "user_id", ada.id) == [resize]
        True

        ``SELECT id, … FROM function_deployments WHERE function_id = @param_0 ORDER BY version DESC``
        """
        related = self._finding(related_table)
        own = {_name(related.table, foreign_key): require_value(parent_id, foreign_key)}
        return related.find_all(
            own if where is None else all_of(own, where),
            order_by=order_by,
            order_direction=order_direction,
            limit=limit,
            select=select,
        )

    def belongs_to(
        self,
        related_table: str,
        foreign_key: str,
        foreign_key_value: Any,
        *,
        related_key: str = "id",
        select: Sequence[str] | None = None,
    ) -> peewee.Model | None:
        """Return the row of another table that a row of this one refers to, or ``None``.

        Args:
            related_table: the table of the row wanted.
            foreign_key: this table's column that refers to it.
            foreign_key_value: its value; ``None`` refers to nothing.
            related_key: the column of the other table that it refers to.
            select: the columns to load.

        >>> managers.functions.belongs_to("users", "user_id", resize.user_id) == ada
        True

        ``SELECT id, … FROM users WHERE id = @param_0``
        """
        self.table.column(foreign_key)
        if foreign_key_value is None:
            return None
        related = self._finding(related_table)
        key = _name(related.table, related_key)
        return related.find_one({key: require_value(foreign_key_value, foreign_key)}, select=select)

    def many_to_many(
        self,
        related_table: str,
        pivot_table: str,
        foreign_key: str,
        related_key: str,
        parent_id: Any,
        *,
        where: Where = None,
        order_by: OrderBy = None,
        order_direction: Direction = "ASC",
        limit: int | None = None,
        select: Sequence[str] | None = None,
    ) -> list[peewee.Model]:
        """Return the rows of another table that a table in between connects with one row.

        Args:
            related_table: the table of the rows wanted.
            pivot_table: the table in between.
            foreign_key: its column that refers to the one row.
            related_key: its column that refers to the rows wanted.
            parent_id: the value of ``foreign_key``.
            where: what else the rows wanted have to meet, as for ``find_all``.
            order_by: as for ``find_all``, on the table of the rows wanted.
            order_direction: as for ``find_all``.
            limit: how many rows at most.
            select: the columns to load, of the table of the rows wanted; reading another one raises LazyLoadingError.

        >>> between = ("organization_members", "organization_id", "user_id")
        >>> managers.organizations.many_to_many("users", *between, acme.uuid) == [ada]
        True

        ``SELECT users.id, … FROM users INNER JOIN organization_members ON … WHERE … = ANY(@param_0) ORDER BY users.id``
        """
        related = self._related(self._model_of(related_table))
        pivot = table_of(self._model_of(pivot_table))
        near, far = (_reference(pivot, name) for name in (foreign_key, related_key))
        if far.rel_model is not related.model:
            raise InvalidQueryError(
                f"expected {pivot.name}.{far.column_name} to refer to {related_table}; "
                f"it refers to {far.rel_model._meta.table_name}"
            )
        keys = [require_value(parent_id, foreign_key)]
        order = parse_order(order_by, order_direction, related.table, self.database.engine)
        most = None if limit is None else check_count(limit, "limit")
        if most is not None:
            require_own_columns(order, "a limited many_to_many")
        columns = None if select is None else related.table.selected(select)
        return [row for _, row in related.connected(near, far, keys, order, most, related.parse(where), columns)]

    def raw(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[M]:
        """Send one statement with ``@name`` parameters and return its rows as instances.

        Columns that the model does not know become plain attributes; reading one of the model's that the statement did
        not return raises LazyLoadingError. Each column has a name of its own, or InvalidQueryError is raised and
        nothing that the statement has written is kept.

        >>> managers.functions.raw("SELECT id, name FROM functions WHERE name LIKE @name", {"name": "re%"})
        [<Function id=1 name='resize'>]
        """
        self._refuse("raw()")
        engine = self.database.engine
        text, values = engine.bind_parameters(sql, parameters)
        with whole(engine, text):
            names, rows = send(self.database, Request(text, writes=True, tables=()), values, "fetch_described")
            require_distinct(names)
        load = make_extended_loader(self.model, names, [None] * len(names), engine.sql_dialect, decoded=True)
        return load(rows, self.origin)

    def query(self, alias: str | None = None) -> QueryBuilder:
        """Return a query builder on this table; it selects the model's columns until ``select()`` says otherwise.

        Args:
            alias: a short name for the table, for queries that join.

        >>> print(managers.functions.query("f").select("f.name").where("f.status", "active").build_select())
        SELECT f.name FROM functions f WHERE f.status = @param_0
        """
        self._refuse("query()")
        return self._new_query(alias)

    @overload
    def execute_query(self, query: QueryBuilder, *, as_model: Literal[False] = False) -> list[dict[str, Any]]: ...
    @overload
    def execute_query(self, query: QueryBuilder, *, as_model: Literal[True]) -> list[M]: ...
    def execute_query(self, query: QueryBuilder, *, as_model: bool = False) -> list[dict[str, Any]] | list[M]:
        """Run a builder's SELECT and return its rows, the values of the models' columns as Python values.

        Args:
            query: the query.
            as_model: give instances in place of dicts. What is selected beside this table's columns becomes plain
                attributes; reading a column that is not selected raises LazyLoadingError.

        Raises:
            InvalidQueryError: two columns of the result have one name; or, for instances, a column of another table has
                the name of one of this one's or of an attribute, the query is of another table, or it has rows without
                one of this table (RIGHT and FULL joins).

        >>> query = managers.functions.query("f").select("f.name", "u.email").join("users u", "f.user_id", "u.id")
        >>> managers.functions.execute_query(query)
        [{'name': 'resize', 'email': 'ada@example.com'}]
        >>> (function,) = managers.functions.execute_query(query.select("f.id"), as_model=True)
        >>> function == resize, function.name, function.email
        (True, 'resize', 'ada@example.com')
        """
        self._refuse("execute_query()")
        plan, values = self._statements.plans.of(query)
        request, bound = plan.bind(values, query.named_values)
        if as_model:
            plan.require_instances(self.model)
        columns, rows = send(self.database, request, bound, "fetch_undecoded")
        return plan.instance_loader(columns, self.model)(rows, self.origin) if as_model else plan.loader(columns)(rows)

    def join_query(
        self,
        join_table: str,
        join_condition: str,
        *,
        select: Sequence[str | Raw] | None = None,
        where: Mapping[str, Any] | None = None,
        join_type: str = "INNER",
        order_by: str | None = None,
        order_direction: Direction = "ASC",
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[dict[str, Any]]:
        """Join another table and return the rows as dicts, values of the models' columns as Python values.

        Args:
            join_table: its name, or its name and an alias.
            join_condition: ``functions.user_id = users.id``, several joined by AND.
            select: columns, ``table.*`` and calls, each with or without ``AS alias``; this table's own columns when
                left out.
            where: column → value as for ``find_all``, columns qualified by their table where both have them.
            join_type: ``INNER``, ``LEFT``, ``RIGHT`` or ``FULL``.
            order_by: columns to order by.
            order_direction: ``"ASC"`` or ``"DESC"``.
            limit: how many rows at most.
            offset: how many rows to skip.

        Raises:
            InvalidQueryError: two columns of the result have one name; give one an alias.

        >>> managers.functions.join_query("users", "functions.user_id = users.id", select=["name", "users.email"])
        [{'name': 'resize', 'email': 'ada@example.com'}]

        ``SELECT … FROM functions INNER JOIN users ON functions.user_id = users.id WHERE functions.status = @param_0``
        """
        query = self.query().join_on(join_table, join_condition, join_type)
        if select is not None:
            if not isinstance(select, Iterable):
                raise InvalidQueryError(f"expected select to be a list of columns; got {shown(select)}")
            query = query.select(list(select) if not isinstance(select, str) else select)
        if where is not None and not isinstance(where, Mapping):
            raise InvalidQueryError(f"expected where to be a dict of column to value; got {shown(where)}")
        for column, value in (where or {}).items():
            query = query.where(column, value)
        if order_by is None:
            parse_order(None, order_direction, self.table, self.database.engine)  # refuses a direction for nothing
        elif isinstance(order_by, str) and names_secret_column(order_by):
            raise by_secret(shown(order_by))
        else:
            query = query.order_by(order_by, order_direction)
        if limit is not None:
            query = query.limit(limit)
        if offset is not None:
            query = query.offset(offset)
        return self.execute_query(query)

    @cached_property
    def _new_query(self) -> Callable[[str | None], QueryBuilder]:
        from cloudpub_models.sql.builder.builder import QueryBuilder
        from cloudpub_models.sql.remembering import remembered

        # A builder never changes, so one for each alias is enough.
        table, columns, schema = self.table.name, self.table.column_names, self.model._meta.schema
        return remembered(lambda alias: QueryBuilder(table, alias=alias, default_columns=columns, schema=schema))

    def _model_of(self, table: str) -> type[peewee.Model]:
        return model_of_table(table, self.model, self.database.models)

    def _finding(self, table: str) -> Finding[Any]:
        return Finding(self._model_of(table), self.database, scope=self._access)


def _name(table: Table, name: Any) -> str:
    """Return the name of a column, perhaps a dotted one; what is no text is none."""
    return name if isinstance(name, str) else table.column(name).name


def _reference(table: Table, name: str) -> peewee.ForeignKeyField[Any]:
    column = table.column(name)
    if not isinstance(column.field, peewee.ForeignKeyField):
        raise InvalidQueryError(f"expected {table.name}.{column.name} to be a foreign key; it is none")
    return column.field
