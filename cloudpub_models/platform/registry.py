"""The registry of managers: one for each table of a database's components.

A manager is made when it is first used, and its module imported then: most workers use two or three of them.
"""

from __future__ import annotations

import logging
from functools import cached_property
from importlib import import_module
from os import PathLike
from typing import TYPE_CHECKING, Any, Self, TypeVar
from uuid import UUID

import peewee

from cloudpub_models.connection import Database
from cloudpub_models.errors import ConfigurationError, InvalidValueError, UnguardedError, did_you_mean
from cloudpub_models.sql.identifiers import shown

if TYPE_CHECKING:
    from cloudpub_models.cells.cells import Cells
    from cloudpub_models.manager.manager import Manager
    from cloudpub_models.manager.related import RelatedRows
    from cloudpub_models.manager.scope import Scope
    from cloudpub_models.models import OrganizationMember, User, UserInformation
    from cloudpub_models.platform.archive import Archive
    from cloudpub_models.platform.deployments import FunctionDeploymentManager
    from cloudpub_models.platform.functions import FunctionManager
    from cloudpub_models.platform.invocations import FunctionInvocationManager
    from cloudpub_models.platform.logs import FunctionLogManager
    from cloudpub_models.platform.organizations import OrganizationManager
    from cloudpub_models.platform.row_types import (
        OrganizationMemberChanges,
        OrganizationMemberData,
        UserInformationChanges,
        UserInformationData,
    )
    from cloudpub_models.platform.users import UserManager
    from cloudpub_models.platform.where_types import OrganizationMemberConditions, UserInformationConditions

M = TypeVar("M", bound=peewee.Model)

_log = logging.getLogger("cloudpub_models.owners")

# The tables whose managers have operations of their own.
_MANAGERS = {
    "users": ("cloudpub_models.platform.users", "UserManager"),
    "organizations": ("cloudpub_models.platform.organizations", "OrganizationManager"),
    "functions": ("cloudpub_models.platform.functions", "FunctionManager"),
    "function_deployments": ("cloudpub_models.platform.deployments", "FunctionDeploymentManager"),
    "function_logs": ("cloudpub_models.platform.logs", "FunctionLogManager"),
    "function_invocations": ("cloudpub_models.platform.invocations", "FunctionInvocationManager"),
}


# The managers of those whose rows may be on several servers, or that ask for such rows, where they are.
_SCATTERED = {
    "functions": ("cloudpub_models.platform.cells", "ScatteredFunctions"),
    "function_logs": ("cloudpub_models.platform.cells", "ScatteredLogs"),
    "function_invocations": ("cloudpub_models.platform.cells", "ScatteredInvocations"),
}


class _ScatteredManagers:
    """The managers of a registry, which may ask several servers, as is decided when they are made."""

    def __init__(self, managers: Managers) -> None:
        self._managers = managers

    def forget(self) -> None:
        """Have them made anew where the database that the registry's is pointed at, or was, has its rows elsewhere."""
        attributes = self._managers.__dict__
        if "_related_elsewhere" not in attributes and not self._managers.database.history_servers:
            return
        for model in self._managers._by_model:
            attributes.pop(model._meta.table_name, None)
        self._managers._by_model.clear()
        attributes.pop("_related_elsewhere", None)


class Managers:
    """The managers of a database's tables, each an attribute with the table's name.

    That is for the tables of all its components. A subclass that annotates them tells type checkers of tables of one's
    own: ``class AppManagers(Managers): api_keys: Manager[ApiKey]``.

    Args:
        database: the database that they all use.
        scope: the rows that they all see and change; all rows when left out.

    >>> from cloudpub_models import Database
    >>> shop = Managers(Database("sqlite:///:memory:"))
    >>> shop.users
    UserManager(User)
    """

    users: UserManager
    user_information: Manager[UserInformation, UserInformationData, UserInformationChanges, UserInformationConditions]
    organizations: OrganizationManager
    organization_members: Manager[
        OrganizationMember, OrganizationMemberData, OrganizationMemberChanges, OrganizationMemberConditions
    ]
    functions: FunctionManager
    function_deployments: FunctionDeploymentManager
    function_logs: FunctionLogManager
    function_invocations: FunctionInvocationManager

    def __init__(self, database: Database, *, scope: Scope | None = None) -> None:
        if not isinstance(database, Database):
            raise ConfigurationError(
                f"expected a Database; got a value of type {type(database).__name__}: write Database('sqlite:///file.db')"
            )
        self.database = database
        self.scope = scope
        self._taken_from: Managers | None = None
        self._by_model: dict[type[peewee.Model], Manager[Any]] = {}
        self._owned_statements: dict[type[peewee.Model], dict[Any, Any]] = {}

    def __repr__(self) -> str:
        return f"Managers({self.database!r})"

    # Type checkers know the annotations above, and would take any name for a table if they saw this method.
    if not TYPE_CHECKING:

        def __getattr__(self, table: str) -> Any:
            """Make the manager of a table when it is first asked for."""
            if table.startswith("_"):
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {table!r}")
            models = {model._meta.table_name: model for model in self.database.models}
            if table not in models:
                raise AttributeError(
                    f"expected a table of {self.database!r}; got {table!r}: {did_you_mean(table, models)}"
                )
            manager = self.__dict__[table] = self.for_model(models[table])
            return manager

    def __dir__(self) -> list[str]:
        """Name the tables too, whether their managers have been used or not."""
        return sorted({*object.__dir__(self), *(model._meta.table_name for model in self.database.models)})

    def for_model(self, model: type[M]) -> Manager[M]:
        """Return the manager of a model; one is made for a model that has none here yet.

        Args:
            model: any Peewee model.

        >>> from cloudpub_models import User, managers
        >>> managers.for_model(User) is managers.users
        True
        """
        # A field equals everything, and a list is no key.
        manager = self._by_model.get(model) if isinstance(model, type) else None
        if manager is None:
            manager = self._by_model[model] = self._made(model)
        return manager

    def owned_by(self, owner: peewee.Model | UUID | str | int) -> Self:
        """Return the managers of one owner's rows: they see and change no others, and tell of none.

        Every statement carries the condition: a row of another's is as one that is not there, so that a call for it
        gives ``None`` or raises NotFoundError, and a reference to it is refused like one to nothing. Whose a row is,
        its model says by ``owner`` in its ``Meta``. What cannot be held to that raises UnguardedError: SQL of one's
        own, tables without an owner, the log of changes, statistics of users.

        Args:
            owner: the owner's row, of any model; a user also by public UUID or internal id.

        Raises:
            NotFoundError: there is no user with this UUID or id.
            InvalidValueError: it is none of those, or not saved.
            ConfigurationError: the models do not say whose their rows are.
            UnguardedError: these are managers of some rows already.

        >>> from cloudpub_models import Database, Managers
        >>> shop = Database("sqlite:///:memory:")
        >>> _ = shop.migrate()
        >>> managers = Managers(shop)
        >>> ada, grace = [managers.users.insert({"email": f"{n}@b.c", "password_hash": "…"}) for n in ("ada", "grace")]
        >>> theirs = managers.functions.insert({"user_id": grace.id, "name": "resize"})
        >>> mine = managers.owned_by(ada)
        >>> mine.functions.insert({"name": "resize"}).user_id == ada.id
        True
        >>> mine.functions.count(), mine.functions.find_by_id(theirs.id)
        (1, None)
        >>> shop.close()

        ``SELECT COUNT(*) AS count FROM functions WHERE user_id = @param_0``
        """
        from cloudpub_models.manager.owned import OwnedScope

        self._refuse_scope("owned_by()")
        row = owner if isinstance(owner, peewee.Model) else self._user(owner)
        statements = self._owned_statements.setdefault(type(row), {})
        owned = type(self)(self.database, scope=OwnedScope(row, self.database.models, statements))
        owned._taken_from = self
        return owned

    def unrestricted(self, reason: str) -> Self:
        """Return the managers of all rows, also where the database requires an owner: ``Database(require_owner=True)``.

        Args:
            reason: why all rows are meant, for people who read the code and the log ``cloudpub_models.owners``.

        Raises:
            InvalidValueError: the reason is no text, or an empty one.
            UnguardedError: these are managers of some rows only.

        >>> from cloudpub_models import Database, Managers
        >>> shop = Database("sqlite:///:memory:", require_owner=True)
        >>> _ = shop.migrate()
        >>> managers = Managers(shop)
        >>> managers.users.count()
        Traceback (most recent call last):
        ...
        cloudpub_models.errors.UnguardedError: expected managers of an owner's rows, which the database requires; ...
        >>> managers.unrestricted("nightly statistics").users.count()
        0
        >>> shop.close()
        """
        self._refuse_scope("unrestricted()")
        if not isinstance(reason, str) or not reason.strip():
            raise InvalidValueError(f"expected a reason for managers of all rows; got {shown(reason)}: say what for")
        _log.info("managers of all rows of %s: %s", self.database, shown(reason))
        return self._all_rows()

    def archive(self, directory: str | PathLike[str]) -> Archive:
        """Return the archive in a directory: old rows of a table, moved to files and asked there.

        Args:
            directory: where the files are; each table has one of its own. It need not be there yet.

        Raises:
            InvalidValueError: it is no path.
            UnguardedError: these are managers of some rows only.

        >>> managers.archive("archive/invocations")
        Archive('archive/invocations')
        """
        from cloudpub_models.platform.archive import Archive

        self._refuse_scope("archive()")
        return Archive(self.database, self.for_model, directory)

    @cached_property
    def cells(self) -> Cells:
        """Which server has the rows of which function, where logs and invocations are on several.

        ``initialize()`` prepares the servers, ``servers()`` tells of them, ``move()`` moves rows from one to another,
        ``sweep()`` deletes what belonged to functions that are gone.

        >>> managers.cells.servers()
        Traceback (most recent call last):
        ...
        cloudpub_models.errors.ConfigurationError: expected the servers of history; got none: ...
        """
        self._refuse_scope("cells")
        return self._cells

    @cached_property
    def _cells(self) -> Cells:
        """Those of the managers that these were taken from, which know the map already."""
        from cloudpub_models.cells.cells import Cells
        from cloudpub_models.platform.rollups.moving import RollupsAlong

        if self._taken_from is not None:
            return self._taken_from._cells
        return Cells(self.database, self.for_model, RollupsAlong())

    @cached_property
    def _related_elsewhere(self) -> dict[type[peewee.Model], RelatedRows[Any]]:
        """What reads rows of several servers for rows of other tables."""
        from cloudpub_models.platform.cells import related_elsewhere

        return related_elsewhere(self._cells, self.scope)

    @property
    def _has_rows_elsewhere(self) -> bool:
        """Whether rows of these are on several servers, which are asked for them."""
        if not self.database.history_servers:
            return False

        from cloudpub_models.cells.owned import is_held_by_key
        from cloudpub_models.models import FunctionLog

        return self._is_of_all_rows or (self.scope is not None and is_held_by_key(self.scope, FunctionLog.function))

    @property
    def _is_of_all_rows(self) -> bool:
        from cloudpub_models.manager.scope import UNRESTRICTED

        return self.scope is None or self.scope is UNRESTRICTED

    def _all_rows(self) -> Self:
        from cloudpub_models.manager.scope import UNRESTRICTED

        known: dict[bool, Self] = self.__dict__.setdefault("_of_all_rows", {})
        found = known.get(self.database.has_row_security)
        if found is None:
            found = known[self.database.has_row_security] = type(self)(self.database, scope=UNRESTRICTED)
        return found

    def _refuse_scope(self, call: str) -> None:
        from cloudpub_models.manager.scope import UNRESTRICTED

        if self.scope is not None and self.scope is not UNRESTRICTED:
            raise UnguardedError(
                f"expected managers of all rows for {call}; got those of {self.scope.name}: ask the managers that they "
                "were taken from"
            )

    def _user(self, user: UUID | str | int) -> User:
        from cloudpub_models.models import User
        from cloudpub_models.platform.references import no_row

        if User not in self.database.models:
            raise InvalidValueError(f"expected the owner's row; got {shown(user)}: look it up first")
        column = "uuid" if isinstance(user, UUID | str) else "id"
        found = self._all_rows().for_model(User).find_by_id(user, id_column=column, select=["id", "uuid"])
        if found is None:
            raise no_row(User, user, user)
        return found

    def _made(self, model: type[M]) -> Manager[M]:
        manager = self._made_for_now(model)
        if self._is_of_all_rows or self.database.history_servers:
            # Whether it asks several servers is another matter for the next database that this one is pointed at.
            self.database._watchers.add(self.__dict__.setdefault("_scattered", _ScatteredManagers(self)))
        if self._has_rows_elsewhere:
            manager._related_rows.update(self._related_elsewhere)
        return manager

    def _made_for_now(self, model: type[M]) -> Manager[M]:
        from cloudpub_models.manager.columns.table import require_model
        from cloudpub_models.manager.manager import Manager
        from cloudpub_models.models import ALL_MODELS

        require_model(model)
        if model in ALL_MODELS and model._meta.table_name in _MANAGERS:
            module, name = _MANAGERS[model._meta.table_name]
            if model._meta.table_name in _SCATTERED and self._has_rows_elsewhere:
                module, name = _SCATTERED[model._meta.table_name]
                return getattr(import_module(module), name)(self._cells, scope=self.scope)  # type: ignore[no-any-return]
            return getattr(import_module(module), name)(self.database, scope=self.scope)  # type: ignore[no-any-return]
        if getattr(model._meta, "partitioned_by", None) is not None:
            from cloudpub_models.platform.pruning import PrunedManager

            return PrunedManager(model, self.database, scope=self.scope)
        return Manager(model, self.database, scope=self.scope)
