"""What a database's schema is, what it should be, and how it gets there: migrations, catalogue, drift, adoption.

Every function takes a Peewee database; opening one is the connection side's business. Playhouse's migration code is
imported when a migration is run, not before, and its reflection when somebody asks for the ``Introspector``.
"""

from typing import TYPE_CHECKING, Any

from cloudpub_models.schema.catalogue.catalogue import Catalogue
from cloudpub_models.schema.catalogue.read import read_catalogue
from cloudpub_models.schema.drift.adoption import AdoptionReport
from cloudpub_models.schema.drift.compare import Difference, find_drift
from cloudpub_models.schema.drift.definition import create_all
from cloudpub_models.schema.migrations.migrator import Migrator
from cloudpub_models.schema.migrations.status import MigrationStatus

if TYPE_CHECKING:
    from cloudpub_models.schema.reflection import Introspector

__all__ = [
    "AdoptionReport",
    "Catalogue",
    "Difference",
    "Introspector",
    "MigrationStatus",
    "Migrator",
    "create_all",
    "find_drift",
    "read_catalogue",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Import Peewee's reflection when what is made of it is asked for."""
        if name == "Introspector":
            from cloudpub_models.schema.reflection import Introspector

            return Introspector
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
