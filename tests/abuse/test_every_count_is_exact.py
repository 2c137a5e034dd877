"""Every count that a public method takes (a limit, an offset, a size, a number of days) is an ``int`` and nothing else.

A count may become part of a statement's text and the key of a cache, so what only behaves like an integer, and has a
text of its own, is refused before anything is sent. Which methods take one is read from their signatures.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any
from uuid import uuid4

import pytest

from cloudpub_models import Database, Function, Managers, QueryBuilder
from cloudpub_models.errors import CloudpubError
from cloudpub_models.legacy import QueryHelpers


class Number(IntEnum):
    ONE = 1


class Sneaky(int):
    def __str__(self) -> str:
        return "1; DELETE FROM users --"

    __repr__ = __str__

    def __format__(self, _: str) -> str:
        return str(self)


BAD: list[Any] = [Number.ONE, Sneaky(1), True, 1.0, "1", -1, 2**70, [1]]
# Integers that are no counts.
VALUES = frozenset({"duration_ms"})
REQUIRED: dict[str, Any] = {
    "sql": "SELECT 1 AS n",
    "fn": lambda connection: None,
    "page": 1,
    "page_size": 1,
    "related_table": "organizations",
    "pivot_table": "organization_members",
    "foreign_key": "user_id",
    "related_key": "organization_id",
    "parent_id": str(uuid4()),
    "join_table": "users u",
    "join_condition": "functions.user_id = u.id",
    "rows": [{"email": "a@b.c", "password_hash": "x"}],
    "where": {"id": 1},
    "changes": {"updated_at": datetime(2026, 1, 1, tzinfo=UTC)},
    "before": datetime(2026, 1, 1, tzinfo=UTC),
    "text": "x",
    "query": "x",
    "function": Function(id=1, uuid=uuid4()),
}


def is_count(parameter: inspect.Parameter) -> bool:
    kinds = {kind.strip() for kind in str(parameter.annotation).split("|")}
    return "int" in kinds and kinds <= {"int", "None"} and parameter.name not in VALUES


def owners(managers: Managers) -> Iterator[Any]:
    yield managers.database
    yield managers.database.history
    yield QueryBuilder("users")
    yield type("Helpers", (QueryHelpers,), {"managers": managers})
    seen = set()
    for manager in [managers.for_model(model) for model in managers.database.models]:
        for name, method in inspect.getmembers(type(manager), callable):
            if not name.startswith("_") and method not in seen:
                seen.add(method)
                yield Bound(manager, name)


class Bound:
    """One method of a manager, so that what all managers inherit is tried once."""

    def __init__(self, owner: Any, name: str) -> None:
        setattr(self, name, getattr(owner, name))


def counts(managers: Managers) -> Iterator[tuple[str, Callable[..., Any], str]]:
    """The name and the method of every count, and its parameter."""
    for owner in owners(managers):
        for name, method in inspect.getmembers(owner, callable):
            if name.startswith("_"):
                continue
            try:
                parameters = inspect.signature(method).parameters.values()
            except ValueError:
                continue
            for parameter in parameters:
                if is_count(parameter):
                    yield method.__qualname__, method, parameter.name


def called(method: Callable[..., Any], count: str, value: Any) -> None:
    arguments = {}
    for parameter in inspect.signature(method).parameters.values():
        if parameter.default is parameter.empty and parameter.name != count:
            arguments[parameter.name] = REQUIRED.get(parameter.name, str(uuid4()))
    result = method(**arguments, **{count: value})
    if isinstance(result, Iterator):
        list(result)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_is_no_int_is_no_count(managers: Managers, database: Database, statements: Any) -> None:
    found = list(counts(managers))
    assert len(found) > 30
    taken = []
    with database.bind():
        for name, method, parameter in found:
            for value in BAD:
                statements.clear()
                try:
                    called(method, parameter, value)
                except CloudpubError:
                    if not statements:
                        continue
                taken.append((name, parameter, type(value).__name__, list(statements.sql)))
    assert taken == [], "\n".join(map(str, taken))
