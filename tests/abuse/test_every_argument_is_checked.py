"""Whatever is passed for an argument, a public method does what it is for or raises one of our own errors.

A body of JSON that is passed on brings lists where names are expected, numbers too long to be written out, and what is
nested deeper than Python follows. Which methods and arguments there are is read from the signatures. What of this does
not depend on the database, which is all but nothing, is asked on SQLite.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from fractions import Fraction
from typing import Any
from uuid import uuid4

import peewee
import pytest

from cloudpub_models import Database, Function, Managers, operators
from cloudpub_models.errors import CloudpubError


class Number(IntEnum):
    ONE = 1


class Word(str, Enum):  # noqa: UP042 - one whose text is not its value
    NAME = "name"


def nested(depth: int, wrap: Any) -> Any:
    value: Any = "innermost"
    for _ in range(depth):
        value = wrap(value)
    return value


ODD: dict[str, Any] = {
    "None": None,
    "True": True,
    "a negative": -1,
    "a fraction": 1.5,
    "nan": float("nan"),
    "infinity": float("inf"),
    "too long to be written out": 10**5000,
    "signaling": Decimal("sNaN"),
    "a rational": Fraction(1, 3),
    "complex": 1j,
    "no text": "",
    "a name": "name",
    "NUL": "a\0b",
    "half a character": "\ud800",
    "bytes": b"name",
    "a bytearray": bytearray(b"name"),
    "an empty list": [],
    "a list in a list": [["name"]],
    "lists in each other": nested(5000, lambda value: [value]),
    "dicts in each other": nested(5000, lambda value: {"name": value}),
    "a number for a key": {1: 2},
    "a dict of a dict": {"name": {"name": 1}},
    "a set": {"name"},
    "three of a pair": ("name", "ASC", "name"),
    "the last moment": datetime.max,
    "beyond the last moment": datetime.max.replace(tzinfo=UTC) - timedelta(0),
    "the longest time": timedelta.max,
    "the longest time ago": timedelta.min,
    "a day": date.max,
    "a time": time(1, tzinfo=UTC),
    "a UUID": uuid4(),
    "an object": object(),
    "a class": int,
    "an ellipsis": ...,
    "an error": ValueError("x"),
    "a number with a name": Number.ONE,
    "a word with a name": Word.NAME,
    "a field": Function.name,
    "a model": Function,
    "a row that is nowhere": Function(id=2**62),
    "SQL": peewee.SQL("1"),
    "a query": Function.select(),
    "a function": peewee.fn.NOW(),
    "an operator": operators.gt(1),
}
IN_OTHERS = ("None", "nan", "too long to be written out", "half a character", "a list in a list", "a field", "a query")
ODD |= {f"{name}, in a list": [ODD[name]] for name in IN_OTHERS}
ODD |= {f"{name}, in a dict": {"name": ODD[name]} for name in IN_OTHERS}

USUAL: dict[str, Any] = {
    "id": 1,
    "where": {"id": 1},
    "data": {"name": "x"},
    "rows": [],
    "conflict_columns": ["user_id", "name"],
    "key_columns": ["user_id", "name"],
    "related_table": "users",
    "foreign_key": "user_id",
    "parent_id": 1,
    "foreign_key_value": 1,
    "related_key": "id",
    "pivot_table": "organization_members",
    "join_table": "users",
    "join_condition": "functions.user_id = users.id",
    "sql": "SELECT 1 AS n",
    "columns": "name",
    "text": "abc",
    "changes": {"name": "y"},
    "seconds": 5,
    "page": 1,
    "page_size": 2,
    "function": 1,
    "user": 1,
    "name": "x",
    "level": "info",
    "message": "m",
    "status": "success",
    "since": timedelta(1),
    "moment": timedelta(1),
    "before": timedelta(1),
    "timezone": "UTC",
    "key": "k",
    "topic": "t",
    "model": Function,
    "owner": 1,
    "reason": "r",
    "statements": ["SELECT 1"],
    "fn": lambda *_: None,
    "operation": lambda *_: None,
    "deployment": 1,
    "version": 1,
    "member": 1,
}
# What is called is the caller's own, and what it raises too.
CALLED = {"fn", "callback", "progress", "operation"}
# These end what the others need.
ENDS = {"close", "migrate", "initialize", "destroy", "drop_tables", "create_tables"}


@pytest.fixture(scope="module")
def managers() -> Iterator[Managers]:
    database = Database("sqlite:///:memory:")
    database.migrate()
    yield Managers(database)
    database.close()


OWNERS = {
    "database": lambda managers: managers.database,
    "managers": lambda managers: managers,
    "users": lambda managers: managers.users,
    "functions": lambda managers: managers.functions,
    "function_logs": lambda managers: managers.function_logs,
    "function_invocations": lambda managers: managers.function_invocations,
    "function_deployments": lambda managers: managers.function_deployments,
    "organizations": lambda managers: managers.organizations,
    "builder": lambda managers: managers.functions.query(),
}


def use(result: Any) -> None:
    """Go on with what a method has given, as its caller would."""
    if isinstance(result, AbstractContextManager):
        with result:
            pass
    elif hasattr(result, "__next__"):
        list(result)


@pytest.mark.parametrize("owner", OWNERS)
def test_any_value_for_any_argument(managers: Managers, owner: str) -> None:
    asked = OWNERS[owner](managers)
    calls = 0
    failures: dict[str, str] = {}
    for name in dir(asked):
        method = getattr(type(asked), name, None)
        if name.startswith("_") or name in ENDS or not inspect.isfunction(method):
            continue
        if not method.__module__.startswith("cloudpub_models"):
            continue
        parameters = list(inspect.signature(method).parameters.values())[1:]
        parameters = [one for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
        required = {one.name: USUAL.get(one.name) for one in parameters if one.default is one.empty}
        for parameter in parameters:
            for kind, value in ODD.items():
                if parameter.name in CALLED and callable(value):
                    continue
                calls += 1
                try:
                    use(getattr(asked, name)(**required | {parameter.name: value}))
                except CloudpubError:
                    pass
                except Exception as error:  # noqa: BLE001 - all others are what is looked for
                    failures[f"{name}({parameter.name}={kind})"] = f"{type(error).__name__}: {str(error)[:80]}"
                assert not managers.database.engine.scopes()
    assert failures == {}
    assert calls > 100
