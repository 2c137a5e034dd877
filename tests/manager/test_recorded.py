"""A manager's rows in the log: what its calls refuse."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from cloudpub_models import Function, Manager, Managers, Scope, errors


@pytest.mark.parametrize("id", [[1, 2], None, uuid4(), "x", {"id": 1}])
def test_one_row_is_meant(managers: Managers, id: Any) -> None:
    with pytest.raises(errors.InvalidValueError):
        managers.functions.history(id)


@pytest.mark.parametrize("limit", [-1, "1", True])
def test_a_limit_is_a_number(managers: Managers, limit: Any) -> None:
    with pytest.raises(errors.InvalidQueryError):
        managers.functions.history(1, limit=limit)


def test_a_scope_cannot_hold_it(managers: Managers) -> None:
    scope = Scope({Function: {"user_id": 1}}, "the functions of ada")
    scoped = Manager(Function, managers.functions.database, scope=scope)
    for call in (
        lambda: scoped.history(1),
        lambda: scoped.diff(1, since=datetime.now(UTC)),
        lambda: scoped.as_of(datetime.now(UTC)),
        lambda: scoped.undelete(1),
        lambda: scoped.delete_preview({"id": 1}),
    ):
        with pytest.raises(errors.UnguardedError, match="the functions of ada can hold"):
            call()
