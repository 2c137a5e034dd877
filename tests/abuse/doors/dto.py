"""DTOs, which compare keys and send nothing."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from cloudpub_models import Organization
from cloudpub_models.dto import OrganizationDto, OrganizationWithMembersDto
from cloudpub_models.entity.stored_forms import uuid_to_text
from tests.abuse.world import World

from .accepted import HARMLESS_UUIDS, a_uuid
from .door import Doors

DOORS = Doors()


@DOORS.door(
    "OrganizationDto.from_entity(requester_id)",
    "OrganizationWithMembersDto.from_entities(requester_id)",
    harmless=HARMLESS_UUIDS,
    accepts=a_uuid,
)
def _(world: World, given: str) -> Any:
    organization = Organization(uuid=uuid.uuid4(), name="x", owner=uuid.uuid4(), created_at=datetime.now(UTC))
    OrganizationDto.from_entity(organization, given)
    OrganizationWithMembersDto.from_entities(organization, [], given)
    assert uuid_to_text(given) != str(organization.owner_id)
