"""The rows that DTOs are built from, on each database."""

from __future__ import annotations

import pytest
from dto_world import World, make_world

from cloudpub_models import Managers


@pytest.fixture
def world(managers: Managers) -> World:
    return make_world(managers)
