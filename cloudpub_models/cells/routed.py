"""Which servers a call is sent to, by the keys that its conditions and rows name, and the managers that do it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cached_property
from time import monotonic
from typing import Any, Generic, TypeVar

import peewee

from cloudpub_models.cells.cells import Cells, refused
from cloudpub_models.connection import Database
from cloudpub_models.entity.distributed import distribution_key
from cloudpub_models.errors import ForeignKeyViolationError, InvalidQueryError
from cloudpub_models.manager.arguments.conditions import Combined, Filter, Where
from cloudpub_models.manager.columns.table import Column
from cloudpub_models.manager.included import Include, Tree, parse_include
from cloudpub_models.manager.manager import Manager
from cloudpub_models.manager.scope import unowned
from cloudpub_models.manager.writing import Changes, Data

M = TypeVar("M", bound=peewee.Model)

_LISTS = (list, tuple, set, frozenset)
# For so long a row of main is taken to be there after it has been.
_SECONDS_KNOWN = 60.0
_MOST_KNOWN = 100_000


class Routed(Manager[M, Data, Changes, Filter], Generic[M, Data, Changes, Filter]):
    """Knows whom to ask."""

    cells: Cells

    @abstractmethod
    def _manager_on(self, server: Database) -> Manager[M, Any, Any, Any]:
        """Return an ordinary manager of the table on one of the servers."""

    @cached_property
    def _key(self) -> peewee.ForeignKeyField[Any]:
        """The reference by which the rows are distributed."""
        key = distribution_key(self.model)
        assert key is not None
        return key

    @property
    def _key_column(self) -> Column:
        return self.table.columns[self._key.column_name]

    @cached_property
    def _managers(self) -> dict[Database, Manager[M, Any, Any, Any]]:
        return {}

    @cached_property
    def _named_key(self) -> tuple[str, str, Callable[[Any], Any]]:
        """The names by which a row may give its key, and what checks it."""
        return self._key.column_name, self._key.name, self._key_column.encode

    def _on(self, server: Database) -> Manager[M, Any, Any, Any]:
        """Return the manager that asks a server; its rows come from the main database, as far as they know."""
        manager = self._managers.get(server)
        if manager is None:
            manager = self._manager_on(server)
            manager.origin = self.origin
            manager._statements = manager._shared_statements()
            self._managers[server] = manager
        return manager

    def _of_key(self, key: int | None) -> Manager[M, Any, Any, Any]:
        """Return the manager that asks the server of a key; any one for none, which every server refuses alike."""
        self._require_asked_for()
        return self._on(self.cells.all_servers()[0] if key is None else self.cells.server_of(key))

    def _asked(self, where: Where = None) -> list[Manager[M, Any, Any, Any]]:
        """Return the managers that ask all servers which may have rows that meet conditions; one at least."""
        self._require_asked_for()
        keys = self._keys_in(where)
        servers = self.cells.servers_of(keys) if keys else self.cells.all_servers()
        return [self._on(server) for server in (servers[:1] if keys is not None and not keys else servers)]

    def _require_asked_for(self) -> None:
        if self._access is None and self.database.requires_owner:
            raise unowned()

    def _keys_in(self, where: Where) -> list[int] | None:
        """Return the keys that rows have which meet conditions; ``None`` where those do not say."""
        if isinstance(where, Combined):
            parts = where.conditions if where.how == "all" else ()
            return next((keys for part in parts if (keys := self._keys_in(part)) is not None), None)
        if not isinstance(where, Mapping):
            return None
        for name in (self._key.column_name, self._key.name):
            value = where.get(name)
            if isinstance(value, int | peewee.Model):
                return [self._key_column.encode(value)]
            if isinstance(value, _LISTS) and all(isinstance(one, int | peewee.Model) for one in value):
                return [self._key_column.encode(one) for one in value]
        return None

    def _key_of(self, row: Mapping[str, Any]) -> int | None:
        """Return the key, checked, of a row to insert; ``None`` where it names none."""
        if type(row) is not dict and not isinstance(row, Mapping):
            self.table.encode_row(row)  # refuses it
        name, field_name, encode = self._named_key
        key: int | None = encode(row[name] if name in row else row.get(field_name))
        return key

    def _tree(self, include: Include) -> Tree:
        """Return the relations to load along, from the main database, whose managers do."""
        tree = parse_include(include, self.model, self._related) if include != () else ()
        self._require_on_main(tree)
        return tree

    def _require_on_main(self, tree: Tree) -> None:
        for relation, _, children in tree:
            if distribution_key(relation.related) is not None:
                raise refused(
                    f"include of {relation.name!r}", "its rows are on several servers too: ask for them by themselves"
                )
            self._require_on_main(children)

    # What is referred to

    @cached_property
    def _known_keys(self) -> dict[int, float]:
        """The keys of rows that are there on main, with until when that is taken for true."""
        return {}

    def _require_referred(self, keys: Iterable[int | None]) -> None:
        """Raise ForeignKeyViolationError where the main database has no row with one of some keys."""
        now, known = monotonic(), self._known_keys
        asked: Collection[int] = {key for key in keys if key is not None and known.get(key, 0.0) < now}
        if not asked:
            return
        related = self._related(self._key.rel_model)
        with self.database.reading_from("primary"):
            there = related.keys_there(self._key.rel_field.column_name, list(asked))
        missing = set(asked).difference(there)
        if missing:
            raise ForeignKeyViolationError(
                f"expected {self.table.name}.{self._key.column_name} to refer to a row of {related.table.name}; got "
                f"{min(missing)}, which none has",
                table=self.table.name,
                columns=[self._key.column_name],
            )
        if self.database.engine.scopes():
            return  # what this transaction has inserted may be undone
        if len(known) > _MOST_KNOWN:
            known.clear()
        known.update(dict.fromkeys(asked, now + _SECONDS_KNOWN))

    # Transactions of the main database

    def _waits_for_commit(self) -> bool:
        """Return whether rows are to be sent once the transaction of this thread has been committed.

        Raises:
            InvalidQueryError: it is a read-only one.
        """
        engine = self.database.engine
        engine.check_usable()
        if engine.read_only_transaction():
            raise InvalidQueryError(
                f"expected a transaction that may write; got a read-only one: write to {self.table.name} outside of it"
            )
        return bool(engine.scopes())

    def _require_no_transaction(self, call: str) -> None:
        if self.database.engine.scopes():
            raise refused(
                f"{self.table.name}: {call} in a transaction",
                "call it before or behind the transaction, or in a function given to database.on_commit()",
            )
