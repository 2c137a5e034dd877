"""The process's default database, which the face exports as ``database``; the models' own Peewee calls use it too."""

from cloudpub_models.connection.database import Database
from cloudpub_models.entity.binding import current_database

database = Database()
current_database.provide_default(lambda: database.engine, named=lambda: database.obj)
