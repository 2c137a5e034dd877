"""The framework pages: each repeats its example word for word, and each example does what its page says."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from cloudpub_models import Database, Function, Managers, User
from cloudpub_models import database as default_database
from cloudpub_models.errors import ConnectionLostError, InvalidQueryError, NotFoundError
from tests.faults.servers import Standby, migrated_server
from tests.waiting import LONG_ENOUGH, wait_until
from tests.work.databases import opened

CHECKOUT = Path(__file__).resolve().parents[2]
EXAMPLES = CHECKOUT / "examples" / "frameworks"
PAGES = CHECKOUT / "docs" / "frameworks"
UNREACHABLE = "postgresql://ada:s3cret@127.0.0.1:1/cloud"

EXAMPLE_OF = {
    "script": "nightly_report.py",
    "prefork_worker": "prefork_worker.py",
    "celery": "celery_tasks.py",
    "flask": "flask_app.py",
    "fastapi": "fastapi_app.py",
    "notebook": "notebook.ipynb",
}


def load(name: str) -> ModuleType:
    specification = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    # Frameworks look up a module's annotations by its name.
    sys.modules[name] = module
    specification.loader.exec_module(module)
    return module


def fastapi_client(app: Any, **options: Any) -> Any:
    with warnings.catch_warnings():
        # Starlette's newer versions ask for another client than httpx, which older ones do not know.
        warnings.simplefilter("ignore")
        from fastapi.testclient import TestClient
    return TestClient(app, **options)


def run_example(name: str, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        env=os.environ | {"CLOUDPUB_DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def url(request: pytest.FixtureRequest, backend: str, tmp_path: Path) -> str:
    """The URL of a database that several processes can open, empty on SQLite, migrated and empty on PostgreSQL."""
    return (
        f"sqlite:///{tmp_path}/c.db" if backend == "sqlite" else str(request.getfixturevalue("shared_postgresql_url"))
    )


@pytest.fixture
def managers(url: str) -> Iterator[Managers]:
    """The managers of the process's default database, which the examples use, at that URL."""
    default_database.initialize(url)
    default_database.migrate()
    yield Managers(default_database)
    default_database.close()


@pytest.fixture
def ada(managers: Managers) -> User:
    return managers.users.insert({"email": "ada@example.com", "password_hash": "s3cret"})


@pytest.fixture
def resize(managers: Managers, ada: User) -> Function:
    return managers.functions.insert({"user_id": ada.id, "name": "resize"})


def blocks(page: str, language: str) -> list[str]:
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def cells() -> list[str]:
    notebook = json.loads((EXAMPLES / "notebook.ipynb").read_text(encoding="utf-8"))
    assert all(cell.get("outputs", []) == [] for cell in notebook["cells"])
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_every_page_has_an_example_and_every_example_a_page() -> None:
    assert {path.stem for path in PAGES.glob("*.md")} == set(EXAMPLE_OF)
    assert {path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".ipynb")} == set(EXAMPLE_OF.values())


@pytest.mark.parametrize("page", EXAMPLE_OF)
def test_a_page_repeats_its_example(page: str) -> None:
    if page == "notebook":
        assert [block.rstrip("\n") for block in blocks(page, "ipython")] == cells()
    else:
        assert blocks(page, "python")[0] == (EXAMPLES / EXAMPLE_OF[page]).read_text(encoding="utf-8")
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    assert f"(../../examples/frameworks/{EXAMPLE_OF[page]})" in text
    for target in re.findall(r"\]\(([^)#]+)", text):
        assert (PAGES / target).exists(), target


# A plain script


def test_the_script(url: str, managers: Managers, resize: Function) -> None:
    recorded = [("success", 97), ("timeout", 3)]
    managers.function_invocations.batch_insert(
        {"function_id": resize.id, "status": status} for status, count in recorded for _ in range(count)
    )
    well = run_example("nightly_report.py", url)
    assert (well.returncode, well.stdout, well.stderr) == (0, "", "")
    failing = run_example("nightly_report.py", url, "--most-failing", "0.01")
    assert failing.returncode == 1
    assert failing.stdout == "resize of ada@example.com: 3 of 100 failed\n"


@pytest.mark.parametrize("url", [UNREACHABLE, "sqlite:///missing/directory/c.db"])
def test_the_script_says_what_was_wrong(url: str) -> None:
    failed = run_example("nightly_report.py", url)
    assert failed.returncode == 2
    assert failed.stderr.startswith("error: ")
    assert failed.stderr.count("\n") == 1
    assert "s3cret" not in failed.stderr


# A prefork worker


def test_the_prefork_worker_builds_everything_once(url: str, managers: Managers, resize: Function) -> None:
    deployments = [
        {"function_id": resize.id, "version": number, "image_tag": f"resize:{number}"} for number in range(31)
    ]
    keys = [{"s3_key": f"{number}.zip" if number else "0.exe"} for number in range(31)]
    managers.function_deployments.batch_insert(row | key for row, key in zip(deployments, keys, strict=True))
    finished = run_example("prefork_worker.py", url, "--processes", "3", "--until-idle")
    assert finished.returncode == 0, finished.stderr
    built = managers.function_deployments.find_all({"status": "active"})
    assert len(built) == 30
    for deployment in built:
        assert re.fullmatch(rf"process \d+ built resize:{deployment.version}", deployment.build_logs or "")
    failed = managers.function_deployments.find_all({"status": "failed"})
    assert [(deployment.version, deployment.build_logs) for deployment in failed] == [(0, "0.exe is no archive")]
    active = managers.function_deployments.find_all({"is_active": True})
    assert len(active) == 1
    function = managers.functions.find_by_id(resize.id)
    assert function is not None
    assert function.active_deployment_id == active[0].id


def test_the_prefork_worker_ends_when_told(url: str, managers: Managers, resize: Function) -> None:
    worker = subprocess.Popen(
        [sys.executable, str(EXAMPLES / "prefork_worker.py"), "--processes", "2"],
        env=os.environ | {"CLOUDPUB_DATABASE_URL": url},
        stderr=subprocess.PIPE,
    )
    managers.function_deployments.deploy(resize, "resize:1", "1.zip")
    wait_until(lambda: worker.poll() is not None or managers.function_deployments.exists({"status": "active"}))
    assert worker.poll() is None
    worker.send_signal(signal.SIGTERM)
    _, errors = worker.communicate(timeout=LONG_ENOUGH)
    assert (worker.returncode, errors) == (0, b"")


# Celery


CALLED_AT = "2026-11-28T12:00:00+00:00"


@pytest.fixture(scope="module")
def celery_tasks() -> ModuleType:
    module = load("celery_tasks")
    module.app.conf.task_always_eager = True
    return module


def test_a_celery_task_records_once(celery_tasks: ModuleType, managers: Managers, resize: Function) -> None:
    message: dict[str, Any] = {
        "uuid": str(uuid4()),
        "called_at": CALLED_AT,
        "function_uuid": str(resize.uuid),
        "status": "success",
    }
    message["duration_ms"] = 12
    assert celery_tasks.record_invocation.delay(**message).get() is True
    assert celery_tasks.record_invocation.delay(**message).get() is False
    (recorded,) = managers.function_invocations.find_all()
    assert (str(recorded.uuid), recorded.function_id, recorded.duration_ms) == (message["uuid"], resize.id, 12)
    assert recorded.timestamp.isoformat() == CALLED_AT


def test_a_celery_task_runs_again_when_the_database_was_the_reason(
    celery_tasks: ModuleType, managers: Managers, resize: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []
    session = default_database.session

    def lost_at_first() -> Any:
        tried.append(len(tried))
        if len(tried) < 3:
            raise ConnectionLostError("the connection broke")
        return session()

    monkeypatch.setattr(default_database, "session", lost_at_first)
    assert celery_tasks.record_invocation.delay(str(uuid4()), CALLED_AT, str(resize.uuid), "success").get() is True
    assert len(tried) == 3
    assert managers.function_invocations.count() == 1


def test_a_celery_task_fails_at_once_where_waiting_does_not_help(celery_tasks: ModuleType, managers: Managers) -> None:
    with pytest.raises(NotFoundError):
        celery_tasks.record_invocation.delay(str(uuid4()), CALLED_AT, str(uuid4()), "success").get()


def test_a_celery_task_deploys_once_for_each_message(
    celery_tasks: ModuleType, url: str, managers: Managers, resize: Function
) -> None:
    with opened(url):
        pass
    with pytest.raises(NotFoundError):
        celery_tasks.deploy.delay("1", str(uuid4()), "resize:1", "1.zip").get()
    made = [celery_tasks.deploy.delay(message, str(resize.uuid), "resize:1", "1.zip").get() for message in "1121"]
    assert made == [True, False, True, False]
    assert [deployment.version for deployment in managers.function_deployments.find_all(order_by="id")] == [1, 2]


def test_a_celery_task_prunes(celery_tasks: ModuleType, managers: Managers, resize: Function) -> None:
    now = datetime.now(UTC)
    managers.function_logs.batch_insert(
        {"function_id": resize.id, "level": "info", "message": "…", "timestamp": now - timedelta(days=days)}
        for days in range(10)
    )
    assert celery_tasks.prune_logs.delay(5).get() == 5


# Flask and FastAPI: the same service, asked in the same way

Ask = Callable[..., tuple[int, Any, Any]]


@pytest.fixture(params=["flask", "fastapi"])
def ask(request: pytest.FixtureRequest, url: str, managers: Managers) -> Iterator[Ask]:
    """Ask one of the two applications; returns status, JSON and headers."""
    if request.param == "flask":
        client = load("flask_app").create_app(url).test_client()

        def ask_flask(method: str, path: str, **arguments: Any) -> tuple[int, Any, Any]:
            response = client.open(path, method=method, **arguments)
            return response.status_code, response.json, response.headers

        yield ask_flask
        return
    with fastapi_client(load("fastapi_app").app) as asking:

        def ask_fastapi(method: str, path: str, **arguments: Any) -> tuple[int, Any, Any]:
            response = asking.request(method, path, **arguments)
            return response.status_code, response.json(), response.headers

        yield ask_fastapi


def test_a_function_is_made_and_shown(ask: Ask, ada: User) -> None:
    status, made, _ = ask("POST", f"/users/{ada.uuid}/functions", json={"name": "resize"})
    assert (status, made["name"], made["status"]) == (201, "resize", "active")
    assert "id" not in made
    status, shown, _ = ask("GET", f"/functions/{made['uuid']}")
    assert status == 200
    assert shown == made | {"user_uuid": str(ada.uuid)}


def test_a_function_of_another_user_is_not_there(ask: Ask, managers: Managers, ada: User, resize: Function) -> None:
    grace = managers.users.insert({"email": "grace@example.com", "password_hash": "…"})
    assert ask("GET", f"/users/{ada.uuid}/functions/{resize.uuid}")[0] == 200
    theirs = ask("GET", f"/users/{grace.uuid}/functions/{resize.uuid}")
    assert theirs[:2] == ask("GET", f"/users/{grace.uuid}/functions/{uuid4()}")[:2]
    assert theirs[0] == 404


def test_functions_come_in_pages(ask: Ask, managers: Managers, ada: User) -> None:
    managers.functions.batch_insert({"user_id": ada.id, "name": f"f{number}"} for number in range(25))
    _, first, _ = ask("GET", "/functions")
    _, second, _ = ask("GET", f"/functions?cursor={first['next']}")
    assert [item["name"] for item in first["items"] + second["items"]] == [f"f{number}" for number in range(25)]
    assert second["next"] is None
    assert {item["user_uuid"] for item in first["items"]} == {str(ada.uuid)}


def test_errors_have_a_status(ask: Ask, ada: User, resize: Function) -> None:
    functions = f"/users/{ada.uuid}/functions"
    for expected, method, path, body in [
        (404, "GET", f"/functions/{uuid4()}", None),
        (404, "POST", f"/users/{uuid4()}/functions", {"name": "x"}),
        (409, "POST", functions, {"name": "resize"}),
        (422, "GET", "/functions/no-uuid", None),
        (422, "POST", functions, {"name": "x" * 300}),
        (422, "GET", "/functions?cursor=forged", None),
    ]:
        status, answer, _ = ask(method, path, json=body)
        assert status == expected, (path, answer)
        assert "s3cret" not in str(answer)


def test_graphql_answers_with_what_is_a_users(ask: Ask, managers: Managers, ada: User, resize: Function) -> None:
    grace = managers.users.insert({"email": "grace@example.com", "password_hash": "…"})
    names = "query Names($first: Int) { functions(first: $first) { nodes { name user { email } } } }"
    request = {"query": names + " query Other { __typename }", "variables": {"first": 5}, "operationName": "Names"}
    status, answered, _ = ask("POST", f"/users/{ada.uuid}/graphql", json=request)
    assert (status, answered) == (
        200,
        {"data": {"functions": {"nodes": [{"name": "resize", "user": {"email": "ada@example.com"}}]}}},
    )
    assert ask("POST", f"/users/{grace.uuid}/graphql", json=request)[1] == {"data": {"functions": {"nodes": []}}}
    deploy = "mutation ($input: DeployInput!) { deploy(input: $input) { version } }"
    given = {"functionUuid": str(resize.uuid), "imageTag": "resize:1", "s3Key": "1.zip"}
    request = {"query": deploy, "variables": {"input": given}}
    assert ask("POST", f"/users/{ada.uuid}/graphql", json=request)[1] == {"data": {"deploy": {"version": 1}}}
    refused = ask("POST", f"/users/{grace.uuid}/graphql", json=request)[1]
    assert (refused["data"], refused["errors"][0]["extensions"]) == ({"deploy": None}, {"status": 404})


def test_graphql_that_is_none_is_told_so(ask: Ask, ada: User) -> None:
    path = f"/users/{ada.uuid}/graphql"
    for body, message in (
        ({"query": "{ functions { nodes { passwordHash } } }"}, "Cannot query field 'passwordHash'"),
        ({"query": "{"}, "Syntax Error"),
        ({"query": "{ functions(first: 1000) { nodes { name } } }"}, "expected first from 1 to 100"),
    ):
        status, answered, _ = ask("POST", path, json=body)
        assert status == 200
        assert answered["errors"][0]["message"].startswith(message)
    for nonsense in ([1], "query", {"query": {"a": 1}}):
        status, answered, _ = ask("POST", path, json=nonsense)
        assert status in (400, 422) or "errors" in answered
    assert ask("POST", f"/users/{uuid4()}/graphql", json={"query": "{ __typename }"})[0] == 404


def test_graphiql_asks_the_endpoint_it_is_got_from(url: str, managers: Managers, ada: User) -> None:
    path = f"/users/{ada.uuid}/graphql"
    with load("flask_app").create_app(url).test_client().get(path) as response:
        page = response.text
    with fastapi_client(load("fastapi_app").app) as asking:
        response = asking.get(path)
    assert response.headers["Content-Type"].startswith("text/html")
    assert response.text == page
    assert "url: location.pathname" in page
    loaded = re.findall(r'(?:src|href)="([^"]+)"[^>]+integrity="sha384-[^"]{64}"', page)
    assert len(loaded) == page.count("https://") == 4
    assert all(re.fullmatch(r"https://unpkg\.com/[a-z-]+@\d+\.\d+\.\d+/[\w./-]+", each) for each in loaded)


def test_a_database_that_is_away_is_503(ask: Ask, url: str, managers: Managers) -> None:
    default_database.initialize(UNREACHABLE)
    status, answer, headers = ask("GET", "/functions")
    assert (status, answer["status"]) == (503, 503)
    assert answer["detail"] == "the database cannot answer at the moment: try again"
    assert int(headers["Retry-After"]) > 0
    default_database.initialize(url)
    assert ask("GET", "/functions")[0] == 200


def test_a_bug_is_500_and_tells_nothing(url: str, managers: Managers) -> None:
    app = load("flask_app").create_app(url)
    client = app.test_client()
    app.view_functions["list_functions"] = _bug
    answer = client.get("/functions")
    assert answer.status_code == 500
    assert "stauts" not in answer.text
    app = load("fastapi_app").app
    app.add_api_route("/bug", _bug)
    with fastapi_client(app, raise_server_exceptions=False) as asking:
        answer = asking.get("/bug")
    assert (answer.status_code, answer.text) == (500, "Internal Server Error")


def _bug() -> None:
    raise InvalidQueryError("functions has no column 'stauts'")


# Read replicas, behind each of them


def test_what_was_written_is_named_where_it_succeeded(ask: Ask, ada: User, backend: str) -> None:
    functions = f"/users/{ada.uuid}/functions"
    for status, named, request in [
        (201, True, ("POST", functions)),
        (409, False, ("POST", functions)),
        (200, False, ("GET", "/functions")),
    ]:
        answered, _, headers = ask(*request, json={"name": "resize"})
        assert answered == status
        said = headers.get("Seen", headers.get("Set-Cookie", "").removeprefix("seen=").partition(";")[0])
        assert ("Seen" in headers or "Set-Cookie" in headers) == named
        assert bool(said) == (named and backend == "postgresql")


@pytest.fixture(scope="module")
def late_standby() -> Iterator[tuple[str, Standby]]:
    """The URL of a primary, and a standby of it that replays nothing any more."""
    primary = migrated_server()
    standby = Standby(primary)
    standby.execute("SELECT pg_wal_replay_pause()")
    yield primary.url, standby
    standby.remove()
    primary.remove()


@pytest.fixture
def written_elsewhere(late_standby: tuple[str, Standby]) -> Iterator[tuple[str, str, str]]:
    """A user and a function that another program has made, by their UUIDs, and the token that it has passed on."""
    url, standby = late_standby
    other = Database(url)
    elsewhere = Managers(other)
    user = elsewhere.users.insert({"email": f"{uuid4().hex}@example.com", "password_hash": "…"})
    function = elsewhere.functions.insert({"user_id": user.id, "name": "resize"})
    token = other.token()
    other.close()
    default_database.initialize(url, replicas=[standby.url], replica_max_lag=None)
    yield str(user.uuid), str(function.uuid), token
    default_database.close()


@pytest.mark.alone
@pytest.mark.parametrize("framework", ["flask", "fastapi"])
def test_a_request_reads_what_its_sender_has_seen(
    framework: str, late_standby: tuple[str, Standby], written_elsewhere: tuple[str, str, str]
) -> None:
    url, standby = late_standby
    user, function, token = written_elsewhere
    path = f"/users/{user}/functions/{function}"
    if framework == "flask":
        client = load("flask_app").create_app(url).test_client()
        default_database.initialize(url, replicas=[standby.url], replica_max_lag=None)
        assert client.get(path).status_code == 404
        for cookie, status in (("forged", 404), (token, 200)):
            client.set_cookie("seen", cookie)
            assert client.get(path).status_code == status
        return
    client = fastapi_client(load("fastapi_app").app)  # without its lifespan, which would migrate and be a write
    assert client.get(path).status_code == 404
    assert client.get(path, headers={"Seen": "forged"}).status_code == 422
    assert client.get(path, headers={"Seen": token}).status_code == 200


@pytest.mark.alone
def test_a_task_reads_what_its_sender_has_seen(
    celery_tasks: ModuleType, written_elsewhere: tuple[str, str, str]
) -> None:
    _, function, token = written_elsewhere
    record = celery_tasks.record_invocation
    with pytest.raises(NotFoundError):
        record.delay(str(uuid4()), CALLED_AT, function, "success").get()
    assert record.delay(str(uuid4()), CALLED_AT, function, "success", seen=token).get() is True


# A notebook


class Texts(HTMLParser):
    """The text of every table cell."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(source)

    def handle_data(self, data: str) -> None:
        self.found.append(data)


def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path) -> None:
    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell(config=config, ipython_dir=str(tmp_path))
    shown = []
    try:
        for cell in cells():
            outcome = shell.run_cell(cell)
            outcome.raise_error()
            shown.append(shell.display_formatter.format(outcome.result)[0])
    finally:
        default_database.close()
        shell.run_line_magic("unload_ext", "cloudpub_models.notebook")
    tables = [Texts(forms["text/html"]).found for forms in shown if "text/html" in forms]
    assert len(tables) == 4
    assert "resize-image" in tables[0]
    assert "ada@example.com" in tables[1]
    assert "password_hash" not in tables[1]
    assert {"average", "timeout", "resize-image"} <= set(tables[2])
    assert {"p99", "90"} <= set(tables[3])
    assert any(forms.get("text/plain") == "['resize-image', 'send-mail']" for forms in shown)
