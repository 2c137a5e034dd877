"""Conditions as they are typed: what a manager is asked, which columns may come twice, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from cloudpub_models import Function, FunctionInvocation, Managers
from cloudpub_models.cli.given.filters import parse_filters
from cloudpub_models.manager.columns.table import table_of

TABLE = table_of(FunctionInvocation)


@pytest.mark.parametrize(
    ("arguments", "condition", "values"),
    [
        (["status=error"], "status = {0}", ["error"]),
        (["duration_ms>=10", "duration_ms<20"], "duration_ms >= {0} AND duration_ms < {1}", [10, 20]),
        (["error!=null", "status!=error"], "error IS NOT NULL AND status != {0}", ["error"]),
    ],
)
def test_what_is_sent(
    managers: Managers, statements: Any, backend: str, arguments: list[str], condition: str, values: list[Any]
) -> None:
    managers.function_invocations.count(parse_filters(arguments, TABLE, managers))
    mark = "?" if backend == "sqlite" else "%s"
    asked = condition.format(*[mark] * len(values))
    assert statements == [(f"SELECT COUNT(*) AS count FROM function_invocations WHERE {asked}", tuple(values))]


def test_a_dotted_key_follows_relations(managers: Managers) -> None:
    ada, grace = (managers.users.insert({"email": f"{name}@x.y", "password_hash": "…"}) for name in ("ada", "grace"))
    own = managers.functions.insert({"user_id": ada.id, "name": "resize"})
    managers.functions.insert({"user_id": grace.id, "name": "crop"})
    managers.function_deployments.deploy(own, "image", "key")
    functions = table_of(Function)
    for arguments in (
        ["user.email=ada@x.y"],
        ["user.email~ada%"],
        ["deployments.version>=1"],
        ["deployments.id!=null"],
    ):
        assert managers.functions.find_all(parse_filters([*arguments], functions, managers)) == [own]
    assert managers.functions.find_all(parse_filters([f"user.uuid={ada.uuid}"], functions, managers)) == [own]
    for wrong in ("user.mail=x", "usr.email=x", "deployments.version=first", "user.=x", ".email=x"):
        with pytest.raises(typer.BadParameter):
            parse_filters([wrong], functions, managers)


def test_none_are_none(managers: Managers) -> None:
    assert parse_filters(None, TABLE, managers) is None
    assert parse_filters([], TABLE, managers) is None


@pytest.mark.parametrize("argument", ["status", "=x", "no=1", "status==x", "duration_ms~1", "status>null", "id=x"])
def test_what_is_none_is_refused(managers: Managers, statements: Any, argument: str) -> None:
    with pytest.raises(typer.BadParameter):
        parse_filters([argument], TABLE, managers)
    assert statements == []
