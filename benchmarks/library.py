"""What a library has to say about itself to be measured."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

from benchmarks.data import COLUMNS
from benchmarks.databases import BenchmarkDatabase

BUILDER_COLUMNS = ("name", "created_at", "email", "first_name", "version")
"""What the builder's query selects."""


@dataclass(frozen=True)
class Types:
    """The Python types that a library's values have."""

    uuid: type[Any] = UUID
    timestamp: type[Any] = datetime
    json: type[Any] = dict

    @staticmethod
    def as_datetime(value: Any) -> datetime:
        """Return a timestamp of whatever type as a naive datetime in UTC."""
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        assert isinstance(moment, datetime)
        return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment

    from_text = as_datetime

    @staticmethod
    def as_dict(value: Any) -> dict[str, Any]:
        """Return a JSON document of whatever type as a dict."""
        document = json.loads(value) if isinstance(value, str) else value
        return dict(document)


class Library(ABC):
    """One way to use a database.

    A subclass has a method for each operation of `operations.OPERATIONS` that the library can do, named like it, called
    with one argument. It does the work as the library's documentation advises who wants it fast.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    package: ClassVar[str]
    is_control: ClassVar[bool] = False

    def __init__(self, database: BenchmarkDatabase) -> None:
        self.database = database
        self.types = Types()
        # Reads what is in the database past the library; the worker puts it there.
        self.scalar: Callable[..., Any]

    @abstractmethod
    def open(self) -> None:
        """Connect, so that no call has to."""

    @abstractmethod
    def close(self) -> None:
        """Close what was opened."""

    def column(self, row: Any, table: str, name: str) -> Any:
        """Return a column's value of one row that an operation returned."""
        if isinstance(row, dict):
            return row[name]
        if isinstance(row, tuple):
            return row[(BUILDER_COLUMNS if table == "builder" else COLUMNS[table]).index(name)]
        return getattr(row, name)

    def included_deployments(self, function: Any) -> list[Any]:
        """Return the deployments that were loaded along with a function."""
        return list(function.deployments)

    def cursor_after(self, rows: int) -> Any:
        """Return the cursor of the page that begins after a number of rows."""
        raise NotImplementedError

    def unavailable(self) -> str | None:
        """Return why the library cannot be measured here, or ``None``."""
        return None
