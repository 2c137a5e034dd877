"""Every manager method on both databases: what is sent, what comes back, how many statements it takes."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID, uuid4

import peewee
import pytest

from cloudpub_models import (
    ALL_ROWS,
    Function,
    Manager,
    Managers,
    Role,
    User,
    any_of,
    operators,
    raw,
)
from cloudpub_models.errors import (
    CheckViolationError,
    ConfigurationError,
    ForeignKeyViolationError,
    InvalidQueryError,
    InvalidValueError,
    LazyLoadingError,
    NotNullViolationError,
    UnboundedWriteError,
    UniqueViolationError,
    UnknownColumnError,
)

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
USER_COLUMNS = "id, uuid, email, password_hash, created_at, updated_at"


@pytest.fixture
def ada(managers: Managers) -> User:
    return managers.users.insert({"email": "ada@example.com", "password_hash": "hash"})


@pytest.fixture
def functions(managers: Managers, ada: User) -> list[Function]:
    return [
        managers.functions.insert(
            {"user_id": ada.id, "name": name, "status": status, "created_at": NOON + timedelta(hours=hours)}
        )
        for hours, (name, status) in enumerate(
            [("alpha", "active"), ("beta", "active"), ("Gamma", "inactive"), ("delta_1", "active")]
        )
    ]


def names(functions):
    return [function.name for function in functions]


def placeholders(sql: str) -> str:
    return sql.replace("%s", "?")


# Finding


def test_find_by_id(managers, ada, statements):
    found = managers.users.find_by_id(ada.id)
    assert found == ada
    assert found.email == "ada@example.com"
    assert not found.is_dirty()
    assert [placeholders(sql) for sql in statements.sql] == [f"SELECT {USER_COLUMNS} FROM users WHERE id = ?"]
    assert tuple(statements[0][1]) == (ada.id,)
    assert managers.users.find_by_id(-1) is None


def test_find_by_id_with_another_column_and_selected_ones(managers, ada):
    found = managers.users.find_by_id("ada@example.com", id_column="email", select=["id", "email"])
    assert found.id == ada.id
    with pytest.raises(LazyLoadingError, match="password_hash"):
        _ = found.password_hash


@pytest.mark.parametrize("form", [lambda uuid: uuid, str, lambda uuid: str(uuid).upper(), lambda uuid: uuid.hex])
def test_find_by_uuid_takes_every_form(managers, ada, form):
    assert managers.users.find_by_uuid(form(ada.uuid)) == ada
    assert managers.users.find_by_uuid(uuid4()) is None


def test_find_by_uuid_where_there_is_none(managers):
    with pytest.raises(UnknownColumnError, match="organization_members has no column 'uuid'"):
        managers.organization_members.find_by_uuid(uuid4())


def test_find_all_filters_orders_limits(managers, ada, functions, statements):
    found = managers.functions.find_all(
        {"user_id": ada.id, "status": "active"}, order_by="created_at", order_direction="DESC", limit=2, offset=1
    )
    assert names(found) == ["beta", "alpha"]
    sql = placeholders(statements.sql[0])
    assert sql.startswith("SELECT id, uuid, user_id, name, status,")
    assert " FROM functions WHERE user_id = ? AND status = ? ORDER BY created_at DESC" in sql
    assert sql.endswith(" LIMIT ? OFFSET ?")
    assert list(statements[0][1]) == [ada.id, "active", 2, 1]
    assert len(statements) == 1


def test_find_all_without_arguments_finds_all(managers, functions):
    assert len(managers.functions.find_all()) == 4
    assert len(managers.functions.find_all({})) == 4
    assert names(managers.functions.find_all(order_by="id", offset=3)) == ["delta_1"]
    assert managers.functions.find_all(limit=0) == []


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"name": operators.ne("beta")}, ["Gamma", "alpha", "delta_1"]),
        ({"created_at": operators.gt(NOON)}, ["Gamma", "beta", "delta_1"]),
        ({"created_at": operators.ge(NOON + timedelta(hours=3))}, ["delta_1"]),
        ({"created_at": operators.lt(NOON + timedelta(hours=1))}, ["alpha"]),
        ({"created_at": operators.le(NOON.astimezone(timezone(timedelta(hours=-7))))}, ["alpha"]),
        ({"created_at": operators.between(NOON, NOON + timedelta(hours=1))}, ["alpha", "beta"]),
        ({"name": operators.like("%a")}, ["Gamma", "alpha", "beta"]),
        ({"name": operators.like("g%")}, []),
        ({"name": operators.ilike("g%")}, ["Gamma"]),
        ({"name": operators.like("delta\\_%")}, ["delta_1"]),
        ({"name": operators.like("al_ha")}, ["alpha"]),
        ({"name": operators.not_like("%a")}, ["delta_1"]),
        ({"name": ["alpha", "beta", "zeta"]}, ["alpha", "beta"]),
        ({"name": ("alpha",)}, ["alpha"]),
        ({"name": {"beta"}}, ["beta"]),
        ({"name": []}, []),
        ({"name": operators.in_([])}, []),
        ({"name": operators.not_in(["alpha", "beta"])}, ["Gamma", "delta_1"]),
        ({"name": operators.not_in([])}, ["Gamma", "alpha", "beta", "delta_1"]),
        ({"active_deployment_id": None, "status": "inactive"}, ["Gamma"]),
        ({"active_deployment_id": operators.is_not_null()}, []),
        ({"active_deployment_id": operators.is_null(), "name": "beta"}, ["beta"]),
    ],
)
def test_conditions(managers, functions, where, expected):
    assert sorted(names(managers.functions.find_all(where))) == expected
    assert managers.functions.count(where) == len(expected)
    assert managers.functions.exists(where) == bool(expected)


def test_conditions_by_uuid_lists(managers, ada, functions):
    uuids = [functions[0].uuid, str(functions[1].uuid)]
    assert names(managers.functions.find_all({"uuid": uuids}, order_by="name")) == ["alpha", "beta"]
    assert managers.functions.count({"created_at": [NOON]}) == 1
    assert managers.functions.count({"user_id": [ada.id, ada.id + 1]}) == 4


def test_a_foreign_key_answers_to_field_and_column(managers, ada, functions):
    assert managers.functions.count({"user": ada}) == 4
    assert managers.functions.count({"user": ada.id}) == 4
    assert managers.functions.count({"user_id": ada}) == 4


def test_a_peewee_expression_is_a_condition(managers, ada, functions, statements):
    expression = (Function.name == "alpha") | ((Function.status == "inactive") & (Function.created_at > NOON))
    assert names(managers.functions.find_all(expression, order_by="id", limit=5)) == ["alpha", "Gamma"]
    assert managers.functions.count(Function.user == ada) == 4
    assert managers.functions.delete(Function.name.in_(["alpha", "beta"])) == 2
    assert len(managers.functions.update({"status": "idle"}, Function.name == "Gamma")) == 1
    assert "'alpha'" not in statements.sql[0]


@pytest.mark.parametrize(
    "where",
    [
        peewee.SQL("name LIKE 'alp%'"),
        peewee.SQL("name LIKE '%s' OR name LIKE 'alp%'"),
        (Function.status == "active") & peewee.SQL("name LIKE 'alp%'"),
        Function.name.concat("%s") == "alpha%s",
    ],
)
def test_a_percent_sign_in_an_expression_is_one(managers, functions, where):
    assert managers.functions.count(where) == 1
    assert managers.functions.exists(where)
    assert names(managers.functions.find_all(where)) == ["alpha"]


def test_order_by_forms(managers, functions):
    by_status = managers.functions.find_all(order_by=["status", ("name", "DESC")])
    assert names(by_status) == ["delta_1", "beta", "alpha", "Gamma"]
    assert names(managers.functions.find_all(order_by=["status", "id"], order_direction="desc")) == [
        "Gamma",
        "delta_1",
        "beta",
        "alpha",
    ]
    assert names(managers.functions.find_all(order_by=[("user", "ASC"), "id"]))[0] == "alpha"


def test_nulls_sort_alike(managers, functions):
    durations = [5, None, 1]
    for duration in durations:
        managers.function_invocations.insert(
            {"function_id": functions[0].id, "status": "success", "duration_ms": duration}
        )
    ordered = managers.function_invocations.find_all(order_by="duration_ms")
    assert [invocation.duration_ms for invocation in ordered] == [1, 5, None]
    ordered = managers.function_invocations.find_all(order_by="duration_ms", order_direction="DESC")
    assert [invocation.duration_ms for invocation in ordered] == [None, 5, 1]


@pytest.mark.parametrize("direction", ["ASC", "DESC"])
def test_columns_that_are_never_null_are_read_in_the_order_of_their_index(
    database, managers, functions, statements, backend, direction
):
    where, order = {"function_id": functions[0].id}, ("timestamp", "id")
    assert managers.function_logs.find_all(where, order_by=order, order_direction=direction, limit=5) == []
    sql = statements.sql[-1].partition(" WHERE ")[2]
    mark = "%s" if backend == "postgresql" else "?"
    assert sql == f"function_id = {mark} ORDER BY timestamp {direction}, id {direction} LIMIT {mark}"
    if backend == "sqlite":
        plan = database.raw_query_all(f"EXPLAIN QUERY PLAN SELECT * FROM function_logs WHERE {sql}".replace("?", "1"))
        assert [row["detail"] for row in plan] == [
            "SEARCH function_logs USING INDEX function_logs_function_id_timestamp_id_level_idx (function_id=?)"
        ]


def test_a_direction_without_a_column_is_refused(managers, ada, functions, statements):
    for call in (
        lambda: managers.functions.find_all(order_direction="DESC"),
        lambda: managers.functions.find_all(order_by=[], order_direction="desc"),
        lambda: managers.functions.find_one(order_direction="DESC"),
        lambda: managers.users.has_many("functions", "user_id", ada.id, order_direction="DESC"),
        lambda: managers.organizations.many_to_many(
            "users", "organization_members", "organization_id", "user_id", uuid4(), order_direction="DESC"
        ),
        lambda: managers.functions.join_query("users u", "functions.user_id = u.id", order_direction="DESC"),
    ):
        with pytest.raises(InvalidQueryError, match="column in order_by for the order_direction 'DESC'; got none"):
            call()
    assert statements == []
    last = functions[-1]
    assert managers.functions.paginate(1, 1, order_direction="DESC").items == [last]
    assert managers.functions.paginate_after(page_size=1, order_by=[], order_direction="desc").items == [last]


def test_find_one(managers, functions, statements):
    assert managers.functions.find_one({"status": "active"}, order_by="name", order_direction="DESC").name == "delta_1"
    assert managers.functions.find_one({"status": "gone"}) is None
    assert all(list(parameters)[-1] == 1 for _, parameters in statements)
    assert len(statements) == 2


def test_count_and_exists_send_one_statement(managers, functions, statements):
    managers.functions.count({"status": "active"})
    managers.functions.exists()
    assert [placeholders(sql) for sql in statements.sql] == [
        "SELECT COUNT(*) AS count FROM functions WHERE status = ?",
        "SELECT 1 FROM functions LIMIT 1",
    ]


def test_unloaded_columns_are_not_none(managers, functions):
    (function,) = managers.functions.find_all({"name": "alpha"}, select=["id", "name"])
    assert function.name == "alpha"
    assert function == functions[0]
    for attribute in ("status", "user_id", "user", "analysis_result", "created_at"):
        with pytest.raises(LazyLoadingError, match="select"):
            getattr(function, attribute)
    function.status = "new"
    assert function.status == "new"
    assert "alpha" in repr(function)


# Writing


def test_insert_returns_the_row_with_its_defaults(managers, ada, statements):
    before = datetime.now(UTC) - timedelta(seconds=5)
    function = managers.functions.insert({"user_id": ada.id, "name": "f"})
    assert isinstance(function.id, int)
    assert isinstance(function.uuid, UUID)
    assert function.uuid.version == 4
    assert function.status == "active"
    assert function.active_deployment_id is None
    assert before < function.created_at < datetime.now(UTC) + timedelta(seconds=5)
    assert function.created_at.tzinfo is UTC
    assert not function.is_dirty()
    assert len(statements) == 1
    assert placeholders(statements.sql[0]).startswith(
        "INSERT INTO functions (user_id, name) VALUES (?, ?) RETURNING id, uuid,"
    )
    assert managers.functions.find_by_id(function.id).to_dict() == function.to_dict()


def test_insert_takes_every_kind_of_value(managers, ada):
    given = uuid4()
    function = managers.functions.insert(
        {
            "uuid": str(given),
            "user": ada,
            "name": "f",
            "analysis_result": {"größe": [1, 2.5, None, True], "nested": {"a": "b"}},
            "created_at": NOON.astimezone(timezone(timedelta(hours=2))),
        }
    )
    loaded = managers.functions.find_by_uuid(given)
    assert loaded.analysis_result == {"größe": [1, 2.5, None, True], "nested": {"a": "b"}}
    assert loaded.created_at == NOON
    assert loaded.uuid == given
    assert loaded == function


def test_roles_are_members_of_the_enumeration(managers, ada):
    base = {"user_id": ada.uuid, "first_name": "Ada", "last_name": "L"}
    assert managers.user_information.insert({**base, "role": Role.TEAM}).role is Role.TEAM
    assert managers.user_information.find_one({"role": "team"}).role is Role.TEAM
    with pytest.raises(InvalidValueError, match=r"user_information\.role.*developer"):
        managers.user_information.update({"role": "emperor"}, ALL_ROWS)


def test_constraints_are_typed(managers, ada):
    with pytest.raises(UniqueViolationError) as caught:
        managers.users.insert({"email": "ada@example.com", "password_hash": "secret-hash"})
    assert (caught.value.table, caught.value.columns) == ("users", ("email",))
    assert "secret-hash" not in str(caught.value) + str(caught.value.__cause__)
    with pytest.raises(NotNullViolationError) as caught:
        managers.users.insert({"email": "new@example.com"})
    assert caught.value.columns == ("password_hash",)
    assert "new@example.com" not in str(caught.value) + str(caught.value.__cause__)
    with pytest.raises(ForeignKeyViolationError):
        managers.functions.insert({"user_id": 10**6, "name": "f"})


def test_the_role_check_holds_for_hand_made_sql(managers, database, ada):
    with pytest.raises(CheckViolationError):
        database.raw_execute(
            "INSERT INTO user_information (user_id, first_name, last_name, role) VALUES (@user, 'A', 'L', 'emperor')",
            {"user": ada.uuid},
        )


def test_update_returns_the_rows_as_they_are_now(managers, ada, functions, statements):
    updated = managers.functions.update({"status": "inactive"}, {"user_id": ada.id, "status": "active"})
    assert sorted(names(updated)) == ["alpha", "beta", "delta_1"]
    assert {function.status for function in updated} == {"inactive"}
    assert all(function.updated_at > functions[-1].updated_at for function in updated)
    assert not updated[0].is_dirty()
    assert placeholders(statements.sql[0]).startswith(
        "UPDATE functions SET status = ?, updated_at = ? WHERE user_id = ? AND status = ? RETURNING id,"
    )
    assert len(statements) == 1
    assert managers.functions.update({"status": "x"}, {"name": "nobody"}) == []


def test_update_by_id(managers, functions):
    assert managers.functions.update_by_id(functions[0].id, {"name": "renamed"}).name == "renamed"
    assert managers.functions.update_by_id(-1, {"name": "x"}) is None
    by_uuid = managers.functions.update_by_id(functions[1].uuid, {"active_deployment_id": None}, id_column="uuid")
    assert by_uuid == functions[1]
    moment = NOON - timedelta(days=365)
    assert managers.functions.update_by_id(functions[2].id, {"updated_at": moment}).updated_at == moment


def test_updating_nothing_is_refused(managers):
    with pytest.raises(InvalidQueryError, match="at least one column"):
        managers.functions.update({}, {"name": "x"})


def test_delete(managers, functions, statements):
    assert managers.functions.delete({"status": "active"}) == 3
    assert managers.functions.delete_by_id(functions[2].id) is True
    assert managers.functions.delete_by_id(functions[2].id) is False
    assert placeholders(statements.sql[0]) == "DELETE FROM functions WHERE status = ?"
    assert len(statements) == 3


@pytest.mark.parametrize("where", [None, {}])
def test_writes_without_a_condition_are_refused(managers, functions, statements, where):
    with pytest.raises(UnboundedWriteError, match="delete every row of functions.*ALL_ROWS"):
        managers.functions.delete(where)
    with pytest.raises(UnboundedWriteError, match="update every row"):
        managers.functions.update({"status": "x"}, where)
    assert statements == []
    assert len(managers.functions.update({"status": "x"}, ALL_ROWS)) == 4
    assert managers.functions.delete(ALL_ROWS) == 4


def test_upsert_inserts_then_updates(managers, ada, statements):
    first = managers.functions.upsert({"user_id": ada.id, "name": "f", "status": "active"}, ["user_id", "name"])
    second = managers.functions.upsert({"user_id": ada.id, "name": "f", "status": "inactive"}, ["user_id", "name"])
    assert (first.id, first.uuid, first.created_at) == (second.id, second.uuid, second.created_at)
    assert second.status == "inactive"
    assert second.updated_at > first.updated_at
    assert (
        "ON CONFLICT (user_id, name) DO UPDATE SET status = excluded.status, updated_at = excluded.updated_at"
        in statements.sql[0]
    )
    assert len(statements) == 2


def test_upsert_of_chosen_columns(managers, ada):
    first = managers.functions.upsert({"user_id": ada.id, "name": "f", "status": "active"}, ["user", "name"])
    again = managers.functions.upsert(
        {"user_id": ada.id, "name": "f", "status": "inactive", "analysis_result": {"a": 1}},
        ["user_id", "name"],
        update_columns=["analysis_result"],
    )
    assert (again.id, again.status, again.analysis_result) == (first.id, "active", {"a": 1})


def test_upsert_with_nothing_to_update_gives_the_row(managers, ada):
    first = managers.users.upsert({"email": "x@y.z", "password_hash": "1"}, ["email"])
    again = managers.users.upsert({"email": "x@y.z", "password_hash": "2"}, ["email"], update_columns=["password_hash"])
    assert again.id == first.id
    with pytest.raises(InvalidValueError, match="email"):
        managers.users.upsert({"password_hash": "1"}, ["email"])
    with pytest.raises(InvalidQueryError):
        managers.users.upsert({"email": "x@y.z", "password_hash": "1"}, ["password_hash"])


def test_find_or_insert(managers, ada, statements):
    function, inserted = managers.functions.find_or_insert(
        {"user": ada, "name": "f", "status": "idle"}, ["user_id", "name"]
    )
    assert inserted
    assert function.status == "idle"
    again, inserted = managers.functions.find_or_insert({"user_id": ada.id, "name": "f"}, ["user_id", "name"])
    assert not inserted
    assert again == function
    assert len(statements) == 3


# Pages and streams


def test_paginate(managers, functions, statements):
    page = managers.functions.paginate(
        1, 3, {"user_id": functions[0].user_id}, order_by="created_at", order_direction="DESC"
    )
    assert names(page.items) == ["delta_1", "Gamma", "beta"]
    assert (page.total, page.page, page.page_size, page.has_more) == (4, 1, 3, True)
    assert len(statements) == 2
    last = managers.functions.paginate(2, 3, order_by="created_at", order_direction="DESC")
    assert names(last.items) == ["alpha"]
    assert not last.has_more
    # The last page may be a full one.
    full = [managers.functions.paginate(page, 2) for page in (1, 2)]
    assert [(len(page.items), page.has_more) for page in full] == [(2, True), (2, False)]
    assert managers.functions.paginate(9, 3).items == []


def test_pages_of_equal_rows_never_overlap(managers, ada):
    managers.functions.batch_insert({"user_id": ada.id, "name": f"f{n}", "created_at": NOON} for n in range(20))
    seen = [
        function.id
        for page in range(1, 8)
        for function in managers.functions.paginate(page, 3, order_by="created_at", order_direction="DESC").items
    ]
    assert len(seen) == len(set(seen)) == 20


@pytest.mark.parametrize(("page", "size"), [(0, 10), (1, 0), (-1, 1), (1.5, 1), (True, 1), ("1", 1)])
def test_page_numbers_are_checked(managers, page, size):
    with pytest.raises(InvalidQueryError, match="page"):
        managers.functions.paginate(page, size)


def test_iterate_gives_every_row_once(managers, ada):
    managers.functions.batch_insert({"user_id": ada.id, "name": f"f{n:03}"} for n in range(250))
    found = [
        function.name for function in managers.functions.iterate({"user_id": ada.id}, order_by="name", chunk_size=100)
    ]
    assert found == [f"f{n:03}" for n in range(250)]
    assert list(managers.functions.iterate({"name": "nobody"})) == []


def test_iterate_while_writing(managers, ada):
    managers.functions.batch_insert({"user_id": ada.id, "name": f"f{n}"} for n in range(30))
    for function in managers.functions.iterate(order_by="id", chunk_size=7):
        managers.functions.update_by_id(function.id, {"status": "seen"})
    assert managers.functions.count({"status": "seen"}) == 30


def test_iterate_checks_its_arguments_at_once(managers):
    with pytest.raises(UnknownColumnError):
        managers.functions.iterate({"nmae": "x"})
    with pytest.raises(InvalidQueryError, match="chunk_size"):
        managers.functions.iterate(chunk_size=0)


# SQL of one's own


def test_raw_maps_rows_to_instances(managers, ada, functions):
    found = managers.users.raw(
        "SELECT u.*, COUNT(f.id) AS functions_count FROM users u LEFT JOIN functions f ON f.user_id = u.id "
        "WHERE u.id = @id GROUP BY u.id",
        {"id": ada.id},
    )
    assert found == [ada]
    assert found[0].to_dict() == ada.to_dict()
    assert found[0].functions_count == 4
    assert not found[0].is_dirty()


@pytest.mark.parametrize("sql", ["SELECT 1 AS one", "UPDATE users SET email = 'x' WHERE id < 0"])
def test_raw_without_a_column_of_the_model(managers, sql):
    found = managers.users.raw(sql)
    assert [row.one for row in found] == ([1] if "one" in sql else [])


def test_raw_after_the_table_has_changed(database, managers, functions):
    sql = "SELECT * FROM functions WHERE id = @id"
    query = managers.functions.query("f").select("f.*").where("f.id", functions[0].id)

    def found():
        return [
            *managers.functions.raw(sql, {"id": functions[0].id}),
            *managers.functions.execute_query(query, as_model=True),
        ]

    before = found()
    database.raw_execute("ALTER TABLE functions ADD COLUMN region TEXT DEFAULT 'eu'")
    assert found() == before
    assert [(function.name, function.region) for function in found()] == [("alpha", "eu")] * 2


def test_raw_with_some_columns(managers, functions):
    (function,) = managers.functions.raw("SELECT id, created_at FROM functions WHERE name = @name", {"name": "alpha"})
    assert function.created_at == NOON
    with pytest.raises(LazyLoadingError):
        _ = function.name


def test_query_selects_the_models_columns(managers, statements):
    query = managers.users.query()
    assert str(query.build_select()) == f"SELECT {USER_COLUMNS} FROM users"
    assert str(managers.users.query("u").select("u.email").build_select()) == "SELECT u.email FROM users u"
    assert statements == []


def test_execute_query_converts_the_models_columns(managers, ada, functions):
    query = (
        managers.functions.query("f")
        .select(
            "f.uuid",
            "f.created_at AS made",
            "f.analysis_result",
            "u.uuid AS owner",
            "COUNT(*) AS n",
            "MAX(f.updated_at) AS latest",
        )
        .join("users u", "f.user_id", "u.id")
        .where("f.name", "alpha")
        .group_by("f.id", "u.uuid")
    )
    assert managers.functions.execute_query(query) == [
        {
            "uuid": functions[0].uuid,
            "made": NOON,
            "analysis_result": None,
            "owner": ada.uuid,
            "n": 1,
            "latest": functions[0].updated_at,
        }
    ]


def test_execute_query_with_stars(managers, ada, functions):
    query = (
        managers.functions.query("f")
        .select("f.*", "u.email")
        .join("users u", "f.user_id", "u.id")
        .where("f.name", "alpha")
    )
    (row,) = managers.functions.execute_query(query)
    assert row == {**functions[0].to_dict(), "email": "ada@example.com"}


def test_execute_query_gives_instances(managers, ada, functions, statements):
    query = (
        managers.functions.query("f")
        .select(["f.*", "u.email", "u.created_at AS registered", "COUNT(fd.id) as deployment_count"])
        .join("users u", "f.user_id", "u.id")
        .left_join("function_deployments fd", "f.id", "fd.function_id")
        .where("f.status", "active")
        .group_by("f.id, u.email, u.created_at")
        .order_by("f.created_at", direction="DESC")
        .limit(2)
    )
    statements.clear()
    found = managers.functions.execute_query(query, as_model=True)
    dicts = managers.functions.execute_query(query)
    assert statements[0] == statements[1]
    assert len(statements) == 2
    assert found == [functions[3], functions[1]]
    for function, row in zip(found, dicts, strict=True):
        assert type(function) is Function
        assert not function.is_dirty()
        extras = (function.email, function.registered, function.deployment_count)
        assert extras == ("ada@example.com", ada.created_at, 0)
        assert function.to_dict() == {name: row[name] for name in functions[0].to_dict()}
    # What is done with them is done with the row, in its database.
    found[0].status = "inactive"
    found[0].save()
    assert managers.functions.find_by_id(functions[3].id).status == "inactive"
    assert managers.functions.execute_query(query.where("f.id", -1), as_model=True) == []


def test_execute_query_gives_instances_of_selected_columns(managers, ada, functions, statements):
    query = managers.functions.query("f").select("f.id", "f.name AS name").where("f.name", "alpha")
    statements.clear()
    (found,) = managers.functions.execute_query(query, as_model=True)
    assert (found, found.name) == (functions[0], "alpha")
    with pytest.raises(LazyLoadingError, match="status"):
        _ = found.status
    assert len(statements) == 1
    # One query, asked for either way and by turns.
    assert managers.functions.execute_query(query) == [{"id": functions[0].id, "name": "alpha"}]
    assert managers.functions.execute_query(query, as_model=True) == [functions[0]]


def test_an_instance_never_has_the_columns_of_another_row(managers, ada, functions):
    query = managers.functions.query("f").join("users u", "f.user_id", "u.id")
    twins = managers.functions.query("f").join("functions g", "f.user_id", "g.user_id")
    for other in (
        query.select("f.name", "u.id"),
        query.select("f.name", "u.*"),
        query.select("f.name", "u.uuid AS uuid"),
        query.select("f.name", "f.user_id AS id"),
        query.select("f.name", raw("u.id")),
        query.select("f.name", "COUNT(*) AS status").group_by("f.name"),
        twins.select("f.name", "g.id"),
    ):
        with pytest.raises(InvalidQueryError, match="to be functions"):
            managers.functions.execute_query(other, as_model=True)
        assert managers.functions.execute_query(other)
    with pytest.raises(InvalidQueryError, match="alias"):
        managers.functions.execute_query(query.select("f.*", "u.*"), as_model=True)
    assert [row.email for row in managers.functions.execute_query(query.select("f.id", "u.email"), as_model=True)] == [
        ada.email
    ] * len(functions)


@pytest.mark.parametrize("name", ["user", "deployments", "save", "_dirty", "__data__"])
def test_an_instance_keeps_its_attributes(managers, ada, functions, name):
    query = managers.functions.query("f").select("f.id", f"u.email AS {name}").join("users u", "f.user_id", "u.id")
    with pytest.raises(InvalidQueryError, match=f"got {name}: give it another alias"):
        managers.functions.execute_query(query, as_model=True)


def test_execute_query_gives_no_instances_of_other_tables(managers, ada, functions, statements):
    statements.clear()
    with pytest.raises(InvalidQueryError, match="expected a query of functions for instances; got one of users"):
        managers.functions.execute_query(managers.users.query(), as_model=True)
    for join in ("right_join", "full_join"):
        query = getattr(managers.functions.query("f"), join)("users u", "f.user_id", "u.id")
        with pytest.raises(InvalidQueryError, match="expected INNER and LEFT joins for instances"):
            managers.functions.execute_query(query, as_model=True)
    assert statements == []


def test_execute_query_checks_values_by_their_column(managers, ada):
    with pytest.raises(InvalidValueError, match=r"functions\.user_id.*public UUID.*managers\.users\.find_by_uuid"):
        managers.functions.execute_query(managers.functions.query("f").where("f.user_id", ada.uuid))
    with pytest.raises(InvalidValueError, match="managers.users.find_by_uuid"):
        managers.functions.execute_query(managers.functions.query().where_in("user_id", [1, str(ada.uuid)]))


def test_a_column_without_its_table_is_that_of_the_one_that_has_it(managers, ada, functions):
    joined = managers.functions.query("f").join("users u", "f.user_id", "u.id").where("f.name", "alpha")
    query = joined.select("email", "analysis_result", "f.created_at").where("email", ada.email)
    assert managers.functions.execute_query(query) == [
        {"email": ada.email, "analysis_result": functions[0].analysis_result, "created_at": NOON}
    ]
    with pytest.raises(InvalidValueError, match=r"functions\.status: expected text"):
        managers.functions.execute_query(joined.where("status", 5))


def test_columns_of_one_name_never_collide_silently(managers, functions):
    query = managers.functions.query("f").select("f.id", "u.id").join("users u", "f.user_id", "u.id")
    with pytest.raises(InvalidQueryError, match="alias"):
        managers.functions.execute_query(query)


def test_nor_do_those_of_raw_instances(managers, functions):
    """The id of the user would be the function's."""
    for columns in ("f.*, u.*", "f.id, f.name, u.id", "f.*, 7 AS id"):
        sql = f"SELECT {columns} FROM functions f JOIN users u ON u.id = f.user_id"
        with pytest.raises(InvalidQueryError, match="more than once: give one an alias"):
            managers.functions.raw(sql)


# Relations


def test_join_query(managers, ada, functions, statements):
    rows = managers.functions.join_query(
        "users",
        "functions.user_id = users.id",
        select=["functions.name", "functions.created_at", "users.uuid AS owner"],
        where={"functions.status": "active", "functions.name": operators.like("%a")},
        order_by="functions.name",
        order_direction="DESC",
        limit=5,
    )
    assert rows == [
        {"name": "beta", "created_at": NOON + timedelta(hours=1), "owner": ada.uuid},
        {"name": "alpha", "created_at": NOON, "owner": ada.uuid},
    ]
    assert len(statements) == 1


def test_join_query_types(managers, ada, functions):
    bob = managers.users.insert({"email": "bob@example.com", "password_hash": "x"})
    rows = managers.users.join_query(
        "functions f",
        "f.user_id = users.id",
        select=["users.email", "f.name"],
        join_type="left",
        where={"users.id": bob.id},
    )
    assert rows == [{"email": "bob@example.com", "name": None}]
    assert managers.functions.join_query("users", "functions.user_id = users.id", where={"functions.name": "beta"}) == [
        functions[1].to_dict()
    ]


def test_has_many(managers, functions, statements):
    for version in (1, 2):
        managers.function_deployments.insert(
            {"function_id": functions[0].id, "version": version, "image_tag": "i", "s3_key": "k"}
        )
    found = managers.functions.has_many(
        "function_deployments", "function_id", functions[0].id, order_by="version", order_direction="DESC", limit=1
    )
    assert [deployment.version for deployment in found] == [2]
    assert managers.function_deployments.has_many("function_deployments", "function_id", functions[1].id) == []
    assert len(statements) == 4
    first = any_of({"version": 1}, {"function.name": "no such function"})
    found = managers.functions.has_many("function_deployments", "function_id", functions[0].id, where=first)
    assert [deployment.version for deployment in found] == [1]
    assert managers.functions.has_many("function_deployments", "function_id", functions[1].id, where=first) == []


def test_belongs_to(managers, ada, functions):
    assert managers.functions.belongs_to("users", "user_id", functions[0].user_id) == ada
    assert managers.functions.belongs_to("users", "user_id", None) is None
    organization = managers.organizations.insert({"name": "Analytical", "owner_id": ada.uuid})
    assert managers.organizations.belongs_to("users", "owner_id", organization.owner_id, related_key="uuid") == ada


def test_many_to_many(managers, ada, statements):
    bob = managers.users.insert({"email": "bob@example.com", "password_hash": "x"})
    organization = managers.organizations.insert({"name": "Analytical", "owner_id": ada.uuid})
    for user in (ada, bob):
        managers.organization_members.insert({"organization_id": organization.uuid, "user_id": user.uuid})
    statements.clear()
    found = managers.organizations.many_to_many(
        "users",
        "organization_members",
        "organization_id",
        "user_id",
        organization.uuid,
        order_by="email",
        order_direction="DESC",
    )
    assert found == [bob, ada]
    assert len(statements) == 1
    assert managers.users.many_to_many(
        "organizations", "organization_members", "user_id", "organization_id", bob.uuid
    ) == [organization]
    between = ("users", "organization_members", "organization_id", "user_id")
    named = any_of({"email": "bob@example.com"}, {"functions.name": "no such function"})
    assert managers.organizations.many_to_many(*between, organization.uuid, where=named, limit=5) == [bob]


@pytest.mark.parametrize("limit", [None, 1])
def test_many_to_many_of_selected_columns(managers, ada, statements, limit):
    organization = managers.organizations.create("Analytical", ada)
    between = ("users", "organization_members", "organization_id", "user_id", organization.uuid)
    statements.clear()
    (found,) = managers.organizations.many_to_many(*between, select=["email", "id", "email"], limit=limit)
    ((sql, parameters),) = statements
    assert placeholders(sql).startswith(
        "SELECT users.email, users.id, organization_members.organization_id FROM users INNER JOIN"
        if limit is None
        else "SELECT"
    )
    assert "password_hash" not in sql
    assert str(organization.uuid) in str(parameters)
    assert (found, found.email) == (ada, "ada@example.com")
    with pytest.raises(LazyLoadingError, match="password_hash"):
        _ = found.password_hash
    assert len(statements) == 1
    # All of them are loaded again beside a narrower selection.
    assert managers.organizations.many_to_many(*between, limit=limit)[0].password_hash == "hash"


def test_many_to_many_refuses_columns_that_are_none(managers, ada, statements):
    between = ("users", "organization_members", "organization_id", "user_id", ada.uuid)
    statements.clear()
    # Columns of the table in between are none of the rows wanted.
    for select in (["joined_at"], ["emial"]):
        with pytest.raises(UnknownColumnError, match="users"):
            managers.organizations.many_to_many(*between, select=select)
    for select in ("email", []):
        with pytest.raises(InvalidQueryError, match="expected select"):
            managers.organizations.many_to_many(*between, select=select)
    assert statements == []


# Models of others


def test_managers_take_a_database():
    with pytest.raises(ConfigurationError, match="got a value of type str"):
        _ = Managers("sqlite:///:memory:").users


def test_managers_know_all_tables(managers):
    assert managers.for_model(User) is managers.users
    assert repr(managers.users) == "Manager(User)" or "User" in repr(managers.users)
    assert isinstance(managers.for_model(Function), Manager)
