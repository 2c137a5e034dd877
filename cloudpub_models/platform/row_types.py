"""The rows that managers take, as types: ``FunctionInsert``, ``FunctionUpdate`` and so on for every table.

The platform's managers take them, so that column names and types of values are checked before the program runs; what
is typed as a mapping of text to ``Any``, out of a JSON body say, is taken as well, and checked when it runs. Written by
``scripts/generate_row_types.py`` from the models: change those instead.

    >>> row: UserInsert = {"email": "ada@example.com", "password_hash": "…"}
    >>> sorted(UserInsert.__required_keys__)
    ['email', 'password_hash']
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, NotRequired, TypeAlias, TypedDict
from uuid import UUID

from peewee import Node

from cloudpub_models.entity.stored_forms import JsonValue
from cloudpub_models.manager.writing import Unchecked
from cloudpub_models.models import Function, FunctionDeployment, Organization, Role, User
from cloudpub_models.sql.operators import Increment


class UserInsert(TypedDict):
    """A row for ``managers.users.insert``; columns left out take their default."""

    id: NotRequired[int]
    uuid: NotRequired[UUID | str]
    email: str
    password_hash: str
    created_at: NotRequired[datetime | str]
    updated_at: NotRequired[datetime | str]


class UserUpdate(TypedDict, total=False):
    """What to change in rows of ``users``; a Peewee expression is computed by the database."""

    id: int | Node
    uuid: UUID | str | Node
    email: str | Node
    password_hash: str | Node
    created_at: datetime | str | Node
    updated_at: datetime | str | Node


UserData: TypeAlias = UserInsert | Mapping[str, Unchecked]
UserChanges: TypeAlias = UserUpdate | Mapping[str, Unchecked]


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
    """What to change in rows of ``user_information``; a Peewee expression is computed by the database."""

    id: int | Node
    uuid: UUID | str | Node
    user_id: UUID | str | User | Node
    first_name: str | Node
    last_name: str | Node
    phone_number: str | Node | None
    country: str | Node | None
    city: str | Node | None
    address: str | Node | None
    zip_code: str | Node | None
    avatar: str | Node | None
    role: Role | Literal["developer", "team", "sub_team_developer"] | Node
    created_at: datetime | str | Node
    updated_at: datetime | str | Node


UserInformationData: TypeAlias = UserInformationInsert | Mapping[str, Unchecked]
UserInformationChanges: TypeAlias = UserInformationUpdate | Mapping[str, Unchecked]


class OrganizationInsert(TypedDict):
    """A row for ``managers.organizations.insert``; columns left out take their default."""

    id: NotRequired[int]
    uuid: NotRequired[UUID | str]
    name: str
    owner_id: UUID | str | User
    created_at: NotRequired[datetime | str]
    updated_at: NotRequired[datetime | str]


class OrganizationUpdate(TypedDict, total=False):
    """What to change in rows of ``organizations``; a Peewee expression is computed by the database."""

    id: int | Node
    uuid: UUID | str | Node
    name: str | Node
    owner_id: UUID | str | User | Node
    created_at: datetime | str | Node
    updated_at: datetime | str | Node


OrganizationData: TypeAlias = OrganizationInsert | Mapping[str, Unchecked]
OrganizationChanges: TypeAlias = OrganizationUpdate | Mapping[str, Unchecked]


class OrganizationMemberInsert(TypedDict):
    """A row for ``managers.organization_members.insert``; columns left out take their default."""

    id: NotRequired[int]
    organization_id: UUID | str | Organization
    user_id: UUID | str | User
    joined_at: NotRequired[datetime | str]


class OrganizationMemberUpdate(TypedDict, total=False):
    """What to change in rows of ``organization_members``; a Peewee expression is computed by the database."""

    id: int | Node
    organization_id: UUID | str | Organization | Node
    user_id: UUID | str | User | Node
    joined_at: datetime | str | Node


OrganizationMemberData: TypeAlias = OrganizationMemberInsert | Mapping[str, Unchecked]
OrganizationMemberChanges: TypeAlias = OrganizationMemberUpdate | Mapping[str, Unchecked]


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
    """What to change in rows of ``functions``; a Peewee expression is computed by the database."""

    id: int | Node
    uuid: UUID | str | Node
    user_id: int | User | Node
    name: str | Node
    status: str | Node
    active_deployment_id: int | FunctionDeployment | Node | None
    analysis_result: JsonValue | Node
    created_at: datetime | str | Node
    updated_at: datetime | str | Node


FunctionData: TypeAlias = FunctionInsert | Mapping[str, Unchecked]
FunctionChanges: TypeAlias = FunctionUpdate | Mapping[str, Unchecked]


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
    """What to change in rows of ``function_deployments``; a Peewee expression is computed by the database."""

    id: int | Node
    uuid: UUID | str | Node
    function_id: int | Function | Node
    version: int | Increment | Node
    image_tag: str | Node
    s3_key: str | Node
    status: str | Node
    is_active: bool | Node
    build_logs: str | Node | None
    deployed_at: datetime | str | Node


FunctionDeploymentData: TypeAlias = FunctionDeploymentInsert | Mapping[str, Unchecked]
FunctionDeploymentChanges: TypeAlias = FunctionDeploymentUpdate | Mapping[str, Unchecked]


class FunctionLogInsert(TypedDict):
    """A row for ``managers.function_logs.insert``; columns left out take their default."""

    id: NotRequired[int]
    uuid: NotRequired[UUID | str]
    function_id: int | Function
    level: str
    message: str
    timestamp: NotRequired[datetime | str]


class FunctionLogUpdate(TypedDict, total=False):
    """What to change in rows of ``function_logs``; a Peewee expression is computed by the database."""

    id: int | Node
    uuid: UUID | str | Node
    function_id: int | Function | Node
    level: str | Node
    message: str | Node
    timestamp: datetime | str | Node


FunctionLogData: TypeAlias = FunctionLogInsert | Mapping[str, Unchecked]
FunctionLogChanges: TypeAlias = FunctionLogUpdate | Mapping[str, Unchecked]


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
    """What to change in rows of ``function_invocations``; a Peewee expression is computed by the database."""

    id: int | Node
    uuid: UUID | str | Node
    function_id: int | Function | Node
    status: str | Node
    duration_ms: int | Increment | Node | None
    error: str | Node | None
    timestamp: datetime | str | Node


FunctionInvocationData: TypeAlias = FunctionInvocationInsert | Mapping[str, Unchecked]
FunctionInvocationChanges: TypeAlias = FunctionInvocationUpdate | Mapping[str, Unchecked]
