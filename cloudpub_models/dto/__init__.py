"""What leaves the system: DTOs, built from entities, that show public ids only.

A DTO has no field for an internal id or a password hash, so neither can get into one. It is built from what its
entities already hold and sends nothing: a related row that was not loaded is left out, or is an error where the DTO
cannot do without it. The privacy rule of organizations is in ``cloudpub_models.dto.organizations``.

This room is the only one that needs pydantic, and the face imports it on first use.
"""

from cloudpub_models.dto.functions import FunctionDeploymentDto, FunctionDto, FunctionInvocationDto, FunctionLogDto
from cloudpub_models.dto.organizations import (
    OrganizationDto,
    OrganizationMemberDto,
    OrganizationWithMembersDto,
    UserWithOrganizationDto,
)
from cloudpub_models.dto.users import UserDto, UserInformationDto, UserProfileDto

__all__ = [
    "FunctionDeploymentDto",
    "FunctionDto",
    "FunctionInvocationDto",
    "FunctionLogDto",
    "OrganizationDto",
    "OrganizationMemberDto",
    "OrganizationWithMembersDto",
    "UserDto",
    "UserInformationDto",
    "UserProfileDto",
    "UserWithOrganizationDto",
]
