"""What models of any kind ask for is what a database says of their tables, in whichever words."""

from __future__ import annotations

from enum import StrEnum

import peewee
import pytest

from cloudpub_models.entity import (
    AutoField,
    BigAutoField,
    BigIntegerField,
    BlobField,
    BooleanField,
    CharField,
    Check,
    DateField,
    DecimalField,
    Default,
    DoubleField,
    Entity,
    EnumField,
    FixedCharField,
    FloatField,
    ForeignKey,
    Index,
    IntegerField,
    IPField,
    JsonField,
    SmallIntegerField,
    TextField,
    TimeField,
    TimestampField,
    UuidField,
)
from cloudpub_models.schema import create_all, find_drift, read_catalogue


class Level(StrEnum):
    """How much."""

    LOW = "low"
    HIGH = "it's high"


class Owner(Entity):
    """What the others refer to."""

    id = AutoField()

    class Meta:
        table_name = "owners"


class Everything(Entity):
    """A column of each kind, with defaults and checks that a server writes in words of its own."""

    id = BigAutoField()
    uuid = UuidField(unique=True)
    owner = ForeignKey(Owner, null=True, on_delete="SET NULL", on_update="CASCADE")
    between = IntegerField(constraints=[Check('"between" BETWEEN 1 AND 5')])
    like = CharField(max_length=20, constraints=[Check("\"like\" LIKE 'x%'")])
    word = CharField(constraints=[Check("word IN ('one')"), Default("'it''s'")])
    price = DecimalField(max_digits=10, decimal_places=2, constraints=[Default("1.50")])
    factor = DoubleField(constraints=[Default("-1")])
    flag = BooleanField(constraints=[Default("true")])
    raw = BlobField(null=True)
    day = DateField(constraints=[Default("CURRENT_DATE")])
    document = JsonField(constraints=[Default("'{}'")])
    small = SmallIntegerField(constraints=[Default("'7'")])
    clock = TimeField(null=True)
    code = FixedCharField(max_length=3, null=True)
    address = IPField(null=True)
    single = FloatField(null=True)
    text = TextField(constraints=[Default("lower('X')"), Check("length(trim(text)) > 0 AND text <> 'a'")])
    large = BigIntegerField(constraints=[Default("1")])
    level = EnumField(Level)
    deleted_at = TimestampField(null=True)
    seen_at = TimestampField(touched_on_update=True)

    class Meta:
        table_name = "everything"
        indexes = (
            (("word", "large"), False),
            Index("everything_lower", "everything", ("lower(word)", "large DESC")),
            Index("everything_coalesce", "everything", ("coalesce(code, 'none')",)),
        )
        constraints = (
            Check("small <> large AND NOT (flag AND small = 2)", "odd"),
            Check("CASE WHEN flag THEN small > 1 ELSE true END", "cased"),
        )


MODELS = (Owner, Everything)


def test_no_drift_where_the_models_made_the_tables(empty: peewee.Database) -> None:
    create_all(empty, MODELS)
    create_all(empty, MODELS)
    assert find_drift(empty, MODELS) == []
    # What one refers to need not be asked about.
    assert find_drift(empty, [Everything]) == []


def test_comparing_keeps_nothing(empty: peewee.Database) -> None:
    create_all(empty, MODELS)
    before = read_catalogue(empty)
    find_drift(empty, MODELS)
    with empty.atomic():
        find_drift(empty, MODELS)
        assert read_catalogue(empty) == before
    assert read_catalogue(empty) == before


@pytest.mark.parametrize("connect", ["postgresql"], indirect=True)
def test_comparing_leaves_no_schema_and_the_settings(empty: peewee.Database) -> None:
    create_all(empty, MODELS)
    path = empty.execute_sql("SHOW search_path").fetchone()
    find_drift(empty, MODELS)
    assert empty.execute_sql("SHOW search_path").fetchone() == path
    schemas = "SELECT nspname FROM pg_namespace WHERE position('cloudpub_scratch' in nspname) > 0"
    assert empty.execute_sql(schemas).fetchall() == []


@pytest.mark.parametrize("connect", ["postgresql"], indirect=True)
def test_one_who_may_only_read_compares_too(migrated: peewee.Database) -> None:
    from cloudpub_models.platform.component import component

    migrated.execute_sql("ALTER TABLE users DROP COLUMN password_hash")
    with migrated.atomic():
        migrated.execute_sql("SET TRANSACTION READ ONLY")
        (difference,) = find_drift(migrated, component.models)
    assert difference.description == "users.password_hash: column: expected varchar(255) NOT NULL; got none"


def test_a_check_that_says_something_else_is_drift(empty: peewee.Database) -> None:
    create_all(empty, MODELS)
    if isinstance(empty, peewee.SqliteDatabase):
        (statement,) = empty.execute_sql("SELECT sql FROM sqlite_master WHERE name = 'everything'").fetchone()
        empty.execute_sql("DROP TABLE everything")
        empty.execute_sql(statement.replace("BETWEEN 1 AND 5", "BETWEEN 1 AND 6"))
    else:
        empty.execute_sql("ALTER TABLE everything DROP CONSTRAINT everything_between_check")
        empty.execute_sql('ALTER TABLE everything ADD CHECK ("between" BETWEEN 1 AND 6)')
    checks = [difference for difference in find_drift(empty, MODELS) if difference.kind == "check"]
    assert len(checks) == 1
    for statement in checks[0].statements:
        empty.execute_sql(statement.replace("%", "%%"))
