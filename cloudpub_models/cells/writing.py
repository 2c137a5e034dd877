"""The operations that change rows on several servers.

Inside a transaction of the main database rows wait for its end: they are sent when it has been committed, and never
where it is rolled back. What has to say what it did is refused there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import peewee

from cloudpub_models.cells.cells import refused
from cloudpub_models.cells.layout import Layout
from cloudpub_models.cells.routed import Asked, Part, Routed
from cloudpub_models.cells.together import together
from cloudpub_models.connection import Database
from cloudpub_models.entity.fields import server_default
from cloudpub_models.entity.origin import come_from
from cloudpub_models.entity.stored_forms import utc_now
from cloudpub_models.errors import NotNullViolationError
from cloudpub_models.manager.arguments.changes import is_computed
from cloudpub_models.manager.arguments.conditions import Filter, Where, WhereOf
from cloudpub_models.manager.batch import in_chunks
from cloudpub_models.manager.scope import refuse
from cloudpub_models.manager.writing import Changes, Data
from cloudpub_models.sql.values import check_count

if TYPE_CHECKING:
    from cloudpub_models.manager.batch import OnConflict, Progress

M = TypeVar("M", bound=peewee.Model)

_CHUNK_SIZE = 10_000


class ScatteredWriting(Routed[M, Data, Changes, Filter], Generic[M, Data, Changes, Filter]):
    """Changes rows, wherever they are."""

    def insert(self, data: Data) -> M:
        given: Any = data if self.scope is None else self._held(data)
        key = self._key_of_new(given)
        if not self._waits_for_commit():
            made: M = self._change_of(key, lambda _, part: part.ask(lambda manager, _: manager.insert(given)))
            return made
        row = self._complete(given)
        come_from(row, self.origin)

        def send() -> None:
            sent: Any = dict(row.__data__)
            added = self._change_of(key, lambda _, part: part.ask(lambda manager, _: manager.insert(sent)))
            row.__data__.update(added.__data__)

        self.database.on_commit(send)
        return row

    def upsert(
        self, data: Data, conflict_columns: Sequence[str], *, update_columns: Sequence[str] | Changes | None = None
    ) -> M:
        self._refuse_owner("upsert()")
        self._require_no_transaction("upsert()")
        if isinstance(update_columns, Mapping):
            self._refuse_to_move(update_columns)

        def upsert(layout: Layout, part: Part) -> M:
            if self._on_others(layout, part, data, conflict_columns) is not None:
                raise refused(
                    f"{self.table.name}.upsert() of a row that belongs to another {self._key.name}, on another server",
                    "update that, or delete it first",
                )
            made: M = part.ask(lambda manager, _: manager.upsert(data, conflict_columns, update_columns=update_columns))
            return made

        return self._change_of(self._key_of_new(data), upsert)

    def find_or_insert(self, data: Data, key_columns: Sequence[str]) -> tuple[M, bool]:
        self._refuse_owner("find_or_insert()")
        self._require_no_transaction("find_or_insert()")

        def find(layout: Layout, part: Part) -> tuple[M, bool]:
            found = self._on_others(layout, part, data, key_columns)
            if found is not None:
                return found, False
            made: tuple[M, bool] = part.ask(lambda manager, _: manager.find_or_insert(data, key_columns))
            return made

        return self._change_of(self._key_of_new(data), find)

    def update(self, data: Changes, where: WhereOf[Filter]) -> list[M]:
        self._require_no_transaction("update()")
        # What is malformed is refused before a transaction begins anywhere.
        self._changes(data)
        self._bounded(where, "update")
        self._refuse_to_move(data)
        parts = self._all_or_none(where, lambda manager, where: manager.update(data, where))
        return [row for part in parts for row in part]

    def update_by_id(self, id: Any, data: Changes, *, id_column: str = "id") -> M | None:
        self._one(id_column, id)
        where: Any = {id_column: id}
        rows = self.update(data, where)
        return rows[0] if rows else None

    def delete(self, where: WhereOf[Filter]) -> int:
        self._require_no_transaction("delete()")
        self._bounded(where, "delete")
        return sum(self._all_or_none(where, lambda manager, where: manager.delete(where)))

    def delete_by_id(self, id: Any, *, id_column: str = "id") -> bool:
        self._one(id_column, id)
        where: Any = {id_column: id}
        return self.delete(where) > 0

    def batch_insert(
        self,
        rows: Iterable[Data],
        *,
        on_conflict: OnConflict | None = None,
        conflict_columns: Sequence[str] = (),
        update_columns: Sequence[str] | None = None,
        returning: bool = False,
        chunk_size: int = _CHUNK_SIZE,
        progress: Progress | None = None,
    ) -> Any:
        check_count(chunk_size, "chunk_size", smallest=1)
        self._batch_conflict(on_conflict, conflict_columns, update_columns)
        rule = {"on_conflict": on_conflict, "conflict_columns": conflict_columns, "update_columns": update_columns}
        self._require_asked_for()
        if self.scope is not None:
            if on_conflict is not None:
                refuse(self.scope, "batch_insert(on_conflict=…)")
            rows = self._held_rows(rows, chunk_size)
        if not self._waits_for_commit():
            return self._insert_all(rows, rule, chunk_size, progress, returning=returning)
        if returning or on_conflict is not None:
            self._require_no_transaction("batch_insert() that returns rows, or whose rows may be there")
        waiting = [dict(self._complete(row).__data__) for row in rows]
        self._require_referred([self._key_of(row) for row in waiting])
        self.database.on_commit(lambda: self._insert_all(waiting, rule, chunk_size, progress))
        return len(waiting)

    def _insert_all(
        self,
        rows: Iterable[Any],
        rule: Mapping[str, Any],
        chunk_size: int,
        progress: Progress | None,
        *,
        returning: bool = False,
    ) -> Any:
        written = 0
        instances: list[M] = []
        with ExitStack() as stack:

            def begin(layout: Layout) -> Layout:
                # From here on the map stays as it is: whoever moves buckets waits for those who write.
                servers = [layout.servers[number] for number in layout.all_numbers()]
                stack.enter_context(together(servers, layout.version))
                return layout

            layout = self.cells.by_map(begin, writes_to=None)
            for chunk in in_chunks(rows, chunk_size):
                placed: list[tuple[int, M]] = []
                for server, places in self._places(layout, chunk).items():
                    part = [chunk[place] for place in places]
                    manager: Any = self._on(server)
                    given = manager.batch_insert(part, returning=returning, chunk_size=chunk_size, **rule)
                    if isinstance(given, list):
                        # Fewer, where rows were there already.
                        placed += zip(places, given, strict=False)
                    written += len(given) if isinstance(given, list) else given
                instances += [row for _, row in sorted(placed, key=itemgetter(0))]
                if progress is not None:
                    progress(written)
        return instances if returning else written

    def _places(self, layout: Layout, rows: Sequence[Any]) -> dict[Database, Sequence[int]]:
        """Return the places of the rows that go to each server."""
        keys = [self._key_of(row) for row in rows]
        # Few keys come again and again.
        server_of = {key: self._part_of(layout, key).server for key in dict.fromkeys(keys)}
        self._require_referred(server_of)
        if len(set(server_of.values())) == 1:
            return dict.fromkeys(server_of.values(), range(len(rows)))
        parts: dict[Database, list[int]] = {server: [] for server in server_of.values()}
        add = {key: parts[server].append for key, server in server_of.items()}
        for place, key in enumerate(keys):
            add[key](place)
        return {**parts}

    def _key_of_new(self, data: Any) -> int | None:
        """Return the key of a row to insert, which is one that main has."""
        key = self._key_of(data)
        self._require_asked_for()
        self._require_referred([key])
        return key

    def _on_others(self, layout: Layout, own: Part, data: Any, columns: Sequence[str]) -> M | None:
        """Return the row that has the values of a row to insert in some columns, on another server than that is for."""
        row = self.table.encode_row({name: value for name, value in data.items() if not is_computed(value)})
        names = self.table.named(columns, "the columns that rows are told apart by")
        if any(row.get(name) is None for name in names):
            return None
        where: Any = {name: data.get(name, data.get(self.table.columns[name].field.name)) for name in names}
        others = [part for part in self._parts(layout, Asked(None, None), where) if part.manager is not own.manager]
        found = (part.ask(lambda manager, where: manager.find_one(where)) for part in others)
        return next((row for row in found if row is not None), None)

    def _complete(self, data: Any) -> M:
        """Return a row that is going to be inserted, with all that it will have but its id.

        Raises:
            NotNullViolationError: it lacks a value.
        """
        row = self.table.encode_row(data)
        for _, moment in self.table.time_ordered:
            row.setdefault(moment, self.table.columns[moment].encode(utc_now()))
        self.table.fill_defaults(row, self.database.engine.sql_dialect)
        for name, column in self.table.columns.items():
            field = column.field
            made = name not in row and (isinstance(field, peewee.AutoField) or server_default(field) is not None)
            if not field.null and not made and row.get(name) is None:
                raise NotNullViolationError(
                    f"expected a value of {self.table.name}.{name}; got none", table=self.table.name, columns=[name]
                )
        complete: M = self.model.from_dict(row)  # type: ignore[attr-defined]
        return complete

    def _refuse_owner(self, call: str) -> None:
        if self.scope is not None:
            raise refused(
                f"{self.table.name}.{call} of {self.scope.name}",
                "a row with these values may be another's, on another server: look for it, then insert or update",
            )

    def _refuse_to_move(self, changes: Mapping[str, Any]) -> None:
        if self._key.column_name in changes or self._key.name in changes:
            raise refused(
                f"a change of {self.table.name}.{self._key.column_name}",
                "the row may belong on another server: insert one there, and delete this one",
            )

    def _all_or_none(self, where: Where, call: Callable[[Any, Any], Any]) -> list[Any]:
        """Have all servers do something that may have rows which meet conditions, or none of them."""

        def do(parts: list[Part]) -> list[Any]:
            if len(parts) == 1:
                return [parts[0].ask(call)]
            with together([part.server for part in parts], parts[0].version):
                return [part.ask(call) for part in parts]

        return self._change(where, do)
