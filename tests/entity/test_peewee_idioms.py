"""The everyday idioms of Peewee on the models and the database, each as Peewee's documentation writes it."""

from __future__ import annotations

import operator
from datetime import UTC, datetime, timedelta
from functools import reduce

import peewee
import pytest
from peewee import JOIN, SQL, Case, Cast, Value, fn, prefetch
from playhouse.shortcuts import dict_to_model, model_to_dict, update_model_from_dict

from cloudpub_models import Function, FunctionDeployment, FunctionLog, Organization, Role, User, UserInformation

MOMENT = datetime(2024, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def db(database):
    with database.bind():
        for number, name in enumerate(("ada", "bob", "eve")):
            user = User.create(
                email=f"{name}@example.com", password_hash="x", created_at=MOMENT + timedelta(days=number)
            )
            for version in range(number):
                Function.create(user=user, name=f"{name}-{version}", status="active" if version else "inactive")
        for function in Function.select().order_by(Function.id):
            for level in ("info", "info", "error"):
                FunctionLog.create(function=function, level=level, message=f"{function.name} {level}")
        yield database


IDIOMS = {}


def idiom(expected):
    """Name an idiom and what it gives."""

    def named(function):
        IDIOMS[function.__name__] = (function, expected)
        return function

    return named


def ids(query):
    return [row.id for row in query]


def ada():
    return User.get(User.email == "ada@example.com")


# Reading


@idiom([1, 2, 3])
def select_all(db):
    return ids(User.select().order_by(User.id))


@idiom([2])
def where_equal(db):
    return ids(User.select().where(User.email == "bob@example.com"))


@idiom([1, 3])
def where_not_equal(db):
    return ids(User.select().where(User.email != "bob@example.com").order_by(User.id))


@idiom([3])
def where_greater(db):
    return ids(User.select().where(User.id > 2))


@idiom([1, 2])
def where_less_or_equal(db):
    return ids(User.select().where(User.id <= 2).order_by(User.id))


@idiom([1, 3])
def where_in_by_shift(db):
    return ids(User.select().where(User.id << [1, 3]).order_by(User.id))


@idiom([1, 3])
def where_in(db):
    return ids(User.select().where(User.id.in_([1, 3])).order_by(User.id))


@idiom([2])
def where_not_in(db):
    return ids(User.select().where(User.id.not_in([1, 3])))


@idiom([])
def where_in_nothing(db):
    return ids(User.select().where(User.id.in_([])))


@idiom([2, 3])
def where_between(db):
    return ids(User.select().where(User.id.between(2, 3)).order_by(User.id))


@idiom([1])
def where_and(db):
    return ids(User.select().where((User.id < 3) & (User.email.startswith("a"))))


@idiom([1, 3])
def where_or(db):
    return ids(User.select().where((User.id == 1) | (User.id == 3)).order_by(User.id))


@idiom([2, 3])
def where_not(db):
    return ids(User.select().where(~(User.id == 1)).order_by(User.id))


@idiom([1])
def where_several(db):
    return ids(User.select().where(User.id < 3, User.email.startswith("a")))


@idiom([1])
def where_chained(db):
    return ids(User.select().where(User.id < 3).where(User.email.startswith("a")))


@idiom([1, 2])
def where_or_where(db):
    return ids(User.select().where(User.id == 1).orwhere(User.id == 2).order_by(User.id))


@idiom([1, 3])
def where_reduced(db):
    clauses = [User.id == number for number in (1, 3)]
    return ids(User.select().where(reduce(operator.or_, clauses)).order_by(User.id))


@idiom([3])
def where_starts_with(db):
    return ids(User.select().where(User.email.startswith("EVE")))


@idiom(3)
def where_ends_with(db):
    return User.select().where(User.email.endswith("example.com")).count()


@idiom([2])
def where_contains(db):
    return ids(User.select().where(User.email.contains("OB@")))


@idiom([2])
def where_ilike(db):
    return ids(User.select().where(User.email ** "BOB%"))


@idiom(3)
def where_null(db):
    return Function.select().where(Function.active_deployment.is_null()).count()


@idiom(0)
def where_not_null(db):
    return Function.select().where(Function.active_deployment.is_null(False)).count()


@idiom(3)
def where_is_none(db):
    return Function.select().where(Function.active_deployment == None).count()  # noqa: E711 - the idiom


@idiom([2, 3])
def where_moment(db):
    return ids(User.select().where(User.created_at > MOMENT).order_by(User.id))


@idiom([3])
def where_instance(db):
    return sorted({function.user_id for function in Function.select().where(Function.user == User.get_by_id(3))})


@idiom([2])
def where_uuid_as_text(db):
    return ids(User.select().where(User.uuid == str(User.get_by_id(2).uuid)))


@idiom(["ada@example.com"])
def filter_by_keyword(db):
    return [user.email for user in User.filter(email="ada@example.com")]


@idiom(2)
def filter_across_a_relation(db):
    return Function.filter(user__email="eve@example.com").count()


@idiom(["eve", "bob", "ada"])
def order_descending(db):
    return [user.email[:3] for user in User.select().order_by(User.id.desc())]


@idiom(["eve", "bob", "ada"])
def order_by_minus(db):
    return [user.email[:3] for user in User.select().order_by(-User.id)]


@idiom([2, 3])
def limit_and_offset(db):
    return ids(User.select().order_by(User.id).limit(2).offset(1))


@idiom([3])
def paginate(db):
    return ids(User.select().order_by(User.id).paginate(2, 2))


@idiom([2, 3])
def slice_of_a_query(db):
    return ids(User.select().order_by(User.id)[1:3])


@idiom(3)
def length_of_a_query(db):
    return len(User.select())


@idiom(3)
def count(db):
    return User.select().count()


@idiom((True, False))
def exists(db):
    return User.select().exists(), User.select().where(User.id == 9).exists()


@idiom("ada@example.com")
def get(db):
    return User.get(User.id == 1).email


@idiom("bob@example.com")
def get_by_id(db):
    return User.get_by_id(2).email


@idiom("bob@example.com")
def get_by_item(db):
    return User[2].email


@idiom(None)
def get_or_none(db):
    return User.get_or_none(User.id == 9)


@idiom("DoesNotExist")
def does_not_exist(db):
    try:
        User.get(User.id == 9)
    except User.DoesNotExist as error:
        return type(error).__mro__[1].__name__


@idiom("ada@example.com")
def first(db):
    return User.select().order_by(User.id).first().email


@idiom(None)
def first_of_none(db):
    return User.select().where(User.id == 9).first()


@idiom([("ada@example.com", 1)])
def tuples(db):
    return list(User.select(User.email, User.id).where(User.id == 1).tuples())


@idiom([{"email": "ada@example.com"}])
def dicts(db):
    return list(User.select(User.email).where(User.id == 1).dicts())


@idiom("ada@example.com")
def namedtuples(db):
    return User.select(User.email).where(User.id == 1).namedtuples().get().email


@idiom(["ada@example.com", "bob@example.com", "eve@example.com"])
def iterator(db):
    return sorted(user.email for user in User.select().iterator())


@idiom("ada")
def alias_of_a_column(db):
    return User.select(fn.SUBSTR(User.email, 1, 3).alias("short")).where(User.id == 1).get().short


@idiom(3)
def scalar(db):
    return User.select(fn.MAX(User.id)).scalar()


@idiom((1, 3))
def scalar_as_tuple(db):
    return User.select(fn.MIN(User.id), fn.MAX(User.id)).scalar(as_tuple=True)


@idiom([1, 2, 3])
def scalars(db):
    return sorted(User.select(User.id).scalars())


@idiom(2)
def distinct(db):
    return Function.select(Function.status).distinct().count()


@idiom([(2, 1), (3, 2)])
def group_by(db):
    query = Function.select(Function.user, fn.COUNT(Function.id)).group_by(Function.user).order_by(Function.user)
    return list(query.tuples())


@idiom([(3, 2)])
def having(db):
    total = fn.COUNT(Function.id)
    return list(Function.select(Function.user, total).group_by(Function.user).having(total > 1).tuples())


@idiom([("inactive", 2), ("active", 1)])
def order_by_an_alias(db):
    total = fn.COUNT(Function.id).alias("total")
    return list(Function.select(Function.status, total).group_by(Function.status).order_by(SQL("total DESC")).tuples())


@idiom("ADA@EXAMPLE.COM")
def upper(db):
    return User.select(fn.UPPER(User.email)).where(User.id == 1).scalar()


@idiom([3])
def lower_in_where(db):
    return ids(User.select().where(fn.LOWER(User.email) == "eve@example.com"))


@idiom(["few", "few", "many"])
def case(db):
    column = Case(None, [(User.id < 3, "few")], "many")
    return [word for (word,) in User.select(column).order_by(User.id).tuples()]


@idiom("1")
def cast(db):
    return User.select(Cast(User.id, "text")).where(User.id == 1).scalar()


@idiom("1")
def cast_by_method(db):
    return User.select(User.id.cast("text")).where(User.id == 1).scalar()


@idiom(11)
def arithmetic(db):
    return User.select(User.id + 10).where(User.id == 1).scalar()


@idiom("ada@example.com!")
def concatenation(db):
    return User.select(User.email.concat("!")).where(User.id == 1).scalar()


@idiom(7)
def value(db):
    return User.select(Value(7)).limit(1).scalar()


@idiom([2024, 5, 1])
def parts_of_a_date(db):
    created = User.created_at
    return [int(part) for part in User.select(created.year, created.month, created.day).order_by(User.id).tuples()[0]]


@idiom([1])
def raw(db):
    return ids(User.raw("SELECT id FROM users WHERE id = 1"))


@idiom((1,))
def execute_sql(db):
    return db.execute_sql("SELECT id FROM users ORDER BY id").fetchone()


# Joins and relations


@idiom(["bob@example.com", "eve@example.com", "eve@example.com"])
def join(db):
    query = Function.select(Function, User).join(User).order_by(Function.id)
    return [function.user.email for function in query]


@idiom([2, 3, 3])
def join_from_the_other_side(db):
    return ids(User.select().join(Function).order_by(User.id))


@idiom([(1, 0), (2, 1), (3, 2)])
def left_join_with_count(db):
    query = User.select(User.id, fn.COUNT(Function.id)).join(Function, JOIN.LEFT_OUTER).group_by(User.id)
    return list(query.order_by(User.id).tuples())


@idiom(3)
def join_on(db):
    return Function.select().join(User, on=(Function.user == User.id)).count()


@idiom("bob@example.com")
def join_with_attr(db):
    query = Function.select(Function, User).join(User, attr="owner").order_by(Function.id)
    return query.get().owner.email


@idiom(2)
def join_three(db):
    return FunctionLog.select().join(Function).join(User).where(User.id == 3, FunctionLog.level == "error").count()


@idiom(3)
def switch(db):
    query = Function.select().join(FunctionLog).switch(Function).join(User).where(FunctionLog.level == "error")
    return query.count()


@idiom(3)
def join_from(db):
    return FunctionLog.select().join_from(FunctionLog, Function).join_from(Function, User).distinct().count() // 3


@idiom([(2, 3), (3, 2)])
def self_join(db):
    other = User.alias()
    query = User.select(User.id, other.id).join(other, JOIN.INNER, on=(User.id != other.id)).where(User.id > 1)
    return list(query.where(other.id > 1).order_by(User.id).tuples())


@idiom(["eve-0", "eve-1"])
def backref(db):
    return [function.name for function in User.get_by_id(3).functions.order_by(Function.id)]


@idiom(1)
def backref_filtered(db):
    return User.get_by_id(3).functions.where(Function.status == "active").count()


@idiom((3, "eve@example.com"))
def foreign_key(db):
    function = Function.get(Function.name == "eve-0")
    return function.user_id, function.user.email


@idiom([0, 1, 2])
def prefetched(db):
    return [len(user.functions) for user in prefetch(User.select().order_by(User.id), Function.select())]


@idiom([6, 3])
def prefetched_two_levels(db):
    users = prefetch(User.select().where(User.id > 1).order_by(-User.id), Function.select(), FunctionLog.select())
    return [sum(len(function.logs) for function in user.functions) for user in users]


@idiom([0, 1, 2])
def prefetched_by_method(db):
    return [len(user.functions) for user in User.select().order_by(User.id).prefetch(Function)]


# Subqueries, unions, common tables, windows


@idiom([2, 3])
def subquery_in(db):
    return ids(User.select().where(User.id.in_(Function.select(Function.user))).order_by(User.id))


@idiom([1])
def not_exists(db):
    return ids(User.select().where(~fn.EXISTS(Function.select().where(Function.user == User.id))))


@idiom([0, 1, 2])
def scalar_subquery(db):
    total = Function.select(fn.COUNT(Function.id)).where(Function.user == User.id)
    return [user.total for user in User.select(User, total.alias("total")).order_by(User.id)]


@idiom(2)
def join_a_subquery(db):
    busy = Function.select(Function.user, fn.COUNT(Function.id).alias("n")).group_by(Function.user).alias("busy")
    query = User.select(User.id, busy.c.n).join(busy, on=(busy.c.user_id == User.id)).where(busy.c.n > 1)
    return query.dicts().get()["n"]


@idiom([1, 3])
def union(db):
    query = User.select(User.id).where(User.id == 1) | User.select(User.id).where(User.id == 3)
    return sorted(user.id for user in query)


@idiom([2])
def intersect(db):
    return ids(User.select(User.id).where(User.id < 3) & User.select(User.id).where(User.id > 1))


@idiom([1])
def except_(db):
    return ids(User.select(User.id).where(User.id < 3) - User.select(User.id).where(User.id > 1))


@idiom([3])
def common_table(db):
    busy = Function.select(Function.user_id).where(Function.status == "active").cte("busy")
    return ids(User.select().join(busy, on=(busy.c.user_id == User.id)).with_cte(busy))


@idiom([1, 2, 3, 4])
def recursive_common_table(db):
    base = peewee.Select(columns=(Value(1).alias("n"),)).cte("numbers", recursive=True, columns=("n",))
    more = peewee.Select((base,), (base.c.n + 1,)).where(base.c.n < 4)
    numbers = base.union_all(more)
    return [n for (n,) in numbers.select_from(numbers.c.n).bind(db.engine).tuples()]


@idiom([(2, 1), (3, 1), (3, 2)])
def window(db):
    number = fn.ROW_NUMBER().over(partition_by=[Function.user], order_by=[Function.id])
    return list(Function.select(Function.user, number).order_by(Function.id).tuples())


# Writing


@idiom((4, "new@example.com"))
def create(db):
    user = User.create(email="new@example.com", password_hash="x")
    return user.id, User.get_by_id(user.id).email


@idiom(1)
def save_a_new_row(db):
    return User(email="new@example.com", password_hash="x").save()


@idiom("inactive")
def save_a_change(db):
    function = Function.get()
    function.status = "inactive"
    function.save()
    return Function.get_by_id(function.id).status


@idiom(["status"])
def dirty_fields(db):
    function = Function.get()
    function.status = "other"
    return [field.name for field in function.dirty_fields]


@idiom(("bob-0", "other"))
def save_only(db):
    function = Function.get(Function.name == "bob-0")
    function.name, function.status = "changed", "other"
    function.save(only=[Function.status])
    found = Function.get_by_id(function.id)
    return found.name, found.status


@idiom(4)
def insert(db):
    return User.insert(email="new@example.com", password_hash="x").execute()


@idiom(5)
def insert_many(db):
    User.insert_many([{"email": f"{n}@example.com", "password_hash": "x"} for n in range(2)]).execute()
    return User.select().count()


@idiom(5)
def insert_many_tuples(db):
    User.insert_many([(f"{n}@example.com", "x") for n in range(2)], fields=[User.email, User.password_hash]).execute()
    return User.select().count()


@idiom(6)
def insert_from(db):
    query = User.select(User.email.concat(".org"), User.password_hash)
    User.insert_from(query, fields=[User.email, User.password_hash]).execute()
    return User.select().count()


@idiom(5)
def bulk_create(db):
    User.bulk_create([User(email=f"{n}@example.com", password_hash="x") for n in range(2)], batch_size=1)
    return User.select().count()


@idiom((3, ["changed"]))
def bulk_update(db):
    functions = list(Function.select())
    for function in functions:
        function.status = "changed"
    touched = Function.bulk_update(functions, fields=[Function.status], batch_size=2)
    return touched, sorted(function.status for function in Function.select(Function.status).distinct())


@idiom((True, False))
def get_or_create(db):
    _, made = Function.get_or_create(user=1, name="new", defaults={"status": "building"})
    _, again = Function.get_or_create(user=1, name="new")
    return made, again


@idiom(2)
def update(db):
    return Function.update(status="building").where(Function.status == "inactive").execute()


@idiom(1)
def update_by_dict(db):
    return Function.update({Function.status: "x"}).where(Function.name == "bob-0").execute()


@idiom("bob-0!")
def update_with_an_expression(db):
    Function.update(name=Function.name.concat("!")).where(Function.name == "bob-0").execute()
    return Function.get(Function.user == 2).name


@idiom("changed")
def set_by_id(db):
    Function.set_by_id(1, {"status": "changed"})
    return Function[1].status


@idiom("changed")
def set_by_item(db):
    Function[1] = {"status": "changed"}
    return Function[1].status


@idiom(["bob-0"])
def update_returning(db):
    query = Function.update(status="x").where(Function.user == 2).returning(Function)
    return [function.name for function in query.execute()]


@idiom(["new@example.com"])
def insert_returning(db):
    query = User.insert(email="new@example.com", password_hash="x").returning(User)
    return [user.email for user in query.execute()]


@idiom(["bob-0"])
def delete_returning(db):
    return [function.name for function in Function.delete().where(Function.user == 2).returning(Function).execute()]


@idiom(2)
def delete(db):
    return Function.delete().where(Function.user == 3).execute()


@idiom(1)
def delete_by_id(db):
    return Function.delete_by_id(1)


@idiom(2)
def delete_by_item(db):
    del Function[1]
    return Function.select().count()


@idiom((1, 3))
def delete_instance(db):
    return User.get_by_id(2).delete_instance(), Function.select().count() + 1


@idiom((0, 0, 1))
def delete_instance_recursive(db):
    eve = User.get_by_id(3)
    acme, other = (Organization.create(name=name, owner=owner) for name, owner in (("acme", eve), ("other", ada())))
    acme.members.add(User[2])
    other.members.add(ada())
    eve.delete_instance(recursive=True)
    return Function.select().where(Function.user == 3).count(), len(acme.memberships), len(other.memberships)


@idiom(3)
def on_conflict_ignore(db):
    User.insert(email="ada@example.com", password_hash="y").on_conflict_ignore().execute()
    return User.select().count()


@idiom("y")
def on_conflict_update(db):
    User.insert(email="ada@example.com", password_hash="y").on_conflict(
        conflict_target=[User.email], update={User.password_hash: "y"}
    ).execute()
    return ada().password_hash


@idiom("y")
def on_conflict_preserve(db):
    User.insert(email="ada@example.com", password_hash="y").on_conflict(
        conflict_target=(User.email,), preserve=(User.password_hash,)
    ).execute()
    return ada().password_hash


@idiom("x")
def on_conflict_where(db):
    User.insert(email="ada@example.com", password_hash="y").on_conflict(
        conflict_target=[User.email], preserve=[User.password_hash], where=(User.id > 1)
    ).execute()
    return ada().password_hash


# Fields


@idiom({"a": [1, {"b": None}]})
def json_document(db):
    Function.update(analysis_result={"a": [1, {"b": None}]}).where(Function.id == 1).execute()
    return Function[1].analysis_result


@idiom(1)
def json_path(db):
    Function.update(analysis_result={"language": {"name": "python"}}).where(Function.id == 1).execute()
    return Function.select().where(Function.analysis_result["language"]["name"] == "python").count()


@idiom(Role.TEAM)
def enumeration(db):
    UserInformation.create(user=ada(), first_name="A", last_name="L", role=Role.TEAM)
    return UserInformation.get(UserInformation.role == Role.TEAM).role


@idiom(MOMENT)
def aware_moment(db):
    return ada().created_at


@idiom(True)
def boolean(db):
    FunctionDeployment.create(function=1, version=1, image_tag="i", s3_key="k", is_active=True)
    return FunctionDeployment.get(FunctionDeployment.is_active).is_active


@idiom(36)
def uuid_text(db):
    return len(str(ada().uuid))


# Instances, dicts, tables


@idiom("ada@example.com")
def as_dict(db):
    return model_to_dict(ada())["email"]


@idiom(("bob@example.com", 2))
def from_dict(db):
    user = dict_to_model(User, {"id": 2, "email": "bob@example.com"})
    return user.email, user.id


@idiom("crop")
def update_from_dict(db):
    return update_model_from_dict(Function.get(), {"name": "crop"}).name


@idiom(True)
def equality_and_hash(db):
    return ada() == ada() and len({ada(), ada()}) == 1


@idiom((True, "users"))
def tables(db):
    return User.table_exists(), User._meta.table_name


@idiom(["id", "organization_id", "user_id", "joined_at"])
def columns(db):
    return [column.name for column in db.get_columns("organization_members")]


@idiom({"user_id"})
def foreign_keys(db):
    return {key.column for key in db.get_foreign_keys("user_information")}


@idiom(["id"])
def primary_keys(db):
    return db.get_primary_keys("functions")


@idiom(0)
def truncate(db):
    FunctionLog.truncate_table()
    return FunctionLog.select().count()


# Transactions


@idiom(3)
def atomic_that_fails(db):
    with pytest.raises(ZeroDivisionError), db.atomic():
        User.create(email="new@example.com", password_hash="x")
        raise ZeroDivisionError
    return User.select().count()


@idiom(4)
def atomic_inside_atomic(db):
    with db.atomic():
        User.create(email="new@example.com", password_hash="x")
        with pytest.raises(peewee.IntegrityError), db.atomic():
            User.create(email="new@example.com", password_hash="x")
    return User.select().count()


@idiom(4)
def atomic_as_decorator(db):
    @db.atomic()
    def make(name):
        return User.create(email=name, password_hash="x")

    make("new@example.com")
    return User.select().count()


@idiom("UniqueViolationError")
def integrity_error(db):
    try:
        User.create(email="ada@example.com", password_hash="x")
    except peewee.IntegrityError as error:
        return type(error).__name__


@idiom(["a", "b"])
def batch_commit(db):
    return list(db.batch_commit(iter("ab"), 1))


@idiom(True)
def connection_context(db):
    with db.connection_context():
        return not db.is_closed() and User.select().exists()


@idiom(["acme"])
def many_to_many(db):
    acme = Organization.create(name="acme", owner=ada())
    acme.members.add(ada())
    return [organization.name for organization in ada().organizations]


def test_they_are_more_than_a_hundred():
    assert len(IDIOMS) > 100


@pytest.mark.parametrize("name", IDIOMS)
def test_idiom(db, name):
    use, expected = IDIOMS[name]
    assert use(db) == expected
