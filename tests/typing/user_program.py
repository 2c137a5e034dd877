"""What type checkers know of a program that uses the whole library; mypy and pyright check it, nobody runs it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, assert_type
from uuid import UUID

import pytest
from peewee import ModelSelect, fn

from cloudpub_models import (
    ALL_ROWS,
    Component,
    CursorPage,
    Database,
    Function,
    FunctionDeployment,
    FunctionDto,
    FunctionInsert,
    FunctionInvocation,
    FunctionLog,
    FunctionLogInsert,
    FunctionStats,
    FunctionUpdate,
    FunctionWhere,
    FunctionWithRelations,
    InvocationBucket,
    Manager,
    Managers,
    Organization,
    OrganizationWithMembers,
    OrganizationWithMembersDto,
    PaginatedResult,
    QueryBuilder,
    QueryEvent,
    Role,
    Statement,
    User,
    UserInformation,
    UserInformationInsert,
    all_of,
    any_of,
    database,
    errors,
    forbid_lazy_loading,
    managers,
    none_of,
    operators,
    raw,
)
from cloudpub_models.entity import (
    AutoField,
    CharField,
    Entity,
    EnumField,
    ForeignKey,
    JsonField,
    ServerDefault,
    TimestampField,
    UuidField,
)
from cloudpub_models.entity.stored_forms import JsonValue
from cloudpub_models.testing import AssertStatements, Factory

# Databases
database.initialize("postgresql://localhost/cloud", statement_timeout=10, application_name="worker")
assert_type(database.migrate(), list[str])
own = Managers(Database("sqlite:///:memory:", busy_timeout=3))
assert_type(own.users.find_by_email("ada@example.com"), User | None)
stop = database.on_query(lambda query: print(query.sql, query.duration, query.call_site))
stop()


def count_errors(query: QueryEvent) -> None:
    """Print what went wrong."""
    if query.error is not None:
        print(query.sql, query.rows, len(query.parameters))


# Finding
recent: FunctionWhere = {
    "created_at": operators.gt(datetime.now(UTC) - timedelta(days=7)),
    "name": operators.like("resize%"),
}
assert_type(managers.functions.find_by_id(1), Function | None)
assert_type(managers.users.find_by_uuid("550e8400-e29b-41d4-a716-446655440000"), User | None)
assert_type(managers.functions.find_all(recent, order_by=["name", ("id", "DESC")], limit=10), list[Function])
assert_type(managers.functions.find_all(include=("user", "deployments.function")), list[Function])
assert_type(managers.functions.find_one({"user": 1}, include={"logs": {"limit": 20}}), Function | None)
assert_type(managers.functions.find_all(Function.name == "resize"), list[Function])
assert_type(managers.functions.count({"status": ["active", "building"]}), int)
stale = any_of({"status": "failed"}, all_of(recent, Function.id > 10), none_of({"user.email": "ada@example.com"}, None))
assert_type(managers.functions.find_all(stale, include={"deployments": {"where": stale, "limit": 3}}), list[Function])
assert_type(
    managers.functions.update({"status": "inactive"}, all_of(stale, {"deployments.version": 1})), list[Function]
)
assert_type(managers.functions.delete(any_of(*[{"id": number} for number in range(3)])), int)
inside: FunctionWhere = {
    "analysis_result": operators.at("language.name", "dart"),
    "active_deployment.build_logs": None,
    "name": operators.ne("x"),
}
assert_type(managers.functions.claim(inside, {"status": "building"}), list[Function])
assert_type(managers.functions.count({"analysis_result": operators.at(["tags", -1], operators.MISSING)}), int)
anything: dict[str, Any] = {"name": "resize"}
assert_type(managers.functions.find_all(anything), list[Function])
anything["user.organization.memberships.id"] = 1
assert_type(managers.functions.count({"user": User(), "user_id": [1, 2, None], "uuid": {UUID(int=1), "…"}}), int)
assert_type(managers.functions.count({"deployments.function.name": ("resize", "crop"), "id": range(5)}), int)
assert_type(managers.functions.count({"analysis_result": {"language": "dart"}, "active_deployment": None}), int)
assert_type(managers.user_information.count({"role": "team", "user.email": operators.like("%@example.com")}), int)
assert_type(Manager(Function).find_all({"anything": 5}), list[Function])
assert_type(managers.functions.exists(), bool)
assert_type(managers.functions.paginate(1, 10), PaginatedResult[Function])
assert_type(managers.functions.paginate(1, 10).items, list[Function])
assert_type(managers.functions.paginate_after(order_by="name"), CursorPage[Function])
assert_type(managers.functions.paginate_after().next_cursor, str | None)
assert_type(managers.function_logs.iterate({"level": "error"}), Iterator[FunctionLog])
assert_type(managers.for_model(User), Manager[User])

# Writing
new_function: FunctionInsert = {"user_id": 1, "name": "resize", "analysis_result": {"routes": ["/"]}}
changes: FunctionUpdate = {"status": "inactive", "active_deployment_id": None}
profile: UserInformationInsert = {"user_id": UUID(int=1), "first_name": "Ada", "last_name": "L.", "role": "team"}
lines: list[FunctionLogInsert] = [{"function_id": 1, "level": "info", "message": str(n)} for n in range(3)]
assert_type(managers.functions.insert(new_function), Function)
assert_type(managers.functions.insert({"user_id": 1, "name": "f"}), Function)
assert_type(managers.functions.update(changes, {"id": 1}), list[Function])
assert_type(managers.functions.update_by_id(1, changes), Function | None)
assert_type(managers.functions.upsert(new_function, ["user_id", "name"]), Function)
assert_type(managers.functions.find_or_insert(new_function, ["user_id", "name"]), tuple[Function, bool])
assert_type(managers.function_logs.batch_insert(lines, progress=print), int)
assert_type(managers.function_logs.batch_insert(lines, returning=True), list[FunctionLog])
assert_type(managers.function_deployments.claim({"status": "queued"}, {"status": "x"}), list[FunctionDeployment])
assert_type(managers.function_logs.delete(ALL_ROWS), int)
assert_type(managers.functions.delete_by_id(1), bool)

assert_type(managers.functions.get_by_id(1), Function)
assert_type(managers.functions.get_one({"name": "f"}), Function)
assert_type(managers.users.update({"email": "ada@example.com"}, {"id": 1}), list[User])
assert_type(
    managers.function_invocations.update_by_id(1, {"duration_ms": operators.increment(1)}), FunctionInvocation | None
)
assert_type(managers.functions.update({"name": fn.LOWER(Function.name)}, ALL_ROWS), list[Function])
body: dict[str, Any] = {"user_id": 1, "name": "out of a JSON body"}
assert_type(managers.functions.insert(body), Function)
assert_type(managers.functions.update_by_id(1, body), Function | None)
assert_type(managers.for_model(User).insert({"email": "anything", "goes": "here"}), User)
any_functions: Manager[Function] = managers.functions
assert_type(managers.functions.values("name"), list[Any])
assert_type(managers.functions.values(("id", "name"), distinct=True), list[tuple[Any, ...]])
assert_type(managers.functions.aggregate(n=operators.count()), dict[str, Any])
assert_type(managers.functions.aggregate(group_by="user_id", n=operators.count()), list[dict[str, Any]])

# Entities
function = managers.functions.insert(new_function)
assert_type(function.id, int)
assert_type(function.uuid, UUID)
assert_type(function.name, str)
assert_type(function.user_id, int)
assert_type(function.user, User)
assert_type(function.active_deployment_id, int | None)
assert_type(function.active_deployment, FunctionDeployment | None)
assert_type(function.deployments, ModelSelect[FunctionDeployment])
assert_type(function.analysis_result, JsonValue)
assert_type(function.created_at, datetime)
assert_type(function.copy_with(name="g"), Function)
assert_type(function.to_dict(), dict[str, Any])
assert_type(Function.from_dict({"name": "f"}), Function)
with forbid_lazy_loading():
    information = managers.user_information.insert(profile)
    assert_type(information, UserInformation)
    assert_type(information.role, Role)
    assert_type(information.user_id, UUID)
    assert_type(information.phone_number, str | None)
assert_type(function.user.organization, Organization | None)

# What the platform does
assert_type(managers.functions.get_function_details(function.uuid), FunctionWithRelations | None)
assert_type(managers.function_deployments.deploy(function, "resize:1", "resize.zip").version, int)
assert_type(managers.function_logs.tail(function, 20, level="error"), list[FunctionLog])
assert_type(managers.function_invocations.get_function_stats(function.id), FunctionStats)
assert_type(managers.function_invocations.get_daily_stats(function), list[InvocationBucket])
acme = managers.organizations.create("Acme", function.user)
found = managers.organizations.get_organization_with_members(acme)
assert_type(found, OrganizationWithMembers | None)
if found is not None:
    shown = OrganizationWithMembersDto.from_entities(found.organization, found.members, function.user.uuid)
    assert_type(shown.to_json(), dict[str, Any])
assert_type(FunctionDto.from_entity(function), FunctionDto)

# SQL of one's own
query = managers.functions.query("f").select("f.name", raw("now() AS now")).join("users u", "f.user_id", "u.id")
assert_type(query.where("f.status", "active").where_group(lambda q: q.where_null("f.name")), QueryBuilder)
assert_type(query.build_select(), Statement)
assert_type(managers.functions.execute_query(query), list[dict[str, Any]])
assert_type(managers.functions.execute_query(query, as_model=True), list[Function])
assert_type(database.raw_query_all("SELECT @n AS n", {"n": 1}), list[dict[str, Any]])
assert_type(database.raw_query_single("SELECT 1 AS n"), dict[str, Any] | None)
assert_type(managers.users.raw("SELECT id FROM users WHERE id IN @ids", {"ids": (1, 2)}), list[User])

# Transactions and errors
with database.session(), database.transaction(isolation="SERIALIZABLE") as connection:
    for row in connection.execute("SELECT @n AS n", {"n": 1}):
        print(row["n"])
    database.on_commit(lambda: print("committed"))
assert_type(database.run_transaction(lambda connection: 5), int)


@database.transaction()
def rename(function_id: int, name: str) -> Function | None:
    """Rename a function."""
    try:
        return managers.functions.update_by_id(function_id, {"name": name})
    except errors.UniqueViolationError as error:
        assert_type(error.columns, tuple[str, ...])
        raise


assert_type(rename(1, "g"), Function | None)


# Tables of one's own
class ApiKey(Entity):
    """A model beside the platform's."""

    id = AutoField()
    uuid = UuidField(unique=True)
    user = ForeignKey(User, backref="+", on_delete="CASCADE")
    name = CharField(max_length=100)
    role = EnumField(Role)
    scopes = JsonField(null=True)
    token = UuidField(null=True, server_default=ServerDefault(postgresql="gen_random_uuid()", sqlite="NULL"))
    created_at = TimestampField(server_default=ServerDefault(postgresql="now()", sqlite="CURRENT_TIMESTAMP"))
    updated_at = TimestampField(touched_on_update=True)
    revoked_at = TimestampField(null=True, index=True)

    user_id: int

    class Meta:
        """Its table."""

        table_name = "api_keys"


class AppManagers(Managers):
    """The managers of all components' tables."""

    api_keys: Manager[ApiKey]


class ExpiryField(TimestampField):
    """A field of one's own, without type arguments."""


keys = Component("keys", models=[ApiKey], after=["cloudpub"])
app = AppManagers(Database("sqlite:///:memory:", components=[keys]))
assert_type(app.api_keys.find_by_uuid("…"), ApiKey | None)
assert_type(app.api_keys.insert({"user": 1, "name": "deploy"}).user_id, int)
assert_type([key.created_at for key in app.api_keys.find_all({"role": Role.TEAM})], list[datetime])
assert_type(
    [(key.updated_at, key.revoked_at) for key in app.api_keys.find_all()], list[tuple[datetime, datetime | None]]
)
assert_type([key.token for key in app.api_keys.find_all()], list[UUID | None])
assert_type([key.role for key in app.api_keys.iterate()], list[Role])
assert_type([key.user.email for key in app.api_keys.find_all(include=("user",))], list[str])
assert_type(app.functions.find_by_id(1), Function | None)


# Tests
def test_renaming(cloudpub_database: Database, cloudpub_factory: Factory, assert_statements: AssertStatements) -> None:
    """A test with the fixtures of the pytest plugin."""
    resize = cloudpub_factory.function(name="resize", user=cloudpub_factory.user(email="ada@example.com"))
    assert_type(cloudpub_factory.organization(members=3), Organization)
    with assert_statements(1) as sent:
        rename(resize.id, "crop")
    assert_type(sent, list[QueryEvent])
    with pytest.raises(errors.UnknownColumnError):
        cloudpub_database.raw_execute("SELECT nmae FROM functions")
