"""``Manager``: the same documented operations for every table.

A call is checked, its SQL looked up by its shape (``statements``), run by the database's engine, and its rows become
instances (``rows``). The operations stand by role: ``finding``, ``summarizing``, ``writing``, ``relating``,
``searching``, ``leasing``, ``recorded``.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import peewee

from cloudpub_models.manager.arguments.conditions import Filter
from cloudpub_models.manager.leasing import Leasing
from cloudpub_models.manager.recorded import Recorded
from cloudpub_models.manager.relating import Relating
from cloudpub_models.manager.searching import Searching
from cloudpub_models.manager.summarizing import Summarizing
from cloudpub_models.manager.writing import Changes, Data, Writing

M = TypeVar("M", bound=peewee.Model)


class Manager(
    Writing[M, Data, Changes, Filter],
    Relating[M, Filter],
    Summarizing[M, Filter],
    Searching[M, Filter],
    Leasing[M, Filter],
    Recorded[M, Filter],
    Generic[M, Data, Changes, Filter],
):
    """The operations on one table.

    Args:
        model: the Peewee model of the table; one of ours or any other.
        database: the database; the process's default one when left out.

    >>> from cloudpub_models import Database, User
    >>> shop = Database("sqlite:///:memory:")
    >>> _ = shop.migrate()
    >>> users = Manager(User, shop)
    >>> ada = users.insert({"email": "ada@example.com", "password_hash": "…"})
    >>> users.find_by_id(ada.id) == ada
    True
    >>> shop.close()
    """
