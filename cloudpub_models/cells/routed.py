"""Which servers a call is sent to, by the keys that its conditions and rows name, and the managers that do it."""

from __future__ import annotations

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property, partial
from time import monotonic
from typing import Any, Generic, NamedTuple, TypeVar

import peewee

from cloudpub_models.cells.at_once import Question, ask_at_once
from cloudpub_models.cells.cells import Cells, refused
from cloudpub_models.cells.layout import Layout
from cloudpub_models.cells.owned import OwnKeys
from cloudpub_models.connection import Database
from cloudpub_models.entity.distributed import distribution_key
from cloudpub_models.errors import ForeignKeyViolationError, InvalidQueryError
from cloudpub_models.manager.arguments.conditions import ALL_ROWS, Combined, Filter, Where, all_of
from cloudpub_models.manager.columns.table import Column
from cloudpub_models.manager.included import Include, Tree, parse_include
from cloudpub_models.manager.manager import Manager
from cloudpub_models.manager.scope import Scope, unowned
from cloudpub_models.manager.writing import Changes, Data

M = TypeVar("M", bound=peewee.Model)
R = TypeVar("R")

_LISTS = (list, tuple, set, frozenset)
# Ids are positive.
_NOBODY = -1
# For so long a row of main is taken to be there after it has been.
_SECONDS_KNOWN = 60.0
_MOST_KNOWN = 100_000


class Part(NamedTuple):
    """What one server is asked.

    Attributes:
        manager: what asks it.
        where: the conditions there: the call's, but for rows that are to be read on another server.
        is_whole: whether those are the call's.
        version: that of the map by which it is asked.
    """

    manager: Manager[Any, Any, Any, Any]
    where: Any
    is_whole: bool
    version: int

    @property
    def server(self) -> Database:
        """The server."""
        return self.manager.database

    def ask(self, call: Callable[[Any, Any], R]) -> R:
        """Have the manager do something with the conditions."""
        with self.server.engine.under_map(self.version):
            return call(self.manager, self.where)


def ask_each(
    parts: Sequence[Part], call: Callable[[Any, Any], R], *, is_enough: Callable[[R], bool] | None = None
) -> list[R]:
    """Have the managers of all parts do something at once, and return what each gives; see ``ask_at_once``."""
    return ask_at_once([Question(part.server, partial(part.ask, call)) for part in parts], is_enough=is_enough)


class Asked(NamedTuple):
    """Whose rows a call is about.

    Attributes:
        keys: what they belong to; ``None`` where it does not say.
        held: the scope that holds it to them on a server, where it is an owner's.
    """

    keys: list[int] | None
    held: OwnKeys | None


class Routed(Manager[M, Data, Changes, Filter], Generic[M, Data, Changes, Filter]):
    """Knows whom to ask."""

    cells: Cells

    @abstractmethod
    def _manager_on(self, server: Database, scope: Scope | None = None) -> Manager[M, Any, Any, Any]:
        """Return an ordinary manager of the table on one of the servers, of some of the rows there."""

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

    def _read(self, where: Where, work: Callable[[list[Part]], R]) -> R:
        """Ask all servers that may have rows which meet conditions; one at least."""
        asked = self._asked(where)
        return self.cells.by_map(lambda layout: work(self._parts(layout, asked, where)))

    def _read_of(self, key: int, call: Callable[[Any, int], R]) -> R:
        """Ask the server that has the rows of a key; where that is another owner's, for those of a key without any."""
        self._require_asked_for()
        own = key if self.scope is None or self._own_keys(self.scope, [key]) else _NOBODY
        return self.cells.by_map(lambda layout: self._part_of(layout, own).ask(lambda manager, _: call(manager, own)))

    def _each(self, where: Where, call: Callable[[Any, Any], R]) -> list[R]:
        """Return what each server gives that may have rows which meet conditions."""
        return self._read(where, lambda parts: ask_each(parts, call))

    def _each_of(self, keys: Iterable[int], call: Callable[[Any, list[int]], R]) -> list[R]:
        """Return what each server gives that has rows of some keys, asked for its own of them."""
        self._require_asked_for()

        def ask(layout: Layout) -> list[R]:
            own: dict[int, list[int]] = defaultdict(list)
            for key in keys:
                own[layout.numbers_of([key])[0]].append(key)
            parts = [Part(self._on(layout.servers[number]), some, True, layout.version) for number, some in own.items()]
            return ask_each(parts, call)

        return self.cells.by_map(ask)

    def _change(self, where: Where, work: Callable[[list[Part]], R]) -> R:
        """Ask all servers that may have rows which meet conditions, once those may be changed."""
        asked = self._asked(where)
        return self.cells.by_map(lambda layout: work(self._parts(layout, asked, where)), writes_to=asked.keys)

    def _change_of(self, key: int | None, work: Callable[[Layout, Part], R]) -> R:
        """Ask the server that has the rows of a key, once those may be changed."""
        keys = () if key is None else (key,)
        return self.cells.by_map(lambda layout: work(layout, self._part_of(layout, key)), writes_to=keys)

    def _part_of(self, layout: Layout, key: int | None) -> Part:
        """Return what the server of a key is asked; any one for none, which every server refuses alike."""
        number = layout.all_numbers()[0] if key is None else layout.numbers_of([key])[0]
        return Part(self._on(layout.servers[number]), None, True, layout.version)

    def _asked(self, where: Where) -> Asked:
        """Return whose rows are asked for, once what cannot be held to that is refused."""
        self._require_asked_for()
        keys = self._keys_in(where)
        if self.scope is None:
            return Asked(keys, None)
        self._parsed(where)
        own = self._own_keys(self.scope, keys)
        return Asked(own, OwnKeys(self.scope, self._key, own))

    def _own_keys(self, scope: Scope, keys: Sequence[int] | None) -> list[int]:
        """Return those of some keys that are the owner's; all of the owner's, of none in particular."""
        name = self._key.rel_field.column_name
        if keys is None:
            return Manager(self._key.rel_model, self.database, scope=scope).values(name)
        there = set(self._related(self._key.rel_model).keys_there(name, keys)) if keys else ()
        return [key for key in keys if key in there]

    def _parts(self, layout: Layout, asked: Asked, where: Where) -> list[Part]:
        keys = asked.keys
        numbers = layout.numbers_of(keys) if keys else layout.all_numbers()
        if keys is not None and not keys:
            numbers = numbers[:1]
        return [self._part(layout, number, asked, where) for number in numbers]

    def _part(self, layout: Layout, number: int, asked: Asked, where: Where) -> Part:
        server, unread = layout.servers[number], layout.unread.get(number)
        manager = self._on(server) if asked.held is None else self._manager_on(server, asked.held)
        if unread:
            read = peewee.fn.cells_bucket(self._key).not_in(list(unread))
            where = read if where is ALL_ROWS or not where else all_of(where, read)
        return Part(manager, where, not unread, layout.version)

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
        return parse_include(include, self.model, self._related) if include != () else ()

    # What is referred to

    @cached_property
    def _known_keys(self) -> dict[int, float]:
        """The keys of rows that are there on main, with until when that is taken for true."""
        return {}

    def _require_referred(self, keys: Iterable[int | None]) -> None:
        """Raise ForeignKeyViolationError where the main database has no row with one of some keys."""
        if self.scope is not None and any(key is self._key for key in self._held_references):
            return  # an owner's, which were looked up as such
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
