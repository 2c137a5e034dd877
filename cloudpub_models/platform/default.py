"""The managers of the process's default database, which the face exports as ``managers``."""

from cloudpub_models.connection.default import database
from cloudpub_models.platform.registry import Managers

managers = Managers(database)
