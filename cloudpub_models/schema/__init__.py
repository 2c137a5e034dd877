"""What a database's schema is, what it should be, and how it gets there: migrations, catalogue, drift, adoption.

Every function takes a Peewee database; opening one is the connection side's business. Playhouse's migration code is
imported when a migration is run, not before.
"""

from cloudpub_models.schema.catalogue.catalogue import Catalogue
from cloudpub_models.schema.catalogue.read import read_catalogue
from cloudpub_models.schema.drift.adoption import AdoptionReport
from cloudpub_models.schema.drift.compare import Difference, find_drift
from cloudpub_models.schema.drift.definition import create_all
from cloudpub_models.schema.migrations.migrator import Migrator
from cloudpub_models.schema.migrations.status import MigrationStatus

__all__ = [
    "AdoptionReport",
    "Catalogue",
    "Difference",
    "MigrationStatus",
    "Migrator",
    "create_all",
    "find_drift",
    "read_catalogue",
]
