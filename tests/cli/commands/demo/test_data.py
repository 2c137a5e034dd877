"""The demo's data: the same for the same seed, as many rows as asked for, and believable."""

from __future__ import annotations

import statistics
from collections import Counter
from typing import Any

import pytest

from cloudpub_models.cli.commands.demo.data import (
    ANCHOR,
    DAYS_OF_TRAFFIC,
    DEMO_DOMAIN,
    Platform,
    make_platform,
    make_traffic,
)


def invocations(platform: Platform, count: int) -> list[dict[str, Any]]:
    ids = {function.uuid: number for number, function in enumerate(platform.functions)}
    return [row for day in make_traffic(platform, count, ids) for row in day.invocations]


@pytest.mark.parametrize("seed", [0, 1, 2, 77, 10**12])
@pytest.mark.parametrize("count", [1, 7, 5_000])
def test_as_many_invocations_as_asked_for_in_order(seed: int, count: int) -> None:
    rows = invocations(make_platform(seed), count)
    assert len(rows) == count
    assert rows == sorted(rows, key=lambda row: row["timestamp"])
    assert len({row["uuid"] for row in rows}) == count
    assert all(0 < (ANCHOR - row["timestamp"]).days + 1 <= DAYS_OF_TRAFFIC + 1 for row in rows)


def test_a_seed_decides_everything() -> None:
    assert make_platform(3) == make_platform(3)
    assert make_platform(3) != make_platform(4)
    assert invocations(make_platform(3), 500) == invocations(make_platform(3), 500)


@pytest.mark.parametrize("seed", range(20))
def test_the_platform_keeps_its_own_rules(seed: int) -> None:
    platform = make_platform(seed)
    assert all(user["email"].endswith(f"@{DEMO_DOMAIN}") for user in platform.users)
    assert len({user["email"] for user in platform.users}) == len(platform.users)
    members = Counter(member["user_id"] for member in platform.organization_members)
    assert set(members.values()) == {1}
    owners = {organization["owner_id"] for organization in platform.organizations}
    assert owners <= set(members)
    names = {(function.owner, function.row["name"]) for function in platform.functions}
    assert len(names) == len(platform.functions)
    for function in platform.functions:
        versions = [row["version"] for row in function.deployments]
        assert versions == list(range(1, len(versions) + 1))
        assert sum(row["is_active"] for row in function.deployments) == 1
        moments = [row["deployed_at"] for row in function.deployments]
        assert moments == sorted(moments)
        assert function.row["created_at"] <= moments[0]
        assert moments[-1] < ANCHOR


def test_durations_have_a_long_tail_and_some_calls_fail() -> None:
    rows = invocations(make_platform(1), 20_000)
    durations = [row["duration_ms"] for row in rows if row["duration_ms"] is not None]
    assert statistics.mean(durations) > 2 * statistics.median(durations)
    failed = [row for row in rows if row["status"] == "error"]
    assert 0.005 < len(failed) / len(rows) < 0.15
    assert all((row["error"] is not None) == (row["status"] == "error") for row in rows)
    assert any(row["duration_ms"] is None for row in failed)


def test_days_are_busier_than_nights() -> None:
    hours = Counter(row["timestamp"].hour for row in invocations(make_platform(1), 20_000))
    assert hours[15] > 2 * hours[3]
