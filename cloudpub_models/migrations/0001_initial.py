"""The whole schema of the specification: eight tables, their constraints, indexes, defaults and triggers.

A frozen copy, independent of the models: it stays as it is when they change, and later scripts bring it forward. A test
proves that all migrations together give the schema of the models. In each block an empty line ends a statement.
"""

from __future__ import annotations

from typing import Any

import peewee

POSTGRESQL = """
CREATE TABLE users (
    id SERIAL NOT NULL PRIMARY KEY,
    uuid UUID NOT NULL DEFAULT gen_random_uuid(),
    email VARCHAR(255) NOT NULL,
    password_hash VARCHAR(255) NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT timezone('utc', now()),
    updated_at TIMESTAMP NOT NULL DEFAULT timezone('utc', now()),
    CONSTRAINT users_uuid_key UNIQUE (uuid),
    CONSTRAINT users_email_key UNIQUE (email)
)

CREATE TABLE user_information (
    id SERIAL NOT NULL PRIMARY KEY,
    uuid UUID NOT NULL DEFAULT gen_random_uuid(),
    user_id UUID NOT NULL,
    first_name VARCHAR(100) NOT NULL,
    last_name VARCHAR(100) NOT NULL,
    phone_number VARCHAR(20),
    country VARCHAR(100),
    city VARCHAR(100),
    address TEXT,
    zip_code VARCHAR(20),
    avatar TEXT,
    role VARCHAR(50) NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT timezone('utc', now()),
    updated_at TIMESTAMP NOT NULL DEFAULT timezone('utc', now()),
    CONSTRAINT user_information_uuid_key UNIQUE (uuid),
    CONSTRAINT user_information_user_id_key UNIQUE (user_id),
    CONSTRAINT user_information_role_check CHECK (role IN ('developer', 'team', 'sub_team_developer')),
    CONSTRAINT user_information_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (uuid) ON DELETE CASCADE
)

CREATE INDEX user_information_role_idx ON user_information (role)

CREATE TABLE organizations (
    id SERIAL NOT NULL PRIMARY KEY,
    uuid UUID NOT NULL DEFAULT gen_random_uuid(),
    name VARCHAR(255) NOT NULL,
    owner_id UUID NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT timezone('utc', now()),
    updated_at TIMESTAMP NOT NULL DEFAULT timezone('utc', now()),
    CONSTRAINT organizations_uuid_key UNIQUE (uuid),
    CONSTRAINT organizations_name_key UNIQUE (name),
    CONSTRAINT organizations_owner_id_fkey FOREIGN KEY (owner_id) REFERENCES users (uuid) ON DELETE CASCADE
)

CREATE INDEX organizations_owner_id_idx ON organizations (owner_id)

CREATE TABLE organization_members (
    id SERIAL NOT NULL PRIMARY KEY,
    organization_id UUID NOT NULL,
    user_id UUID NOT NULL,
    joined_at TIMESTAMP NOT NULL DEFAULT timezone('utc', now()),
    CONSTRAINT organization_members_user_id_key UNIQUE (user_id),
    CONSTRAINT organization_members_organization_id_fkey
        FOREIGN KEY (organization_id) REFERENCES organizations (uuid) ON DELETE CASCADE,
    CONSTRAINT organization_members_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (uuid) ON DELETE CASCADE
)

CREATE INDEX organization_members_organization_id_idx ON organization_members (organization_id)

CREATE TABLE functions (
    id SERIAL NOT NULL PRIMARY KEY,
    uuid UUID NOT NULL DEFAULT gen_random_uuid(),
    user_id INTEGER NOT NULL,
    name VARCHAR(255) NOT NULL,
    status VARCHAR(50) NOT NULL DEFAULT 'active',
    active_deployment_id INTEGER,
    analysis_result JSONB,
    created_at TIMESTAMP NOT NULL DEFAULT timezone('utc', now()),
    updated_at TIMESTAMP NOT NULL DEFAULT timezone('utc', now()),
    CONSTRAINT functions_uuid_key UNIQUE (uuid),
    CONSTRAINT functions_user_id_name_key UNIQUE (user_id, name),
    CONSTRAINT functions_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
)

CREATE INDEX functions_user_id_idx ON functions (user_id)

CREATE INDEX functions_active_deployment_id_idx ON functions (active_deployment_id)

CREATE TABLE function_deployments (
    id SERIAL NOT NULL PRIMARY KEY,
    uuid UUID NOT NULL DEFAULT gen_random_uuid(),
    function_id INTEGER NOT NULL,
    version INTEGER NOT NULL,
    image_tag VARCHAR(255) NOT NULL,
    s3_key VARCHAR(500) NOT NULL,
    status VARCHAR(50) NOT NULL DEFAULT 'building',
    is_active BOOLEAN NOT NULL DEFAULT FALSE,
    build_logs TEXT,
    deployed_at TIMESTAMP NOT NULL DEFAULT timezone('utc', now()),
    CONSTRAINT function_deployments_uuid_key UNIQUE (uuid),
    CONSTRAINT function_deployments_function_id_version_key UNIQUE (function_id, version),
    CONSTRAINT function_deployments_function_id_fkey
        FOREIGN KEY (function_id) REFERENCES functions (id) ON DELETE CASCADE
)

CREATE INDEX function_deployments_function_id_idx ON function_deployments (function_id)

CREATE INDEX function_deployments_version_idx ON function_deployments (version)

CREATE INDEX function_deployments_is_active_idx ON function_deployments (is_active)

ALTER TABLE functions ADD CONSTRAINT functions_active_deployment_id_fkey
    FOREIGN KEY (active_deployment_id) REFERENCES function_deployments (id) ON DELETE SET NULL

CREATE TABLE function_logs (
    id SERIAL NOT NULL PRIMARY KEY,
    uuid UUID NOT NULL DEFAULT gen_random_uuid(),
    function_id INTEGER NOT NULL,
    level VARCHAR(20) NOT NULL,
    message TEXT NOT NULL,
    timestamp TIMESTAMP NOT NULL DEFAULT timezone('utc', now()),
    CONSTRAINT function_logs_uuid_key UNIQUE (uuid),
    CONSTRAINT function_logs_function_id_fkey FOREIGN KEY (function_id) REFERENCES functions (id) ON DELETE CASCADE
)

CREATE INDEX function_logs_function_id_idx ON function_logs (function_id)

CREATE INDEX function_logs_timestamp_idx ON function_logs (timestamp)

CREATE TABLE function_invocations (
    id SERIAL NOT NULL PRIMARY KEY,
    uuid UUID NOT NULL DEFAULT gen_random_uuid(),
    function_id INTEGER NOT NULL,
    status VARCHAR(50) NOT NULL,
    duration_ms INTEGER,
    error TEXT,
    timestamp TIMESTAMP NOT NULL DEFAULT timezone('utc', now()),
    CONSTRAINT function_invocations_uuid_key UNIQUE (uuid),
    CONSTRAINT function_invocations_function_id_fkey
        FOREIGN KEY (function_id) REFERENCES functions (id) ON DELETE CASCADE
)

CREATE INDEX function_invocations_function_id_idx ON function_invocations (function_id)

CREATE INDEX function_invocations_timestamp_idx ON function_invocations (timestamp)

CREATE OR REPLACE FUNCTION cloudpub_set_updated_at() RETURNS trigger LANGUAGE plpgsql SET timezone = 'UTC' AS $$
BEGIN
    NEW.updated_at = clock_timestamp();
    RETURN NEW;
END
$$

CREATE TRIGGER users_set_updated_at BEFORE UPDATE ON users FOR EACH ROW
    WHEN (NOT NEW.updated_at IS DISTINCT FROM OLD.updated_at) EXECUTE FUNCTION cloudpub_set_updated_at()

CREATE TRIGGER user_information_set_updated_at BEFORE UPDATE ON user_information FOR EACH ROW
    WHEN (NOT NEW.updated_at IS DISTINCT FROM OLD.updated_at) EXECUTE FUNCTION cloudpub_set_updated_at()

CREATE TRIGGER organizations_set_updated_at BEFORE UPDATE ON organizations FOR EACH ROW
    WHEN (NOT NEW.updated_at IS DISTINCT FROM OLD.updated_at) EXECUTE FUNCTION cloudpub_set_updated_at()

CREATE TRIGGER functions_set_updated_at BEFORE UPDATE ON functions FOR EACH ROW
    WHEN (NOT NEW.updated_at IS DISTINCT FROM OLD.updated_at) EXECUTE FUNCTION cloudpub_set_updated_at()
"""

# SQLite has no type for UUIDs, booleans and JSON, and takes a reference to a table that is yet to come. Its timestamps
# are text of always 26 characters, so that they compare. AUTOINCREMENT keeps it from using an id twice. The triggers
# stop where recursive_triggers is on: the second condition holds once only.
RANDOM_UUID = """(lower(hex(randomblob(4))) || '-' || lower(hex(randomblob(2))) || '-4' ||
        substr(lower(hex(randomblob(2))), 2) || '-' || substr('89ab', (random() & 3) + 1, 1) ||
        substr(lower(hex(randomblob(2))), 2) || '-' || lower(hex(randomblob(6))))"""
NOW = "(strftime('%Y-%m-%d %H:%M:%f000', 'now'))"
SQLITE = f"""
CREATE TABLE users (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    uuid TEXT NOT NULL DEFAULT {RANDOM_UUID},
    email VARCHAR(255) NOT NULL,
    password_hash VARCHAR(255) NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT {NOW},
    updated_at TIMESTAMP NOT NULL DEFAULT {NOW},
    CONSTRAINT users_uuid_key UNIQUE (uuid),
    CONSTRAINT users_email_key UNIQUE (email)
)

CREATE TABLE user_information (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    uuid TEXT NOT NULL DEFAULT {RANDOM_UUID},
    user_id TEXT NOT NULL,
    first_name VARCHAR(100) NOT NULL,
    last_name VARCHAR(100) NOT NULL,
    phone_number VARCHAR(20),
    country VARCHAR(100),
    city VARCHAR(100),
    address TEXT,
    zip_code VARCHAR(20),
    avatar TEXT,
    role VARCHAR(50) NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT {NOW},
    updated_at TIMESTAMP NOT NULL DEFAULT {NOW},
    CONSTRAINT user_information_uuid_key UNIQUE (uuid),
    CONSTRAINT user_information_user_id_key UNIQUE (user_id),
    CONSTRAINT user_information_role_check CHECK (role IN ('developer', 'team', 'sub_team_developer')),
    CONSTRAINT user_information_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (uuid) ON DELETE CASCADE
)

CREATE INDEX user_information_role_idx ON user_information (role)

CREATE TABLE organizations (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    uuid TEXT NOT NULL DEFAULT {RANDOM_UUID},
    name VARCHAR(255) NOT NULL,
    owner_id TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT {NOW},
    updated_at TIMESTAMP NOT NULL DEFAULT {NOW},
    CONSTRAINT organizations_uuid_key UNIQUE (uuid),
    CONSTRAINT organizations_name_key UNIQUE (name),
    CONSTRAINT organizations_owner_id_fkey FOREIGN KEY (owner_id) REFERENCES users (uuid) ON DELETE CASCADE
)

CREATE INDEX organizations_owner_id_idx ON organizations (owner_id)

CREATE TABLE organization_members (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    organization_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    joined_at TIMESTAMP NOT NULL DEFAULT {NOW},
    CONSTRAINT organization_members_user_id_key UNIQUE (user_id),
    CONSTRAINT organization_members_organization_id_fkey
        FOREIGN KEY (organization_id) REFERENCES organizations (uuid) ON DELETE CASCADE,
    CONSTRAINT organization_members_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (uuid) ON DELETE CASCADE
)

CREATE INDEX organization_members_organization_id_idx ON organization_members (organization_id)

CREATE TABLE functions (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    uuid TEXT NOT NULL DEFAULT {RANDOM_UUID},
    user_id INTEGER NOT NULL,
    name VARCHAR(255) NOT NULL,
    status VARCHAR(50) NOT NULL DEFAULT 'active',
    active_deployment_id INTEGER,
    analysis_result TEXT,
    created_at TIMESTAMP NOT NULL DEFAULT {NOW},
    updated_at TIMESTAMP NOT NULL DEFAULT {NOW},
    CONSTRAINT functions_uuid_key UNIQUE (uuid),
    CONSTRAINT functions_user_id_name_key UNIQUE (user_id, name),
    CONSTRAINT functions_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT functions_active_deployment_id_fkey
        FOREIGN KEY (active_deployment_id) REFERENCES function_deployments (id) ON DELETE SET NULL
)

CREATE INDEX functions_user_id_idx ON functions (user_id)

CREATE INDEX functions_active_deployment_id_idx ON functions (active_deployment_id)

CREATE TABLE function_deployments (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    uuid TEXT NOT NULL DEFAULT {RANDOM_UUID},
    function_id INTEGER NOT NULL,
    version INTEGER NOT NULL,
    image_tag VARCHAR(255) NOT NULL,
    s3_key VARCHAR(500) NOT NULL,
    status VARCHAR(50) NOT NULL DEFAULT 'building',
    is_active INTEGER NOT NULL DEFAULT FALSE,
    build_logs TEXT,
    deployed_at TIMESTAMP NOT NULL DEFAULT {NOW},
    CONSTRAINT function_deployments_uuid_key UNIQUE (uuid),
    CONSTRAINT function_deployments_function_id_version_key UNIQUE (function_id, version),
    CONSTRAINT function_deployments_function_id_fkey
        FOREIGN KEY (function_id) REFERENCES functions (id) ON DELETE CASCADE
)

CREATE INDEX function_deployments_function_id_idx ON function_deployments (function_id)

CREATE INDEX function_deployments_version_idx ON function_deployments (version)

CREATE INDEX function_deployments_is_active_idx ON function_deployments (is_active)

CREATE TABLE function_logs (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    uuid TEXT NOT NULL DEFAULT {RANDOM_UUID},
    function_id INTEGER NOT NULL,
    level VARCHAR(20) NOT NULL,
    message TEXT NOT NULL,
    timestamp TIMESTAMP NOT NULL DEFAULT {NOW},
    CONSTRAINT function_logs_uuid_key UNIQUE (uuid),
    CONSTRAINT function_logs_function_id_fkey FOREIGN KEY (function_id) REFERENCES functions (id) ON DELETE CASCADE
)

CREATE INDEX function_logs_function_id_idx ON function_logs (function_id)

CREATE INDEX function_logs_timestamp_idx ON function_logs (timestamp)

CREATE TABLE function_invocations (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    uuid TEXT NOT NULL DEFAULT {RANDOM_UUID},
    function_id INTEGER NOT NULL,
    status VARCHAR(50) NOT NULL,
    duration_ms INTEGER,
    error TEXT,
    timestamp TIMESTAMP NOT NULL DEFAULT {NOW},
    CONSTRAINT function_invocations_uuid_key UNIQUE (uuid),
    CONSTRAINT function_invocations_function_id_fkey
        FOREIGN KEY (function_id) REFERENCES functions (id) ON DELETE CASCADE
)

CREATE INDEX function_invocations_function_id_idx ON function_invocations (function_id)

CREATE INDEX function_invocations_timestamp_idx ON function_invocations (timestamp)

CREATE TRIGGER users_set_updated_at AFTER UPDATE ON users FOR EACH ROW
    WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE users SET updated_at = {NOW}
    WHERE id = NEW.id AND updated_at IS NOT {NOW};
END

CREATE TRIGGER user_information_set_updated_at AFTER UPDATE ON user_information FOR EACH ROW
    WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE user_information SET updated_at = {NOW}
    WHERE id = NEW.id AND updated_at IS NOT {NOW};
END

CREATE TRIGGER organizations_set_updated_at AFTER UPDATE ON organizations FOR EACH ROW
    WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE organizations SET updated_at = {NOW}
    WHERE id = NEW.id AND updated_at IS NOT {NOW};
END

CREATE TRIGGER functions_set_updated_at AFTER UPDATE ON functions FOR EACH ROW
    WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE functions SET updated_at = {NOW}
    WHERE id = NEW.id AND updated_at IS NOT {NOW};
END
"""  # noqa: S608

TABLES = (
    "function_invocations",
    "function_logs",
    "function_deployments",
    "functions",
    "organization_members",
    "organizations",
    "user_information",
    "users",
)


def up(migrator: Any, db: Any) -> None:
    """Create everything."""
    for statement in (POSTGRESQL if _is_postgresql(db) else SQLITE).strip().split("\n\n"):
        db.execute_sql(statement)


def down(migrator: Any, db: Any) -> None:
    """Drop everything, with all data."""
    if _is_postgresql(db):
        db.execute_sql("ALTER TABLE functions DROP CONSTRAINT IF EXISTS functions_active_deployment_id_fkey")
    for table in TABLES:
        db.execute_sql(f"DROP TABLE {table}")
    if _is_postgresql(db):
        db.execute_sql("DROP FUNCTION IF EXISTS cloudpub_set_updated_at()")


def _is_postgresql(db: Any) -> bool:
    return isinstance(db, peewee.PostgresqlDatabase)
