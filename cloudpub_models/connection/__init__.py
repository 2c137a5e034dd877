"""The connection side: open a database, pool its connections, run transactions and raw SQL.

Statements come in as SQL text and leave as rows; which SQL a manager sends, and what becomes of its rows, is decided in
``manager``. Every driver error passes the boundary in ``engine`` and is classified in ``driver_errors`` of the driver's
room.
"""

from cloudpub_models.connection.database import Database
from cloudpub_models.connection.transactions import Connection, Transaction

__all__ = ["Connection", "Database", "Transaction"]
