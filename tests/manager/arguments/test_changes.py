"""What update, update_by_id, upsert and claim set columns to where the database computes it."""

from decimal import Decimal
from uuid import UUID

import peewee
import pytest
from peewee import fn

from cloudpub_models import ALL_ROWS, Function, FunctionDeployment, Manager, Scope, User, errors, operators
from cloudpub_models.entity.base import Entity
from cloudpub_models.schema import create_all


class Meter(Entity):
    name = peewee.CharField(max_length=10, unique=True)
    runs = peewee.IntegerField(default=0)
    total = peewee.BigIntegerField(default=0)
    price = peewee.DecimalField(max_digits=15, decimal_places=2, default=Decimal("0"))
    load = peewee.DoubleField(default=0.0)
    spare = peewee.IntegerField(null=True)
    label = peewee.TextField(null=True)
    code = peewee.CharField(null=True, unique=True)

    class Meta:
        table_name = "meters"


@pytest.fixture
def meters(database):
    create_all(database.engine, [Meter])
    return Manager(Meter, database)


@pytest.fixture
def ada(managers):
    return managers.users.insert({"email": "ada@example.com", "password_hash": "…"})


@pytest.fixture
def functions(managers, ada):
    for name in ("Resize", "Crop"):
        managers.functions.insert({"user_id": ada.id, "name": name})
    return managers.functions


def sent(statements, backend, placeholder=None):
    """The last statement with one kind of placeholder, without the columns that it gives back."""
    sql, parameters = statements[-1]
    return sql.replace("%s" if backend == "postgresql" else "?", "@").partition(" RETURNING")[0], list(parameters)


def test_an_increment_is_added_in_the_database(meters, statements, backend):
    meter = meters.insert({"name": "a", "runs": 5})
    statements.clear()
    assert meters.update_by_id(meter.id, {"runs": operators.increment(2)}).runs == 7
    assert sent(statements, backend) == ("UPDATE meters SET runs = runs + @ WHERE id = @", [2, meter.id])
    assert [row.runs for row in meters.update({"runs": operators.increment(-10)}, {"name": "a"})] == [-3]
    assert len(statements) == 2
    meters.update({"runs": operators.increment(1), "label": "x"}, ALL_ROWS)
    assert sent(statements, backend) == ("UPDATE meters SET label = @, runs = runs + @", ["x", 1])
    assert meters.find_by_id(meter.id).runs == -2


def test_nobodys_increment_is_lost_beside_an_instance_that_is_old(meters):
    meter = meters.insert({"name": "a"})
    for _ in range(3):
        meters.update_by_id(meter.id, {"runs": operators.increment(1)})
    assert meter.runs == 0
    assert meters.find_by_id(meter.id).runs == 3


def test_null_stays_null(meters):
    meter = meters.insert({"name": "a"})
    assert meters.update_by_id(meter.id, {"spare": operators.increment(1)}).spare is None


@pytest.mark.parametrize(
    ("column", "start", "amount", "result"),
    [
        ("price", Decimal("0.10"), Decimal("0.20"), Decimal("0.30")),
        ("price", Decimal("1234567890123.12"), Decimal("0.01"), Decimal("1234567890123.13")),
        ("price", Decimal("5"), -7, Decimal("-2")),
        ("load", 0.5, 0.25, 0.75),
        ("total", 2**62, 2**62 - 1, 2**63 - 1),
    ],
)
def test_sums_are_the_same_on_both_databases(meters, column, start, amount, result):
    meter = meters.insert({"name": "a", column: start})
    changed = meters.update_by_id(meter.id, {column: operators.increment(amount)})
    for row in (changed, meters.find_by_id(meter.id)):
        value = getattr(row, column)
        assert (value, type(value)) == (result, type(result))


@pytest.mark.parametrize(
    ("column", "start", "amount"),
    [("runs", 2**31 - 1, 1), ("runs", -(2**31), -1), ("total", 2**63 - 1, 1), ("price", Decimal(10) ** 13 - 1, 1)],
)
def test_a_sum_beyond_its_column_is_refused_and_nothing_changes(meters, column, start, amount):
    rows = [meters.insert({"name": "a"}), meters.insert({"name": "b", column: start})]
    with pytest.raises(errors.InvalidValueError):
        meters.update({column: operators.increment(amount)}, ALL_ROWS)
    with pytest.raises(errors.InvalidValueError):
        meters.update_by_id(rows[1].id, {column: operators.increment(amount)})
    assert [getattr(row, column) for row in meters.find_all(order_by="id")] == [0, start]


@pytest.mark.parametrize(
    ("column", "amount", "message"),
    [
        ("runs", 1.5, "expected an integer"),
        ("runs", 2**31, "32 bits"),
        ("price", Decimal("0.001"), "decimal places"),
        ("name", 1, "expected a column of numbers to increment"),
        ("label", 1, "expected a column of numbers to increment"),
    ],
)
def test_an_amount_has_to_fit_its_column(meters, statements, column, amount, message):
    with pytest.raises(errors.InvalidValueError, match=message):
        meters.update_by_id(1, {column: operators.increment(amount)})
    assert statements == []


@pytest.mark.parametrize("amount", [None, "1", True, float("nan"), float("inf"), Decimal("NaN"), [1]])
def test_an_increment_is_a_number(amount):
    with pytest.raises(errors.InvalidValueError, match="expected a number to add"):
        operators.increment(amount)


class Doubled(peewee.IntegerField):
    def db_value(self, value):
        return None if value is None else 2 * value


def test_a_column_that_does_not_store_numbers_as_they_are_takes_no_increment(meters, statements):
    class Scale(Entity):
        weight = Doubled()
        label = peewee.TextField()

        class Meta:
            table_name = "scales"

    scales = Manager(Scale, meters.database)
    for column in ("weight", "label"):
        with pytest.raises(errors.InvalidValueError, match=f"scales.{column}: expected a column of numbers"):
            scales.update({column: operators.increment(1)}, ALL_ROWS)
    assert statements == []


def test_only_what_updates_takes_an_increment(meters, statements):
    for call in (
        lambda: meters.insert({"name": "a", "runs": operators.increment(1)}),
        lambda: meters.batch_insert([{"name": "a", "runs": operators.increment(1)}]),
        lambda: meters.find_all({"runs": operators.increment(1)}),
        lambda: meters.find_or_insert({"name": "a", "runs": operators.increment(1)}, ["name"]),
    ):
        with pytest.raises(errors.InvalidValueError):
            call()
    assert [sql for sql in statements.sql if "SELECT" not in sql] == []


def test_an_expression_is_computed_over_the_row(functions, ada, statements, backend):
    changed = functions.update({"name": fn.LOWER(Function.name)}, {"user_id": ada.id})
    assert sorted(row.name for row in changed) == ["crop", "resize"]
    sql, parameters = statements[-1]
    assert 'SET name = LOWER("functions"."name"), updated_at = ' in sql
    assert len(statements) == 1
    assert parameters[-1] == ada.id
    renamed = functions.update_by_id(changed[0].id, {"name": Function.name.concat("%-é")})
    assert renamed.name == changed[0].name + "%-é"
    assert renamed.updated_at > changed[0].updated_at


def test_expressions_travel_by_shape(functions, ada, statements):
    first = functions.update({"name": Function.name.concat("a")}, {"user_id": ada.id})
    functions.update({"name": Function.name.concat("b")}, {"user_id": ada.id})
    assert len(set(statements.sql)) == 1
    assert sorted(row.name[-2:] for row in functions.find_all()) == ["ab", "ab"]
    assert {row.name[-1] for row in first} == {"a"}


def test_a_column_and_a_subquery_are_expressions_too(functions, ada):
    of_functions = FunctionDeployment.select(fn.COUNT(FunctionDeployment.id)).where(
        FunctionDeployment.function == Function.id
    )
    changed = functions.update({"status": Function.name, "analysis_result": None}, {"name": "Crop"})
    assert changed[0].status == "Crop"
    assert (
        functions.update({"active_deployment_id": fn.NULLIF(of_functions, 0)}, ALL_ROWS)[0].active_deployment_id is None
    )


OF_AN_ALIAS = User.alias().email


@pytest.mark.parametrize(
    "expression", [User.email, fn.LOWER(User.email), Function.name.concat(User.email), OF_AN_ALIAS]
)
def test_columns_of_other_models_are_refused(functions, statements, expression):
    with pytest.raises(errors.UnknownTableError, match="expected an expression on columns of functions") as caught:
        functions.update({"name": expression}, ALL_ROWS)
    assert ("an alias of users" in str(caught.value)) == (expression is OF_AN_ALIAS)
    assert statements == []


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"name": fn.REPLACE(Function.name, "e", "x" * 300)}, "name"),
        ({"uuid": fn.LOWER(Function.name)}, "uuid"),
        ({"created_at": fn.LOWER(Function.name)}, "created_at"),
        ({"id": Function.id + 2**31 - 1}, "id"),
    ],
)
def test_a_computed_value_has_to_fit_its_column(functions, managers, changes, column):
    before = functions.find_all(order_by="id")
    # PostgreSQL also tells by their types that some expressions can never fit.
    with pytest.raises((errors.InvalidValueError, errors.InvalidQueryError)):
        managers.functions.update(changes, ALL_ROWS)
    assert [row.to_dict() for row in functions.find_all(order_by="id")] == [row.to_dict() for row in before]
    assert column in before[0].to_dict()


def test_what_the_database_keeps_is_kept_of_computed_values(functions, ada):
    with pytest.raises(errors.NotNullViolationError):
        functions.update({"name": fn.NULLIF(Function.name, "Crop")}, ALL_ROWS)
    with pytest.raises(errors.UniqueViolationError):
        functions.update({"name": fn.SUBSTR(Function.name, 1, 0)}, ALL_ROWS)
    assert functions.count({"name": ["Resize", "Crop"]}) == 2


def test_decimals_are_rounded_as_their_column_is(meters):
    meter = meters.insert({"name": "a", "price": Decimal("1.00")})
    changed = meters.update_by_id(meter.id, {"price": Meter.price * Decimal("1.005")})
    assert changed.price == meters.find_by_id(meter.id).price == Decimal("1.01")


def test_a_claim_changes_by_expressions_too(functions, statements, backend):
    claimed = functions.claim({"status": "active"}, {"status": fn.UPPER(Function.status)}, limit=2)
    assert [row.status for row in claimed] == ["ACTIVE", "ACTIVE"]
    assert len(statements) == 2
    assert 'status = UPPER("functions"."status")' in statements.sql[1]


def test_an_upsert_counts(meters, statements, backend):
    for runs in (1, 2, 3):
        row = {"name": "a", "runs": operators.increment(1), "price": operators.increment(Decimal("0.10"))}
        meter = meters.upsert(row, ["name"])
        assert (meter.runs, meter.price) == (runs, Decimal(runs) / 10)
    sql, _ = sent(statements, backend)
    assert "ON CONFLICT (name) DO UPDATE SET runs = meters.runs + excluded.runs, price = " in sql
    assert len(statements) == 3
    assert meters.count() == 1
    with pytest.raises(errors.InvalidValueError):
        meters.upsert({"name": "a", "runs": operators.increment(2**31 - 1)}, ["name"])
    assert meters.find_one({"name": "a"}).runs == 3


def test_an_upsert_counts_where_null_is_the_same_as_null(meters):
    for runs in (1, 2):
        row = {"name": "a", "code": None, "runs": operators.increment(1)}
        assert meters.upsert(row, ["code"]).runs == runs
    assert (
        meters.upsert({"name": "a", "code": None}, ["code"], update_columns={"label": fn.UPPER(Meter.name)}).label
        == "A"
    )
    assert meters.count() == 1


def test_an_upsert_may_change_the_row_in_its_place_to_something_else(functions, ada, statements, backend):
    row = {"user_id": ada.id, "name": "Crop", "status": "building"}
    key = ["user_id", "name"]
    changes = {"status": fn.UPPER(Function.status), "analysis_result": {"seen": True}}
    changed = functions.upsert(row, key, update_columns=changes)
    assert (changed.status, changed.analysis_result) == ("ACTIVE", {"seen": True})
    sql, parameters = sent(statements, backend)
    changes_of_row = 'SET analysis_result = @, status = UPPER("functions"."status"), updated_at = @'
    assert sql.endswith(f"ON CONFLICT (user_id, name) DO UPDATE {changes_of_row}")
    assert parameters[:3] == [ada.id, "Crop", "building"]
    inserted = functions.upsert(row | {"name": "Blur"}, key, update_columns=changes)
    assert (inserted.status, inserted.analysis_result) == ("building", None)
    assert functions.upsert(row, key, update_columns={"status": "done"}).status == "done"


def test_what_an_upsert_cannot_insert_is_refused(functions, ada, statements):
    row = {"user_id": ada.id, "name": "Crop", "status": fn.UPPER(Function.status)}
    with pytest.raises(errors.InvalidValueError, match="give update_columns a dict"):
        functions.upsert(row, ["user_id", "name"])
    with pytest.raises(errors.InvalidQueryError, match="expected update_columns to be a list of column names"):
        functions.batch_insert(
            [row], on_conflict="update", conflict_columns=["user_id", "name"], update_columns={"status": "x"}
        )
    assert statements == []


def test_a_scope_lets_nothing_be_computed_that_tells_its_rows(database, ada, statements):
    hers = Manager(Function, database, scope=Scope({Function: {"user_id": ada.id}}))
    hers.insert({"name": "Crop"})
    assert hers.update({"name": fn.LOWER(Function.name)}, ALL_ROWS)[0].name == "crop"
    for value in (operators.increment(1), Function.user_id + 1):
        with pytest.raises((errors.UnguardedError, errors.InvalidValueError)):
            hers.update({"user_id": value}, ALL_ROWS)
    assert hers.count() == 1


def test_an_instance_is_a_value_and_no_expression(functions, managers, ada):
    grace = managers.users.insert({"email": "grace@example.com", "password_hash": "…"})
    assert functions.update({"user": grace}, {"name": "Crop"})[0].user_id == grace.id
    with pytest.raises(errors.InvalidValueError, match="once"):
        functions.update({"user": grace, "user_id": Function.user_id}, {"name": "Crop"})


def test_uuids_may_be_computed(functions, ada):
    other = UUID("11111111-1111-4111-8111-111111111111")
    assert functions.update({"uuid": peewee.Value(str(other), converter=False)}, {"name": "Crop"})[0].uuid == other
