"""The schema is the specification's: written down here again, by hand, and compared with what the databases hold."""

from __future__ import annotations

import re
import time
from dataclasses import replace

import peewee
import pytest

from cloudpub_models.entity.binding import sql_dialect_of
from cloudpub_models.models import ALL_MODELS, Role
from cloudpub_models.platform.component import component
from cloudpub_models.schema import Catalogue, Migrator, create_all, find_drift, read_catalogue
from cloudpub_models.schema.catalogue.catalogue import COUNTING, Column, ForeignKey, Table
from cloudpub_models.schema.catalogue.normal_form import normalised
from cloudpub_models.schema.drift.definition import expected_catalogue
from cloudpub_models.sql.dialects import dialect_named

# Column, type, NULL or NOT NULL, default; then what the table keeps. After the specification's tables and what the
# design adds: NOT NULLs, defaults and references. Indexes over several columns are the specification's "composite
# indexes for common query patterns", which it does not name; tests/growth shows what each is for.
SPECIFICATION = """
users
    id             SERIAL        NOT NULL
    uuid           UUID          NOT NULL  random
    email          VARCHAR(255)  NOT NULL
    password_hash  VARCHAR(255)  NOT NULL
    created_at     TIMESTAMP     NOT NULL  now
    updated_at     TIMESTAMP     NOT NULL  now
    unique uuid
    unique email
    unique ascii-lower(email)
    trigger

functions
    id                    SERIAL        NOT NULL
    uuid                  UUID          NOT NULL  random
    user_id               INTEGER       NOT NULL
    name                  VARCHAR(255)  NOT NULL
    status                VARCHAR(50)   NOT NULL  'active'
    active_deployment_id  INTEGER       NULL
    analysis_result       JSONB         NULL
    created_at            TIMESTAMP     NOT NULL  now
    updated_at            TIMESTAMP     NOT NULL  now
    unique uuid
    unique user_id name
    index user_id
    index active_deployment_id
    index user_id status created_at
    reference user_id users id CASCADE
    reference active_deployment_id function_deployments id SET-NULL
    trigger

function_deployments
    id           SERIAL        NOT NULL
    uuid         UUID          NOT NULL  random
    function_id  INTEGER       NOT NULL
    version      INTEGER       NOT NULL
    image_tag    VARCHAR(255)  NOT NULL
    s3_key       VARCHAR(500)  NOT NULL
    status       VARCHAR(50)   NOT NULL  'building'
    is_active    BOOLEAN       NOT NULL  false
    build_logs   TEXT          NULL
    deployed_at  TIMESTAMP     NOT NULL  now
    unique uuid
    unique function_id version
    index function_id
    index version
    index is_active
    index status id
    reference function_id functions id CASCADE

function_logs
    id           BIGSERIAL    NOT NULL
    uuid         UUID         NOT NULL  time-ordered
    function_id  INTEGER      NOT NULL
    level        VARCHAR(20)  NOT NULL
    message      TEXT         NOT NULL
    timestamp    TIMESTAMP    NOT NULL  now
    unique uuid
    index function_id
    index timestamp
    index function_id timestamp id level
    reference function_id functions id CASCADE

function_invocations
    id           BIGSERIAL    NOT NULL
    uuid         UUID         NOT NULL  time-ordered
    function_id  INTEGER      NOT NULL
    status       VARCHAR(50)  NOT NULL
    duration_ms  INTEGER      NULL
    error        TEXT         NULL
    timestamp    TIMESTAMP    NOT NULL  now
    unique uuid
    index function_id
    index timestamp
    index function_id timestamp id status duration_ms
    reference function_id functions id CASCADE

user_information
    id            SERIAL        NOT NULL
    uuid          UUID          NOT NULL  random
    user_id       UUID          NOT NULL
    first_name    VARCHAR(100)  NOT NULL
    last_name     VARCHAR(100)  NOT NULL
    phone_number  VARCHAR(20)   NULL
    country       VARCHAR(100)  NULL
    city          VARCHAR(100)  NULL
    address       TEXT          NULL
    zip_code      VARCHAR(20)   NULL
    avatar        TEXT          NULL
    role          VARCHAR(50)   NOT NULL
    created_at    TIMESTAMP     NOT NULL  now
    updated_at    TIMESTAMP     NOT NULL  now
    unique uuid
    unique user_id
    index role
    reference user_id users uuid CASCADE
    check role in 'developer' , 'team' , 'sub_team_developer'
    trigger

organizations
    id          SERIAL        NOT NULL
    uuid        UUID          NOT NULL  random
    name        VARCHAR(255)  NOT NULL
    owner_id    UUID          NOT NULL
    created_at  TIMESTAMP     NOT NULL  now
    updated_at  TIMESTAMP     NOT NULL  now
    unique uuid
    unique name
    index owner_id
    reference owner_id users uuid CASCADE
    trigger

organization_members
    id               SERIAL     NOT NULL
    organization_id  UUID       NOT NULL
    user_id          UUID       NOT NULL
    joined_at        TIMESTAMP  NOT NULL  now
    unique user_id
    index organization_id
    reference organization_id organizations uuid CASCADE
    reference user_id users uuid CASCADE
"""

# Written otherwise on each database: SQLite's LOWER folds ASCII letters alone by itself.
ASCII_LOWER = {"postgresql": 'lower({} COLLATE "C")', "sqlite": "lower({})"}
SQLITE_TYPES = {"uuid": "text", "jsonb": "text", "boolean": "integer", "bigint": "integer"}
DEFAULTS = {
    "postgresql": {
        "random": "gen_random_uuid",
        "time-ordered": (
            "encode set_bit set_bit overlay uuid_send gen_random_uuid placing substring int8send "
            "extract epoch from clock_timestamp * 1000 from 3 from 1 for 6 , 52 , 1 , 53 , 1 , 'hex'"
        ),
        "now": "timezone 'utc' , now",
    },
    "sqlite": {
        "random": (
            "lower hex randomblob 4 || '-' || lower hex randomblob 2 || '-4' || substr lower hex randomblob 2 , 2 || "
            "'-' || substr '89ab' , random & 3 + 1 , 1 || substr lower hex randomblob 2 , 2 || '-' || "
            "lower hex randomblob 6"
        ),
        "now": "strftime '%Y-%m-%d %H:%M:%f000' , 'now'",
    },
}


def specified_table(text: str, dialect: str) -> dict[str, object]:
    """Return what one block of the specification says, in the words of the catalogue."""
    name, *lines = [line.strip() for line in text.strip().splitlines()]
    # What SQLite makes by itself is random in both cases.
    defaults = {"time-ordered": DEFAULTS[dialect]["random"], **DEFAULTS[dialect]}
    columns, kept = [], {"unique": set(), "index": set(), "reference": set(), "check": set(), "trigger": set()}
    for line in lines:
        kind, *words = line.split()
        if kind == "reference":
            column, table, referenced, action = words
            kept[kind].add(((column,), table, (referenced,), action.replace("-", " ")))
        elif kind == "check":
            kept[kind].add(" ".join(words))
        elif kind == "trigger":
            kept[kind].add(f"{name}_set_updated_at")
        elif kind in kept:
            keys = [
                re.sub(r"^ascii-lower[(](.*)[)]$", lambda key: ASCII_LOWER[dialect].format(key[1]), word)
                for word in words
            ]
            kept[kind].add(tuple(normalised(key, dialect_named(dialect)) for key in keys))
        else:
            declared, *rest = words
            nullable = rest[0] == "NULL"
            default = (rest[1:] if nullable else rest[2:]) or [None]
            counting = {"SERIAL": "integer", "BIGSERIAL": "bigint"}.get(declared)
            plain = counting or declared.lower()
            columns.append(
                Column(
                    kind,
                    SQLITE_TYPES.get(plain, plain) if dialect == "sqlite" else plain,
                    nullable,
                    COUNTING if counting else defaults.get(default[0], default[0]),
                )
            )
    return {"name": name, "columns": columns, **kept}


def described_table(table: Table) -> dict[str, object]:
    """Return the same of a table in a catalogue, without the names of constraints, which are no part of the rule."""
    return {
        "name": table.name,
        "columns": list(table.columns.values()),
        "unique": {unique.columns for unique in table.uniques},
        "index": {index.columns for index in table.indexes},
        "reference": {
            (key.columns, key.table, key.referenced, key.on_delete)
            for key in table.foreign_keys
            if key.on_update == "NO ACTION"
        },
        "check": {check.expression for check in table.checks},
        "trigger": {trigger.name for trigger in table.triggers},
    }


def specified(dialect: str) -> list[dict[str, object]]:
    return [specified_table(block, dialect) for block in SPECIFICATION.strip().split("\n\n")]


# The library's own, which other programs know nothing of.
BESIDE = {"cloudpub_migrations", "cloudpub_given_versions"}


def own_tables(catalogue: Catalogue) -> dict[str, Table]:
    return {name: table for name, table in catalogue.tables.items() if name not in BESIDE}


@pytest.mark.usefixtures("keys_of_models")
def test_the_migrated_schema_is_the_specification(migrated: peewee.Database) -> None:
    catalogue = read_catalogue(migrated)
    tables = own_tables(catalogue)
    assert set(tables) == {table["name"] for table in specified(catalogue.dialect.name)}
    for table in specified(catalogue.dialect.name):
        assert described_table(tables[str(table["name"])]) == table
        assert tables[str(table["name"])].primary_key == ("id",)


def test_no_constraint_has_an_index_beside_its_own(migrated: peewee.Database) -> None:
    for table in own_tables(read_catalogue(migrated)).values():
        assert len(table.uniques) == len({unique.columns for unique in table.uniques})
        assert len(table.indexes) == len({index.columns for index in table.indexes})
        assert not {unique.columns for unique in table.uniques} & {index.columns for index in table.indexes}


@pytest.mark.usefixtures("keys_of_models")
def test_the_models_own_ddl_is_the_migrated_schema(migrated: peewee.Database) -> None:
    by_migrations = own_tables(read_catalogue(migrated))
    Migrator(migrated, component).down("0001_initial")
    assert own_tables(read_catalogue(migrated)) == {}
    create_all(migrated, component.models)
    create_all(migrated, component.models)  # what exists stays
    by_models = own_tables(read_catalogue(migrated))
    # Everything, names included.
    assert by_models == by_migrations


@pytest.mark.usefixtures("keys_of_models")
def test_peewees_create_tables_gives_the_same(migrated: peewee.Database) -> None:
    from cloudpub_models.entity.binding import current_database

    by_migrations = own_tables(read_catalogue(migrated))
    Migrator(migrated, component).down("0001_initial")
    with current_database.bound_to(migrated):
        migrated.create_tables(ALL_MODELS)
    assert own_tables(read_catalogue(migrated)) == by_migrations


@pytest.mark.usefixtures("keys_of_models")
def test_what_the_models_are_expected_to_give_is_what_they_give(migrated: peewee.Database) -> None:
    assert expected_catalogue(sql_dialect_of(migrated), component.models).tables == own_tables(read_catalogue(migrated))
    assert find_drift(migrated, component.models) == []


def test_the_check_allows_exactly_the_roles(migrated: peewee.Database) -> None:
    (check,) = read_catalogue(migrated).tables["user_information"].checks
    assert check.expression == "role in " + " , ".join(f"'{role.value}'" for role in Role)


def test_the_models_are_in_the_order_of_their_references() -> None:
    seen: list[str] = []
    for model in ALL_MODELS:
        for key, other in model._meta.refs.items():
            assert key.deferred or other._meta.table_name in seen
        seen.append(model._meta.table_name)


def test_references_in_a_circle_are_real_ones(migrated: peewee.Database) -> None:
    keys = read_catalogue(migrated).tables["functions"].foreign_keys
    expected = ForeignKey(("active_deployment_id",), "function_deployments", ("id",), "SET NULL")
    assert expected in [replace(key, name=None) for key in keys]


@pytest.mark.alone
def test_an_in_memory_database_migrates_in_well_under_a_tenth_of_a_second() -> None:
    durations = []
    for _ in range(4):  # the first imports playhouse
        database = peewee.SqliteDatabase(":memory:")
        start = time.perf_counter()
        Migrator(database, component).up()
        durations.append(time.perf_counter() - start)
    assert min(durations[1:]) < 0.1


@pytest.mark.parametrize("table", ["users", "functions", "user_information", "organizations"])
def test_ids_are_not_used_twice(migrated: peewee.Database, table: str) -> None:
    assert read_catalogue(migrated).tables[table].columns["id"].default == COUNTING
