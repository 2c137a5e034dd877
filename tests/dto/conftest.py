"""The rows that DTOs are built from, on each database."""

from __future__ import annotations

import pytest

from cloudpub_models import Managers
from tests.dto.world import World, make_world


@pytest.fixture
def world(managers: Managers) -> World:
    return make_world(managers)
