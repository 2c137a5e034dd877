"""``managers.function_deployments``: versions of functions, and which of them runs.

The rules: a function's versions count up from 1, no number is given twice, not even when its deployment has been
deleted, and at most one of them is active, the one that the function's row names. Each operation locks the function's
row first, so that those on one function come one after the other whatever process they are in, while logs and
invocations are recorded undisturbed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloudpub_models.connection import Database
from cloudpub_models.errors import DomainRuleError, UniqueViolationError
from cloudpub_models.manager.manager import Manager
from cloudpub_models.manager.scope import UNRESTRICTED, Scope
from cloudpub_models.models import Function, FunctionDeployment, GivenVersion
from cloudpub_models.platform.references import (
    DeploymentReference,
    FunctionReference,
    deployment_key,
    function_key,
    no_row,
    what_was_given,
)
from cloudpub_models.sql import operators

if TYPE_CHECKING:
    from cloudpub_models.platform.row_types import FunctionDeploymentChanges, FunctionDeploymentData  # noqa: F401 - named by the class
    from cloudpub_models.platform.where_types import (
        FunctionDeploymentConditions,  # noqa: F401 - named by the class
        FunctionDeploymentWhere,
    )

_VERSION_ATTEMPTS = 5


class FunctionDeploymentManager(
    Manager[FunctionDeployment, "FunctionDeploymentData", "FunctionDeploymentChanges", "FunctionDeploymentConditions"]
):
    """The operations on ``function_deployments``.

    Functions and deployments are given as instances, by their public UUIDs or by their internal ids.
    """

    def __init__(self, database: Database | None = None, *, scope: Scope | None = None) -> None:
        super().__init__(FunctionDeployment, database, scope=scope)
        self._functions = Manager(Function, database, scope=scope)
        # Asked and written for a function that has been found in the scope.
        self._given = Manager(GivenVersion, database, scope=UNRESTRICTED)

    def deploy(self, function: FunctionReference, image_tag: str, s3_key: str) -> FunctionDeployment:
        """Add the next version of a function; it is being built and not active yet.

        Deployers at the same time get consecutive versions. The number of a deployment that was deleted is not given
        again: an image, a log or a rollback that speaks of version 2 means one deployment for ever.

        Args:
            function: the function.
            image_tag: the container image.
            s3_key: where the code is stored.

        Returns:
            the deployment.

        Raises:
            NotFoundError: the function does not exist (any more).

        >>> from cloudpub_models import Database, Managers
        >>> shop = Database("sqlite:///:memory:")
        >>> _ = shop.migrate()
        >>> managers = Managers(shop)
        >>> ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
        >>> resize = managers.functions.insert({"user_id": ada.id, "name": "resize"})
        >>> managers.function_deployments.deploy(resize, "resize:1", "resize/1.zip").version
        1
        >>> managers.function_deployments.deploy(resize, "resize:2", "resize/2.zip").version
        2
        >>> shop.close()

        ``SELECT … FROM functions WHERE id = … FOR NO KEY UPDATE``, ``SELECT version … ORDER BY version DESC LIMIT …``,
        ``SELECT … FROM cloudpub_given_versions …``, ``INSERT INTO cloudpub_given_versions … ON CONFLICT … DO UPDATE …``
        and ``INSERT INTO function_deployments … RETURNING …``, in one transaction
        """
        key = function_key(function, self)

        def deploy(_connection: object) -> FunctionDeployment:
            self._lock_function(key, function)
            # The last one may have been deleted, and other programs add versions without taking them down.
            last = self.find_one({"function_id": key}, order_by="version", order_direction="DESC", select=["version"])
            given = self._given.find_by_id(key, id_column="function_id")
            version = max(0 if known is None else known.version for known in (last, given)) + 1
            self._given.upsert({"function_id": key, "version": version}, ["function_id"])
            return self.insert({"function_id": key, "version": version, "image_tag": image_tag, "s3_key": s3_key})

        # The lock keeps other deployers out, but not other programs that add a version without asking for it.
        for _ in range(_VERSION_ATTEMPTS - 1):
            try:
                return self.database.run_transaction(deploy)
            except UniqueViolationError:
                continue
        return self.database.run_transaction(deploy)

    def activate(self, deployment: DeploymentReference) -> FunctionDeployment:
        """Make a deployment its function's active one, in place of whichever was.

        Args:
            deployment: the deployment.

        Returns:
            the deployment as it is now; instances that were loaded before do not change.

        Raises:
            NotFoundError: the deployment does not exist (any more).

        >>> first = managers.function_deployments.deploy(resize, "resize:1", "resize/1.zip")
        >>> managers.function_deployments.activate(first).is_active
        True

        ``SELECT function_id …``, ``SELECT … FROM functions … FOR NO KEY UPDATE``,
        ``UPDATE function_deployments SET is_active = FALSE … AND is_active = TRUE AND id != … RETURNING …``,
        ``UPDATE function_deployments SET is_active = TRUE WHERE id = … RETURNING …`` and
        ``UPDATE functions SET active_deployment_id = …, updated_at = … WHERE id = … RETURNING …``, in one transaction
        """
        key = deployment_key(deployment, self)

        def activate(_connection: object) -> FunctionDeployment:
            found = self.find_by_id(key, select=["function_id"])
            if found is None:
                raise no_row(FunctionDeployment, deployment, key)
            self._lock_function(found.function_id)
            return self._activate(found.function_id, key)

        return self.database.run_transaction(activate)

    def rollback(self, function: FunctionReference) -> FunctionDeployment:
        """Make the version before the active one active, the nearest lower number that exists.

        Args:
            function: the function.

        Returns:
            the deployment that is active now.

        Raises:
            DomainRuleError: no deployment is active, or none has a lower version.
            NotFoundError: the function does not exist.

        >>> deployments = managers.function_deployments
        >>> first, second = [deployments.deploy(resize, f"resize:{n}", f"resize/{n}.zip") for n in (1, 2)]
        >>> _ = deployments.activate(second)
        >>> deployments.rollback(resize) == first
        True

        As ``activate``, with the function's row locked first, and
        ``SELECT id, … FROM function_deployments WHERE function_id = … AND version < … ORDER BY version DESC LIMIT …``
        """
        key = function_key(function, self)

        def roll_back(_connection: object) -> FunctionDeployment:
            active_id = self._lock_function(key, function)
            active = None if active_id is None else self.find_by_id(active_id)
            if active is None:
                raise DomainRuleError(
                    "expected a function with an active deployment; the function with "
                    f"{what_was_given(function, key)} has none: activate() one"
                )
            previous = self.find_one(
                {"function_id": key, "version": operators.lt(active.version)},
                order_by="version",
                order_direction="DESC",
            )
            if previous is None:
                raise DomainRuleError(
                    f"expected a version before the active one; version {active.version} of the function with "
                    f"{what_was_given(function, key)} is its first: deploy() and activate() another"
                )
            return self._activate(key, previous.id)

        return self.database.run_transaction(roll_back)

    def history(  # type: ignore[override]
        self, function: FunctionReference, limit: int | None = None
    ) -> list[FunctionDeployment]:
        """Return a function's deployments, the latest version first.

        What has happened to the row of one deployment is in ``database.history.of_row("function_deployments", id)``.

        Args:
            function: the function.
            limit: how many at most.

        Returns:
            the deployments; an empty list for a function that does not exist.

        >>> deployments = managers.function_deployments
        >>> _ = [deployments.deploy(resize, f"resize:{n}", f"resize/{n}.zip") for n in (1, 2)]
        >>> [deployment.version for deployment in deployments.history(resize)]
        [2, 1]

        ``SELECT id, … FROM function_deployments WHERE function_id = @param_0 ORDER BY version DESC``
        """
        return self.find_all(
            {"function_id": function_key(function, self)}, order_by="version", order_direction="DESC", limit=limit
        )

    def _lock_function(self, function: int, reference: FunctionReference | None = None) -> int | None:
        """Keep others from operating on a function until this transaction ends; return its active deployment's id."""
        found = self._functions._locked({"id": function}, ["active_deployment_id"])
        if found is None:
            raise no_row(Function, reference, function)
        return found.active_deployment_id

    def _activate(self, function: int, deployment: int) -> FunctionDeployment:
        others: FunctionDeploymentWhere = {"function_id": function, "is_active": True, "id": operators.ne(deployment)}
        self.update({"is_active": False}, others)
        activated = self.update_by_id(deployment, {"is_active": True})
        if activated is None:
            raise no_row(FunctionDeployment, None, deployment)
        self._functions.update_by_id(function, {"active_deployment_id": deployment})
        return activated
