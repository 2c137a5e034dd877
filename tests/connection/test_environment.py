"""What the environment names goes with the database that it names, and with no other."""

from __future__ import annotations

import pytest

from cloudpub_models import Database, Managers
from cloudpub_models.connection.environment import HISTORY_VARIABLE, REPLICAS_VARIABLE, URL_VARIABLE
from cloudpub_models.errors import ConfigurationError
from cloudpub_models.platform.cells import ScatteredLogs
from cloudpub_models.platform.logs import FunctionLogManager

MAIN = "postgresql://main/cloud"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(URL_VARIABLE, MAIN)
    monkeypatch.setenv(REPLICAS_VARIABLE, " postgresql://r1/cloud  postgresql://r2/cloud ")
    monkeypatch.setenv(HISTORY_VARIABLE, "postgresql://h1/cloud postgresql://h2/cloud\n")


def test_servers_are_named_beside_the_database() -> None:
    named = Database().initialize()
    assert named.url == MAIN
    assert [replica.masked for replica in named._options.replicas] == ["postgresql://r1/cloud", "postgresql://r2/cloud"]
    assert [server.url for server in named.history_servers] == ["postgresql://h1/cloud", "postgresql://h2/cloud"]


def test_the_environment_is_read_at_the_first_use() -> None:
    unnamed = Database(max_connections=3)
    logs = Managers(unnamed).function_logs
    assert isinstance(logs, ScatteredLogs)
    assert unnamed.url == MAIN
    assert (unnamed._options.max_connections, len(unnamed._options.replicas)) == (3, 2)


def test_a_database_that_is_given_has_the_servers_that_are_given() -> None:
    for given in (Database("postgresql://other/cloud"), Database().initialize("postgresql://other/cloud")):
        assert (given.history_servers, given._options.replicas) == ((), ())


@pytest.mark.parametrize("first_use", [True, False])
def test_an_option_that_is_given_counts(first_use: bool) -> None:
    options = {"replicas": [], "history": ["postgresql://h3/cloud"]}
    given = Database(**options) if first_use else Database().initialize(**options)
    assert [server.url for server in given.history_servers] == ["postgresql://h3/cloud"]
    assert given._options.replicas == ()


def test_without_a_database_no_server_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(URL_VARIABLE)
    unnamed = Database()
    assert unnamed.history_servers == ()
    assert isinstance(Managers(unnamed).function_logs, FunctionLogManager)
    monkeypatch.setenv(URL_VARIABLE, MAIN)
    assert len(unnamed.history_servers) == 2


@pytest.mark.parametrize("variable", [REPLICAS_VARIABLE, HISTORY_VARIABLE])
@pytest.mark.parametrize(
    ("urls", "message"),
    [
        ("postgresql://h1/cloud mysql://h2/cloud", "mysql"),
        ("postgresql://ada:s3cret@h1/cloud,postgresql://h2/cloud", "expected URLs with spaces between them in "),
    ],
)
def test_a_list_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, urls: str, message: str) -> None:
    monkeypatch.setenv(variable, urls)
    with pytest.raises(ConfigurationError, match=message) as initialized:
        Database().initialize()
    unnamed = Database()
    with pytest.raises(ConfigurationError, match=message) as used:
        unnamed.ping()
    assert str(initialized.value) == str(used.value)
    assert "s3cret" not in str(used.value)
    monkeypatch.setenv(variable, "postgresql://a,b/cloud")
    assert unnamed.url == MAIN
