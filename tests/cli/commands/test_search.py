"""``cloudpub search``: an index of words switched on and off."""

from __future__ import annotations

import json

from cloudpub_models import Database
from tests.cli.conftest import Run


def test_on_and_off(run: Run, cli_database_url: str) -> None:
    with_database = ("--database", cli_database_url)
    run("migrate", "up", *with_database)
    assert run("search", "index", "on", "function_logs", *with_database).stdout == "indexed: function_logs\n"
    assert run("search", "index", "on", "function_logs", *with_database).stdout == "nothing to do: it is on\n"
    doctor = run("doctor", "--json", *with_database)
    assert not [each for each in json.loads(doctor.stdout)["findings"] if "index of words" in each["message"]]
    assert run("migrate", "check", *with_database).exit_code == 0
    rest = json.loads(run("search", "index", "on", "--json", *with_database).stdout)
    assert sorted(rest["indexed"]) == ["functions", "organizations"]
    ended = json.loads(run("search", "index", "off", "--json", *with_database).stdout)
    assert sorted(ended["ended"]) == ["function_logs", "functions", "organizations"]
    assert run("search", "index", "off", *with_database).stdout == "nothing was indexed\n"


def test_the_doctor_finds_one_that_does_not_serve(run: Run, data_url: str) -> None:
    run("search", "index", "on", "functions", "--database", data_url)
    database = Database(data_url)
    if database.dialect == "sqlite":
        database.raw_execute("DROP TRIGGER functions_words_search_update")
    else:
        database.raw_execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'functions_name_search'::regclass"
        )
    database.close()
    findings = json.loads(run("doctor", "--json", "--database", data_url).stdout)["findings"]
    (finding,) = [each for each in findings if "index of words" in each["message"]]
    assert finding["message"] == "the index of words of functions is not up to its table: searches do without it"
    assert finding["advice"] == "cloudpub search index on functions"


def test_what_cannot_be_indexed_is_told_in_one_line(run: Run, data_url: str) -> None:
    for table, told in (("users", "expected columns of users to search in"), ("fnctions", "functions")):
        failed = run("search", "index", "on", table, "--database", data_url)
        assert failed.exit_code != 0
        assert told in failed.stderr
        assert "Traceback" not in failed.stderr
