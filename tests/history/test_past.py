"""Rows as they were are those that were there."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cloudpub_models import ALL_ROWS, Database, Managers, errors, operators
from tests.history.test_changes import later_than_all_changes

LASTING = ("users", "functions", "function_deployments")


def rows_of(managers: Any) -> dict[str, list[dict[str, Any]]]:
    """All rows, without what an update only touches and what the log does not keep."""
    return {
        name: [
            {key: value for key, value in row.to_dict().items() if key not in ("updated_at", "password_hash")}
            for row in getattr(managers, name)
        ]
        for name in LASTING
    }


class Found:
    def __init__(self, **rows: list[Any]) -> None:
        vars(self).update(rows)


def today(managers: Managers) -> Any:
    return Found(**{name: getattr(managers, name).find_all(order_by="id") for name in LASTING})


def past(managers: Managers, moment: datetime) -> Any:
    return Found(**{name: getattr(managers, name).as_of(moment).find_all(order_by="id") for name in LASTING})


def change_something(managers: Managers, choose: random.Random) -> None:
    """One random unit of work."""
    users = managers.users.find_all(order_by="id")
    functions = managers.functions.find_all(order_by="id")
    work = choose.choice(["user", "function", "rename", "batch", "deploy", "delete", "delete user", "transaction"])
    number = choose.randrange(10**9)
    if work == "user" or not users:
        managers.users.insert({"email": f"{number}@example.com", "password_hash": "…"})
    elif work == "function" or not functions:
        document = {"n": number, "of": [None, 1.5, "é"]} if choose.random() < 0.5 else None
        managers.functions.insert(
            {"user_id": choose.choice(users).id, "name": f"f{number}", "analysis_result": document}
        )
    elif work == "rename":
        managers.functions.update_by_id(
            choose.choice(functions).id, {"name": f"g{number}", "status": choose.choice(["active", "inactive"])}
        )
    elif work == "batch":
        managers.functions.update({"status": "retired"}, {"user_id": choose.choice(users).id})
    elif work == "deploy":
        function = choose.choice(functions)
        deployment = managers.function_deployments.deploy(function, f"image:{number}", f"key/{number}")
        managers.function_deployments.activate(deployment)
    elif work == "delete":
        managers.functions.delete_by_id(choose.choice(functions).id)
    elif work == "delete user":
        managers.users.delete_by_id(choose.choice(users).id)
    else:
        with managers.users.database.transaction():
            change_something(managers, choose)
            change_something(managers, choose)


# What it runs is covered by other tests, and takes twice as long when coverage is measured.
@pytest.mark.no_cover
@pytest.mark.parametrize("seed", range(3))
def test_at_every_step_of_a_random_run(managers: Managers, seed: int, scale: Callable[[int, int], int]) -> None:
    for number in range(seed, scale(3, 504), 3):
        choose = random.Random(number)
        managers.users.delete(ALL_ROWS)
        managers.users.database.history.prune(timedelta(0))  # what a run takes does not grow with those before it
        copies = []
        for _ in range(25):
            change_something(managers, choose)
            moment = later_than_all_changes()
            copies.append((moment, rows_of(today(managers))))
        for moment, copy in copies:
            assert rows_of(past(managers, moment)) == copy
        for moment, copy in copies[::12]:
            check_other_ways(managers, moment, copy)


def check_other_ways(managers: Managers, moment: datetime, copy: dict[str, list[dict[str, Any]]]) -> None:
    """Whatever finds rows of a moment finds the same."""
    users, functions = managers.users.as_of(moment), managers.functions.as_of(moment)
    assert functions.count() == len(copy["functions"])
    assert functions.exists({"status": "retired"}) == any(row["status"] == "retired" for row in copy["functions"])
    expected: dict[int, list[tuple[int, str]]] = {row["id"]: [] for row in copy["users"]}
    for row in copy["functions"]:
        expected[row["user_id"]].append((row["id"], row["name"]))
    for user in users.find_all(include=("functions",)):
        names = sorted((function.id, function.name) for function in user.functions)
        assert names == expected.pop(user.id)
    assert expected == {}
    for row in copy["functions"][:1]:
        assert functions.find_by_uuid(row["uuid"]) == functions.find_by_id(row["id"])
        found = functions.find_one({"id": row["id"]}, include=("user", "active_deployment"))
        assert found is not None
        assert (found.name, found.user.id) == (row["name"], row["user_id"])
        active = [each for each in copy["function_deployments"] if each["id"] == row["active_deployment_id"]]
        assert (found.active_deployment and found.active_deployment.id) == (active[0]["id"] if active else None)
        assert functions.find_one({"name": row["name"], "user.email": found.user.email}) == found


def test_everything_that_finds_rows_finds_those_of_the_moment(managers: Managers) -> None:
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    resize = managers.functions.insert({"user_id": ada.id, "name": "resize"})
    deployment = managers.function_deployments.deploy(resize, "image", "key")
    moment = later_than_all_changes()
    managers.functions.update_by_id(resize.id, {"name": "crop"})
    managers.users.update_by_id(ada.id, {"email": "countess@example.com"})
    managers.function_deployments.delete_by_id(deployment.id)
    managers.functions.insert({"user_id": ada.id, "name": "later"})
    then = managers.functions.as_of(moment)
    found = then.find_by_uuid(resize.uuid)
    assert found is not None
    assert found.name == "resize"
    assert then.find_by_id(resize.id) == found
    assert then.count() == 1
    assert then.exists({"name": "crop"}) is False
    assert then.find_one({"user.email": "ada@example.com"}) == found
    assert then.paginate(1, 10).total == 1
    assert then.values("name", {"user.email": "ada@example.com"}) == ["resize"]
    assert then.aggregate(group_by="status", functions=operators.count()) == [{"status": "active", "functions": 1}]
    assert [function.name for function in then.iterate()] == ["resize"]
    (with_related,) = then.find_all(include={"user": {}, "deployments": {"limit": 3}})
    assert with_related.user.email == "ada@example.com"
    assert [each.version for each in with_related.deployments] == [1]


def test_a_transaction_that_was_half_done_is_not_seen(managers: Managers) -> None:
    database = managers.users.database
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    with database.transaction():
        managers.users.update_by_id(ada.id, {"email": "b@example.com"})
        moment = later_than_all_changes()
        managers.functions.insert({"user_id": ada.id, "name": "resize"})
    assert managers.functions.as_of(moment).count() == 0
    found = managers.users.as_of(moment).find_by_id(ada.id)
    assert found is not None
    assert found.email == "ada@example.com"


def test_one_statement_is_sent(managers: Managers, statements: Any) -> None:
    then = managers.functions.as_of(datetime.now(UTC))
    statements.clear()
    then.find_all({"name": "resize"}, limit=3)
    assert len(statements) == 1
    assert "taken_back" in statements.sql[0]


def test_the_past_is_not_written(managers: Managers) -> None:
    then = managers.functions.as_of(datetime.now(UTC))
    assert not hasattr(then, "insert")
    assert not hasattr(then, "delete")


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(2020, 1, 1, tzinfo=UTC), "expected a moment since which the changes of functions are recorded"),
        (datetime(2020, 1, 1), "time zone|aware|offset"),
    ],
)
def test_moments_that_are_refused(managers: Managers, moment: datetime, expected: str) -> None:
    with pytest.raises((errors.HistoryError, errors.InvalidValueError), match=expected):
        managers.functions.as_of(moment)


def test_tables_whose_past_is_not_known(managers: Managers) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=1)
    with pytest.raises(errors.HistoryError, match="got function_logs"):
        managers.function_logs.as_of(moment)
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    managers.functions.insert({"user_id": ada.id, "name": "resize"})
    then = managers.functions.as_of(later_than_all_changes())
    for call in (
        lambda: then.find_all(include=("logs",)),
        lambda: then.find_all({"logs.level": "info"}),
    ):
        with pytest.raises(errors.HistoryError, match="got a call for those of function_logs"):
            call()


@pytest.mark.parametrize("backend", ["postgresql"])
def test_before_a_table_was_emptied(managers: Managers, database: Database) -> None:
    moment = later_than_all_changes()
    database.raw_execute("TRUNCATE users CASCADE")
    with pytest.raises(errors.HistoryError, match="expected a moment after functions was emptied by TRUNCATE"):
        managers.functions.as_of(moment)


@pytest.mark.parametrize("backend", ["postgresql"])
def test_rows_that_come_along_are_not_those_left_by_a_truncate(managers: Managers, database: Database) -> None:
    managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    moment = later_than_all_changes()
    database.raw_execute("TRUNCATE user_information CASCADE")
    then = managers.users.as_of(moment)
    assert then.count() == 1
    with pytest.raises(errors.HistoryError, match="got a call for those of user_information"):
        then.find_all(include=("information",))


def test_a_row_that_a_trigger_changes_as_it_comes_was_not_there_before(
    managers: Managers, database: Database, backend: str
) -> None:
    change = "UPDATE functions SET status = 'prepared' WHERE id = NEW.id;"
    if backend == "postgresql":
        database.raw_execute(
            f"CREATE FUNCTION prepare() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {change} RETURN NULL; END $$"
        )
    body = "EXECUTE FUNCTION prepare()" if backend == "postgresql" else f"BEGIN {change} END"
    database.raw_execute(f"CREATE TRIGGER prepare AFTER INSERT ON functions FOR EACH ROW {body}")
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    before = later_than_all_changes()
    resize = managers.functions.insert({"user_id": ada.id, "name": "resize"})
    assert managers.functions.as_of(before).find_all() == []
    assert managers.functions.as_of(later_than_all_changes()).get_by_id(resize.id).status == "prepared"
    assert {change.operation for change in managers.functions.history(resize.id)} == {"insert", "update"}
    database.undo(managers.functions.history(resize.id)[0].transaction_id)
    assert managers.functions.count() == 0
    database.raw_execute("DROP TRIGGER prepare ON functions" if backend == "postgresql" else "DROP TRIGGER prepare")
    if backend == "postgresql":
        database.raw_execute("DROP FUNCTION prepare")


def test_before_a_row_got_another_key(managers: Managers, database: Database) -> None:
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    resize = managers.functions.insert({"user_id": ada.id, "name": "resize"})
    before = later_than_all_changes()
    users = managers.users.as_of(before)
    database.raw_execute("UPDATE functions SET id = 999 WHERE id = @id", {"id": resize.id})
    with pytest.raises(errors.HistoryError, match="expected a moment after a row of functions got another primary key"):
        managers.functions.as_of(before)
    assert users.count() == 1
    with pytest.raises(errors.HistoryError, match="got a call for those of functions"):
        managers.users.as_of(before).find_all(include=("functions",))
    assert managers.functions.as_of(later_than_all_changes()).get_by_id(999).name == "resize"


def test_a_text_is_no_moment(managers: Managers) -> None:
    text = later_than_all_changes().isoformat()
    with pytest.raises(errors.InvalidValueError, match="expected an aware datetime; got '.*: pass what datetime.from"):
        managers.functions.as_of(text)  # type: ignore[arg-type]
    with pytest.raises(errors.InvalidValueError, match="expected an aware datetime; got '.*: pass what datetime.from"):
        managers.functions.diff(1, since=text)  # type: ignore[arg-type]
