"""``managers.archive(directory)``: old rows moved to files, and asked there. How they are kept is in ``archive``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from os import PathLike
from pathlib import Path
from typing import Any

from cloudpub_models.archive.reading import Question, fetched, opened, values_of
from cloudpub_models.archive.writing import MovedMonth, Progress, move
from cloudpub_models.cells.cells import refused
from cloudpub_models.cells.scattered import Scattered
from cloudpub_models.connection import Database
from cloudpub_models.errors import InvalidValueError, did_you_mean
from cloudpub_models.manager.manager import Manager
from cloudpub_models.models import FunctionInvocation
from cloudpub_models.platform.periods import Buckets, moment
from cloudpub_models.platform.pruning import PrunedManager
from cloudpub_models.platform.references import FunctionReference, function_key
from cloudpub_models.platform.statistics import FunctionStats, function_stats
from cloudpub_models.sql.identifiers import shown
from cloudpub_models.sql.values import check_count

_STATS = """
    SELECT duration_ms, COUNT(*) AS total, COUNT(CASE WHEN status = 'success' THEN 1 END) AS successful
    FROM {table}{where} GROUP BY duration_ms
"""
_DURATIONS = """
    SELECT (epoch_us(timestamp) // 1000000 - {origin}) // {seconds} AS slot, duration_ms, COUNT(*) AS total,
        COUNT(CASE WHEN status = 'success' THEN 1 END) AS successful
    FROM {table}{where} GROUP BY 1, 2
"""
_ROWS = "SELECT {columns} FROM {table}{where} ORDER BY {moment} DESC, {key} DESC"
_INVOCATIONS = "function_invocations"


class Archive:
    """The rows of one table that a directory has, as files; ``managers.archive(directory)`` makes one.

    Nothing is opened, and DuckDB not imported, before it is asked for something. Rows that are moved meanwhile are seen
    by the next question.

    Args:
        database: that the rows come from.
        manager_of: gives the manager of a model.
        directory: where the files are; each table has one of its own.
    """

    def __init__(
        self, database: Database, manager_of: Callable[[type[Any]], Manager[Any]], directory: str | PathLike[str]
    ) -> None:
        if not isinstance(directory, str | PathLike) or not str(directory):
            raise InvalidValueError(f"expected the path of a directory for an archive; got {shown(directory)}")
        self.directory = Path(directory)
        try:
            # A name that is too long, or has characters that no name can have.
            self.directory.exists()
        except (OSError, ValueError) as error:
            raise InvalidValueError(
                f"expected the path of a directory for an archive; got {shown(str(directory))}: {error}"
            ) from error
        self._database = database
        self._manager_of = manager_of

    def __repr__(self) -> str:
        return f"Archive({str(self.directory)!r})"

    def move(
        self, table: str, older_than: datetime | timedelta, *, progress: Progress | None = None
    ) -> list[MovedMonth]:
        """Move the rows of whole months from a table to files, a file for each month; months are UTC's.

        A row is deleted only when it is equal to what a finished file has of it. Interrupted at any moment nothing is
        lost, and the same call goes on. A row that was changed after it had been written stays in the table.

        Args:
            table: the table's name. Its model has a ``timestamp``, or names another moment as ``partitioned_by`` in its
                ``Meta``, a key of one integer, and no secrets.
            older_than: months that had ended before this moment; a timedelta is an age, measured when the call begins.
            progress: called with the number of rows deleted so far.

        Returns:
            what was moved of each month.

        Raises:
            InvalidValueError: there is no such table, it cannot be archived, or the directory has something else.
            InvalidQueryError: this thread has a transaction open; or the rows are on several servers.
            ConfigurationError: the directory cannot be written, somebody else writes to it, or DuckDB is missing.

        >>> managers.archive("archive/invocations").move("function_invocations", timedelta(days=90))
        []
        """
        return list(self.moving(table, older_than, progress=progress))

    def moving(
        self, table: str, older_than: datetime | timedelta, *, progress: Progress | None = None
    ) -> Iterator[MovedMonth]:
        """As ``move``, but the months one by one, each when it has been moved."""
        manager = self._manager(table)
        if isinstance(manager, Scattered):
            raise refused(
                f"archive().move() of {table}",
                "move those of each server to a directory of its own: Managers(history_servers[0]).archive()",
            )
        # What counts the rows has counted them before they go.
        before = moment(older_than, "older_than")
        if isinstance(manager, PrunedManager):
            return move(
                manager, self.directory, before, progress, prepare=manager._pruned_before, told=manager._triggers_told
            )
        return move(manager, self.directory, before, progress)

    def count(
        self,
        where: Mapping[str, Any] | None = None,
        *,
        since: datetime | timedelta | None = None,
        until: datetime | timedelta | None = None,
    ) -> int:
        """Return how many rows are there; the arguments are those of ``find``."""
        with self._question(where, since, until) as question:
            ((count,),) = question.rows("SELECT COUNT(*) FROM {table}{where}")
        return int(count)

    def find(
        self,
        where: Mapping[str, Any] | None = None,
        *,
        since: datetime | timedelta | None = None,
        until: datetime | timedelta | None = None,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """Return rows, the latest first, as dicts of column to value.

        Args:
            where: column → the value that it has; ``None`` for NULL.
            since: rows from this moment on; a timedelta says how long ago.
            until: rows from before this moment.
            limit: how many rows at most; all when left out.

        Raises:
            InvalidValueError: there is no archive, it has other columns than the table, or a value does not fit.
            UnknownColumnError: a name is no column.

        >>> managers.archive("archive/invocations").find({"function_id": 7}, since=timedelta(days=400), limit=10)
        Traceback (most recent call last):
        ...
        cloudpub_models.errors.InvalidValueError: expected an archive in 'archive/invocations'; got none there: ...
        """
        if limit is not None:
            check_count(limit, "limit")
        with self._question(where, since, until) as question:
            rows = question.rows(_ROWS, limit=limit)
            return [values_of(question.columns, row) for row in rows]

    def stats(
        self,
        function: FunctionReference,
        *,
        since: datetime | timedelta | None = None,
        until: datetime | timedelta | None = None,
    ) -> FunctionStats:
        """Return how a function's invocations went that are in the archive.

        Args:
            function: the function, as an instance, or by its public UUID or internal id.
            since: from when on invocations count; all when left out.
            until: invocations from before this moment; all when left out.

        Raises:
            InvalidValueError: there is no archive, or one of another table.
        """
        key = function_key(function, self._manager_of(FunctionInvocation))
        with self._question({"function_id": key}, since, until) as question:
            self._require_invocations(question)
            rows = question.rows(_STATS)
        names = ("duration_ms", "total", "successful")
        return function_stats(dict(zip(names, row, strict=True)) for row in rows)

    def query(
        self, sql: str, parameters: Mapping[str, Any] | Sequence[Any] = ()
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Return the column names and the rows of a query in DuckDB's SQL, which sees the archive and no other file.

        Args:
            sql: one SELECT; the table has its own name, and ``$name`` stands for a parameter.
            parameters: their values.

        Raises:
            InvalidQueryError: it is no query, or DuckDB refuses it.
            InvalidValueError: there is no archive.
        """
        _, connection = opened(self.directory)
        with connection:
            return fetched(connection, sql, parameters)

    def durations(self, function: FunctionReference, buckets: Buckets) -> list[dict[str, Any]]:
        """Return how often each duration occurred in each of some hours or days, as ``statistics.series`` takes it.

        Args:
            function: the function.
            buckets: the hours or days.
        """
        parameters = buckets.parameters
        key = function_key(function, self._manager_of(FunctionInvocation))
        with self._question({"function_id": key}, parameters["begin"], parameters["end"]) as question:
            self._require_invocations(question)
            rows = question.rows(_DURATIONS, origin=str(parameters["origin"]), seconds=str(parameters["slot_seconds"]))
        return [
            {
                "slot": slot,
                "duration_ms": duration,
                "total": total,
                "successful": successful,
                "timed": 0 if duration is None else total,
                "duration": (duration or 0) * total,
                "minimum": duration,
                "maximum": duration,
            }
            for slot, duration, total, successful in rows
        ]

    def _question(self, where: Mapping[str, Any] | None, since: Any, until: Any) -> Question:
        begin = None if since is None else moment(since, "since")
        end = None if until is None else moment(until, "until")
        return Question(self.directory, lambda name: self._manager(name).table, where or {}, begin, end)

    def _require_invocations(self, question: Question) -> None:
        if question.table.name != _INVOCATIONS:
            raise InvalidValueError(
                f"expected an archive of {_INVOCATIONS} for statistics; got {str(self.directory)!r}, which has "
                f"{question.table.name}: name another directory"
            )

    def _manager(self, table: str) -> Manager[Any]:
        models = {model._meta.table_name: model for model in self._database.models}
        if not isinstance(table, str) or table not in models:
            hint = did_you_mean(table, models) if isinstance(table, str) else f"known are: {', '.join(models)}"
            raise InvalidValueError(f"expected the name of a table to archive; got {shown(table)}: {hint}")
        return self._manager_of(models[table])
