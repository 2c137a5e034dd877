"""The worker, with the plugin's databases: they have the tables of all installed components."""

import pytest
from billing.managers import managers
from billing.models import Invoice
from billing.worker import send_open_invoices

from cloudpub_models import Database
from cloudpub_models.testing import AssertStatements, Factory


def test_open_invoices_are_sent_once(
    cloudpub_database: Database,
    cloudpub_factory: Factory,
    assert_statements: AssertStatements,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The factory makes the key, and the user whose it is."""
    invoice = cloudpub_factory.row(Invoice, number="2026-1", cents=1250)
    with assert_statements(5):
        assert send_open_invoices() == 1
    assert capsys.readouterr().out == f"2026-1 to {invoice.api_key.user.email}: 12.50\n"
    assert managers.invoices.count({"status": "sent"}) == 1
    assert send_open_invoices() == 0


def test_the_same_on_postgresql(cloudpub_postgres: Database, cloudpub_factory: Factory) -> None:
    """A test that names ``cloudpub_postgres`` has a PostgreSQL database."""
    cloudpub_factory.row(Invoice)
    assert send_open_invoices() == 1
