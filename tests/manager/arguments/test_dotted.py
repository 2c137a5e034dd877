"""Keys across relations: their SQL on both databases, their rows, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import peewee
import pytest

from cloudpub_models import (
    ALL_ROWS,
    Database,
    Function,
    FunctionDeployment,
    FunctionLog,
    Manager,
    Managers,
    Organization,
    Scope,
    User,
    all_of,
    any_of,
    none_of,
    operators,
)
from cloudpub_models.entity import AutoField, CharField, Entity, ForeignKey, IntegerField
from cloudpub_models.errors import (
    InvalidQueryError,
    InvalidValueError,
    NotFoundError,
    UnguardedError,
    UnknownColumnError,
)
from cloudpub_models.manager.arguments.dotted import related_column


@pytest.fixture
def shop(managers: Managers) -> Managers:
    """Ada has crop and resize, grace has blur; the two are in acme, alan nowhere."""
    ada, grace, _alan = (
        managers.users.insert({"email": f"{name}@example.com", "password_hash": "x"})
        for name in ("ada", "grace", "alan")
    )
    information = {"first_name": "A", "last_name": "B", "role": "developer"}
    managers.user_information.insert(information | {"user_id": ada.uuid, "phone_number": "1"})
    managers.user_information.insert(information | {"user_id": grace.uuid})
    acme = managers.organizations.insert({"name": "acme", "owner_id": ada.uuid})
    managers.organizations.insert({"name": "solo", "owner_id": grace.uuid})
    for user in (ada, grace):
        managers.organization_members.insert({"organization_id": acme.uuid, "user_id": user.uuid})
    deployed = {
        (ada.id, "crop"): [("failed", 1, "no space"), ("active", 2, None)],
        (ada.id, "resize"): [("active", 1, "fine")],
        (grace.id, "blur"): [],
    }
    for (user_id, name), deployments in deployed.items():
        function = managers.functions.insert({"user_id": user_id, "name": name})
        for status, version, logs in deployments:
            row = managers.function_deployments.insert(
                {
                    "function_id": function.id,
                    "version": version,
                    "status": status,
                    "build_logs": logs,
                    "image_tag": "x",
                    "s3_key": "y",
                }
            )
            if status == "active":
                managers.functions.update_by_id(function.id, {"active_deployment_id": row.id})
        managers.function_logs.insert({"function_id": function.id, "level": "info", "message": name})
    return managers


def found(manager: Manager[Any], where: Any) -> list[str]:
    return sorted(getattr(row, "name", None) or row.email.partition("@")[0] for row in manager.find_all(where))


USER = {
    "sqlite": "user_id IN (SELECT users.id FROM users WHERE {})",
    "postgresql": "EXISTS (SELECT 1 FROM users WHERE users.id = functions.user_id AND {})",
}
DEPLOYMENTS = "EXISTS (SELECT 1 FROM function_deployments WHERE function_deployments.function_id = functions.id AND {})"
SQL: dict[str, tuple[Any, str | dict[str, str], list[str]]] = {
    "to one": (
        {"user.email": "ada@example.com"},
        {k: v.format("users.email = ?") for k, v in USER.items()},
        ["crop", "resize"],
    ),
    "to one, two columns": (
        {"user.email": operators.like("a%"), "user.id": [1, 2]},
        {
            "sqlite": USER["sqlite"].format(
                "cloudpub_like(?, users.email) AND users.id IN (SELECT value FROM json_each(?))"
            ),
            "postgresql": USER["postgresql"].format("users.email LIKE ? AND users.id = ANY(?)"),
        },
        ["crop", "resize"],
    ),
    "to many": ({"deployments.status": "failed"}, DEPLOYMENTS.format("function_deployments.status = ?"), ["crop"]),
    "to many, the same row": (
        {"deployments.status": "failed", "deployments.version": 2},
        DEPLOYMENTS.format("function_deployments.status = ? AND function_deployments.version = ?"),
        [],
    ),
    "to many, any two rows": (
        all_of({"deployments.status": "failed"}, {"deployments.version": 2}),
        f"{DEPLOYMENTS} AND {DEPLOYMENTS}".replace("{}", "function_deployments.status = ?", 1).replace(
            "{}", "function_deployments.version = ?", 1
        ),
        ["crop"],
    ),
    "to one, NULL": (
        {"user.email": None},
        {
            "sqlite": "(user_id IN (SELECT users.id FROM users WHERE users.email IS NOT NULL)) IS NOT TRUE",
            "postgresql": f"NOT {USER['postgresql']}".format("users.email IS NOT NULL"),
        },
        [],
    ),
    "no related row": (
        none_of({"deployments.status": "failed"}),
        f"NOT {DEPLOYMENTS}".format("function_deployments.status = ?"),
        ["blur", "resize"],
    ),
    "beside a column": (
        {"name": "crop", "deployments.version": 1, "status": "active"},
        f"name = ? AND {DEPLOYMENTS.format('function_deployments.version = ?')} AND status = ?",
        ["crop"],
    ),
}


@pytest.mark.parametrize("name", SQL)
def test_sql_and_rows(shop: Managers, statements: Any, backend: str, name: str) -> None:
    where, sql, expected = SQL[name]
    assert shop.functions.count(where) == len(expected)
    text = sql if isinstance(sql, str) else sql[backend]
    mark = "?" if backend == "sqlite" else "%s"
    assert [sent for sent, _ in statements] == [
        f"SELECT COUNT(*) AS count FROM functions WHERE {text.replace('?', mark)}"
    ]
    assert found(shop.functions, where) == expected


def test_values_stand_where_their_keys_are_written(shop: Managers, statements: Any) -> None:
    where = {
        "deployments.status": "failed",
        "name": "crop",
        "user.email": "ada@example.com",
        "deployments.version": operators.between(1, 2),
    }
    assert shop.functions.count(where) == 1
    assert [tuple(values) for _, values in statements] == [("failed", 1, 2, "crop", "ada@example.com")]


ROWS: dict[str, tuple[str, Any, list[str]]] = {
    "several steps": ("functions", {"user.information.phone_number": "1"}, ["crop", "resize"]),
    "there and back": ("functions", {"user.functions.name": "crop"}, ["crop", "resize"]),
    "through a table in between": ("organizations", {"members.email": "grace@example.com"}, ["acme"]),
    "through a table in between, to one": ("users", {"organization.name": "acme"}, ["ada", "grace"]),
    "one row in between": (
        "organizations",
        {"members.email": "ada@example.com", "members.id": 2},
        [],
    ),
    "a reference by its field": ("users", {"functions.active_deployment": 2}, ["ada"]),
    "to one, NULL": ("functions", {"active_deployment.build_logs": None}, ["blur", "crop"]),
    "to one, not NULL": ("functions", {"active_deployment.build_logs": operators.is_not_null()}, ["resize"]),
    "to one, NULL or a value": (
        "functions",
        {"active_deployment.build_logs": [None, "fine"]},
        ["blur", "crop", "resize"],
    ),
    "to one, none of nothing": (
        "functions",
        {"active_deployment.version": operators.not_in([])},
        ["blur", "crop", "resize"],
    ),
    "to one, another value": ("functions", {"active_deployment.version": operators.ne(1)}, ["crop"]),
    "to one, NULL beside a value": (
        "functions",
        {"active_deployment.build_logs": None, "active_deployment.version": 2},
        ["crop"],
    ),
    "to one of one, NULL": ("functions", {"user.information.phone_number": None}, ["blur"]),
    "the row that refers, NULL": ("users", {"information.phone_number": None}, ["alan", "grace"]),
    "in between, NULL": ("users", {"organization.name": None}, ["alan"]),
    "to many, NULL": ("functions", {"deployments.build_logs": None}, ["crop"]),
    "to many, none of nothing": ("functions", {"deployments.version": operators.not_in([])}, ["crop", "resize"]),
    "to many of one, NULL": ("users", {"functions.active_deployment.build_logs": None}, ["ada", "grace"]),
    "in any": (
        "functions",
        any_of({"user.email": "grace@example.com"}, {"deployments.status": "failed"}),
        ["blur", "crop"],
    ),
    "in none, to one": ("functions", none_of({"active_deployment.version": 1}), ["blur", "crop"]),
    "an instance": ("function_logs", {"function.user_id": 2}, ["blur"]),
}


@pytest.mark.parametrize("name", ROWS)
def test_rows(shop: Managers, name: str) -> None:
    table, where, expected = ROWS[name]
    manager = getattr(shop, table)
    if table == "function_logs":
        assert [log.message for log in manager.find_all(where)] == expected
    else:
        assert found(manager, where) == expected


CROP_AND_RESIZE = {"user.email": "ada@example.com", "deployments.version": 1}
OPERATIONS: dict[str, Callable[[Manager[Any]], Any]] = {
    "find_all": lambda m: m.find_all(CROP_AND_RESIZE, order_by="name", limit=5, offset=0),
    "find_one": lambda m: [m.find_one(CROP_AND_RESIZE | {"name": name}) for name in ("crop", "resize")],
    "exists": lambda m: m.find_all(CROP_AND_RESIZE) if m.exists(CROP_AND_RESIZE) else [],
    "paginate": lambda m: m.paginate(1, 1, CROP_AND_RESIZE).items + m.paginate(2, 1, CROP_AND_RESIZE).items,
    "paginate_after": lambda m: [
        *(page := m.paginate_after(None, 1, CROP_AND_RESIZE, order_by="name")).items,
        *m.paginate_after(page.next_cursor, 1, CROP_AND_RESIZE, order_by="name").items,
    ],
    "iterate": lambda m: list(m.iterate(CROP_AND_RESIZE)),
    "with relations": lambda m: m.find_all(CROP_AND_RESIZE, include=("user", "deployments")),
    "update": lambda m: m.update({"status": "x"}, CROP_AND_RESIZE),
    "claim": lambda m: [
        *m.claim(CROP_AND_RESIZE, {"status": "x"}),
        *m.claim(CROP_AND_RESIZE, {"status": "x"}, order_by=(("id", "DESC"),)),
    ],
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_takes_them(shop: Managers, name: str) -> None:
    rows = OPERATIONS[name](shop.functions)
    assert sorted(row.name for row in rows) == ["crop", "resize"]
    untouched = shop.functions.get_one({"name": "blur"})
    assert untouched.status == "active"


def test_beside_an_order_by_related_columns(shop: Managers) -> None:
    where = any_of(
        {"user.email": "ada@example.com", "deployments.version": 1},
        none_of({"user.functions.name": "crop"}),
        Function.name == "blur",
        {"analysis_result": operators.at("a", 1)},
    )
    rows = shop.functions.find_all(where, order_by=("-user.email", "active_deployment.version"), limit=9)
    assert [row.name for row in rows] == ["blur", "resize", "crop"]


def test_what_is_deleted_is_exactly_what_is_found(shop: Managers, statements: Any) -> None:
    assert shop.functions.delete({"deployments.version": 2}) == 1
    assert len(statements) == 1
    assert found(shop.functions, None) == ["blur", "resize"]


def test_one_statement_names_all_tables(shop: Managers) -> None:
    manager = shop.functions
    shape, _ = manager._conditions({"user.information.phone_number": "1", "deployments.version": 1})
    assert manager._statements.present.counts[shape,].tables == (
        "functions",
        "users",
        "user_information",
        "function_deployments",
    )


def test_a_shape_is_made_once(shop: Managers) -> None:
    first, _ = shop.functions._conditions({"user.email": "a", "deployments.status": "b"})
    second, values = shop.functions._conditions({"user.email": "c", "deployments.status": "d"})
    assert first is second
    assert values == ["c", "d"]


REFUSED: dict[str, tuple[type[Exception], Any, str]] = {
    "relation": (UnknownColumnError, {"usr.email": 1}, "did you mean 'user'"),
    "relation of a relation": (
        UnknownColumnError,
        {"user.functoins.name": 1},
        "relation of User.*did you mean 'functions'",
    ),
    "column": (UnknownColumnError, {"user.emial": 1}, "users has no column 'emial': did you mean 'email'"),
    "column for a relation": (UnknownColumnError, {"name.email": 1}, "expected a relation of Function; got 'name'"),
    "no column": (UnknownColumnError, {"user.": 1}, "users has no column"),
    "no relation": (UnknownColumnError, {".email": 1}, "expected a relation"),
    "a document": (UnknownColumnError, {"analysis_result.language": 1}, "operators.at"),
    "too far": (InvalidQueryError, {"user.functions." * 3 + "id": 1}, "at most 5 relations"),
    "value": (InvalidValueError, {"user.id": "x"}, "users.id: expected an integer"),
    "pattern": (InvalidQueryError, {"user.id": operators.like("x")}, "expected a text column"),
    "no text": (UnknownColumnError, {5: 1, "user.email": "x"}, "expected the name of a column"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(shop: Managers, statements: Any, name: str) -> None:
    error, where, message = REFUSED[name]
    for call in (shop.functions.find_all, shop.functions.delete, lambda where: shop.functions.count(any_of(where))):
        with pytest.raises(error, match=message):
            call(where)
    assert statements == []


def test_a_row_that_is_not_there_is_told_by_the_keys(shop: Managers) -> None:
    with pytest.raises(NotFoundError, match="with the user.email 'x' and this user.password_hash"):
        shop.functions.get_one({"user.email": "x", "user.password_hash": "secret"})


def test_the_longest_keys_are_sent(shop: Managers) -> None:
    longest = {"organization.members.organization.members.organization.name": "acme"}
    assert found(shop.users, any_of(none_of(all_of(longest, {"id": 1})), longest)) == ["ada", "alan", "grace"]
    deep: Any = longest
    for level in range(8):
        deep = (any_of, none_of)[level % 2](deep, {"id": -level})
    shop.users.count(deep)


@pytest.mark.parametrize("backend", ["postgresql"])
def test_workers_claim_different_rows_by_related_columns(shop: Managers, database_url: str) -> None:
    other = Managers(Database(database_url))
    where = {"user.email": "ada@example.com", "deployments.version": 1}
    with shop.database.transaction():
        (first,) = shop.functions.claim(where, {"status": "x"})
        (second,) = other.functions.claim(where, {"status": "y"})
        assert other.functions.claim(where | {"status": "active"}, {"status": "z"}) == []
    assert {first.name, second.name} == {"crop", "resize"}
    other.database.close()


@pytest.mark.parametrize("backend", ["postgresql"])
def test_an_update_looks_again_at_a_row_that_it_had_to_wait_for(shop: Managers, database_url: str) -> None:
    other = Managers(Database(database_url))
    where = {"status": "active", "user.email": "ada@example.com", "name": "crop"}
    with ThreadPoolExecutor() as pool:
        with shop.database.transaction():
            shop.functions.update({"status": "taken"}, {"name": "crop"})
            waiting = pool.submit(other.functions.update, {"status": "late"}, where)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.3)
        assert waiting.result(timeout=30) == []
    other.database.close()
    assert shop.functions.get_one({"name": "crop"}).status == "taken"


@pytest.mark.parametrize("key", ["user.email", "name", "function.user.information.phone_number"])
def test_columns_are_resolved_for_others_too(key: str) -> None:
    model = FunctionLog if key.startswith("function.") else Function
    reached = related_column(model, key)
    assert ".".join((*reached.relations, reached.column.name)) == key
    assert not any(link.many for link in reached.links)


# Scopes


@pytest.fixture
def mine(shop: Managers) -> Managers:
    """What belongs to ada, whose failed deployments are nobody's."""
    scope = Scope(
        {
            User: {"email": "ada@example.com"},
            Function: {"user.email": "ada@example.com"},
            FunctionDeployment: all_of(
                FunctionDeployment.status != "failed", {"function.user.email": "ada@example.com"}
            ),
        },
        "what is ada's",
    )
    return Managers(shop.database, scope=scope)


def test_a_scope_holds_in_related_tables(mine: Managers, shop: Managers) -> None:
    assert found(mine.functions, None) == ["crop", "resize"]
    assert found(mine.functions, {"deployments.status": "failed"}) == []
    assert found(mine.functions, {"deployments.version": 1}) == ["resize"]
    assert found(mine.functions, none_of({"deployments.version": 1})) == ["crop"]
    assert found(mine.users, {"functions.deployments.version": 2, "email": operators.like("a%")}) == ["ada"]
    # Other people's rows are as if they were not there.
    theirs = Scope({Function: ALL_ROWS, User: {"email": "ada@example.com"}}, "with ada alone")
    functions = Manager(Function, shop.database, scope=theirs)
    assert found(functions, {"user.email": "grace@example.com"}) == []
    assert found(functions, {"user.email": None}) == ["blur"]


def test_a_scope_names_every_table_that_is_gone_through(mine: Managers, shop: Managers, statements: Any) -> None:
    with pytest.raises(UnguardedError, match="function_logs"):
        mine.functions.count({"logs.level": "info"})
    members = Manager(Organization, shop.database, scope=Scope({Organization: ALL_ROWS, User: ALL_ROWS}))
    with pytest.raises(UnguardedError, match="organization_members"):
        members.count({"members.email": "ada@example.com"})
    assert statements == []


def test_a_scope_by_related_columns_cannot_be_written_into(mine: Managers) -> None:
    with pytest.raises(UnguardedError, match="expected columns and values"):
        mine.functions.insert({"user_id": 1, "name": "x"})
    assert mine.functions.delete({"name": "blur"}) == 0
    assert mine.functions.delete({"name": "crop"}) == 1


# Models of one's own: rows of one table that refer to each other, and tables in a schema.


class Category(Entity):
    """A tree."""

    id = AutoField()
    name = CharField(max_length=50)
    size = IntegerField(null=True)
    parent = ForeignKey("self", null=True, backref="children")

    class Meta:
        table_name = "category_of_dotted"


@pytest.fixture
def categories(database: Database) -> Any:
    with database.bind():
        Category.create_table()
    manager = Manager(Category, database)
    root = manager.insert({"name": "root", "size": 1})
    for name in ("a", "b"):
        child = manager.insert({"name": name, "parent_id": root.id})
        manager.insert({"name": f"{name}{name}", "parent_id": child.id, "size": 5})
    yield manager
    with database.bind():
        Category.drop_table()


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"parent.name": "root"}, ["a", "b"]),
        ({"children.name": "bb"}, ["b"]),
        ({"parent.parent.name": "root"}, ["aa", "bb"]),
        ({"children.children.size": 5, "name": "root"}, ["root"]),
        ({"parent.size": None}, ["aa", "bb", "root"]),
        ({"parent.children.name": "a"}, ["a", "b"]),
        (none_of({"children.name": "bb"}), ["a", "aa", "bb", "root"]),
        (none_of({"parent.name": "root"}), ["aa", "bb", "root"]),
        (any_of({"parent.name": "a"}, {"children.size": 5}), ["a", "aa", "b"]),
    ],
)
def test_rows_that_refer_to_rows_of_their_own_table(categories: Any, where: Any, expected: list[str]) -> None:
    assert found(categories, where) == expected
    scope = Scope({Category: Category.name != "bb"})
    scoped = Manager(Category, categories.database, scope=scope)
    assert set(found(scoped, {"children.name": operators.like("%")})) == {"root", "a"}
    assert categories.update({"size": 9}, where) != []
    assert found(categories, {"size": 9}) == expected


@pytest.mark.parametrize("backend", ["postgresql"])
def test_tables_in_a_schema(database: Database, statements: Any) -> None:
    class Shelf(peewee.Model):
        name = peewee.TextField()

        class Meta:
            schema = "dotted"
            table_name = "shelf"

    class Book(peewee.Model):
        title = peewee.TextField()
        shelf = peewee.ForeignKeyField(Shelf, backref="books")

        class Meta:
            schema = "dotted"
            table_name = "book"

    database.raw_execute("CREATE SCHEMA dotted")
    database.raw_execute("CREATE TABLE dotted.shelf (id SERIAL PRIMARY KEY, name TEXT)")
    database.raw_execute("CREATE TABLE dotted.book (id SERIAL PRIMARY KEY, title TEXT, shelf_id INT)")
    shelves, books = Manager(Shelf, database), Manager(Book, database)
    shelf = shelves.insert({"name": "poetry"})
    books.insert({"title": "Duino", "shelf_id": shelf.id})
    statements.clear()
    assert books.count({"shelf.name": "poetry"}) == 1
    assert shelves.count({"books.title": "Duino"}) == 1
    assert statements[0][0] == (
        "SELECT COUNT(*) AS count FROM dotted.book WHERE EXISTS "
        "(SELECT 1 FROM dotted.shelf WHERE shelf.id = book.shelf_id AND shelf.name = %s)"
    )
    assert books.delete({"shelf.name": "poetry"}) == 1
