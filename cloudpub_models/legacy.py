"""The old call style: ``QueryHelpers``, and ``DatabaseManagers``, the old name of ``managers``.

For code that is still to be moved to the managers. Every helper warns with a ``DeprecationWarning`` that names the call
to use instead. Helpers take and give public UUIDs and return dicts: column → value, with UUIDs as text and times as
aware datetimes. A user's password hash is only in what ``get_user_by_email`` returns, which logs users in.

Nothing is added here that the original has not.
"""

from __future__ import annotations

import warnings
from typing import Any, ClassVar
from uuid import UUID

from cloudpub_models.entity.base import Entity
from cloudpub_models.entity.stored_forms import uuid_to_text
from cloudpub_models.errors import NotFoundError
from cloudpub_models.manager.columns.table import model_of_table
from cloudpub_models.manager.manager import Manager
from cloudpub_models.models import Function, User
from cloudpub_models.platform.default import managers
from cloudpub_models.platform.registry import Managers
from cloudpub_models.sql.values import check_count

DatabaseManagers = managers

Row = dict[str, Any]


class QueryHelpers:
    """The helpers of the old style, on the process's default database.

    For another database, derive a class that names its managers:

    >>> from cloudpub_models import Database
    >>> shop = Database("sqlite:///:memory:")
    >>> _ = shop.migrate()
    >>> class ShopHelpers(QueryHelpers):
    ...     managers = Managers(shop)
    >>> with warnings.catch_warnings(record=True, action="always") as caught:
    ...     ada = ShopHelpers.create_user("ada@example.com", "…")
    >>> sorted(ada)
    ['created_at', 'email', 'id', 'updated_at', 'uuid']
    >>> print(caught[0].message)
    QueryHelpers are the old call style: use managers.users.insert instead
    >>> shop.close()
    """

    managers: ClassVar[Managers] = managers

    @classmethod
    def get_user_by_uuid(cls, uuid: UUID | str) -> Row | None:
        """Return a user without the password hash, or ``None``.

        Raises:
            InvalidValueError: the text is no UUID.

        >>> QueryHelpers.get_user_by_uuid(ada.uuid)["email"]
        'ada@example.com'
        """
        _warn("users.find_by_uuid")
        user = cls.managers.users.find_by_uuid(uuid)
        return None if user is None else _public_user(user)

    @classmethod
    def get_user_by_email(cls, email: str) -> Row | None:
        """Return the user with exactly this address, password hash included, or ``None``.

        Its successor does not distinguish upper and lower case.

        >>> QueryHelpers.get_user_by_email("ada@example.com")["id"] == ada.id
        True
        """
        _warn("users.find_by_email")
        user = cls.managers.users.find_by_id(email, id_column="email")
        return None if user is None else _as_row(user)

    @classmethod
    def create_user(cls, email: str, password_hash: str) -> Row:
        """Insert a user and return it without the password hash.

        Raises:
            UniqueViolationError: the address is taken.

        >>> QueryHelpers.create_user("alan@example.com", "…")["email"]
        'alan@example.com'
        """
        _warn("users.insert")
        return _public_user(cls.managers.users.insert({"email": email, "password_hash": password_hash}))

    @classmethod
    def get_function_by_uuid(cls, uuid: UUID | str) -> Row | None:
        """Return a function, with its owner's public id as ``user_uuid``, or ``None``.

        Raises:
            InvalidValueError: the text is no UUID.

        >>> QueryHelpers.get_function_by_uuid(resize.uuid)["name"]
        'resize'
        """
        _warn("functions.find_by_uuid")
        rows = cls.managers.functions.join_query(
            "users",
            "functions.user_id = users.id",
            select=["functions.*", "users.uuid AS user_uuid"],
            where={"functions.uuid": uuid_to_text(uuid)},
        )
        return _with_texts(rows[0]) if rows else None

    @classmethod
    def get_functions_by_user_uuid(cls, user_uuid: UUID | str) -> list[Row]:
        """Return all functions of a user, the newest first; none for a user who is not known.

        Raises:
            InvalidValueError: the text is no UUID.

        >>> [row["name"] for row in QueryHelpers.get_functions_by_user_uuid(ada.uuid)]
        ['resize']
        """
        _warn("functions.find_all")
        user = cls.managers.users.find_by_uuid(user_uuid)
        if user is None:
            return []
        functions = cls.managers.functions.find_all(
            {"user_id": user.id}, order_by=("created_at", "id"), order_direction="DESC"
        )
        return [_as_row(function) for function in functions]

    @classmethod
    def create_function(
        cls, user_uuid: UUID | str, name: str, status: str = "active", analysis_result: Any = None
    ) -> Row:
        """Insert a function of a user and return it.

        Raises:
            NotFoundError: there is no such user.
            UniqueViolationError: the user has a function of this name.

        >>> QueryHelpers.create_function(ada.uuid, "crop")["status"]
        'active'
        """
        _warn("functions.insert")
        user = cls.managers.users.find_by_uuid(user_uuid)
        if user is None:
            raise NotFoundError(f"expected the uuid of a user; got {user_uuid}, which none has: create the user first")
        data = {"user_id": user.id, "name": name, "status": status, "analysis_result": analysis_result}
        return _as_row(cls.managers.functions.insert(data))

    @classmethod
    def update_function(
        cls, uuid: UUID | str, name: str | None = None, status: str | None = None, analysis_result: Any = None
    ) -> Row | None:
        """Change what is given of a function and return it; ``None`` where it is not known or nothing is given.

        >>> QueryHelpers.update_function(resize.uuid, status="inactive")["status"]
        'inactive'
        """
        _warn("functions.update_by_id")
        given = {"name": name, "status": status, "analysis_result": analysis_result}
        changes = {column: value for column, value in given.items() if value is not None}
        if not changes:
            return None
        function = cls.managers.functions.update_by_id(uuid, changes, id_column="uuid")
        return None if function is None else _as_row(function)

    @classmethod
    def delete_function(cls, uuid: UUID | str) -> bool:
        """Delete a function with all that belongs to it, and return whether it was there.

        >>> QueryHelpers.delete_function(resize.uuid)
        True
        """
        _warn("functions.delete_by_id")
        return cls.managers.functions.delete_by_id(uuid, id_column="uuid")

    @classmethod
    def get_function_logs_by_function_uuid(
        cls, function_uuid: UUID | str, limit: int = 100, offset: int = 0
    ) -> list[Row]:
        """Return the log lines of a function, the newest first; none for a function that is not known.

        >>> QueryHelpers.get_function_logs_by_function_uuid(resize.uuid, limit=20)
        []
        """
        _warn("function_logs.find_all")
        return cls._newest_of(cls.managers.function_logs, function_uuid, limit, offset)

    @classmethod
    def create_function_log(cls, function_uuid: UUID | str, level: str, message: str) -> Row:
        """Insert a log line of a function and return it.

        Raises:
            NotFoundError: there is no such function.

        >>> QueryHelpers.create_function_log(resize.uuid, "info", "started")["message"]
        'started'
        """
        _warn("function_logs.append")
        function_id = cls._function(function_uuid).id
        log = cls.managers.function_logs.insert({"function_id": function_id, "level": level, "message": message})
        return _as_row(log)

    @classmethod
    def get_function_invocations_by_function_uuid(
        cls, function_uuid: UUID | str, limit: int = 100, offset: int = 0
    ) -> list[Row]:
        """Return the invocations of a function, the newest first; none for a function that is not known.

        >>> QueryHelpers.get_function_invocations_by_function_uuid(resize.uuid)
        []
        """
        _warn("function_invocations.find_all")
        return cls._newest_of(cls.managers.function_invocations, function_uuid, limit, offset)

    @classmethod
    def create_function_invocation(
        cls, function_uuid: UUID | str, status: str, duration_ms: int | None = None, error: str | None = None
    ) -> Row:
        """Insert an invocation of a function and return it.

        Raises:
            NotFoundError: there is no such function.

        >>> QueryHelpers.create_function_invocation(resize.uuid, "success", duration_ms=120)["duration_ms"]
        120
        """
        _warn("function_invocations.record")
        function_id = cls._function(function_uuid).id
        data: Row = {"function_id": function_id, "status": status, "duration_ms": duration_ms, "error": error}
        return _as_row(cls.managers.function_invocations.insert(data))

    @classmethod
    def get_internal_id_from_uuid(cls, table: str, uuid: UUID | str) -> int | None:
        """Return the internal id of a row of a table, or ``None``.

        Raises:
            UnknownTableError: there is no such table.
            UnknownColumnError: its rows have no uuid.

        >>> QueryHelpers.get_internal_id_from_uuid("functions", resize.uuid) == resize.id
        True
        """
        manager: Manager[Any] = cls.managers.for_model(model_of_table(table, User, cls.managers.database.models))
        _warn(f"{table}.find_by_uuid")
        row = manager.find_by_uuid(uuid)
        return None if row is None else row.id

    @classmethod
    def get_uuid_from_internal_id(cls, table: str, internal_id: int) -> str | None:
        """Return the public UUID of a row of a table, or ``None``.

        Raises:
            UnknownTableError: there is no such table.
            UnknownColumnError: its rows have no uuid.
            InvalidValueError: the id is no integer, as where it is a UUID already.

        >>> QueryHelpers.get_uuid_from_internal_id("functions", resize.id) == str(resize.uuid)
        True
        """
        manager: Manager[Any] = cls.managers.for_model(model_of_table(table, User, cls.managers.database.models))
        _warn(f"{table}.find_by_id")
        row = manager.find_by_id(internal_id, select=["uuid"])
        return None if row is None else uuid_to_text(row.uuid)

    @classmethod
    def _function(cls, uuid: UUID | str) -> Function:
        function = cls.managers.functions.find_by_uuid(uuid)
        if function is None:
            raise NotFoundError(
                f"expected the uuid of a function; got {uuid}, which none has: create the function first"
            )
        return function

    @classmethod
    def _newest_of(cls, manager: Manager[Any], function_uuid: UUID | str, limit: int, offset: int) -> list[Row]:
        check_count(limit, "limit")
        check_count(offset, "offset")
        function = cls.managers.functions.find_by_uuid(function_uuid)
        if function is None:
            return []
        rows = manager.find_all(
            {"function_id": function.id},
            # Rows of one moment in the order in which they were written.
            order_by=("timestamp", "id"),
            order_direction="DESC",
            limit=limit,
            offset=offset,
        )
        return [_as_row(row) for row in rows]


def _warn(successor: str) -> None:
    # Level 3 is the line that called the helper which called this.
    warnings.warn(
        f"QueryHelpers are the old call style: use managers.{successor} instead", DeprecationWarning, stacklevel=3
    )


def _as_row(entity: Entity) -> Row:
    return _with_texts(entity.to_dict())


def _public_user(user: User) -> Row:
    row = _as_row(user)
    del row["password_hash"]
    return row


def _with_texts(row: Row) -> Row:
    return {column: str(value) if isinstance(value, UUID) else value for column, value in row.items()}
