"""What is shown of functions, their deployments, logs and invocations."""

from __future__ import annotations

from typing import Self
from uuid import UUID

from pydantic import JsonValue

from cloudpub_models.dto.base import Dto, Moment
from cloudpub_models.dto.reading import checked, columns_of, related_uuid
from cloudpub_models.models import Function, FunctionDeployment, FunctionInvocation, FunctionLog


class FunctionDto(Dto):
    """A function.

    Attributes:
        uuid: the function's public id.
        name: its name.
        status: its status.
        analysis_result: the document of its static analysis, as it was stored. Pydantic refuses documents that are
            nested more than some 250 levels deep.
        user_uuid: its owner's public id; absent where the owner was not loaded with it.
        active_deployment_uuid: its active deployment's public id; absent where there is none or it was not loaded.
        created_at: when it was created.
        updated_at: when it was last changed.
    """

    uuid: UUID
    name: str
    status: str
    analysis_result: JsonValue = None
    user_uuid: UUID | None = None
    active_deployment_uuid: UUID | None = None
    created_at: Moment | None = None
    updated_at: Moment | None = None

    @classmethod
    def from_entity(cls, function: Function) -> Self:
        """Return what is shown of a function.

        Args:
            function: the function; its ``user`` and ``active_deployment`` are named where they are loaded
                (``include=("user", "active_deployment")``).

        Raises:
            InvalidValueError: it is no function, or not a complete one.
            LazyLoadingError: the query that loaded it left one of its columns out.

        >>> from cloudpub_models import Function
        >>> function = Function(uuid=UUID(int=7), name="resize", user=1).copy_with(created_at=None, updated_at=None)
        >>> FunctionDto.from_entity(function).to_json()
        {'uuid': '00000000-0000-0000-0000-000000000007', 'name': 'resize', 'status': 'active'}
        """
        values = columns_of(checked(function, Function, cls), cls)
        values["user_uuid"] = related_uuid(function, "user")
        values["active_deployment_uuid"] = related_uuid(function, "active_deployment")
        return cls._from_values(values, "a Function")


class FunctionDeploymentDto(Dto):
    """One version of a function.

    Attributes:
        uuid: the deployment's public id.
        function_uuid: its function's public id; absent where the function was not loaded with it.
        version: its number among the function's deployments, from 1.
        image_tag: the container image.
        s3_key: where the code is stored.
        status: how far it is.
        is_active: whether it is the version that runs.
        build_logs: what the build wrote.
        deployed_at: when it was deployed.
    """

    uuid: UUID
    function_uuid: UUID | None = None
    version: int
    image_tag: str
    s3_key: str
    status: str
    is_active: bool
    build_logs: str | None = None
    deployed_at: Moment | None = None

    @classmethod
    def from_entity(cls, deployment: FunctionDeployment) -> Self:
        """Return what is shown of a deployment.

        Args:
            deployment: the deployment; its ``function`` is named where it is loaded.

        Raises:
            InvalidValueError: it is no deployment, or not a complete one.
            LazyLoadingError: the query that loaded it left one of its columns out.

        >>> from cloudpub_models import FunctionDeployment
        >>> second = FunctionDeployment(version=2, image_tag="resize:2", s3_key="resize/2.zip")
        >>> FunctionDeploymentDto.from_entity(second).version
        2
        """
        values = columns_of(checked(deployment, FunctionDeployment, cls), cls)
        values["function_uuid"] = related_uuid(deployment, "function")
        return cls._from_values(values, "a FunctionDeployment")


class FunctionLogDto(Dto):
    """A line that a function wrote.

    Attributes:
        uuid: the line's public id.
        function_uuid: its function's public id; absent where the function was not loaded with it.
        level: info, warn, error, or what else the platform writes.
        message: the text.
        timestamp: when it was written.
    """

    uuid: UUID
    function_uuid: UUID | None = None
    level: str
    message: str
    timestamp: Moment | None = None

    @classmethod
    def from_entity(cls, log: FunctionLog) -> Self:
        """Return what is shown of a log line.

        Args:
            log: the line; its ``function`` is named where it is loaded.

        Raises:
            InvalidValueError: it is no log line, or not a complete one.
            LazyLoadingError: the query that loaded it left one of its columns out.

        >>> from cloudpub_models import FunctionLog
        >>> FunctionLogDto.from_entity(FunctionLog(level="info", message="ready")).message
        'ready'
        """
        values = columns_of(checked(log, FunctionLog, cls), cls)
        values["function_uuid"] = related_uuid(log, "function")
        return cls._from_values(values, "a FunctionLog")


class FunctionInvocationDto(Dto):
    """One call of a function.

    Attributes:
        uuid: the call's public id.
        function_uuid: its function's public id; absent where the function was not loaded with it.
        status: how it ended.
        duration_ms: how long it took, in milliseconds.
        error: what went wrong.
        timestamp: when it was.
    """

    uuid: UUID
    function_uuid: UUID | None = None
    status: str
    duration_ms: int | None = None
    error: str | None = None
    timestamp: Moment | None = None

    @classmethod
    def from_entity(cls, invocation: FunctionInvocation) -> Self:
        """Return what is shown of an invocation.

        Args:
            invocation: the invocation; its ``function`` is named where it is loaded.

        Raises:
            InvalidValueError: it is no invocation, or not a complete one.
            LazyLoadingError: the query that loaded it left one of its columns out.

        >>> from cloudpub_models import FunctionInvocation
        >>> FunctionInvocationDto.from_entity(FunctionInvocation(status="success", duration_ms=12)).duration_ms
        12
        """
        values = columns_of(checked(invocation, FunctionInvocation, cls), cls)
        values["function_uuid"] = related_uuid(invocation, "function")
        return cls._from_values(values, "a FunctionInvocation")
