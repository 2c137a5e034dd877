"""What a database's schema is, what it should be, and how it gets there: migrations, catalogue, drift, adoption.

Every function takes a Peewee database; opening one is the connection side's business. Playhouse's migration code is
imported when a migration is run, not before.
"""

from cloudpub_models.schema.adoption import AdoptionReport, adopt
from cloudpub_models.schema.catalogue import Catalogue, read_catalogue
from cloudpub_models.schema.definition import create_all
from cloudpub_models.schema.drift import Difference, find_drift
from cloudpub_models.schema.migrations import MigrationStatus, Migrator

__all__ = [
    "AdoptionReport",
    "Catalogue",
    "Difference",
    "MigrationStatus",
    "Migrator",
    "adopt",
    "create_all",
    "find_drift",
    "read_catalogue",
]
