"""Databases as the schema's tests have them."""

from __future__ import annotations

from tests.schema.conftest import connect, empty, postgresql_schema

__all__ = ["connect", "empty", "postgresql_schema"]
