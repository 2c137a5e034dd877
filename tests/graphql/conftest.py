"""A platform with a few rows of everything."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest

from cloudpub_models import Function, Managers, Organization, Role, User
from cloudpub_models.connection.cursor_seal import KEY_VARIABLE


class Shop(NamedTuple):
    managers: Managers
    ada: User
    grace: User
    acme: Organization
    functions: list[Function]


@pytest.fixture(autouse=True)
def _sealed_cursors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have databases seal their cursors, without which pages do not go on."""
    monkeypatch.setenv(KEY_VARIABLE, "k" * 43)


@pytest.fixture
def shop(managers: Managers) -> Shop:
    """Two users in an organization of the first one's, a third one alone, and six functions of theirs."""
    users = [
        managers.users.insert({"email": f"{name}@example.com", "password_hash": "a secret"})
        for name in ("ada", "grace", "joan")
    ]
    ada, grace, _ = users
    managers.user_information.insert(
        {"user_id": ada.uuid, "first_name": "Ada", "last_name": "Lovelace", "role": Role.TEAM, "city": "London"}
    )
    acme = managers.organizations.create("Acme", ada)
    managers.organizations.add_user_to_organization(grace, acme)
    start = datetime(2026, 5, 1, tzinfo=UTC)
    functions = []
    for number in range(6):
        function = managers.functions.insert(
            {
                "user_id": users[number % 2].id,
                "name": f"function-{number}",
                "analysis_result": {"language": {"name": "dart"}, "sizes": [number, None]} if number % 3 else None,
            }
        )
        functions.append(function)
        for version in range(number):
            deployment = managers.function_deployments.deploy(function, f"image:{version}", f"key/{version}")
            if version == 1:
                managers.function_deployments.activate(deployment)
        managers.function_logs.batch_insert(
            {
                "function_id": function.id,
                "level": "info",
                "message": f"line {n}",
                "timestamp": start + timedelta(hours=n % 3),
            }
            for n in range(number)
        )
        managers.function_invocations.batch_insert(
            {
                "function_id": function.id,
                "status": "success" if n % 2 else "failed",
                "duration_ms": n * 10 or None,
                "error": None if n % 2 else "out of memory",
                "timestamp": start + timedelta(minutes=n),
            }
            for n in range(2 * number)
        )
    return Shop(managers, ada, grace, acme, [managers.functions.get_by_id(function.id) for function in functions])
