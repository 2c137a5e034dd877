"""What models are made of, as others import it: complete, and without the platform."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import peewee
import pytest

from cloudpub_models import entity
from cloudpub_models.entity.binding import current_database, sql_dialect_of
from cloudpub_models.schema import create_all, find_drift

CHECKOUT = Path(__file__).parents[2]


def test_every_name_is_there() -> None:
    for name in entity.__all__:
        assert getattr(entity, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        entity.Nothing  # noqa: B018


def test_importing_it_imports_nothing_of_the_platform() -> None:
    """The face itself is left out here, since importing any module of a package runs the package's own."""
    program = (
        "import sys, types; face = types.ModuleType('cloudpub_models');"
        f"face.__path__ = [{str(CHECKOUT / 'cloudpub_models')!r}]; sys.modules['cloudpub_models'] = face;"
        "from cloudpub_models.entity import Entity, many_to_many;"
        "print(*sorted({name.split('.')[1] for name in sys.modules if name.startswith('cloudpub_models.')}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["entity", "errors", "sql"]


class Team(entity.Entity):
    """Some people."""

    id = entity.AutoField()
    uuid = entity.UuidField(unique=True)
    name = entity.CharField()

    people: entity.ModelSelect[Person]
    mentors: entity.ModelSelect[Person]


class Person(entity.Entity):
    """Somebody in one team at most."""

    uuid = entity.UuidField(primary_key=True)
    name = entity.CharField()

    team: Team | None
    taught: entity.ModelSelect[Team]


class Membership(entity.Entity):
    """Who is in which team."""

    id = entity.AutoField()
    team = entity.ForeignKey(Team, on_delete="CASCADE", backref="memberships")
    person = entity.OneToOneKey(Person, on_delete="CASCADE", backref="membership")
    since = entity.TimestampField()
    changed_at = entity.TimestampField(touched_on_update=True)


class Mentoring(entity.Entity):
    """Who teaches which team; a table without a key of its own column."""

    team = entity.ForeignKey(Team)
    person = entity.ForeignKey(Person, backref="mentorings")
    seen_at = entity.TimestampField(touched_on_update=True)

    class Meta:
        primary_key = entity.CompositeKey("team", "person")


entity.many_to_many(Membership.team, Membership.person, "people", backref="team")
entity.many_to_many(Mentoring.team, Mentoring.person, "mentors", backref="taught")
MODELS = (Team, Person, Membership, Mentoring)


@pytest.fixture
def made(bound: peewee.Database) -> peewee.Database:
    create_all(bound, MODELS)
    return bound


def test_relations_through_a_table_in_between(made: peewee.Database) -> None:
    team = Team.create(name="a")
    ada, bob = Person.create(name="ada"), Person.create(name="bob")
    Membership.create(team=team, person=ada)
    for other in (ada, bob):
        Mentoring.create(team=team, person=other)
    assert [person.name for person in team.people] == ["ada"]
    assert ada.team == team
    assert bob.team is None
    assert {person.name for person in team.mentors} == {"ada", "bob"}
    assert [taught.name for taught in bob.taught] == ["a"]


def test_what_is_left_out_is_made_by_the_database_too(made: peewee.Database) -> None:
    made.execute_sql("INSERT INTO team (name) VALUES ('raw')")
    made.execute_sql("INSERT INTO person (name) VALUES ('raw')")
    assert Team.get().uuid.version == 4
    assert Person.get().uuid.version == 4
    assert find_drift(made, MODELS) == []


def test_a_column_of_any_name_is_touched_on_update(made: peewee.Database) -> None:
    person, team = Person.create(name="ada"), Team.create(name="a")
    Membership.create(team=team, person=person)
    Mentoring.create(team=team, person=person)
    for model, column in ((Membership, "changed_at"), (Mentoring, "seen_at")):
        table = model._meta.table_name
        made.execute_sql(f"UPDATE {table} SET {column} = '2001-01-01 00:00:00.000000'")
        made.execute_sql(f"UPDATE {table} SET team_id = team_id")
        assert getattr(model.get(), column).year > 2001


def test_a_table_with_a_long_name_has_no_drift(bound: peewee.Database) -> None:
    class Long(entity.Entity):
        """Names of its parts are longer than PostgreSQL takes."""

        id = entity.AutoField()
        a_column_with_a_rather_long_name = entity.UuidField(unique=True)
        another_column_with_a_rather_long_name = entity.CharField(index=True)
        touched_again_and_again_on_every_update = entity.TimestampField(touched_on_update=True)
        team_by_a_long_name_of_the_reference = entity.ForeignKey(Team, null=True)

        class Meta:
            table_name = "a_table_with_a_name_that_is_nearly_as_long_as_one_may_be"

    create_all(bound, (Team, Long))
    assert find_drift(bound, (Team, Long)) == []


def test_the_bound_database_is_asked(bound: peewee.Database) -> None:
    assert sql_dialect_of(current_database) is sql_dialect_of(bound)
