"""``cloudpub find``, ``show`` and ``count``: what they find, how they print it, and what they answer to mistakes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from typer.testing import Result

from cloudpub_models import Function, Managers, User
from tests.cli.talk import talk

Run = Callable[..., Result]

HASH = "!hash-that-nobody-sees"


@pytest.fixture
def ada(data: Managers) -> User:
    return data.users.insert({"email": "ada@example.com", "password_hash": HASH})


@pytest.fixture
def resize(data: Managers, ada: User) -> Function:
    analysis = {"language": "python", "ratio": 0.25}
    return data.functions.insert({"user_id": ada.id, "name": "resize", "analysis_result": analysis})


@pytest.fixture
def invocations(data: Managers, resize: Function) -> list[int]:
    """Ten invocations, one a day: 0, 100 … 900 ms; the last two failed and took no time that was measured."""
    rows = [
        {
            "function_id": resize.id,
            "status": "error" if number > 7 else "success",
            "duration_ms": None if number > 7 else number * 100,
            "error": "null" if number == 9 else "time-out 100%" if number == 8 else None,
            "timestamp": datetime(2026, 1, number + 1, tzinfo=UTC),
        }
        for number in range(10)
    ]
    return [invocation.id for invocation in data.function_invocations.batch_insert(rows, returning=True)]


def lines(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize(
    ("conditions", "numbers"),
    [
        ((), range(10)),
        (("status=error",), [8, 9]),
        (("status!=error",), range(8)),
        (("duration_ms=300",), [3]),
        (("duration_ms>=300", "duration_ms<600"), [3, 4, 5]),
        (("duration_ms>300", "duration_ms<=600", "status=success"), [4, 5, 6]),
        (("duration_ms=null",), [8, 9]),
        (("duration_ms!=NULL",), range(8)),
        (("timestamp>=2026-01-03", "timestamp<2026-01-05T01:00:00+01:00"), [2, 3]),
        (("timestamp=2026-01-03T00:00:00",), [2]),
        (("error~time%",), [8]),
        (("error~TIME%",), []),
        ((r"error~%100\%",), [8]),
        (("error!~time%",), [9]),
        (("error~null",), [9]),
        (("error=time-out 100%",), [8]),
        (("status=error", "status!=error"), []),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_conditions(run: Run, invocations: list[int], conditions: tuple[str, ...], numbers: Any) -> None:
    found = lines(run("find", "function_invocations", *conditions, "--json"))
    assert [row["id"] for row in found] == [invocations[number] for number in numbers]
    assert run("count", "function_invocations", *conditions).stdout == f"{len(list(numbers))}\n"


@pytest.mark.parametrize(
    ("table", "condition"),
    [
        ("functions", "user_id={ada.id}"),
        ("functions", "user_id={ada.uuid}"),
        ("functions", "user={ada.uuid}"),
        ("functions", "uuid={resize.uuid}"),
        ("functions", 'analysis_result={{"language": "python", "ratio": 0.25}}'),
        ("function_invocations", "function_id={resize.uuid}"),
        ("user_information", "user_id={ada.uuid}"),
    ],
)
def test_values_are_read_as_their_column_s_type(
    run: Run, data: Managers, ada: User, resize: Function, invocations: list[int], table: str, condition: str
) -> None:
    data.user_information.insert({"user_id": ada.uuid, "first_name": "A", "last_name": "L", "role": "developer"})
    number = int(run("count", table, condition.format(ada=ada, resize=resize)).stdout)
    assert number == (10 if table == "function_invocations" else 1)


@pytest.mark.parametrize("word", ["true", "True", "yes", "1"])
def test_truth(run: Run, data: Managers, resize: Function, word: str) -> None:
    row = {"function_id": resize.id, "version": 1, "image_tag": "i", "s3_key": "k", "is_active": True}
    data.function_deployments.batch_insert([row, {**row, "version": 2, "is_active": False}])
    assert [row["version"] for row in lines(run("find", "function_deployments", f"is_active={word}", "--json"))] == [1]


@pytest.mark.parametrize("backend", ["sqlite"])
@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (("usres",), "did you mean 'users'?"),
        (("functions", "stauts=active"), "did you mean 'status'?"),
        (("functions", "active"), "expected a condition, as in status=active"),
        (("functions", "=x"), "expected a condition"),
        (("functions", "status==active"), "write 'status=active'; 'status~=active' compares with that very text"),
        (("functions", "id==5"), "write 'id=5'"),
        (("functions", "name=~x"), "write 'name~x'"),
        (("functions", "id=one"), "functions.id: expected an integer"),
        (("functions", f"id={'9' * 5000}"), "functions.id: expected an integer of 64 bits; got one of 5,000 digits"),
        (
            ("functions", f"analysis_result={'[' * 100_000}"),
            "functions.analysis_result: expected JSON with at most 200",
        ),
        (("functions", "id=99999999999"), "functions.id: expected an integer of 32 bits"),
        (("functions", "uuid=1234"), "functions.uuid: expected a UUID"),
        (("functions", "user_id=00000000-0000-4000-8000-000000000000"), "expected a row of users; got the uuid"),
        (("functions", "created_at=yesterday"), "functions.created_at: expected an ISO 8601 timestamp"),
        (("functions", "analysis_result={"), "functions.analysis_result: expected JSON"),
        (("functions", "id~1%"), "expected a column of text"),
        (("functions", "id>null"), "write id=null or id!=null"),
        (("function_deployments", "is_active=maybe"), "expected true or false"),
        (("user_information", "role=boss"), "developer"),
        (("functions", "--columns", "uuid,nmae"), "did you mean 'name'?"),
        (("functions", "--except", "x"), "functions has no column 'x'"),
        (("functions", "--columns", "id", "--except", "id"), "at least one column"),
        (("functions", "--order-by", "nmae"), "did you mean 'name'?"),
        (("users", "--columns", "email,password_hash"), "--with-secrets"),
        (("functions", "--format", "xml"), "'table', 'csv', 'jsonl'"),
        (("functions", "--json", "--format", "csv"), "leave one out"),
        (("functions", "--limt", "3"), "--limit"),
        (("functions", "--limit", "0"), "--limit"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_is_answered(run: Run, data: Managers, arguments: tuple[str, ...], answer: str) -> None:
    result = run("find", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert answer in " ".join(result.stderr.replace("│", " ").split())
    assert "Value error" not in result.stderr


@pytest.mark.parametrize("number", ["9" * 30, "9" * 5000])
def test_an_id_that_none_can_have(run: Run, data: Managers, number: str) -> None:
    result = run("show", "functions", number)
    assert result.exit_code == 1
    assert talk(result).startswith("error: expected a row of functions")
    assert "999" in talk(result)


def test_many_rows_are_limited_as_few_are(run: Run, data: Managers, resize: Function) -> None:
    data.function_logs.batch_insert([{"function_id": resize.id, "level": "info", "message": "x"}] * 2_500)
    few, many = (
        run("find", "function_logs", "--json", "--limit", "3"),
        run("find", "function_logs", "--json", "--limit", "2400"),
    )
    assert (len(lines(few)), len(lines(many))) == (3, 2400)
    assert lines(many)[:3] == lines(few)


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_table_shows_the_first_hundred_rows_and_says_so(run: Run, data: Managers, resize: Function) -> None:
    data.function_logs.batch_insert(
        [{"function_id": resize.id, "level": "info", "message": f"no. {number:03}"} for number in range(1, 151)]
    )
    shown = run("find", "function_logs")
    assert "no. 100" in shown.stdout
    assert "no. 101" not in shown.stdout
    assert "the first 100 rows" in shown.stderr
    exactly = run("find", "function_logs", "id<=100")
    assert "no. 100" in exactly.stdout
    assert "the first" not in exactly.stderr
    assert len(lines(run("find", "function_logs", "--json"))) == 150
    assert len(lines(run("find", "function_logs", "--json", "--limit", "7"))) == 7
    latest = lines(run("find", "function_logs", "--json", "--limit", "2", "--order-by", "id", "--descending"))
    assert [row["message"] for row in latest] == ["no. 150", "no. 149"]
    assert "no rows" in run("find", "function_logs", "level=debug").stdout


@pytest.mark.parametrize("backend", ["sqlite"])
def test_without_a_terminal_nothing_is_left_out(
    run: Run, data: Managers, resize: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = "word " * 100
    data.function_logs.insert({"function_id": resize.id, "level": "info", "message": message})
    narrow = run("find", "function_logs")
    assert "…" in narrow.stdout
    assert "not shown" in narrow.stdout
    monkeypatch.delenv("COLUMNS")
    whole = run("find", "function_logs")
    assert message.strip() in whole.stdout
    assert "not shown" not in whole.stdout
    assert "\x1b" not in whole.stdout


def test_formats(run: Run, data: Managers, ada: User, resize: Function) -> None:
    chosen = ("find", "functions", "--columns", "name,uuid,analysis_result,active_deployment_id,created_at")
    (row,) = lines(run(*chosen, "--format", "jsonl"))
    assert row == {
        "name": "resize",
        "uuid": str(resize.uuid),
        "analysis_result": {"language": "python", "ratio": 0.25},
        "active_deployment_id": None,
        "created_at": resize.created_at.isoformat(),
    }
    (cells,) = csv.DictReader(io.StringIO(run(*chosen, "--format", "csv").stdout))
    assert list(cells) == list(row)
    assert cells["active_deployment_id"] == ""
    assert json.loads(cells["analysis_result"]) == row["analysis_result"]
    assert {**row, **cells}["created_at"] == row["created_at"]
    nothing = run(*chosen, "name=none", "--format", "csv")
    assert nothing.stdout == ",".join(row) + "\n"
    assert run(*chosen, "name=none", "--json").stdout == ""


def test_stdout_has_the_data_alone_in_any_encoding(run: Run, data: Managers, ada: User) -> None:
    data.functions.insert({"user_id": ada.id, "name": "größe-☃"})
    result = run("find", "functions", "--format", "jsonl")
    assert json.loads(result.stdout_bytes.decode())["name"] == "größe-☃"
    assert talk(result) == ""
    assert result.stderr.startswith("database: ")


def test_a_password_hash_is_shown_only_when_asked_for(run: Run, ada: User) -> None:
    for command in (("find", "users"), ("show", "users", str(ada.uuid)), ("show", "users", str(ada.id))):
        for form in ("table", "csv", "jsonl"):
            hidden = run(*command, "--format", form)
            assert hidden.exit_code == 0
            assert "ada@example.com" in hidden.output
            assert "hash" not in hidden.output
            assert HASH in run(*command, "--format", form, "--with-secrets").output


def test_a_password_hash_of_a_relation_is_not_shown_either(run: Run, ada: User, resize: Function) -> None:
    for form in ("table", "jsonl"):
        hidden = run("show", "functions", str(resize.uuid), "--format", form)
        assert "ada@example.com" in hidden.output
        assert HASH not in hidden.output


def test_show_has_a_row_with_its_relations(run: Run, data: Managers, ada: User, invocations: list[int]) -> None:
    organization = data.organizations.insert({"name": "Acme", "owner_id": ada.uuid})
    data.organization_members.insert({"organization_id": organization.uuid, "user_id": ada.uuid})
    function = data.functions.find_one()
    assert function is not None
    result = run("show", "functions", str(function.uuid), "--limit", "3", "--json")
    document = json.loads(result.stdout)
    assert document["name"] == "resize"
    assert document["user"]["email"] == "ada@example.com"
    assert document["active_deployment"] is None
    assert [row["id"] for row in document["invocations"]] == invocations[:-4:-1]
    assert document["logs"] == []
    user = json.loads(run("show", "users", str(ada.uuid), "--json").stdout)
    assert user["organization"]["name"] == "Acme"
    assert user["information"] is None
    assert [row["uuid"] for row in user["functions"]] == [str(function.uuid)]
    table = run("show", "functions", str(function.id)).stdout
    for text in ("resize", "ada@example.com", "invocations, the latest 5", "logs", "no rows"):
        assert text in table
    (cells,) = csv.DictReader(io.StringIO(run("show", "functions", str(function.uuid), "--format", "csv").stdout))
    assert cells["uuid"] == str(function.uuid)
    assert "invocations" not in cells


def test_show_of_nothing(run: Run, data: Managers, ada: User) -> None:
    missing = run("show", "users", str(UUID(int=7)))
    assert missing.exit_code == 1
    assert talk(missing) == f"error: expected a row of users; got the uuid {UUID(int=7)}, which none has\n"
    assert "got the id 7000, which none has" in talk(run("show", "users", "7000"))
    mistyped = run("show", "users", "ada@exmple.com")
    assert mistyped.exit_code == 1
    assert talk(mistyped) == (
        "error: expected a row of users by its uuid, id or email; got 'ada@exmple.com', which none has: "
        f"did you mean '{ada.email}'?\n"
    )
    no_name = talk(run("show", "function_logs", "ada"))
    assert no_name == (
        "error: expected a row of function_logs by its uuid or id; got 'ada', which none has: give that of one\n"
    )
    assert "got 'aaa" in talk(run("show", "users", "a" * 3_000))
    assert "which none has" in talk(run("show", "users", "9" * 2_000))


def test_show_takes_names(run: Run, data: Managers, ada: User, resize: Function) -> None:
    assert json.loads(run("show", "users", ada.email, "--json").stdout)["uuid"] == str(ada.uuid)
    assert json.loads(run("show", "functions", resize.name, "--json").stdout)["user"]["email"] == ada.email
    bob = data.users.insert({"email": "bob@example.com", "password_hash": "x"})
    other = data.functions.insert({"user_id": bob.id, "name": resize.name})
    several = run("show", "functions", resize.name)
    assert several.exit_code == 1
    assert talk(several) == (
        f"error: expected one row of functions; got the name '{resize.name}' of several: give its uuid:\n"
        f"  {resize.uuid}\n  {other.uuid}\n"
    )
    # A name may look like an id or a uuid.
    data.functions.insert({"user_id": ada.id, "name": "4711"})
    assert json.loads(run("show", "functions", "4711", "--json").stdout)["name"] == "4711"
    assert "did you mean" in talk(run("show", "functions", f"{resize.name}x"))


def test_count_as_a_program_wants_it(run: Run, data: Managers, ada: User) -> None:
    assert run("count", "users", "--format", "csv").stdout == "count\n1\n"
    assert lines(run("count", "users", "email~ada%", "--json")) == [{"count": 1}]
    assert run("count", "users", "email~eve%").stdout == "0\n"


def test_hostile_text_in_a_row_cannot_steer_the_terminal(run: Run, data: Managers, ada: User) -> None:
    data.functions.insert({"user_id": ada.id, "name": "bad\x1b[2J\x07name[red]"})
    shown = run("find", "functions").stdout + run("sql", 'SELECT name AS "a\x1b[2Jb\x07" FROM functions').stdout
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "name[red]" in shown
