"""Domain operations of several processes at once keep the rules, on PostgreSQL and on a SQLite file."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from multiprocessing.pool import Pool

import pytest

from cloudpub_models import Function, Managers, Organization, User
from tests.platform import workers as work

pytestmark = pytest.mark.usefixtures("backend")


def soon() -> float:
    return time.time() + 0.15


@pytest.fixture
def ada(shared: Managers) -> User:
    return shared.users.insert({"email": "ada@example.com", "password_hash": "…"})


@pytest.fixture
def resize(shared: Managers, ada: User) -> Function:
    return shared.functions.insert({"user_id": ada.id, "name": "resize"})


def test_eight_deployers_get_consecutive_versions(
    shared: Managers, shared_url: str, resize: Function, processes: Pool
) -> None:
    start, times = soon(), 5
    versions = processes.starmap(work.deploy, [(shared_url, start, resize.id, times)] * 8, chunksize=1)
    assert sorted(version for own in versions for version in own) == list(range(1, 8 * times + 1))
    assert all(own == sorted(own) for own in versions)
    assert shared.function_deployments.count({"function_id": resize.id}) == 8 * times


def test_concurrent_activations_never_leave_two_active(
    shared: Managers, shared_url: str, resize: Function, processes: Pool
) -> None:
    deployments = [shared.function_deployments.deploy(resize, "image", "key").id for _ in range(6)]
    start = soon()
    seen = processes.starmap(work.activate, [(shared_url, start, deployments)] * 8, chunksize=1)
    for rows in (rows for own in seen for rows in own):
        assert len(rows) == 1
        assert rows[0][0] == rows[0][1]
    active = shared.function_deployments.find_all({"is_active": True})
    assert [deployment.id for deployment in active] == [shared.functions.find_by_id(resize.id).active_deployment_id]


def test_concurrent_rollbacks_go_back_one_version_each(
    shared: Managers, shared_url: str, resize: Function, processes: Pool
) -> None:
    for _ in range(6):
        latest = shared.function_deployments.deploy(resize, "image", "key")
    shared.function_deployments.activate(latest)
    start = soon()
    versions = processes.starmap(work.roll_back, [(shared_url, start, resize.id)] * 8, chunksize=1)
    assert sorted(version for version in versions if version) == [1, 2, 3, 4, 5]
    assert versions.count(None) == 3


def test_one_user_joins_one_of_many_organizations(shared: Managers, shared_url: str, processes: Pool) -> None:
    organizations = []
    for number in range(8):
        owner = shared.users.insert({"email": f"owner{number}@example.com", "password_hash": "…"})
        organizations.append(shared.organizations.create(f"Organization {number}", owner))
    user = shared.users.insert({"email": "wanted@example.com", "password_hash": "…"})
    start = soon()
    outcomes = processes.starmap(
        work.join, [(shared_url, start, str(user.uuid), str(each.uuid)) for each in organizations], chunksize=1
    )
    assert outcomes.count("done") == 1
    joined = shared.organizations.get_user_organization(user)
    assert joined == organizations[outcomes.index("done")]
    assert all(repr(joined.name) in outcome for outcome in outcomes if outcome != "done")


def test_an_owner_is_always_a_member(shared: Managers, shared_url: str, ada: User, processes: Pool) -> None:
    acme: Organization = shared.organizations.create("Acme", ada)
    members = [shared.users.insert({"email": f"m{number}@example.com", "password_hash": "…"}) for number in range(4)]
    for member in members:
        shared.organizations.add_user_to_organization(member, acme)
    start = soon()
    transfers = [(work.transfer, (shared_url, start, str(acme.uuid), str(member.uuid))) for member in members]
    leaves = [(work.leave, (shared_url, start, str(member.uuid))) for member in members]
    pending = [processes.apply_async(*call) for call in transfers + leaves]
    for call in pending:
        call.get(timeout=60)
    owner = shared.organizations.find_by_id(acme.id).owner_id
    assert shared.organizations.is_user_in_organization(owner, acme)


@pytest.mark.alone
def test_pruning_lets_others_log(shared: Managers, shared_url: str, resize: Function, processes: Pool) -> None:
    old = datetime.now(UTC) - timedelta(days=2)
    lines = ({"function_id": resize.id, "level": "info", "message": "old", "timestamp": old} for _ in range(20_000))
    assert shared.function_logs.batch_insert(lines) == 20_000
    start = soon()
    pruners = [processes.apply_async(work.prune, (shared_url, start)) for _ in range(2)]
    loggers = [processes.apply_async(work.append, (shared_url, start, resize.id, 50)) for _ in range(2)]
    assert sum(pruner.get(timeout=60) for pruner in pruners) == 20_000
    assert max(logger.get(timeout=60) for logger in loggers) < 2
    assert shared.function_logs.count() == 100
