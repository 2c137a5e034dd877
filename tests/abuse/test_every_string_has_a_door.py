"""A public parameter that could take a string, and that no test pushes hostile ones through, fails here."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cloudpub_models
from cloudpub_models import Connection, Database, Manager, Managers, QueryBuilder, Statement, dto, legacy, operators
from cloudpub_models.entity.base import Entity
from cloudpub_models.history.history import History
from cloudpub_models.models import ALL_MODELS
from tests.abuse.doors import DOORS, RAW_SQL

# Annotations of parameters that no string gets through: numbers, functions, objects of ours, moments. Each is checked
# where it is taken; what is not listed here is taken for one that lets strings in.
NO_STRINGS = frozenset(
    (
        *(
            "int",
            "int | None",
            "bool",
            "float",
            "datetime | None",
            "timedelta",
            "Dialect",
            "Database",
            "Database | None",
        ),
        *("type[M]", "type[peewee.Model]", "F", "Callable[[Connection], R]", "Callable[[Self], Self]"),
        *("Progress | None", "Callable[[int], object] | None", "Callback", "QueryBuilder", "Engine", "Scope"),
        *("Scope | None", "Iterable[Component]", "Iterable[Component] | None"),
        *("User", "Organization", "Function", "FunctionDeployment", "FunctionLog", "FunctionInvocation"),
        *("UserInformation", "UserInformation | None", "Organization | None", "User | OrganizationMember"),
        "Iterable[User | OrganizationMember]",
    )
)

# What holds them is made by the library itself, or by a user who writes SQL.
NOT_CALLED_BY_USERS = frozenset(("Connection.__init__", "Statement.__init__", "History.__init__"))


def public_classes() -> list[type]:
    managers = Managers(Database("sqlite:///:memory:"))
    own = {
        type(manager) for manager in (getattr(managers, name) for name in dir(managers)) if isinstance(manager, Manager)
    }
    assert len(own) >= 6
    dtos = [getattr(dto, name) for name in dto.__all__]
    return [
        *(Database, Connection, QueryBuilder, Statement, Manager, Managers, legacy.QueryHelpers, Entity, History),
        *sorted(own, key=lambda found: found.__name__),
        *ALL_MODELS,
        *dtos,
    ]


def public_parameters() -> Iterator[tuple[str, str]]:
    """Yield every public parameter, ``Class.method(parameter)``, with its annotation as it is written."""
    seen: set[Any] = set()
    for owner in public_classes():
        for name, member in inspect.getmembers(owner, callable):
            function = inspect.unwrap(getattr(member, "__func__", member))
            if (name.startswith("_") and name != "__init__") or not inspect.isfunction(function) or function in seen:
                continue
            if not function.__module__.startswith("cloudpub_models"):
                continue  # Peewee's and pydantic's own
            seen.add(function)
            shown = f"{owner.__name__}.{name}"
            if shown in NOT_CALLED_BY_USERS:
                continue
            for parameter in inspect.signature(function).parameters.values():
                if parameter.name not in ("self", "cls"):
                    yield f"{shown}({parameter.name})", str(parameter.annotation)
    functions = {f"operators.{name}": function for name, function in vars(operators).items() if name[0] != "_"}
    for name, function in {**functions, "raw": cloudpub_models.raw}.items():
        if inspect.isfunction(function) and (name == "raw" or function.__module__ == operators.__name__):
            for parameter in inspect.signature(function).parameters.values():
                yield f"{name}({parameter.name})", str(parameter.annotation)


def string_parameters() -> set[str]:
    return {shown for shown, annotation in public_parameters() if annotation not in NO_STRINGS}


def covered() -> set[str]:
    return {name.partition(":")[0] for door in DOORS for name in door.covers}


def test_every_parameter_that_takes_strings_has_a_door() -> None:
    missing = string_parameters() - covered() - RAW_SQL
    assert not missing, f"push hostile strings through these, in abuse_doors: {sorted(missing)}"


def test_the_doors_are_doors_of_something() -> None:
    real = {shown for shown, _ in public_parameters()}
    named = {name for name in covered() | RAW_SQL if re.fullmatch(r"\w+(\.\w+)?\(\w+\)", name)}
    gone = named - real
    assert not gone, f"these are no parameters any more: {sorted(gone)}"


def test_raw_sql_is_named_in_the_documentation() -> None:
    page = Path(__file__).parents[2].joinpath("docs/SECURITY.md").read_text()
    for name in RAW_SQL:
        method = name.partition("(")[0].rpartition(".")[2]
        assert f"{method}(" in page, name


def test_the_check_sees_a_new_parameter(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_by_nickname(self: Any, nickname: str, limit: int = 1) -> None: ...

    find_by_nickname.__module__ = "cloudpub_models.platform.users"
    monkeypatch.setattr(Manager, "find_by_nickname", find_by_nickname, raising=False)
    assert string_parameters() - covered() - RAW_SQL == {"Manager.find_by_nickname(nickname)"}


def test_the_annotations_that_let_no_string_in_let_none_in() -> None:
    for annotation in NO_STRINGS:
        assert "str" not in annotation
        assert "Any" not in annotation
        assert "Mapping" not in annotation
