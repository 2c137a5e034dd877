"""The managers of billing beside the platform's, of the process's default database."""

from billing.models import ApiKey, Invoice
from cloudpub_models import Manager, Managers, database


class AppManagers(Managers):
    """All managers; the annotations are for editors and type checkers."""

    api_keys: Manager[ApiKey]
    invoices: Manager[Invoice]


managers = AppManagers(database)
