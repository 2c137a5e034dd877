"""What type checkers know of a program that uses the library; mypy checks it, nobody runs it."""

from datetime import datetime
from typing import assert_type
from uuid import UUID

from cloudpub_models import (
    CursorPage,
    Database,
    Function,
    FunctionDeployment,
    Manager,
    Managers,
    PaginatedResult,
    Role,
    User,
    UserInformation,
    database,
    managers,
    operators,
)
from cloudpub_models.models.values import JsonValue

assert_type(managers.functions.find_by_id(1), Function | None)
assert_type(managers.users.find_by_uuid("550e8400-e29b-41d4-a716-446655440000"), User | None)
assert_type(managers.functions.find_all({"created_at": operators.gt(datetime.now())}), list[Function])
assert_type(managers.functions.insert({"name": "f"}), Function)
assert_type(managers.functions.update({"name": "f"}, {"id": 1}), list[Function])
assert_type(managers.functions.update_by_id(1, {"name": "f"}), Function | None)
assert_type(managers.functions.delete({"id": 1}), int)
assert_type(managers.functions.delete_by_id(1), bool)
assert_type(managers.functions.batch_insert([{"name": "f"}]), int)
assert_type(managers.functions.batch_insert([{"name": "f"}], returning=True), list[Function])
assert_type(managers.functions.find_or_insert({"name": "f"}, ["name"]), tuple[Function, bool])
assert_type(managers.functions.paginate(1, 10), PaginatedResult[Function])
assert_type(managers.functions.paginate_after(), CursorPage[Function])
assert_type(managers.function_deployments.claim({}, {"status": "x"}), list[FunctionDeployment])
assert_type(managers.for_model(User), Manager[User])

function = managers.functions.insert({"name": "f"})
assert_type(function.id, int)
assert_type(function.uuid, UUID)
assert_type(function.name, str)
assert_type(function.user_id, int)
assert_type(function.user, User)
assert_type(function.active_deployment_id, int | None)
assert_type(function.active_deployment, FunctionDeployment | None)
assert_type(function.analysis_result, JsonValue)
assert_type(function.created_at, datetime)
assert_type(function.copy_with(name="g"), Function)
assert_type(Function.from_dict({"name": "f"}), Function)

user = managers.users.insert({"email": "a@b.c"})
assert_type(user.information, UserInformation | None)
if user.information is not None:
    assert_type(user.information.role, Role)
    assert_type(user.information.user_id, UUID)
    assert_type(user.information.phone_number, str | None)

own = Managers(Database("sqlite:///:memory:", busy_timeout=3))
with database.transaction(isolation="SERIALIZABLE") as connection:
    for row in connection.execute("SELECT @n AS n", {"n": 1}):
        print(row["n"])


@database.transaction()
def rename(function_id: int, name: str) -> Function | None:
    """Rename a function."""
    return managers.functions.update_by_id(function_id, {"name": name})


assert_type(rename(1, "g"), Function | None)
assert_type(database.run_transaction(lambda connection: 5), int)
