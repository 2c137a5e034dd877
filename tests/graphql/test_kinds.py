"""What is shown of each table: the DTOs' fields, each read from a column or a public id, and nothing beside them."""

from __future__ import annotations

from datetime import date
from uuid import UUID

import peewee
import pytest

from cloudpub_models import Component, Database, Function, Managers, User
from cloudpub_models.dto import FunctionDto, UserDto
from cloudpub_models.dto.base import Dto
from cloudpub_models.entity import AutoField, CharField, Entity, ForeignKey, IntegerField, UuidField
from cloudpub_models.errors import ConfigurationError
from cloudpub_models.graphql import answer, kinds
from cloudpub_models.graphql.kinds import kinds_of, shown_by
from cloudpub_models.platform.component import component as platform
from cloudpub_models.schema import create_all

SHOWN = shown_by([platform])


def test_each_table_of_the_platform_is_shown_as_its_dto_does() -> None:
    found = kinds_of(SHOWN)
    assert set(found) == set(platform.models)
    for model, dto in SHOWN:
        assert list(found[model].leaves) == list(dto.model_fields)
        assert all(leaf.description for leaf in found[model].leaves.values()), model


def test_no_relation_leads_round_the_privacy_rule() -> None:
    leading = {(kind.name, name) for kind in kinds_of(SHOWN).values() for name in kind.relations}
    assert {related for name, related in leading if name in ("Organization", "OrganizationMember")} == {"members"}


def test_relations_to_tables_that_are_not_there_are_left_out() -> None:
    assert list(kinds_of(((User, UserDto),))[User].relations) == []


@pytest.mark.parametrize("name", ["password_hash", "age", "id"])
def test_a_field_that_may_not_be_shown_is_refused(name: str) -> None:
    class Other(Dto):
        """Another."""

    Other.model_fields[name] = UserDto.model_fields["email"]
    with pytest.raises(ConfigurationError, match=f"columns of User and may be shown; got {name}"):
        kinds._kind(User, Other, {User})


class Invoice(Entity):
    id = AutoField()
    uuid = UuidField(unique=True)
    # No attribute of User, which other tests look at.
    user = ForeignKey(User, backref="+")
    name = CharField(max_length=50, column_name="title")
    cents = IntegerField()
    due = peewee.DateField(null=True)
    note = CharField(max_length=50, default="internal")

    class Meta:
        table_name = "invoices"


class InvoiceDto(Dto):
    """What somebody owes.

    Attributes:
        uuid: its public id.
        title: what for.
        cents: how much.
        due: when.
        user_uuid: who owes it.
    """

    uuid: UUID
    title: str
    cents: int
    due: date | None = None
    user_uuid: UUID | None = None


def billing(dto: type[Dto] = InvoiceDto) -> Component:
    return Component("billing", models=[Invoice], after=["cloudpub"], dtos={Invoice: dto})


def test_a_table_of_ones_own_is_shown_by_the_dto_that_its_component_names() -> None:
    database = Database("sqlite:///:memory:", components=[billing()])
    database.migrate()
    create_all(database.engine, [Invoice])
    managers = Managers(database)
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "x"})
    managers.for_model(Invoice).insert({"user_id": ada.id, "title": "May", "cents": 500, "due": date(2026, 6, 1)})
    query = """{
      invoices { nodes { title cents due userUuid user { email } } }
    }"""
    assert answer(managers, query) == {
        "data": {
            "invoices": {
                "nodes": [
                    {
                        "title": "May",
                        "cents": 500,
                        "due": "2026-06-01",
                        "userUuid": str(ada.uuid),
                        "user": {"email": "ada@example.com"},
                    }
                ]
            },
        }
    }
    assert "Cannot query field 'note'" in answer(managers, "{ invoices { nodes { note } } }")["errors"][0]["message"]
    database.close()


def test_relations_of_a_table_of_ones_own_lead_both_ways() -> None:
    class Line(Entity):
        uuid = UuidField(unique=True)
        invoice = ForeignKey(Invoice, backref="lines")
        text = CharField(max_length=50)

        class Meta:
            table_name = "lines"

    class LineDto(Dto):
        """What is paid for."""

        text: str

    component = Component(
        "billing", models=[Invoice, Line], after=["cloudpub"], dtos={Invoice: InvoiceDto, Line: LineDto}
    )
    with_both = Database("sqlite:///:memory:", components=[component])
    with_both.migrate()
    create_all(with_both.engine, [Invoice, Line])
    managers = Managers(with_both)
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "x"})
    invoice = managers.for_model(Invoice).insert({"user_id": ada.id, "title": "May", "cents": 500})
    managers.for_model(Line).batch_insert({"invoice_id": invoice.id, "text": text} for text in ("one", "two"))
    query = "{ invoices { nodes { lines(first: 1) { nodes { text invoice { title } } pageInfo { hasNextPage } } } } }"
    lines = {"nodes": [{"text": "two", "invoice": {"title": "May"}}], "pageInfo": {"hasNextPage": True}}
    assert answer(managers, query) == {"data": {"invoices": {"nodes": [{"lines": lines}]}}}
    with_both.close()


def test_one_without_a_dto_is_not_shown() -> None:
    assert Invoice not in dict(shown_by([platform, Component("billing", models=[Invoice], after=["cloudpub"])]))


def test_a_dto_with_a_type_that_graphql_has_none_for_is_refused() -> None:
    class Odd(InvoiceDto):
        due: bytes

    database = Database("sqlite:///:memory:", components=[billing(Odd)])
    with pytest.raises(ConfigurationError, match="expected fields of Invoice that GraphQL has a type for; got"):
        answer(Managers(database), "{ __typename }")


def test_functions_know_their_users_alone_where_nothing_else_is_shown() -> None:
    assert list(kinds_of(((User, UserDto), (Function, FunctionDto)))[Function].relations) == ["user"]
