"""A user's whole task, from the words of the pages: a service, a worker and a clean-up, tested with the plugin."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

SERVICE = '''
"""Functions of users over HTTP: no endpoint writes a status of its own."""

from contextlib import asynccontextmanager
from uuid import UUID

from fastapi import FastAPI
from fastapi.responses import JSONResponse

from cloudpub_models import FunctionDeploymentDto, FunctionDto, database, managers, operators
from cloudpub_models.errors import CloudpubError
from cloudpub_models.http import MEDIA_TYPE, problem


@asynccontextmanager
async def lifespan(_):
    database.initialize()
    database.migrate()
    yield
    database.close()


app = FastAPI(lifespan=lifespan)


@app.exception_handler(CloudpubError)
def answer(_, error):
    told = problem(error)
    return JSONResponse(told, told["status"], media_type=MEDIA_TYPE)


@app.post("/users/{uuid}/functions", status_code=201)
def create(uuid: UUID, row: dict):
    owner = managers.users.get_by_uuid(uuid)
    return FunctionDto.from_entity(managers.functions.insert({**row, "user_id": owner.id}))


@app.get("/functions")
def browse(page_size: int = 20, cursor: str | None = None):
    page = managers.functions.paginate_after(cursor, page_size, order_by="-created_at")
    return {"items": [FunctionDto.from_entity(each).to_json() for each in page.items], "next": page.next_cursor}


@app.get("/functions/{uuid}")
def show(uuid: str):
    return FunctionDto.from_entity(managers.functions.get_by_uuid(uuid))


@app.post("/functions/{uuid}/deployments", status_code=201)
def deploy(uuid: UUID):
    return FunctionDeploymentDto.from_entity(managers.function_deployments.deploy(uuid, "image:1", "code.zip"))


@app.post("/functions/{uuid}/rollback")
def rollback(uuid: UUID):
    return FunctionDeploymentDto.from_entity(managers.function_deployments.rollback(uuid))


@app.get("/functions/{uuid}/logs")
def logs(uuid: UUID):
    return [line.message for line in managers.function_logs.tail(uuid)]


@app.get("/slow")
def slow():
    return managers.function_invocations.aggregate(
        group_by="function.name",
        calls=operators.count(),
        slowest=operators.max("duration_ms"),
        having={"slowest": operators.gt(100)},
        order_by="-slowest",
    )
'''
WORKER = '''
"""Builds what was deployed, records calls."""

from cloudpub_models import managers, operators


def build_one():
    for deployment in managers.function_deployments.claim({"status": "building"}, {"status": "claimed"}, order_by="id"):
        managers.function_deployments.update_by_id(deployment.id, {"status": "active"})
        managers.function_deployments.activate(deployment.uuid)
        managers.function_logs.append(deployment.function_id, "info", f"version {deployment.version} is built")
        return True
    return False


def record(uuid, duration):
    return managers.function_invocations.record(uuid, "success", duration)


def count_retries(invocation):
    changes = {"duration_ms": operators.increment(5)}
    return managers.function_invocations.update_by_id(invocation.id, changes).duration_ms
'''
CLEANUP = '''
"""Throws away what nobody needs."""

from datetime import timedelta

from cloudpub_models import any_of, database, managers, operators


def clean_up():
    with database.transaction():
        gone = managers.functions.delete(any_of({"status": "failed"}, {"name": operators.like("tmp-%")}))
    return gone, managers.function_logs.prune(timedelta(days=30))
'''
TESTS = """
import warnings

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient

from cleanup import clean_up
from cloudpub_models import managers
from service import app
from worker import build_one, count_retries, record

NOBODY = "11111111-1111-4111-8111-111111111111"


@pytest.fixture
def client(FIXTURE):
    with TestClient(app) as client:
        yield client


def test_a_function_from_its_making_to_its_end(client, cloudpub_factory):
    ada = cloudpub_factory.user()
    made = client.post(f"/users/{ada.uuid}/functions", json={"name": "resize"})
    assert made.status_code == 201
    uuid = made.json()["uuid"]
    assert client.get(f"/functions/{uuid}").json()["name"] == "resize"
    for _ in range(2):
        assert client.post(f"/functions/{uuid}/deployments").status_code == 201
        assert build_one()
    assert not build_one()
    assert client.get(f"/functions/{uuid}/logs").json() == ["version 2 is built", "version 1 is built"]
    assert client.post(f"/functions/{uuid}/rollback").json()["version"] == 1
    assert count_retries(record(uuid, 200)) == 205
    assert client.get("/slow").json() == [{"function.name": "resize", "calls": 1, "slowest": 205}]
    managers.functions.update({"status": "failed"}, {"uuid": uuid})
    assert clean_up() == (1, 0)
    assert client.get(f"/functions/{uuid}").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "status", "detail"),
    [
        ("get", f"/functions/{NOBODY}", 404, "there is no such row of functions"),
        ("get", f"/functions/{NOBODY}/logs", 404, "there is no such row of functions"),
        ("post", f"/functions/{NOBODY}/deployments", 404, "there is no such row of functions"),
        ("post", f"/users/{NOBODY}/functions", 404, "there is no such row of users"),
        ("get", "/functions/resize", 422, None),
        ("get", "/functions?page_size=0", 422, "expected page_size to be an integer of at least 1"),
        ("get", "/functions?cursor=forged", 422, "the cursor is none of this list: begin without one"),
    ],
)
def test_what_is_asked_wrongly(client, method, path, status, detail):
    answer = client.request(method, path, json={} if method == "post" else None)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert detail is None or answer.json()["detail"] == detail


def test_rules_are_conflicts(client, cloudpub_factory):
    function = cloudpub_factory.function(name="resize")
    owner = managers.users.get_by_id(function.user_id)
    answer = client.post(f"/users/{owner.uuid}/functions", json={"name": "resize"})
    assert (answer.status_code, answer.json()["detail"]) == (409, "another row already has this user_id, name")
    answer = client.post(f"/functions/{function.uuid}/rollback")
    assert (answer.status_code, answer.json()["detail"]) == (409, "expected a function with an active deployment")
"""


@pytest.mark.parametrize("fixture", ["cloudpub_database", "cloudpub_postgres"])
def test_a_service_a_worker_and_a_clean_up(pytester: pytest.Pytester, fixture: str) -> None:
    pytester.makepyfile(service=SERVICE, worker=WORKER, cleanup=CLEANUP, test_all=TESTS.replace("FIXTURE", fixture))
    # As a process of its own: the modules of one run are not those of the other.
    finished = pytester.runpytest_subprocess("-W", "error::RuntimeWarning", "-p", "no:cacheprovider")
    finished.assert_outcomes(passed=9)
