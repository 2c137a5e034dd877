"""What a database's schema is, what it should be, and how it gets there: migrations, catalogue, drift, adoption.

Every function takes a Peewee database; opening one is the connection side's business. Playhouse's migration code is
imported when a migration is run, not before.
"""

from cloudpub_models.schema.adoption import AdoptionReport
from cloudpub_models.schema.catalogue import Catalogue
from cloudpub_models.schema.definition import create_all
from cloudpub_models.schema.drift import Difference, find_drift
from cloudpub_models.schema.history import MigrationStatus
from cloudpub_models.schema.migrations import Migrator
from cloudpub_models.schema.reading import read_catalogue

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
