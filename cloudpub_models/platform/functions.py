"""``managers.functions``: functions, and one of them with everything around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from cloudpub_models.connection import Database
from cloudpub_models.errors import InvalidValueError
from cloudpub_models.manager.arguments.conditions import Where
from cloudpub_models.manager.arguments.order import nearest_first
from cloudpub_models.manager.joined import JoinedSelect
from cloudpub_models.manager.manager import Manager
from cloudpub_models.manager.scope import Scope
from cloudpub_models.manager.statements.results import PaginatedResult
from cloudpub_models.models import Function, FunctionDeployment, FunctionLog, User
from cloudpub_models.platform.deployments import FunctionDeploymentManager
from cloudpub_models.platform.logs import FunctionLogManager
from cloudpub_models.platform.references import OwnerReference, owner_key
from cloudpub_models.sql import operators
from cloudpub_models.sql.identifiers import shown
from cloudpub_models.sql.patterns import escaped
from cloudpub_models.sql.values import check_count

if TYPE_CHECKING:
    from cloudpub_models.platform.row_types import FunctionChanges, FunctionData  # noqa: F401 - named by the class
    from cloudpub_models.platform.where_types import (
        FunctionConditions,  # noqa: F401 - named by the class
        FunctionWhere,
    )

_WITH_USER = JoinedSelect(Function, ("INNER", Function.user), equal=(Function.uuid,))


@dataclass(frozen=True)
class FunctionWithRelations:
    """A function and what belongs to it.

    Attributes:
        function: the function; its ``user``, ``deployments`` and ``active_deployment`` are loaded.
        user: its owner.
        deployments: its deployments, the latest version first.
        logs: its latest log lines, the newest first.
    """

    function: Function
    user: User
    deployments: list[FunctionDeployment]
    logs: list[FunctionLog]

    @property
    def active_deployment(self) -> FunctionDeployment | None:
        """The deployment that is active, or ``None``."""
        active = self.function.active_deployment_id
        return next((deployment for deployment in self.deployments if deployment.id == active), None)


class FunctionManager(Manager[Function, "FunctionData", "FunctionChanges", "FunctionConditions"]):
    """The operations on ``functions``."""

    def __init__(self, database: Database | None = None, *, scope: Scope | None = None) -> None:
        super().__init__(Function, database, scope=scope)
        self._deployments = FunctionDeploymentManager(database, scope=scope)
        self._logs = FunctionLogManager(database, scope=scope)

    def get_function_details(self, uuid: UUID | str, *, log_limit: int = 100) -> FunctionWithRelations | None:
        """Return a function with its user, deployments and latest logs, in three statements, or ``None``.

        Args:
            uuid: the function's public UUID.
            log_limit: how many log lines at most.

        Raises:
            InvalidValueError: the text is no UUID.
            InvalidQueryError: ``log_limit`` is no count.

        >>> details = managers.functions.get_function_details(resize.uuid)
        >>> details.user == ada, details.deployments, details.logs
        (True, [], [])

        ``SELECT functions.id, …, users.id, … FROM functions INNER JOIN users ON functions.user_id = users.id
        WHERE functions.uuid = @param_0``, and one SELECT each from ``function_deployments`` and ``function_logs``
        """
        check_count(log_limit, "log_limit")
        encoded = self.table.column("uuid").encode(uuid)
        if encoded is None:
            raise InvalidValueError("expected the uuid of a function; got None, which no row has")
        rows = _WITH_USER.find(self.database, [encoded], self._access, self.origin)
        if not rows:
            return None
        function, user = rows[0]
        function.__rel__["user"] = user
        deployments = self._deployments.history(function)
        function.__dict__["deployments"] = deployments
        for deployment in deployments:
            deployment.__rel__["function"] = function
            if deployment.id == function.active_deployment_id:
                function.__rel__["active_deployment"] = deployment
        logs = self._logs.tail(function, log_limit)
        for log in logs:
            log.__rel__["function"] = function
        return FunctionWithRelations(function, user, deployments, logs)

    def get_functions_paginated(self, page: int, page_size: int, filters: Where = None) -> PaginatedResult[Function]:
        """Return one numbered page of functions, the newest first, ties broken by id.

        Args:
            page: the number of the page, from 1.
            page_size: how many functions a page has.
            filters: conditions as for ``find_all``'s ``where``.

        Raises:
            InvalidQueryError: ``page`` or ``page_size`` is not a positive integer.

        >>> managers.functions.get_functions_paginated(1, 20, {"user_id": ada.id}).items == [resize]
        True

        ``SELECT id, … FROM functions WHERE … ORDER BY created_at DESC, id DESC LIMIT … OFFSET …`` and
        ``SELECT COUNT(*) AS count FROM functions WHERE …``
        """
        return self.paginate(page, page_size, filters, order_by="created_at", order_direction="DESC")

    def search(
        self,
        text: str,
        *,
        user: OwnerReference | None = None,
        status: str | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> list[Function]:
        """Return the functions whose name contains a text, whatever its case.

        Those that have it for a name come first, then those whose name begins with it, then the others, each by name.

        Args:
            text: what to look for; ``%`` and ``_`` stand for themselves.
            user: only this user's functions: an instance, a public UUID or an internal id.
            status: only functions with this status.
            limit: how many functions at most.
            offset: how many functions to skip.

        Raises:
            InvalidValueError: the text is empty, or longer than a name may be.

        >>> from cloudpub_models import Database, Managers
        >>> shop = Database("sqlite:///:memory:")
        >>> _ = shop.migrate()
        >>> Managers(shop).functions.search("resize")
        []
        >>> shop.close()

        ``SELECT id, … FROM functions WHERE name ILIKE @param_0
        ORDER BY name ILIKE @param_1 DESC, name ILIKE @param_2 DESC, name ASC, id ASC LIMIT … OFFSET …``
        """
        if not isinstance(text, str) or not text:
            raise InvalidValueError(f"expected a text to look for; got {shown(text)}: find_all() gives all functions")
        longest = Function.name.max_length
        if len(text) > longest:
            # SQLite would read such a pattern anew for each row.
            raise InvalidValueError(
                f"expected a text of at most {longest} characters to look for, as long as a name; got {len(text):,}"
            )
        where: FunctionWhere = {"name": operators.ilike(f"%{escaped(text)}%")}
        if user is not None:
            where["user_id"] = owner_key(user, self)
        if status is not None:
            where["status"] = status
        order = nearest_first("name", text, self.table)
        return self.find_all(where, order_by=order, limit=limit, offset=offset)
