"""What the processes of ``test_domain_concurrency`` run; apart from it, so that they need not import pytest."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cloudpub_models import Database, Managers
from cloudpub_models.errors import DomainRuleError


@contextmanager
def opened(url: str, start: float) -> Iterator[Managers]:
    """Open the database, and wait for the moment at which all begin."""
    database = Database(url, busy_timeout=30)
    database.ping()
    time.sleep(max(0.0, start - time.time()))
    try:
        yield Managers(database)
    finally:
        database.close()


def deploy(url: str, start: float, function: int, times: int) -> list[int]:
    with opened(url, start) as managers:
        return [managers.function_deployments.deploy(function, "image", "key").version for _ in range(times)]


def activate(url: str, start: float, deployments: list[int]) -> list[list[tuple[int, int | None]]]:
    """Activate each, and return what a reader saw after each: the active deployments and the function's."""
    seen = []
    with opened(url, start) as managers:
        for deployment in random.sample(deployments, len(deployments)):
            managers.function_deployments.activate(deployment)
            rows = managers.database.raw_query_all(
                "SELECT d.id, f.active_deployment_id FROM function_deployments d "
                "JOIN functions f ON f.id = d.function_id WHERE d.is_active"
            )
            seen.append([(row["id"], row["active_deployment_id"]) for row in rows])
    return seen


def roll_back(url: str, start: float, function: int) -> int | None:
    with opened(url, start) as managers:
        try:
            return managers.function_deployments.rollback(function).version
        except DomainRuleError:
            return None


def join(url: str, start: float, user: str, organization: str) -> str:
    with opened(url, start) as managers:
        return _outcome(lambda: managers.organizations.add_user_to_organization(user, organization))


def transfer(url: str, start: float, organization: str, new_owner: str) -> str:
    with opened(url, start) as managers:
        return _outcome(lambda: managers.organizations.transfer_ownership(organization, new_owner))


def leave(url: str, start: float, user: str) -> str:
    with opened(url, start) as managers:
        return _outcome(lambda: managers.organizations.remove_user_from_organization(user))


def prune(url: str, start: float) -> int:
    from datetime import timedelta

    with opened(url, start) as managers:
        return managers.function_logs.prune(timedelta(days=1), batch_size=200)


def append(url: str, start: float, function: int, times: int) -> float:
    """Append lines and return how long the slowest took, in seconds."""
    slowest = 0.0
    with opened(url, start) as managers:
        for number in range(times):
            begun = time.monotonic()
            managers.function_logs.append(function, "info", f"line {number}")
            slowest = max(slowest, time.monotonic() - begun)
    return slowest


def _outcome(call: Callable[[], object]) -> str:
    try:
        call()
    except DomainRuleError as error:
        return str(error)
    return "done"
