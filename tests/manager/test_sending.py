"""Managers send what their database understands, also after it was pointed at another one."""

from __future__ import annotations

import threading

import pytest

from cloudpub_models import Database, Managers, operators
from cloudpub_models.manager import sending
from cloudpub_models.sql import SQLITE


def test_managers_go_along_to_a_database_of_another_kind(postgresql_url: str) -> None:
    database = Database("sqlite:///:memory:")
    database.migrate()
    users = Managers(database).users
    starts = {"email": operators.ilike("ADA%")}
    assert users.count(starts) == 0
    database.initialize(postgresql_url)
    users.insert({"email": "ada@example.com", "password_hash": "…"})
    assert users.count(starts) == 1
    database.close()


def test_no_statements_of_the_database_before_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database("sqlite:///:memory:")
    users = Managers(database).users
    elsewhere = threading.Thread(target=database.initialize, args=["postgresql://nobody@nowhere.invalid/none"])
    made = []

    class Statements(sending.Statements):
        """The first ones are made while another thread points the database elsewhere."""

        def __init__(self, model, table, dialect, origin=None, **options) -> None:
            super().__init__(model, table, dialect, origin, **options)
            made.append(dialect)
            if len(made) == 1:
                elsewhere.start()
                elsewhere.join(0.1)  # it has to wait for these; were they not waited for, it would be through

    monkeypatch.setattr(sending, "Statements", Statements)
    _ = users._statements.present
    elsewhere.join()
    assert made == [SQLITE]
    assert "present" not in vars(users._statements)
