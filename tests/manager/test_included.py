"""include=, the guard against lazy loading, paging by key and claim, on both databases."""

import copy
import gc
import pickle
import time
import weakref
from datetime import UTC, datetime, timedelta

import peewee
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloudpub_models import (
    ALL_ROWS,
    Database,
    Function,
    FunctionDeployment,
    Manager,
    Managers,
    Scope,
    User,
    any_of,
    forbid_lazy_loading,
    none_of,
    operators,
)
from cloudpub_models.errors import (
    InvalidCursorError,
    InvalidQueryError,
    InvalidValueError,
    LazyLoadingError,
    UnguardedError,
    UnknownColumnError,
)
from cloudpub_models.schema import create_all
from tests.manager.claim_workers import claim_everything

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def platform(managers):
    users = managers.users.batch_insert([{"email": f"{n}@b.c", "password_hash": "x"} for n in range(3)], returning=True)
    functions = managers.functions.batch_insert(
        [{"user_id": users[n % 2].id, "name": f"f{n}"} for n in range(4)], returning=True
    )
    managers.function_deployments.batch_insert(
        {"function_id": function.id, "version": version, "image_tag": "i", "s3_key": "k"}
        for function in functions[:3]
        for version in (1, 2, 3)
    )
    deployment = managers.function_deployments.find_one({"function_id": functions[0].id, "version": 2})
    managers.functions.update_by_id(functions[0].id, {"active_deployment_id": deployment.id})
    managers.user_information.insert({"user_id": users[0].uuid, "first_name": "A", "last_name": "B", "role": "team"})
    organization = managers.organizations.insert({"name": "o", "owner_id": users[0].uuid})
    managers.organization_members.batch_insert(
        {"organization_id": organization.uuid, "user_id": user.uuid} for user in users[:2]
    )
    return users, functions


def test_references_and_backrefs_take_one_statement_each(managers, platform, statements):
    functions = managers.functions.find_all(order_by="id", include=("user", "deployments", "active_deployment", "logs"))
    assert len(statements) == 5
    with forbid_lazy_loading():
        assert [function.user.email for function in functions] == ["0@b.c", "1@b.c", "0@b.c", "1@b.c"]
        assert [[d.version for d in function.deployments] for function in functions] == [[1, 2, 3]] * 3 + [[]]
        assert [d.function for d in functions[0].deployments] == [functions[0]] * 3
        assert [f.active_deployment and f.active_deployment.version for f in functions] == [2, None, None, None]
        assert [list(function.logs) for function in functions] == [[], [], [], []]
    assert len(statements) == 5
    assert not functions[0].is_dirty()


def test_related_rows_know_the_instance_that_they_were_loaded_for(managers, platform):
    function, *_ = managers.functions.find_all(order_by="id", include=("deployments",))
    with forbid_lazy_loading():
        assert all(deployment.function is function for deployment in function.deployments)
    assert not any(deployment.is_dirty() for deployment in function.deployments)


def test_related_rows_keep_nothing_alive_and_still_know_what_they_belong_to(managers, platform, statements):
    gc.collect()
    gc.disable()
    try:
        functions = managers.functions.find_all(order_by="id", include=("deployments",))
        deployments, gone = functions[0].deployments, weakref.ref(functions[0])
        expected = functions[0].to_dict()
        del functions
        assert gone() is None
    finally:
        gc.enable()
    sent = len(statements)
    with forbid_lazy_loading():
        assert deployments[0].function.to_dict() == expected
        assert deployments[1].function is deployments[0].function
        assert not deployments[0].function.is_dirty()
    assert len(statements) == sent


def test_related_rows_know_what_was_loaded_along_with_what_they_belong_to(managers, platform, statements):
    include = ("deployments", "user.information", "active_deployment", "deployments.function.user")
    gc.collect()
    gc.disable()
    try:
        function = managers.functions.find_one(order_by="id", include=("deployments", "user.information"))
        nested = managers.users.find_one(
            order_by="id", include=("functions.deployments", "information", "organization")
        )
        everything = managers.functions.find_one(order_by="id", include=include)
        deployments, inner = function.deployments, nested.functions[0].deployments
        deepest = everything.deployments
        gone = [weakref.ref(row) for row in (function, nested, nested.functions[0], everything)]
        del function, nested, everything
        assert [row() for row in gone] == [None] * 4
    finally:
        gc.enable()
    sent = len(statements)
    with forbid_lazy_loading():
        assert deployments[0].function.user.email == "0@b.c"
        assert deployments[0].function.user.information.first_name == "A"
        assert inner[0].function.user.information.first_name == "A"
        assert inner[0].function.user.organization.name == "o"
        assert deepest[0].function.user.email == "0@b.c"
        with pytest.raises(LazyLoadingError, match="deployments"):
            _ = deployments[0].function.deployments
    assert len(statements) == sent


def test_a_change_is_not_forgotten_with_the_instance(managers, platform):
    function = managers.functions.find_one(order_by="id", include=("user", "deployments"))
    function.name = "changed"
    deployments = function.deployments
    del function
    again = deployments[0].function
    assert (again.name, again.dirty_field_names) == ("changed", ["name"])
    with managers.database.bind():
        again.save()
    assert managers.functions.exists({"name": "changed"})
    assert not again.is_dirty()


@pytest.mark.parametrize("through", [lambda x: pickle.loads(pickle.dumps(x)), copy.copy, copy.deepcopy])
def test_rows_with_their_related_rows_can_be_copied_and_pickled(managers, platform, through):
    function = through(managers.functions.find_one(order_by="id", include=("deployments",)))
    with forbid_lazy_loading():
        assert [deployment.version for deployment in function.deployments] == [1, 2, 3]
        assert [deployment.function.name for deployment in function.deployments] == ["f0"] * 3
        alone = through(managers.functions.find_one(order_by="id", include=("deployments",)).deployments[0])
        assert alone.function.name == "f0"


def test_a_reference_can_be_changed_where_it_was_loaded_along(managers, platform):
    first, second, *_ = managers.functions.find_all(order_by="id", include=("deployments",))
    deployment, other = first.deployments[:2]
    deployment.function = second
    assert deployment.function is second
    assert other.function is first


def test_one_to_one_and_through_relations(managers, platform, statements):
    users = managers.users.find_all(order_by="id", include=("information", "organization", "functions"))
    organizations = managers.organizations.find_all(include=("members", "owner"))
    assert len(statements) == 4 + 3
    with forbid_lazy_loading():
        assert [user.information.role if user.information else None for user in users] == ["team", None, None]
        assert [user.organization.name if user.organization else None for user in users] == ["o", "o", None]
        assert [len(user.functions) for user in users] == [2, 2, 0]
        assert sorted(user.email for user in organizations[0].members) == ["0@b.c", "1@b.c"]
        assert organizations[0].owner.email == "0@b.c"
        assert users[0].information.user == users[0]


def test_nested_paths(managers, platform, statements):
    users = managers.users.find_all(
        order_by="id", include=("functions.deployments", "functions.user", "organization.owner.information")
    )
    assert len(statements) == 1 + 3 + 3
    with forbid_lazy_loading():
        assert users[0].functions[0].deployments[0].version == 1
        assert users[0].functions[0].user is not None
        assert users[1].organization.owner.information.first_name == "A"


def test_a_limit_is_per_parent(managers, platform, statements, backend):
    options = {"limit": 2, "order_by": "version", "order_direction": "DESC"}
    functions = managers.functions.find_all(order_by="id", include={"deployments": options})
    assert [[d.version for d in function.deployments] for function in functions] == [[3, 2]] * 3 + [[]]
    assert len(statements) == 2
    assert {
        "postgresql": " FROM unnest(CAST(%s AS integer[])) AS parent (key) CROSS JOIN LATERAL (SELECT id, uuid, "
        "function_id, version, image_tag, s3_key, status, is_active, build_logs, deployed_at FROM function_deployments "
        "WHERE function_id BETWEEN parent.key AND parent.key ORDER BY function_id DESC, version DESC LIMIT 2) "
        "AS related ORDER BY related.version DESC",
        "sqlite": " FROM json_each(?) AS parent JOIN function_deployments AS related ON related.id IN "
        "(SELECT id FROM function_deployments WHERE function_id = parent.value ORDER BY version DESC LIMIT 2) "
        "ORDER BY related.version DESC",
    }[backend] in statements.sql[1]
    organizations = managers.organizations.find_all(
        include={"members": {"limit": 1, "order_by": "email", "order_direction": "DESC"}}
    )
    assert [user.email for user in organizations[0].members] == ["1@b.c"]
    assert managers.functions.find_all({"name": "f0"}, include={"deployments": {"limit": 0}})[0].deployments == []


class Box(peewee.Model):
    class Meta:
        table_name = "box"


class Parent(peewee.Model):
    """Called what the statement calls the rows that it looks up for, with columns that it has names for, too."""

    box = peewee.ForeignKeyField(Box, backref="parents")
    key = peewee.CharField()
    value = peewee.CharField(default="")
    related = peewee.CharField(default="")

    class Meta:
        table_name = "parent"


class Part(peewee.Model):
    key = peewee.IntegerField()
    rowid = peewee.IntegerField()
    box = peewee.ForeignKeyField(Box, backref="parts")

    class Meta:
        table_name = "related"
        primary_key = peewee.CompositeKey("key", "rowid")


def test_a_limit_takes_tables_and_columns_of_any_name(database, backend):
    Part._meta.without_rowid = backend == "sqlite"
    create_all(database.engine, [Box, Parent, Part])
    boxes, parents, parts = (Manager(model, database) for model in (Box, Parent, Part))
    box, other = boxes.insert({}), boxes.insert({})
    parents.batch_insert([{"box": box.id, "key": key} for key in "cab"])
    parts.batch_insert([{"box": box.id, "key": 1, "rowid": number} for number in (2, 0, 1)])
    few = {"parents": {"limit": 2, "order_by": "key"}, "parts": {"limit": 2, "order_by": "rowid"}}
    found = boxes.find_all(order_by="id", include=few)
    assert [[parent.key for parent in each.parents] for each in found] == [["a", "b"], []]
    assert [[part.rowid for part in each.parts] for each in found] == [[0, 1], []]
    assert found == [box, other]


VERSIONS = {
    "a column": ({"version": 2}, [2]),
    "an operator": ({"version": operators.ge(2)}, [2, 3]),
    "an expression": ((FunctionDeployment.version == 1) | (FunctionDeployment.version == 3), [1, 3]),
    "any": (any_of({"version": 3}, {"status": "failed"}), [3]),
    "none": (none_of({"version": 3}, {"status": "failed"}), [1, 2]),
    "a related column": ({"function.user.email": operators.like("%@b.c"), "version": [1, 2]}, [1, 2]),
    "rows that refer": ({"active_for.name": "f0"}, [2]),
    "nothing": ({"version": []}, []),
    "everything": (None, [1, 2, 3]),
}


@pytest.mark.parametrize("name", VERSIONS)
def test_conditions_are_of_the_related_rows(managers, platform, statements, name):
    where, versions = VERSIONS[name]
    for limit, found in ((None, versions), (1, versions[:1]), (9, versions)):
        options = {"where": where, "limit": limit, "order_by": "version"}
        (function,) = managers.functions.find_all({"name": "f0"}, include={"deployments": options})
        assert [deployment.version for deployment in function.deployments] == found
    assert len(statements) == 3 * 2
    whole = managers.users.find_all(order_by="id", include={"functions.deployments": {"where": where}})
    assert [d.version for d in whole[0].functions[0].deployments] == versions
    (page,) = managers.functions.paginate_after(
        None, 1, {"name": "f0"}, include={"deployments": {"where": where}}
    ).items
    assert [deployment.version for deployment in page.deployments] == versions


@pytest.mark.parametrize("limit", [None, 1, 9])
def test_conditions_are_of_rows_behind_a_table_in_between(managers, platform, limit):
    for where, found in (
        (any_of({"email": "1@b.c"}, {"functions.name": "f9"}), ["1@b.c"]),
        ({"information.first_name": "A"}, ["0@b.c"]),
        (none_of({"organization.name": "o"}), []),
        (User.email == "1@b.c", ["1@b.c"]),
    ):
        (organization,) = managers.organizations.find_all(include={"members": {"where": where, "limit": limit}})
        assert [user.email for user in organization.members] == found


def test_conditions_are_checked_before_anything_is_sent(managers, platform, statements):
    for where, error, message in (
        ({"versoin": 1}, UnknownColumnError, "function_deployments has no column.*'version'"),
        ({"function.nmae": 1}, UnknownColumnError, "did you mean 'name'"),
        ({"version": "x"}, InvalidValueError, "function_deployments.version"),
        ("version = 1", InvalidQueryError, "expected where to be"),
    ):
        with pytest.raises(error, match=message):
            managers.functions.find_all(include={"deployments": {"where": where}})
    with pytest.raises(InvalidQueryError, match="which is one row"):
        managers.functions.find_all(include={"user": {"where": {"email": "x"}}})
    assert statements == []


def test_conditions_hold_in_a_scope(managers, platform):
    scope = Scope({Function: ALL_ROWS, FunctionDeployment: {"version": [1, 2]}}, "old versions")
    functions = Managers(managers.database, scope=scope).functions
    for limit in (None, 5):
        options = {"where": {"version": [2, 3], "function.name": "f0"}, "limit": limit}
        (function,) = functions.find_all({"name": "f0"}, include={"deployments": options})
        assert [deployment.version for deployment in function.deployments] == [2]
    with pytest.raises(UnguardedError, match="users"):
        functions.find_all(include={"deployments": {"where": {"function.user.email": "x"}}})


def test_include_everywhere(managers, platform, statements):
    assert managers.functions.find_one({"name": "f0"}, include=("user",)).user.email == "0@b.c"
    page = managers.functions.paginate(1, 2, include=("user",))
    after = managers.functions.paginate_after(None, 2, include=("user",))
    streamed = list(managers.functions.iterate(order_by="id", chunk_size=2, include=("user",)))
    with forbid_lazy_loading():
        for function in [*page.items, *after.items, *streamed]:
            assert function.user.email
    assert len(statements) == 2 + 3 + 2 + 1 + 2


def test_nothing_is_sent_for_no_rows(managers, statements):
    assert managers.functions.find_all(include=("user", "deployments.function")) == []
    assert len(statements) == 1


@pytest.mark.parametrize(
    ("include", "error", "message"),
    [
        (("usr",), UnknownColumnError, "did you mean 'user'"),
        (("deployments.functoin",), UnknownColumnError, "did you mean 'function'"),
        (("name",), UnknownColumnError, "a relation of Function; got 'name'"),
        (("__class__",), UnknownColumnError, "expected a relation"),
        ("user", InvalidQueryError, "sequence"),
        (("",), InvalidQueryError, "name of a relation"),
        ((5,), InvalidQueryError, "name of a relation"),
        ({"deployments": {"limt": 1}}, InvalidQueryError, "did you mean 'limit'"),
        ({"deployments": {"limit": -1}}, InvalidQueryError, "limit"),
        ({"deployments": {"order_by": "nothing"}}, UnknownColumnError, "nothing"),
        ({"deployments": {"order_by": "version", "order_direction": "SIDEWAYS"}}, InvalidQueryError, "ASC"),
        ({"deployments": {"order_direction": "DESC"}}, InvalidQueryError, "column in order_by"),
        ({"deployments": 5}, InvalidQueryError, "dict"),
        ({"user": {"limit": 1}}, InvalidQueryError, "one row"),
    ],
)
def test_mistakes_are_named_even_without_rows(managers, include, error, message):
    with pytest.raises(error, match=message):
        managers.functions.find_all(include=include)


def test_a_key_that_was_not_selected_is_named(managers, platform):
    with pytest.raises(LazyLoadingError, match="user"):
        managers.functions.find_all(select=["id", "name"], include=("user",))


def test_the_guard_names_the_line_to_add(managers, platform):
    function = managers.functions.find_one({"name": "f0"})
    user = managers.users.find_one({"id": function.user_id})
    organization = managers.organizations.find_one()
    with forbid_lazy_loading():
        for read, line in [
            (lambda: function.user, 'Function.user .* include=\\("user",\\)'),
            (lambda: function.deployments, 'include=\\("deployments",\\)'),
            (lambda: user.information, 'include=\\("information",\\)'),
            (lambda: user.organization, 'include=\\("organization",\\)'),
            (lambda: organization.members, 'include=\\("members",\\)'),
        ]:
            with pytest.raises(LazyLoadingError, match=line):
                read()
        assert function.user_id == user.id
    with managers.database.bind():
        assert function.user == user


# Pages by key


def pages(manager, size, **arguments):
    cursor, found, sizes = None, [], []
    while True:
        page = manager.paginate_after(cursor, size, **arguments)
        found += page.items
        sizes.append(len(page.items))
        if page.next_cursor is None:
            return found, sizes
        cursor = page.next_cursor


def test_pages_by_key_send_one_statement_each(managers, platform, statements):
    found, sizes = pages(managers.function_deployments, 4)
    assert sizes == [4, 4, 1]
    assert len({row.id for row in found}) == 9
    assert len(statements) == 3
    assert "(id) > (" in statements.sql[1]
    assert "OFFSET" not in " ".join(statements.sql)


def test_equal_values_are_told_apart_by_the_key(managers, platform, statements):
    found, _ = pages(managers.function_deployments, 2, order_by="version", order_direction="DESC")
    assert [row.version for row in found] == [3, 3, 3, 2, 2, 2, 1, 1, 1]
    assert len({row.id for row in found}) == 9
    assert "(version, id) < (" in statements.sql[1]


def test_rows_inserted_meanwhile_shift_nothing(managers, platform):
    first = managers.functions.paginate_after(None, 2, order_by="name")
    managers.functions.insert({"user_id": first.items[0].user_id, "name": "a"})
    second = managers.functions.paginate_after(first.next_cursor, 2, order_by="name")
    assert [function.name for function in first.items + second.items] == ["f0", "f1", "f2", "f3"]
    assert second.next_cursor is None


def test_conditions_hold_on_every_page(managers, platform):
    found, _ = pages(
        managers.function_deployments, 2, where={"version": [1, 3]}, order_by=["version", ("function_id", "DESC")]
    )
    assert [row.version for row in found] == [1, 1, 1, 3, 3, 3]


@pytest.mark.parametrize(
    "change",
    [
        lambda cursor: cursor[:-2],
        lambda cursor: cursor + "A",
        lambda cursor: ("A" if cursor[0] != "A" else "B") + cursor[1:],
        lambda cursor: cursor[:-1] + ("A" if cursor[-1] not in "ABCD" else "z"),
        lambda cursor: "",
        lambda cursor: "ünïcode",
        lambda cursor: "'; DROP TABLE users; --",
        lambda cursor: 5,
        lambda cursor: b"x",
    ],
)
def test_a_changed_cursor_is_refused(managers, platform, change):
    cursor = managers.functions.paginate_after(None, 2, order_by="name").next_cursor
    with pytest.raises(InvalidCursorError):
        managers.functions.paginate_after(change(cursor), 2, order_by="name")


def test_a_cursor_of_another_order_or_table_is_refused(managers, platform):
    cursor = managers.functions.paginate_after(None, 2, order_by="name").next_cursor
    for call in (
        lambda: managers.functions.paginate_after(cursor, 2),
        lambda: managers.functions.paginate_after(cursor, 2, order_by="name", order_direction="DESC"),
        lambda: managers.functions.paginate_after(cursor, 2, order_by=["name", "status"]),
        lambda: managers.users.paginate_after(cursor, 2, order_by="email"),
    ):
        with pytest.raises(InvalidCursorError, match="another order"):
            call()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared(request):
    if request.param == "sqlite":
        database = Database("sqlite:///:memory:")
        database.migrate()
        yield Managers(database)
        database.close()
        return
    databases, template = (
        request.getfixturevalue("postgresql_databases"),
        request.getfixturevalue("postgresql_template"),
    )
    with databases(template) as url:
        database = Database(url)
        yield Managers(database)
        database.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "ß", "Z"]),
            st.none() | st.integers(0, 3),
            st.none() | st.sampled_from(["x", "y"]),
        ),
        max_size=14,
    ),
    order=st.lists(
        st.tuples(
            st.sampled_from(["status", "duration_ms", "error", "timestamp", "id"]), st.sampled_from(["ASC", "DESC"])
        ),
        max_size=4,
        unique_by=lambda pair: pair[0],
    ),
    size=st.integers(1, 5),
)
def test_every_row_is_visited_once_in_any_order(shared, rows, order, size):
    managers = shared
    with pytest.raises(ZeroDivisionError), managers.database.transaction():
        user = managers.users.insert({"email": "a@b.c", "password_hash": "x"})
        function = managers.functions.insert({"user_id": user.id, "name": "f"})
        managers.function_invocations.batch_insert(
            {
                "function_id": function.id,
                "status": status,
                "duration_ms": duration,
                "error": error,
                "timestamp": NOON + timedelta(seconds=n % 3),
            }
            for n, (status, duration, error) in enumerate(rows)
        )
        found, _ = pages(managers.function_invocations, size, order_by=order)
        ordered = {name for name, _ in order}
        complete = [*order, *([] if "id" in ordered else [("id", order[-1][1] if order else "ASC")])]
        expected = managers.function_invocations.find_all(order_by=complete)
        assert [row.id for row in found] == [row.id for row in expected]
        assert len(found) == len(rows)
        raise ZeroDivisionError


# Claiming


def test_claim_changes_and_returns_rows_in_order(managers, platform, statements, backend):
    claimed = managers.function_deployments.claim(
        {"status": "building"}, {"status": "claimed"}, limit=4, order_by=[("version", "DESC"), "id"]
    )
    assert [row.version for row in claimed] == [3, 3, 3, 2]
    assert {row.status for row in claimed} == {"claimed"}
    assert managers.function_deployments.count({"status": "claimed"}) == 4
    assert len(statements) == 3
    assert ("FOR UPDATE SKIP LOCKED" in statements.sql[0]) == (backend == "postgresql")
    assert managers.function_deployments.claim({"status": "gone"}, {"status": "x"}) == []
    with pytest.raises(InvalidQueryError, match="limit"):
        managers.function_deployments.claim({"status": "building"}, {"status": "x"}, limit=0)


def test_a_claim_in_a_rolled_back_transaction_is_undone(managers, platform, database):
    with pytest.raises(ZeroDivisionError), database.transaction():
        managers.function_deployments.claim({"status": "building"}, {"status": "claimed"}, limit=9)
        raise ZeroDivisionError
    assert managers.function_deployments.count({"status": "claimed"}) == 0


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_eight_processes_claim_each_row_once(kind, tmp_path, request, processes):
    url = f"sqlite:///{tmp_path}/claims.db" if kind == "sqlite" else request.getfixturevalue("postgresql_url")
    database = Database(url)
    database.migrate()
    managers = Managers(database)
    user = managers.users.insert({"email": "a@b.c", "password_hash": "x"})
    function = managers.functions.insert({"user_id": user.id, "name": "f"})
    managers.function_deployments.batch_insert(
        {"function_id": function.id, "version": n, "image_tag": "i", "s3_key": "k", "status": "pending"}
        for n in range(2000)
    )
    arguments = [(url, time.time() + 0.3)] * 8
    claimed = [row for own in processes.starmap(claim_everything, arguments, chunksize=1) for row in own]
    assert len(claimed) == len(set(claimed)) == 2000
    database.close()
