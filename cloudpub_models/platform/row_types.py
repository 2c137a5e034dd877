"""The rows that managers take, as types: ``FunctionInsert``, ``FunctionUpdate`` and so on for every table.

Managers take any mapping; whoever annotates a dict with one of these has column names and types of values checked
before the program runs. Written by ``scripts/generate_row_types.py`` from the models: change those instead.

    >>> row: UserInsert = {"email": "ada@example.com", "password_hash": "…"}
    >>> sorted(UserInsert.__required_keys__)
    ['email', 'password_hash']
"""

from datetime import datetime
from typing import Literal, NotRequired, TypedDict
from uuid import UUID

from cloudpub_models.entity.stored_forms import JsonValue
from cloudpub_models.models import Function, FunctionDeployment, Organization, Role, User


class UserInsert(TypedDict):
    """A row for ``managers.users.insert``; columns left out take their default."""

    id: NotRequired[int]
    uuid: NotRequired[UUID | str]
    email: str
    password_hash: str
    created_at: NotRequired[datetime | str]
    updated_at: NotRequired[datetime | str]


class UserUpdate(TypedDict, total=False):
    """What to change in rows of ``users``."""

    id: int
    uuid: UUID | str
    email: str
    password_hash: str
    created_at: datetime | str
    updated_at: datetime | str


class UserInformationInsert(TypedDict):
    """A row for ``managers.user_information.insert``; columns left out take their default."""

    id: NotRequired[int]
    uuid: NotRequired[UUID | str]
    user_id: UUID | str | User
    first_name: str
    last_name: str
    phone_number: NotRequired[str | None]
    country: NotRequired[str | None]
    city: NotRequired[str | None]
    address: NotRequired[str | None]
    zip_code: NotRequired[str | None]
    avatar: NotRequired[str | None]
    role: Role | Literal["developer", "team", "sub_team_developer"]
    created_at: NotRequired[datetime | str]
    updated_at: NotRequired[datetime | str]


class UserInformationUpdate(TypedDict, total=False):
    """What to change in rows of ``user_information``."""

    id: int
    uuid: UUID | str
    user_id: UUID | str | User
    first_name: str
    last_name: str
    phone_number: str | None
    country: str | None
    city: str | None
    address: str | None
    zip_code: str | None
    avatar: str | None
    role: Role | Literal["developer", "team", "sub_team_developer"]
    created_at: datetime | str
    updated_at: datetime | str


class OrganizationInsert(TypedDict):
    """A row for ``managers.organizations.insert``; columns left out take their default."""

    id: NotRequired[int]
    uuid: NotRequired[UUID | str]
    name: str
    owner_id: UUID | str | User
    created_at: NotRequired[datetime | str]
    updated_at: NotRequired[datetime | str]


class OrganizationUpdate(TypedDict, total=False):
    """What to change in rows of ``organizations``."""

    id: int
    uuid: UUID | str
    name: str
    owner_id: UUID | str | User
    created_at: datetime | str
    updated_at: datetime | str


class OrganizationMemberInsert(TypedDict):
    """A row for ``managers.organization_members.insert``; columns left out take their default."""

    id: NotRequired[int]
    organization_id: UUID | str | Organization
    user_id: UUID | str | User
    joined_at: NotRequired[datetime | str]


class OrganizationMemberUpdate(TypedDict, total=False):
    """What to change in rows of ``organization_members``."""

    id: int
    organization_id: UUID | str | Organization
    user_id: UUID | str | User
    joined_at: datetime | str


class FunctionInsert(TypedDict):
    """A row for ``managers.functions.insert``; columns left out take their default."""

    id: NotRequired[int]
    uuid: NotRequired[UUID | str]
    user_id: int | User
    name: str
    status: NotRequired[str]
    active_deployment_id: NotRequired[int | FunctionDeployment | None]
    analysis_result: NotRequired[JsonValue]
    created_at: NotRequired[datetime | str]
    updated_at: NotRequired[datetime | str]


class FunctionUpdate(TypedDict, total=False):
    """What to change in rows of ``functions``."""

    id: int
    uuid: UUID | str
    user_id: int | User
    name: str
    status: str
    active_deployment_id: int | FunctionDeployment | None
    analysis_result: JsonValue
    created_at: datetime | str
    updated_at: datetime | str


class FunctionDeploymentInsert(TypedDict):
    """A row for ``managers.function_deployments.insert``; columns left out take their default."""

    id: NotRequired[int]
    uuid: NotRequired[UUID | str]
    function_id: int | Function
    version: int
    image_tag: str
    s3_key: str
    status: NotRequired[str]
    is_active: NotRequired[bool]
    build_logs: NotRequired[str | None]
    deployed_at: NotRequired[datetime | str]


class FunctionDeploymentUpdate(TypedDict, total=False):
    """What to change in rows of ``function_deployments``."""

    id: int
    uuid: UUID | str
    function_id: int | Function
    version: int
    image_tag: str
    s3_key: str
    status: str
    is_active: bool
    build_logs: str | None
    deployed_at: datetime | str


class FunctionLogInsert(TypedDict):
    """A row for ``managers.function_logs.insert``; columns left out take their default."""

    id: NotRequired[int]
    uuid: NotRequired[UUID | str]
    function_id: int | Function
    level: str
    message: str
    timestamp: NotRequired[datetime | str]


class FunctionLogUpdate(TypedDict, total=False):
    """What to change in rows of ``function_logs``."""

    id: int
    uuid: UUID | str
    function_id: int | Function
    level: str
    message: str
    timestamp: datetime | str


class FunctionInvocationInsert(TypedDict):
    """A row for ``managers.function_invocations.insert``; columns left out take their default."""

    id: NotRequired[int]
    uuid: NotRequired[UUID | str]
    function_id: int | Function
    status: str
    duration_ms: NotRequired[int | None]
    error: NotRequired[str | None]
    timestamp: NotRequired[datetime | str]


class FunctionInvocationUpdate(TypedDict, total=False):
    """What to change in rows of ``function_invocations``."""

    id: int
    uuid: UUID | str
    function_id: int | Function
    status: str
    duration_ms: int | None
    error: str | None
    timestamp: datetime | str
