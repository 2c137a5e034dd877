"""Orders: by columns, by columns of rows referred to, by Peewee expressions; NULLs alike on both databases."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import peewee
import pytest
from peewee import fn

from cloudpub_models import (
    ALL_ROWS,
    Database,
    Function,
    FunctionDeployment,
    Manager,
    Managers,
    Scope,
    User,
    errors,
)
from cloudpub_models.entity.base import Entity
from cloudpub_models.errors import InvalidQueryError
from cloudpub_models.schema import create_all

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def users(managers):
    emails = ("b@example.com", "c@example.com", "a@example.com")
    return [managers.users.insert({"email": email, "password_hash": "…"}) for email in emails]


@pytest.fixture
def functions(managers, users):
    b, c, a = users
    for number, (user, name) in enumerate([(b, "X"), (c, "y"), (a, "x"), (b, "Z"), (a, "W")]):
        created = START + timedelta(days=number % 2)
        managers.functions.insert({"user_id": user.id, "name": name, "created_at": created})
    version = managers.function_deployments.deploy(1, "i:1", "k")
    managers.function_deployments.activate(version)
    return managers.functions


def ordered(statements):
    """The ORDER BY of the last statement."""
    return statements.sql[-1].partition(" ORDER BY ")[2].partition(" LIMIT ")[0]


def names(rows):
    return "".join(row.name for row in rows)


EMAIL = "(SELECT users.email FROM users WHERE users.id = functions.user_id)"


@pytest.mark.parametrize(
    ("order_by", "found", "sql"),
    [
        ("-id", "WZxyX", "id DESC"),
        (("-created_at", "id"), "yZXxW", "created_at DESC, id ASC"),
        (["created_at", "-id"], "WxXZy", "created_at ASC, id DESC"),
        ([("-created_at", "ASC"), ("id", "DESC")], "ZyWxX", "created_at DESC, id DESC"),
        (("user.email", "id"), "xWXZy", f"{EMAIL} ASC, id ASC"),
        (("-user.email", "-id"), "yZXWx", f"{EMAIL} DESC, id DESC"),
        ([("user.email", "DESC"), "id"], "yXZxW", f"{EMAIL} DESC, id ASC"),
        (("active_deployment.version", "id"), "XyxZW", None),
        (("-active_deployment.version", "id"), "yxZWX", None),
        ((fn.LOWER(Function.name), "-id"), "WxXyZ", 'LOWER("functions"."name") ASC, id DESC'),
        (fn.LOWER(Function.name).concat(Function.id).desc(), "ZyxXW", None),
        (Function.id.desc(), "WZxyX", "id DESC"),
        (-Function.id, "WZxyX", "id DESC"),
        (Function.id, "XyxZW", "id ASC"),
        ((Function.active_deployment.asc(nulls="first"), "id"), "yxZWX", None),
        ((Function.active_deployment, Function.id), "XyxZW", None),
        ((fn.NULLIF(Function.id, 3), "id"), "XyZWx", None),
        ((fn.NULLIF(Function.id, 3).desc(), "id"), "xWZyX", None),
        ((Function.name == "x", "id"), "XyZWx", None),
    ],
)
def test_rows_come_in_order(functions, statements, backend, order_by, found, sql):
    statements.clear()
    assert names(functions.find_all(order_by=order_by)) == found
    assert len(statements) == 1
    if sql is not None:
        assert ordered(statements).replace(" NULLS LAST", "").replace(" NULLS FIRST", "") == sql
    assert names(functions.iterate(order_by=order_by)) == found
    assert functions.find_one(order_by=order_by).name == found[0]
    pages = [functions.paginate(page, 2, order_by=order_by) for page in (1, 2, 3)]
    assert "".join(names(page.items) for page in pages) == found
    assert (
        names(functions.claim({"id": [1, 2, 3]}, {"status": "x"}, limit=2, order_by=order_by))
        == "".join(name for name in found if name in "Xyx")[:2]
    )


def test_a_minus_says_it_whatever_the_order_direction_is(functions):
    for direction in ("ASC", "DESC"):
        assert names(functions.find_all(order_by="-id", order_direction=direction)) == "WZxyX"
    assert names(functions.find_all(order_by=("-created_at", "id"), order_direction="DESC")) == "ZyWxX"
    assert names(functions.find_all(order_by=fn.LOWER(Function.name), order_direction="DESC"))[0] == "Z"


def test_values_of_expressions_stand_between_those_of_conditions_and_limits(functions, statements):
    order = (fn.NULLIF(Function.name, "y"), "id")
    found = functions.find_all({"status": "active"}, order_by=order, limit=3, offset=1)
    assert len(found) == 3
    assert list(statements[-1][1]) == ["active", "y", 3, 1]
    again = functions.find_all(
        {"status": "building"}, order_by=(fn.NULLIF(Function.name, "z"), "id"), limit=1, offset=0
    )
    assert again == []
    assert statements.sql[-1] == statements.sql[-2]


def test_two_relations_and_tables_of_one_name(managers, functions, statements):
    for function in functions.find_all():
        managers.function_logs.append(function, "info", function.name)
    found = managers.function_logs.find_all(order_by=("function.user.email", "-function.name"))
    assert "".join(log.message for log in found) == "xWZXy"
    assert ordered(statements).startswith(
        "(SELECT (SELECT users.email FROM users WHERE users.id = functions.user_id) FROM functions "
        "WHERE functions.id = function_logs.function_id) ASC"
    )


class Node(Entity):
    name = peewee.CharField()
    parent = peewee.ForeignKeyField("self", null=True, backref="children")

    class Meta:
        table_name = "tree_nodes"


def test_a_table_that_refers_to_itself(database, statements):
    create_all(database.engine, [Node])
    nodes = Manager(Node, database)
    for name, parent in [("b", None), ("a", None), ("of a", 2), ("of b", 1)]:
        nodes.insert({"name": name, "parent": parent})
    assert [row.name for row in nodes.find_all(order_by=("parent.name", "id"))] == ["of a", "of b", "b", "a"]
    assert "FROM tree_nodes tree_nodes_ WHERE tree_nodes_.id = tree_nodes.parent_id" in statements.sql[-1]
    assert [row.name for row in nodes.find_all(order_by=("-parent.parent.name", "-id"))] == ["of b", "of a", "a", "b"]


def test_a_relation_to_one_row_that_refers_back(managers, users):
    for user, name in zip(users, "ZYX", strict=True):
        managers.organizations.create(name, user)
    assert [user.email[0] for user in managers.users.find_all(order_by="membership.organization.name")] == [
        "a",
        "c",
        "b",
    ]
    assert [user.email[0] for user in managers.users.find_all(order_by="-organization.name")] == ["b", "c", "a"]


REFUSED = [
    ("deployments.version", errors.InvalidQueryError, "to one row each in order_by; got 'deployments.version'"),
    ("usr.email", errors.UnknownColumnError, "did you mean 'user'"),
    ("user.emial", errors.UnknownColumnError, "did you mean 'email'"),
    ("--id", errors.UnknownColumnError, "functions has no column '-id'"),
    ("-", errors.UnknownColumnError, "functions has no column ''"),
    ("-id DESC", errors.UnknownColumnError, "a direction goes into order_direction"),
    (User.email, errors.UnknownTableError, "expected an order on columns of functions; got columns of users"),
    (fn.LOWER(User.email), errors.UnknownTableError, "expected an order on columns of functions"),
    (Function.name.asc(collation="C"), errors.InvalidQueryError, "without a collation"),
    (5, errors.InvalidQueryError, "expected order_by to be a column, a Peewee expression or a list"),
    ([5], errors.UnknownColumnError, "expected the name of a column"),
]


@pytest.mark.parametrize(("order_by", "kind", "message"), REFUSED)
def test_what_is_no_order(managers, statements, order_by, kind, message):
    with pytest.raises(kind, match=message):
        managers.functions.find_all(order_by=order_by)
    assert statements == []


@pytest.mark.parametrize("order_by", ["user.email", fn.LOWER(Function.name), ("id", "active_deployment.version")])
def test_pages_by_key_are_for_columns_of_the_table(managers, statements, order_by):
    with pytest.raises(errors.InvalidQueryError, match="expected columns of the table itself to order pages after"):
        managers.functions.paginate_after(order_by=order_by)
    assert statements == []


def test_pages_by_key_take_columns_however_they_are_given(functions):
    for order_by in (("-created_at", "id"), (Function.created_at.desc(), Function.id)):
        first = functions.paginate_after(page_size=2, order_by=order_by)
        second = functions.paginate_after(first.next_cursor, 3, order_by=order_by)
        assert names(first.items + second.items) == "yZXxW"


def test_included_rows_and_relations_are_ordered_so_too(managers, functions, users):
    by_name = {"functions": {"order_by": (fn.LOWER(Function.name), "-id")}}
    included = {user.id: names(user.functions) for user in managers.users.find_all(include=by_name)}
    assert included == {users[0].id: "XZ", users[1].id: "y", users[2].id: "Wx"}
    dotted = {"functions": {"order_by": ("-active_deployment.version", "-id")}}
    limited = {"functions": {"order_by": "-id", "limit": 1}}
    for include, expected in ((dotted, "ZX"), (limited, "Z")):
        assert names(managers.users.find_one({"id": users[0].id}, include=include).functions) == expected
    with pytest.raises(errors.InvalidQueryError, match="a limited include 'functions'"):
        managers.users.find_all(include={"functions": {"order_by": "user.email", "limit": 1}})
    assert names(managers.users.has_many("functions", "user_id", users[2].id, order_by="-name")) == "xW"
    assert names(managers.users.has_many("functions", "user_id", users[2].id, order_by=fn.LOWER(Function.name))) == "Wx"


def test_connected_rows_are_ordered_so_too(managers, users):
    acme = managers.organizations.create("Acme", users[0])
    for user in users[1:]:
        managers.organizations.add_user_to_organization(user, acme)
    between = ("users", "organization_members", "organization_id", "user_id", acme.uuid)
    for order_by in ("-email", fn.LOWER(User.email).desc(), "-membership.user.email"):
        found = managers.organizations.many_to_many(*between, order_by=order_by)
        assert [user.email[0] for user in found] == ["c", "b", "a"]
    with pytest.raises(errors.InvalidQueryError, match="a limited many_to_many"):
        managers.organizations.many_to_many(*between, order_by="membership.id", limit=1)
    ordered_members = {"members": {"order_by": fn.LOWER(User.email)}}
    assert [user.email[0] for user in managers.organizations.find_one(include=ordered_members).members] == [
        "a",
        "b",
        "c",
    ]


def test_a_scope_does_not_tell_the_order_of_rows_that_it_has_not(database, functions, users, statements):
    scope = Scope({Function: {"user_id": users[0].id}, User: {"id": users[0].id}, FunctionDeployment: ALL_ROWS})
    hers = Manager(Function, database, scope=scope)
    statements.clear()
    for call in (
        lambda: hers.find_all(order_by="user.email"),
        lambda: list(hers.iterate(order_by="user.email")),
        lambda: hers.paginate(1, 5, order_by="user.email"),
        lambda: hers.claim({}, {"status": "x"}, order_by="user.email"),
    ):
        with pytest.raises(errors.UnguardedError):
            call()
    assert statements == []
    assert names(hers.find_all(order_by="-active_deployment.version")) == "ZX"


def test_order_of_nulls_is_the_same_for_what_is_related(managers, users):
    managers.organizations.create("Acme", users[1])
    assert managers.users.find_all(order_by="organization.name")[0] == users[1]
    assert managers.users.find_all(order_by="-organization.name")[-1] == users[1]


# Secrets

SPELLINGS: list[Any] = [
    "-password_hash",
    User.password_hash,
    User.password_hash.desc(),
    fn.LOWER(User.password_hash),
    "password_hash",
    ["password_hash"],
    [("password_hash", "DESC")],
    ["email", "password_hash"],
]
DOORS: dict[str, Any] = {
    "find_all": lambda m, order: m.users.find_all(order_by=order, limit=1),
    "find_one": lambda m, order: m.users.find_one(order_by=order),
    "paginate": lambda m, order: m.users.paginate(1, 1, order_by=order),
    "paginate_after": lambda m, order: m.users.paginate_after(None, 1, order_by=order),
    "iterate": lambda m, order: list(m.users.iterate(order_by=order)),
    "claim": lambda m, order: m.users.claim({"email": "x"}, {"email": "y"}, order_by=order),
    "has_many": lambda m, order: m.functions.has_many("users", "id", 1, order_by=order),
    "many_to_many": lambda m, order: m.organizations.many_to_many(
        "users", "organization_members", "organization_id", "user_id", uuid4(), order_by=order
    ),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("door", DOORS)
def test_no_secret_is_ordered_by(managers: Managers, statements: Any, door: str, spelling: Any) -> None:
    """An order that a client may choose would tell the secret, a letter at a time."""
    with pytest.raises(InvalidQueryError, match=r"may be shown; got the secret "):
        DOORS[door](managers, spelling)
    assert statements == []


@pytest.mark.parametrize("order", ["u.password_hash", "LOWER(u.password_hash)", "u.email, u.Password_Hash"])
def test_nor_in_a_join(managers: Managers, statements: Any, order: str) -> None:
    with pytest.raises(InvalidQueryError, match="may be shown; got the secret"):
        managers.functions.join_query("users u", "functions.user_id = u.id", order_by=order)
    assert statements == []
    assert managers.functions.join_query("users u", "functions.user_id = u.id", order_by="u.email") == []


@pytest.mark.parametrize("order", ["user.password_hash", ["name", "-function.user.password_hash"]])
def test_nor_is_one_of_a_row_referred_to(managers: Managers, statements: Any, order: Any) -> None:
    manager = managers.functions if isinstance(order, str) else managers.function_deployments
    with pytest.raises(InvalidQueryError, match=r"may be shown; got the secret users\.password_hash"):
        manager.find_all(order_by=[order] if isinstance(order, str) else ["version", order[1]])
    assert statements == []


def test_nor_is_one_of_a_model_of_one_s_own(database: Database) -> None:
    class Key(peewee.Model):
        name = peewee.TextField()
        token = peewee.TextField(column_name="token_hash")
        secret_columns = frozenset({"token_hash"})

    keys = Managers(database).for_model(Key)
    for name in ("token", "token_hash"):
        with pytest.raises(InvalidQueryError, match=r"got the secret key\.token_hash"):
            keys.paginate_after(None, 1, order_by=name)


def test_what_is_no_secret_is_ordered_by(managers: Managers) -> None:
    assert managers.users.find_all(order_by=["email", ("id", "DESC")]) == []
    assert User.email.name == "email"
