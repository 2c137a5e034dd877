"""A migrated database with some rows, whose tables are to be changed."""

from __future__ import annotations

import peewee
import pytest

ROWS = (
    "INSERT INTO users (email, password_hash) VALUES ('a@b.c', 'hash')",
    "INSERT INTO functions (user_id, name, status) VALUES (1, 'f', 'it''s'), (1, 'g', 'active'), (1, 'h', 'active')",
    "INSERT INTO function_logs (function_id, level, message) VALUES (1, 'info', 'started'), (3, 'info', 'x')",
    "INSERT INTO function_deployments (function_id, version, image_tag, s3_key) VALUES (1, 1, 'image', 'key')",
    "UPDATE functions SET active_deployment_id = 1 WHERE id = 1",
    "DELETE FROM functions WHERE id = 3",
)


@pytest.fixture
def filled(migrated: peewee.Database) -> peewee.Database:
    for statement in ROWS:
        migrated.execute_sql(statement)
    return migrated
