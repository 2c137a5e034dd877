"""What type checkers object to in a program that uses the library: mypy and pyright, on exactly the lines marked."""

from cloudpub_models import (
    Component,
    Database,
    FunctionDeploymentInsert,
    FunctionInsert,
    FunctionInvocationUpdate,
    FunctionLogInsert,
    FunctionUpdate,
    FunctionWhere,
    Manager,
    Managers,
    OrganizationInsert,
    OrganizationMemberInsert,
    User,
    UserInformationInsert,
    UserInsert,
    UserUpdate,
    any_of,
    database,
    managers,
    none_of,
    operators,
)
from cloudpub_models.testing import AssertStatements, Factory

print(managers.functions.find_by_id(1).name)  # mistake: it may be None
name: int = managers.functions.insert({}).name  # mistake: a str
managers.functions.find_all(order_direction="SIDEWAYS")  # mistake: ASC or DESC
managers.functions.find_all(orderby="name")  # mistake: order_by
managers.functions.find_all(any_of([{"name": "resize"}, {"name": "crop"}]))  # mistake: any_of(*conditions)
managers.functions.count(none_of("name = 'resize'"))  # mistake: a dict or an expression
managers.functions.count({"analysis_result": operators.at(5, "dart")})  # mistake: a path is text or a list
managers.functions.batch_insert([], on_conflict="replace")  # mistake: ignore or update
managers.functions.insert({"user_id": 1, "nmae": "resize"})  # mistake: name
managers.functions.insert({"name": "resize"})  # mistake: user_id is missing
managers.users.insert({"emial": "ada@example.com", "password_hash": "x"})  # mistake: email
managers.users.insert({"email": 5, "password_hash": "x"})  # mistake: a str
managers.users.update({"pasword_hash": "x"}, {"id": 1})  # mistake: password_hash
managers.user_information.update_by_id(1, {"role": "boss"})  # mistake: no such role
managers.organizations.update_by_id(1, {"name": None})  # mistake: not null
managers.organization_members.insert({"user_id": "…"})  # mistake: organization_id is missing
managers.functions.upsert({"user_id": 1, "name": "f", "stauts": "x"}, ["user_id", "name"])  # mistake: status
managers.functions.upsert({"user_id": 1, "name": "f"}, ["name"], update_columns={"stauts": "x"})  # mistake: status
managers.functions.find_or_insert({"user_id": "1", "name": "f"}, ["name"])  # mistake: an int
managers.function_deployments.claim({"status": "queued"}, {"is_active": "yes"})  # mistake: a bool
managers.function_logs.batch_insert([{"function_id": 1, "level": "info"}])  # mistake: message is missing
managers.function_invocations.update({"duration_ms": 1.5}, {"id": 1})  # mistake: whole milliseconds
managers.functions.update({"name": operators.increment(1)}, {"id": 1})  # mistake: no column of numbers
managers.functions.find_all({"stauts": "failed"})  # mistake: status
managers.functions.find_all({"user_id": "7"})  # mistake: an int
managers.functions.find_one({"user_id": ["7", "8"]})  # mistake: ints
managers.functions.get_one({"user.emial": "ada@example.com"})  # mistake: user.email
managers.functions.count({"deployments.version": "1"})  # mistake: an int
managers.functions.exists({"user": "ada"})  # mistake: a user or its id
managers.functions.paginate(1, 10, {"nmae": operators.like("re%")})  # mistake: name
managers.functions.paginate_after(None, 10, {"created_at": 5})  # mistake: a moment
managers.functions.iterate({"naem": "resize"})  # mistake: name
managers.functions.update({"status": "inactive"}, {"userid": 1})  # mistake: user_id
managers.functions.delete({"uuid": 5})  # mistake: a UUID or its text
managers.functions.values("name", {"stat": "failed"})  # mistake: status
managers.functions.aggregate({"stat": "failed"}, calls=operators.count())  # mistake: status
managers.functions.delete_preview({"stat": "failed"})  # mistake: status
managers.functions.claim({"state": "queued"}, {"status": "building"})  # mistake: status
managers.users.find_all({"mail": "ada@example.com"})  # mistake: email
managers.user_information.find_all({"role": "boss"})  # mistake: no such role
managers.organizations.find_all({"owner.emial": "ada@example.com"})  # mistake: owner.email
managers.organization_members.find_all({"organisation_id": "…"})  # mistake: organization_id
managers.function_deployments.find_all({"is_active": "yes"})  # mistake: a bool
managers.function_logs.find_all({"levle": "info"})  # mistake: level
managers.function_invocations.find_all({"duration_ms": "slow"})  # mistake: a number
managers.functions.find_al()  # mistake: no such method
Database("sqlite:///:memory:", busy_timeot=3)  # mistake: busy_timeout
database.transaction(isolation="NONE")  # mistake: no such level
database.on_query(lambda: None)  # mistake: takes the event
managers.function_invocations.get_function_stats(1.5)  # mistake: a function, its UUID or id

user: UserInsert = {"email": "ada@example.com"}  # mistake: password_hash is missing
user = {"email": "ada@example.com", "password": "x", "password_hash": "x"}  # mistake: no such column
user = {"email": 1, "password_hash": "x"}  # mistake: a str
user = {"email": None, "password_hash": "x"}  # mistake: not null
user_changes: UserUpdate = {"mail": "ada@example.com"}  # mistake: email
profile: UserInformationInsert = {"user_id": 7, "first_name": "A", "last_name": "L", "role": "team"}  # mistake: UUID
profile = {"user_id": "…", "first_name": "A", "last_name": "L", "role": "boss"}  # mistake: no such role
acme: OrganizationInsert = {"name": "Acme", "owner": "…"}  # mistake: owner_id
member: OrganizationMemberInsert = {"user_id": "…"}  # mistake: organization_id is missing
function: FunctionInsert = {"user_id": 1, "nmae": "resize"}  # mistake: name
function = {"user_id": 1, "name": "resize", "created_at": 5}  # mistake: a datetime
changes: FunctionUpdate = {"stauts": "inactive"}  # mistake: status
changes["sttus"] = "inactive"  # mistake: status
deployment: FunctionDeploymentInsert = {"function_id": 1, "version": "1", "image_tag": "", "s3_key": ""}  # mistake: int
log: FunctionLogInsert = {"function_id": 1, "level": "info"}  # mistake: message is missing
conditions: FunctionWhere = {"user.emial": "ada@example.com"}  # mistake: user.email
invocation: FunctionInvocationUpdate = {"duration_ms": 1.5}  # mistake: whole milliseconds


class AppManagers(Managers):
    """The managers of one's own."""

    people: Manager[User]


app = AppManagers(Database("sqlite:///:memory:", components=[Component("people", models=[User])]))
app.persons.count()  # mistake: people
print(app.people.find_one().email)  # mistake: it may be None
Component("people", models=[Managers])  # mistake: no model
Component("people", migration="people.migrations")  # mistake: migrations


def test_with_mistakes(cloudpub_factory: Factory, assert_statements: AssertStatements) -> None:
    """A test that uses the plugin's fixtures wrongly."""
    cloudpub_factory.user(mail="ada@example.com")  # mistake: email
    cloudpub_factory.function(owner=cloudpub_factory.user())  # mistake: user
    assert_statements("2")  # mistake: a number
