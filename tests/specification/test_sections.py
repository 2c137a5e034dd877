"""The specification, section by section and in its order: each example of it runs, in Python's spelling.

The tables of its section "Database Schema" are in tests/schema.
"""

import re
import sys
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from cloudpub_models import (
    Function,
    FunctionDeployment,
    FunctionInvocation,
    FunctionLog,
    FunctionStats,
    FunctionWithRelations,
    Managers,
    Organization,
    OrganizationMember,
    PaginatedResult,
    QueryBuilder,
    User,
    UserInformation,
    errors,
    operators,
)
from cloudpub_models import managers as default_managers
from cloudpub_models.dto import OrganizationWithMembersDto
from cloudpub_models.legacy import DatabaseManagers, QueryHelpers

# DTO Architecture


@pytest.fixture
def organization(managers, user):
    managers.users.insert({"email": "grace@example.com", "password_hash": "another hash"})
    organization = managers.organizations.create("Acme", user)
    managers.organizations.add_user_to_organization(managers.users.find_by_email("grace@example.com"), organization)
    return managers.organizations.get_organization_with_members(organization)


def test_privacy_features_owner_view_shows_all_member_uuids(organization):
    owner = organization.organization.owner_id
    dto = OrganizationWithMembersDto.from_entities(organization.organization, organization.members, requester_id=owner)
    assert [member.uuid for member in dto.members] == [member.uuid for member in organization.members]
    assert all("uuid" in member for member in dto.to_json()["members"])


def test_privacy_features_non_owner_view_hides_member_uuids(organization):
    other = next(member.uuid for member in organization.members if member.uuid != organization.organization.owner_id)
    for requester in (other, str(other), None, uuid4()):
        dto = OrganizationWithMembersDto.from_entities(
            organization.organization, organization.members, requester_id=requester
        )
        assert [member.uuid for member in dto.members] == [None, None]
        assert not any(str(member.uuid) in str(dto.to_json()) for member in organization.members)


# Usage Patterns


def test_usage_1_basic_crud_operations(managers, user):
    # Find by UUID
    assert managers.users.find_by_uuid(user.uuid) == managers.users.find_by_uuid(str(user.uuid)) == user

    # Find with conditions
    for number in range(12):
        created_at = datetime(2024, 5, 1, 12, number, tzinfo=UTC)
        managers.functions.insert({"user_id": user.id, "name": f"function-{number}", "created_at": created_at})
    managers.functions.update({"status": "inactive"}, {"name": "function-11"})
    functions = managers.functions.find_all(
        where={"user_id": user.id, "status": "active"},
        order_by="created_at",
        order_direction="DESC",
        limit=10,
    )
    assert [function.name for function in functions] == [f"function-{number}" for number in range(10, 0, -1)]

    # Insert
    new_function = managers.functions.insert({"user_id": user.id, "name": "my-function", "status": "active"})
    assert isinstance(new_function, Function)
    assert (new_function.user_id, new_function.name, new_function.status) == (user.id, "my-function", "active")

    # Update
    updated = managers.functions.update_by_id(new_function.id, {"status": "inactive"})
    assert (updated, updated.status) == (new_function, "inactive")

    # Delete
    assert managers.functions.delete_by_id(new_function.id) is True
    assert managers.functions.find_by_id(new_function.id) is None

    # Count
    assert managers.functions.count(where={"status": "active"}) == 11


def _builder_example(query, cutoff):
    return (
        query.select(["f.*", "u.email", "COUNT(fd.id) as deployment_count"])
        .join("users u", "f.user_id", "u.id")
        .left_join("function_deployments fd", "f.id", "fd.function_id")
        .where("f.status", "active")
        .where("f.created_at", cutoff, operator=">")
        .group_by("f.id, u.email")
        .order_by("f.created_at", direction="DESC")
        .limit(20)
    )


def test_usage_2_query_builder(managers, user, function, statements):
    for tag in ("resize:1", "resize:2"):
        managers.function_deployments.deploy(function, tag, "resize.zip")
    managers.functions.insert({"user_id": user.id, "name": "paused", "status": "inactive"})
    idle = managers.functions.insert({"user_id": user.id, "name": "idle"})
    statements.clear()
    cutoff = datetime.now(UTC) - timedelta(days=1)
    results = managers.functions.execute_query(_builder_example(managers.functions.query("f"), cutoff))
    assert len(statements) == 1
    own_columns = [function.to_dict(), idle.to_dict()]
    expected = [
        own | {"email": user.email, "deployment_count": count} for own, count in zip(own_columns, (2, 0), strict=True)
    ]
    assert sorted(results, key=lambda row: row["id"]) == expected
    assert results[0]["created_at"] >= results[1]["created_at"]
    assert managers.functions.execute_query(_builder_example(managers.functions.query("f"), datetime.now(UTC))) == []


def test_usage_2_query_builder_without_the_alias_names_the_one_that_is_missing(managers, statements):
    with pytest.raises(errors.UnknownTableError, match=r'got f: .*query\("f"\)'):
        managers.functions.execute_query(_builder_example(managers.functions.query(), datetime.now(UTC)))
    assert statements == []


def test_usage_3_relationships(managers, user, function):
    # One-to-Many: Get all deployments for a function
    for tag in ("resize:1", "resize:2"):
        managers.function_deployments.deploy(function, tag, "resize.zip")
    deployments = managers.function_deployments.has_many(
        related_table="function_deployments",
        foreign_key="function_id",
        parent_id=function.id,
        order_by="version",
        order_direction="DESC",
    )
    assert [type(deployment) for deployment in deployments] == [FunctionDeployment] * 2
    assert [deployment.version for deployment in deployments] == [2, 1]

    # Belongs-To: Get user for a function
    assert managers.users.find_by_id(function.user_id) == user

    # Complex join query
    results = managers.functions.join_query(
        join_table="users",
        join_condition="functions.user_id = users.id",
        select=["functions.*", "users.email"],
        where={"functions.status": "active"},
    )
    assert results == [function.to_dict() | {"email": "ada@example.com"}]


def test_usage_4_raw_sql(database, managers, user, function):
    for number in range(6):
        managers.function_deployments.deploy(function, f"resize:{number}", "resize.zip")
    managers.functions.insert({"user_id": user.id, "name": "idle"})
    results = database.raw_query_all(
        """
        SELECT f.*, COUNT(fd.id) as deployment_count
        FROM functions f
        LEFT JOIN function_deployments fd ON f.id = fd.function_id
        WHERE f.user_id = @user_id
        GROUP BY f.id
        HAVING COUNT(fd.id) > @min_deployments
        """,
        parameters={"user_id": user.id, "min_deployments": 5},
    )
    assert [(row["id"], row["name"], row["deployment_count"]) for row in results] == [(function.id, "resize", 6)]


_NEW_FUNCTION = "INSERT INTO functions (user_id, name) VALUES (@user_id, @name) RETURNING id"
_NEW_DEPLOYMENT = (
    "INSERT INTO function_deployments (function_id, version, image_tag, s3_key) VALUES (@function_id, 1, @tag, @key)"
)


def test_usage_5_transactions(database, managers, user):
    with database.transaction() as connection:
        # Create function
        function_result = connection.execute(_NEW_FUNCTION, parameters={"user_id": user.id, "name": "resize"})
        # Create initial deployment
        connection.execute(
            _NEW_DEPLOYMENT,
            parameters={"function_id": function_result[0]["id"], "tag": "resize:1", "key": "resize.zip"},
        )
    assert managers.functions.count() == managers.function_deployments.count() == 1


def test_usage_5_transactions_roll_back_on_error(database, managers, user):
    def work(connection):
        connection.execute(_NEW_FUNCTION, {"user_id": user.id, "name": "resize"})
        connection.execute(_NEW_DEPLOYMENT, {"function_id": 10**6, "tag": "resize:1", "key": "resize.zip"})

    with pytest.raises(errors.ForeignKeyViolationError):
        with database.transaction() as connection:
            work(connection)
    assert managers.functions.count() == 0

    with pytest.raises(ZeroDivisionError):
        with database.transaction() as connection:
            connection.execute(_NEW_FUNCTION, {"user_id": user.id, "name": "resize"})
            raise ZeroDivisionError
    assert managers.functions.count() == 0


def test_usage_6_batch_operations(managers, function):
    logs_data = [
        {"function_id": function.id, "level": "info", "message": "Log 1"},
        {"function_id": function.id, "level": "error", "message": "Log 2"},
        {"function_id": function.id, "level": "warn", "message": "Log 3"},
    ]
    assert managers.function_logs.batch_insert(logs_data) == 3
    written = managers.function_logs.find_all(order_by="id")
    assert [{key: log.to_dict()[key] for key in logs_data[0]} for log in written] == logs_data


# Entity Models


@pytest.mark.parametrize(
    ("entity", "attributes"),
    [
        (User, "id uuid email password_hash created_at updated_at"),
        (
            Function,
            "id uuid user_id name status active_deployment_id analysis_result created_at updated_at",
        ),
    ],
    ids=["user_entity", "function_entity"],
)
def test_entity_models(managers, user, function, entity, attributes):
    row = managers.for_model(entity).find_one()
    assert isinstance(row, entity)
    data = row.to_dict()
    assert list(data) == attributes.split()
    assert all(getattr(row, name) == value for name, value in data.items())
    assert entity.from_dict(data).to_dict() == data
    changed = row.copy_with(id=7)
    assert (changed.id, row.id) == (7, data["id"])


# Database Managers


def test_managers_are_configured_for_each_table(managers):
    assert DatabaseManagers is default_managers
    for name, entity in [
        ("users", User),
        ("functions", Function),
        ("function_deployments", FunctionDeployment),
        ("function_logs", FunctionLog),
        ("function_invocations", FunctionInvocation),
        ("user_information", UserInformation),
        ("organizations", Organization),
        ("organization_members", OrganizationMember),
    ]:
        for registry in (managers, default_managers, Managers(managers.database)):
            assert getattr(registry, name).model is entity
            assert getattr(registry, name).table.name == name


def test_manager_find_by_id(managers, function):
    found = managers.functions.find_by_id(function.id)
    assert type(found) is Function
    assert found.to_dict() == function.to_dict()
    assert managers.functions.find_by_id(function.id + 1) is None


def test_manager_find_by_uuid(managers, function):
    assert isinstance(function.uuid, UUID)
    assert managers.functions.find_by_uuid(function.uuid) == function
    assert managers.functions.find_by_uuid(str(function.uuid).upper()) == function
    assert managers.functions.find_by_uuid(uuid4()) is None


def test_manager_find_all(managers, user):
    for name in ("c", "a", "b"):
        managers.functions.insert({"user_id": user.id, "name": name})
    find_all = managers.functions.find_all
    assert sorted(function.name for function in find_all()) == ["a", "b", "c"]
    assert [function.name for function in find_all({"user_id": user.id}, order_by="name", limit=2)] == ["a", "b"]
    assert [function.name for function in find_all(order_by="name", order_direction="DESC", offset=1)] == ["b", "a"]
    assert find_all({"status": "failed"}) == []


def test_manager_find_one(managers, function):
    assert managers.functions.find_one(where={"name": "resize"}) == function
    assert managers.functions.find_one(where={"name": "crop"}) is None


def test_manager_insert(managers):
    inserted = managers.users.insert({"email": "grace@example.com", "password_hash": "a hash"})
    assert managers.users.find_by_id(inserted.id).to_dict() == inserted.to_dict()
    assert isinstance(inserted.uuid, UUID)
    assert abs(inserted.created_at - datetime.now(UTC)) < timedelta(minutes=1)


def test_manager_update(managers, user, function):
    other = managers.functions.insert({"user_id": user.id, "name": "crop", "status": "failed"})
    updated = managers.functions.update({"status": "inactive"}, where={"status": "active"})
    assert [(row.id, row.status) for row in updated] == [(function.id, "inactive")]
    assert managers.functions.find_by_id(other.id).status == "failed"


def test_manager_update_by_id(managers, function):
    assert managers.functions.update_by_id(function.id, {"name": "crop"}).name == "crop"
    assert managers.functions.update_by_id(function.id + 1, {"name": "crop"}) is None


def test_manager_delete(managers, user, function):
    managers.functions.insert({"user_id": user.id, "name": "crop", "status": "failed"})
    assert managers.functions.delete(where={"status": "failed"}) == 1
    assert managers.functions.find_all() == [function]


def test_manager_delete_by_id(managers, function):
    assert managers.functions.delete_by_id(function.id) is True
    assert managers.functions.delete_by_id(function.id) is False


def test_manager_count(managers, function):
    assert managers.functions.count() == managers.functions.count(where={"status": "active"}) == 1
    assert managers.functions.count(where={"status": "failed"}) == 0


def test_manager_exists(managers, function):
    assert managers.functions.exists(where={"name": "resize"}) is True
    assert managers.functions.exists(where={"name": "crop"}) is False


def test_manager_raw(managers, function):
    found = managers.functions.raw("SELECT * FROM functions WHERE name = @name", parameters={"name": "resize"})
    assert [type(row) for row in found] == [Function]
    assert found[0].to_dict() == function.to_dict()


def test_manager_has_many(managers, user, function):
    assert managers.users.has_many("functions", "user_id", user.id) == [function]
    assert managers.users.has_many("functions", "user_id", user.id + 1) == []


def test_manager_belongs_to(managers, user, function):
    owner = managers.functions.belongs_to("users", "user_id", function.user_id)
    assert (type(owner), owner) == (User, user)
    assert managers.functions.belongs_to("function_deployments", "active_deployment_id", None) is None


def test_manager_many_to_many(managers, organization):
    members = managers.organizations.many_to_many(
        "users",
        "organization_members",
        "organization_id",
        "user_id",
        organization.organization.uuid,
        order_by="email",
    )
    assert [type(member) for member in members] == [User, User]
    assert [member.email for member in members] == ["ada@example.com", "grace@example.com"]


def test_manager_batch_insert(managers, function):
    rows = [{"function_id": function.id, "status": "success", "duration_ms": number} for number in range(100)]
    assert managers.function_invocations.batch_insert(rows) == 100
    assert managers.function_invocations.count({"function_id": function.id}) == 100


def test_manager_upsert(managers, user, function):
    data = {"user_id": user.id, "name": "resize", "status": "building"}
    changed = managers.functions.upsert(data, conflict_columns=["user_id", "name"])
    assert (changed.id, changed.status) == (function.id, "building")
    added = managers.functions.upsert(data | {"name": "crop"}, conflict_columns=["user_id", "name"])
    assert added.id != function.id


# Performance Considerations


def test_performance_example_optimized_query(managers, user, function):
    query = (
        managers.functions.query()
        .select(["id", "uuid", "name", "status"])
        .where("user_id", user.id)
        .where("status", "active")
        .order_by("created_at", direction="DESC")
        .limit(20)
        .offset(0)
    )
    assert query.build_select() == (
        "SELECT id, uuid, name, status FROM functions WHERE user_id = @param_0 AND status = @param_1 "
        "ORDER BY created_at DESC LIMIT 20 OFFSET 0"
    )
    assert managers.functions.execute_query(query) == [
        {"id": function.id, "uuid": function.uuid, "name": "resize", "status": "active"}
    ]


# Security


def test_security_sql_injection_prevention(managers, user):
    user_input = "' OR 1=1; DROP TABLE users; --"
    query = QueryBuilder().table("users").where("email", user_input)
    assert query.build_select() == "SELECT * FROM users WHERE email = @param_0"
    assert query.parameters == {"param_0": user_input}
    assert managers.users.execute_query(managers.users.query().where("email", user_input)) == []
    assert managers.users.find_all({"email": user_input}) == []
    assert managers.users.count() == 1


def test_security_uuid_strategy(managers, user):
    own = uuid4()
    assert managers.functions.insert({"uuid": own, "user_id": user.id, "name": "mine"}).uuid == own
    assert managers.functions.insert({"user_id": user.id, "name": "theirs"}).uuid.version == 4


# Migration from QueryHelpers


def test_migration_from_query_helpers(managers, user):
    class Helpers(QueryHelpers):
        pass

    Helpers.managers = managers
    with pytest.warns(DeprecationWarning, match=r"managers\.users\.find_by_uuid"):
        old = Helpers.get_user_by_uuid(user.uuid)
    new = managers.users.find_by_uuid(user.uuid)
    assert (old["id"], old["email"], old["uuid"]) == (new.id, new.email, str(new.uuid))


# Common Patterns


@pytest.mark.usefixtures("plain_tables")
def test_pattern_1_get_function_with_related_data(managers, user, function, statements):
    for tag in ("resize:1", "resize:2"):
        managers.function_deployments.deploy(function, tag, "resize.zip")
    statements.clear()
    details = managers.functions.get_function_details(str(function.uuid))
    assert len(statements) <= 4
    assert isinstance(details, FunctionWithRelations)
    assert (details.function, details.user) == (function, user)
    assert [deployment.version for deployment in details.deployments] == [2, 1]
    assert managers.functions.get_function_details(uuid4()) is None


def test_pattern_1_in_the_specifications_own_words(managers, user, function):
    managers.function_deployments.deploy(function, "resize:1", "resize.zip")
    found = managers.functions.find_by_uuid(str(function.uuid))
    owner = managers.users.find_by_id(found.user_id)
    deployments = managers.function_deployments.find_all(
        where={"function_id": found.id}, order_by="version", order_direction="DESC"
    )
    details = managers.functions.get_function_details(found.uuid)
    assert (details.function, details.user, details.deployments) == (found, owner, deployments)


def test_pattern_2_pagination(managers, user):
    for number in range(7):
        status = "inactive" if number == 3 else "active"
        managers.functions.insert({"user_id": user.id, "name": f"function-{number}", "status": status})
    pages = [
        managers.functions.get_functions_paginated(page=page, page_size=4, filters={"status": "active"})
        for page in (1, 2, 3)
    ]
    assert all(isinstance(page, PaginatedResult) for page in pages)
    names = [[function.name.removeprefix("function-") for function in page.items] for page in pages]
    assert names == [["6", "5", "4", "2"], ["1", "0"], []]
    assert [(page.total, page.page, page.page_size, page.has_more) for page in pages] == [
        (6, 1, 4, True),
        (6, 2, 4, False),
        (6, 3, 4, False),
    ]


_ANALYTICS = """
    SELECT
      COUNT(*) as total_invocations,
      COUNT(CASE WHEN status = 'success' THEN 1 END) as successful,
      AVG(duration_ms) as avg_duration,
      MAX(duration_ms) as max_duration
    FROM function_invocations
    WHERE function_id = @function_id
    AND timestamp >= @since
"""


def test_pattern_3_analytics(database, managers, function):
    for status, duration in [("success", 10), ("success", 20), ("failed", 60)]:
        managers.function_invocations.record(function, status, duration)
    long_ago = {"timestamp": datetime.now(UTC) - timedelta(days=31)}
    managers.function_invocations.insert(
        {"function_id": function.id, "status": "success", "duration_ms": 9999} | long_ago
    )
    stats = managers.function_invocations.get_function_stats(function.id)
    assert isinstance(stats, FunctionStats)
    result = database.raw_query_single(
        _ANALYTICS, parameters={"function_id": function.id, "since": datetime.now(UTC) - timedelta(days=30)}
    )
    numbers = [float(result[name]) for name in ("total_invocations", "successful", "avg_duration", "max_duration")]
    assert numbers == [stats.total, stats.successful, stats.average, stats.maximum] == [3, 2, 30.0, 60]


# Troubleshooting


def test_issue_1_the_wrong_type_of_id_is_an_error_and_no_empty_result(managers, user, function, statements):
    for wrong in (user.uuid, str(user.uuid)):
        with pytest.raises(errors.InvalidValueError, match="find_by_uuid"):
            managers.functions.find_all({"user_id": wrong})
        with pytest.raises(errors.InvalidValueError, match="find_by_uuid"):
            managers.functions.execute_query(managers.functions.query().where("user_id", wrong))
    assert statements == []
    found = managers.users.find_by_uuid(user.uuid)
    assert managers.functions.execute_query(managers.functions.query().select("id").where("user_id", found.id)) == [
        {"id": function.id}
    ]


def test_issue_2_slow_queries_are_explained_and_indexes_are_used(database, managers, user, function, backend):
    explain = "EXPLAIN " if backend == "postgresql" else "EXPLAIN QUERY PLAN "
    with database.transaction() as connection:
        if backend == "postgresql":
            connection.execute("SET LOCAL enable_seqscan = off")  # it would read a table of one row as a whole
        for sql, value in [
            ("SELECT id FROM functions WHERE user_id = @value", user.id),
            ("SELECT id FROM functions WHERE uuid = @value", function.uuid),
            ("SELECT id FROM function_logs WHERE timestamp > @value", datetime.now(UTC)),
            ("SELECT id FROM users WHERE email = @value", user.email),
        ]:
            plan = " ".join(str(row) for row in connection.execute(explain + sql, {"value": value}))
            assert re.search(r"Index|INDEX", plan), plan


def test_issue_3_every_call_in_a_transaction_takes_part_in_its_rollback(database, managers, user):
    with pytest.raises(ZeroDivisionError):
        with database.transaction() as connection:
            connection.execute(_NEW_FUNCTION, {"user_id": user.id, "name": "by connection"})
            database.raw_execute("INSERT INTO functions (user_id, name) VALUES (@id, 'by database')", {"id": user.id})
            managers.functions.insert({"user_id": user.id, "name": "by manager"})
            with database.bind():
                Function.create(user=user, name="by peewee")
            assert managers.functions.count({"name": operators.like("by %")}) == 4
            raise ZeroDivisionError
    assert managers.functions.count() == 0


# Whether all of that is all


# What the specification shows: the headings of its examples, and what "each manager provides".
_USAGE = [
    "1. Basic CRUD Operations",
    "2. Query Builder",
    "3. Relationships",
    "4. Raw SQL",
    "5. Transactions",
    "6. Batch Operations",
]
_PATTERNS = ["Pattern 1: Get Function with Related Data", "Pattern 2: Pagination", "Pattern 3: Analytics"]
_METHODS = [
    "findById",
    "findByUuid",
    "findAll",
    "findOne",
    "insert",
    "update",
    "updateById",
    "delete",
    "deleteById",
    "count",
    "exists",
    "raw",
    "hasMany",
    "belongsTo",
    "manyToMany",
    "batchInsert",
    "upsert",
]
_COMMON_ISSUES = ["Query returns empty results", "Slow queries", "Transaction rollback"]


def test_every_section_of_the_specification_has_its_test():
    tests = [name for name in vars(sys.modules[__name__]) if name.startswith("test_")]
    for title in [f"usage {title}" for title in _USAGE] + _PATTERNS + [f"manager {_snake(name)}" for name in _METHODS]:
        name = "test_" + re.sub(r"\W+", "_", title.lower())
        assert name in tests, title
    assert len(_COMMON_ISSUES) == len([name for name in tests if name.startswith("test_issue_")])


def _snake(name):
    return re.sub(r"([A-Z])", r"_\1", name).lower()
