"""The tables of leases and receipts are what their models say, and go as they came."""

from __future__ import annotations

from pathlib import Path

from cloudpub_models import Database, Managers
from cloudpub_models.schema import Migrator, find_drift
from cloudpub_models.work.component import component


def test_the_migrated_tables_are_those_of_the_models(database: Database) -> None:
    assert find_drift(database.engine, component.models) == []
    assert component.tables == ("leases", "receipts")


def test_they_have_managers_as_other_tables_have(database: Database) -> None:
    managers = Managers(database)
    assert (managers.leases.count(), managers.receipts.count()) == (0, 0)  # type: ignore[attr-defined]


def test_a_program_that_does_not_name_the_component_has_none_of_it(tmp_path: Path) -> None:
    plain = Database(f"sqlite:///{tmp_path}/plain.db")
    plain.migrate()
    assert not plain.table_exists("leases")
    plain.close()


def test_the_tables_can_be_taken_back(database: Database) -> None:
    assert Migrator(database.engine, (component,)).down() == ["cloudpub_work.0001_leases_and_receipts"]
    assert not database.table_exists("leases")
    assert database.migrate() == ["cloudpub_work.0001_leases_and_receipts"]
    assert find_drift(database.engine, component.models) == []
