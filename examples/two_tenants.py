"""Two companies on one database, each of which sees its own tickets: tables of one's own, without the platform's.

    python examples/two_tenants.py [URL]

It makes its tables, has two companies work in them, lets one of them try to reach the other's rows, and says what came
of that. Without a URL the database is in memory.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from cloudpub_models import Component, Database, Manager, Managers, operators
from cloudpub_models.entity import AutoField, CharField, Entity, ForeignKey, ModelSelect, TextField, TimestampField
from cloudpub_models.errors import CloudpubError


class Company(Entity):
    """Whose rows there are."""

    id = AutoField()
    name = CharField(max_length=100, unique=True)

    boards: ModelSelect[Board]

    class Meta:
        """Its table."""

        table_name = "companies"


class Board(Entity):
    """Where a company has its tickets."""

    id = AutoField()
    company = ForeignKey(Company, backref="boards", on_delete="CASCADE")
    name = CharField(max_length=100)

    company_id: int
    tickets: ModelSelect[Ticket]

    class Meta:
        """Its table, whose rows are the company's to which they refer."""

        table_name = "boards"
        owner = "company"


class Ticket(Entity):
    """Something to be done."""

    id = AutoField()
    board = ForeignKey(Board, backref="tickets", on_delete="CASCADE")
    title = TextField()
    created_at = TimestampField()

    board_id: int

    class Meta:
        """Its table, whose rows are the company's to which the board belongs."""

        table_name = "tickets"
        owner = "board"


class Desk(Managers):
    """The managers of these tables."""

    companies: Manager[Company]
    boards: Manager[Board]
    tickets: Manager[Ticket]


component = Component("desk", models=(Company, Board, Ticket))


def sign_up(desk: Desk, name: str, *titles: str) -> Company:
    """Return a company with a board and some tickets on it."""
    company = desk.unrestricted("a company signs up").companies.insert({"name": name})
    own = desk.owned_by(company)
    board = own.boards.insert({"name": "support"})
    own.tickets.batch_insert({"board_id": board.id, "title": title} for title in titles)
    return company


def attempts(desk: Desk, company: Company, other: Company) -> dict[str, Callable[[], object]]:
    """Return what a company may try to get at the rows of another."""
    own, theirs = desk.owned_by(company), desk.owned_by(other)
    ticket = theirs.tickets.get_one(include=("board",))
    return {
        "find it by its id": lambda: own.tickets.find_by_id(ticket.id),
        "count what it might be": lambda: own.tickets.count({"board.company.name": other.name}),
        "delete it": lambda: own.tickets.delete_by_id(ticket.id),
        "put one on their board": lambda: own.tickets.insert({"board_id": ticket.board_id, "title": "spam"}),
        "give a board away": lambda: own.boards.update({"company_id": other.id}, {"name": "support"}),
        "ask in SQL": lambda: own.tickets.raw("SELECT id, title FROM tickets"),
        "forget who asks": lambda: desk.tickets.find_all(),
    }


def run(url: str) -> None:
    """Have two companies work on one database."""
    database = Database(url, components=[component], platform=False, require_owner=True)
    with database.bind():
        database.engine.create_tables(component.models)
    desk = Desk(database)
    acme = sign_up(desk, "Acme", "the door sticks", "the lamp flickers")
    globex = sign_up(desk, "Globex", "the reactor hums")
    for company in (acme, globex):
        own = desk.owned_by(company)
        print(f"{company.name}: {', '.join(own.tickets.values('title', order_by='id'))}")
    for what, attempt in attempts(desk, acme, globex).items():
        try:
            told = repr(attempt())
        except CloudpubError as error:
            told = f"{type(error).__name__}: {str(error).partition(';')[0]}"
        print(f"  {what}: {told}")
    everything = desk.unrestricted("how busy the desk is")
    print(everything.tickets.aggregate(group_by="board.company.name", tickets=operators.count()))
    database.close()


if __name__ == "__main__":
    run(sys.argv[1] if len(sys.argv) > 1 else "sqlite:///:memory:")
