"""``History``: the change log of one database, as ``database.history``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from cloudpub_models.errors import HistoryError, InvalidValueError
from cloudpub_models.history import changes, pruning, recording, taking_back
from cloudpub_models.history.changes import Change
from cloudpub_models.history.feed import consumers
from cloudpub_models.history.feed.consumers import Consumer
from cloudpub_models.history.feed.positions import SOURCES, Source, Start
from cloudpub_models.history.taking_back import TakenBack
from cloudpub_models.sql.identifiers import shown
from cloudpub_models.sql.values import check_count

if TYPE_CHECKING:
    import peewee


class History:
    """The log of who changed which rows of a database.

    Args:
        database: the Peewee database.
        models: the models of its tables.
        switched: called when recording has been switched on or off.

    >>> shop = Database("sqlite:///:memory:")
    >>> _ = shop.migrate()
    >>> shop.history.enable()[:2]
    ('users', 'user_information')
    >>> ada = Managers(shop).users.insert({"email": "ada@example.com", "password_hash": "…"})
    >>> [change.operation for change in Managers(shop).users.history(ada.id)]
    ['insert']
    >>> shop.close()
    """

    def __init__(
        self,
        database: peewee.Database,
        models: Iterable[type[peewee.Model]],
        switched: Callable[[], object] = lambda: None,
    ) -> None:
        self._database = database
        self._switched = switched
        self._models = tuple(models)

    def __repr__(self) -> str:
        return f"History({', '.join(self.tables) or 'off'})"

    @property
    def tables(self) -> tuple[str, ...]:
        """The names of the tables whose changes are recorded; none where recording is off."""
        return tuple(sorted(recording.recorded_tables(self._database)))

    @property
    def since(self) -> dict[str, datetime]:
        """For each of those tables, since when its changes are known."""
        return recording.recorded_since(self._database)

    def enable(self, also: Sequence[str] = ()) -> tuple[str, ...]:
        """Have the changes of all tables recorded from now on whose model says ``tracked = True`` in its ``Meta``.

        It makes the tables ``changes``, ``outbox``, ``feed_positions`` and, on SQLite, ``change_context``, and
        triggers, in one transaction under the migrators' lock. Once it is on, doing it again changes nothing. Values of
        secret columns are never kept.

        Args:
            also: names of other tables to record.

        Returns:
            the tables that were not recorded before.

        Raises:
            HistoryError: a table is missing, its key is of no kind that can be kept, or the database's user may not
                make triggers.
            UnknownTableError: no component has such a table.
            InvalidValueError: ``also`` is no list.
        """
        begun = recording.enable(self._database, self._models, also)
        self._switched()
        return begun

    def disable(self) -> tuple[str, ...]:
        """End the recording; what was recorded stays, and so do the tables.

        Returns:
            the tables that were recorded.
        """
        ended = recording.disable(self._database)
        self._switched()
        return ended

    def keep_current(self) -> None:
        """Make the triggers anew of recorded tables that have changed; migrations do so by themselves."""
        recording.keep_current(self._database, self._models)

    def faulty_tables(self) -> tuple[str, ...]:
        """Return the tables whose triggers are gone, old or do not fit them any more; ``enable`` mends them."""
        return tuple(recording.faulty_tables(self._database, self._models))

    def of_row(self, table: str, row_id: Any, *, limit: int | None = None) -> list[Change]:
        """Return what has happened to a row, the newest first; what ``Manager.history`` gives.

        Args:
            table: the name of its table.
            row_id: its primary key.
            limit: how many changes at most; all when left out.

        Raises:
            HistoryError: the table's changes were never recorded.
            InvalidValueError: the key is none of the table, or the limit no count.
        """
        if limit is not None:
            check_count(limit, "limit")
        return changes.changes_of_row(self._database, self._model_of(table), row_id, limit=limit)

    def of_transaction(self, transaction_id: int) -> list[Change]:
        """Return the changes that a transaction has made, in their order; none where the log knows none.

        Raises:
            HistoryError: the database keeps no log.
            InvalidCountError: that is no number of a transaction.
        """
        check_count(transaction_id, "transaction_id")
        return changes.changes_of_transaction(self._database, self._models, transaction_id)

    def prune(self, older_than: timedelta, *, source: Source = "changes") -> int:
        """Delete old changes, a few thousand in a transaction, but for those that a consumer has yet to read.

        Args:
            older_than: how old those are that go.
            source: ``"outbox"`` deletes old messages instead.

        Returns:
            how many went.

        Raises:
            HistoryError: the database has never recorded changes.
            InvalidValueError: that is no length of time, or no source.
        """
        if not isinstance(older_than, timedelta) or older_than < timedelta(0):
            raise InvalidValueError(f"expected a timedelta that is not negative; got {shown(older_than)}")
        if source not in SOURCES:
            raise InvalidValueError(f"expected {' or '.join(map(repr, SOURCES))}; got {shown(source)}")
        return pruning.prune(self._database, source, older_than)

    def consumers(self) -> list[Consumer]:
        """Return who reads feeds, by name, and how much is waiting for each."""
        return consumers.consumers(self._database)

    def move_consumer(self, name: str, to: Start) -> None:
        """Have a consumer go on from another place.

        Args:
            name: its name.
            to: ``"oldest"``, so that it gets again all that is kept, or ``"now"``, so that it gets nothing of that.

        Raises:
            HistoryError: there is no such consumer, or nothing is recorded that it could read.
            InvalidValueError: that is no place.
            InvalidQueryError: this thread has a transaction open.
        """
        consumers.move(self._database, name, to)

    def remove_consumer(self, name: str) -> None:
        """Forget a consumer: nothing is kept for it any more.

        Args:
            name: its name.

        Raises:
            HistoryError: there is no such consumer.
        """
        consumers.remove(self._database, name)

    def forget(self, table: str, row_id: Any) -> int:
        """Empty the values of one row's changes, as for a person who wants to be forgotten.

        That something has happened to the row stays. The row itself is not touched, and a deleted one cannot be brought
        back any more.

        Args:
            table: the name of the row's table.
            row_id: its primary key.

        Returns:
            how many changes were emptied.

        Raises:
            HistoryError: the table's changes were never recorded.
            InvalidValueError: the key is none of the table.
        """
        return changes.forget_row(self._database, self._model_of(table), row_id)

    def undo(self, transaction_id: int, *, force: bool = False) -> TakenBack:
        """Take back all that a transaction has changed; see ``Database.undo``."""
        check_count(transaction_id, "transaction_id")
        return taking_back.undo(self._database, self._models, transaction_id, force=force)

    def undelete(self, table: str, row_id: Any) -> TakenBack:
        """Bring a deleted row back as it was, with what went with it; see ``Manager.undelete``."""
        return taking_back.undelete(self._database, self._models, self._model_of(table), row_id, {})

    def _model_of(self, table: str) -> type[peewee.Model]:
        for model in self._models:
            if model._meta.table_name == table:
                return model
        known = ", ".join(model._meta.table_name for model in self._models)
        raise HistoryError(f"expected a table of the components; got {shown(table)}: known are {known}")
