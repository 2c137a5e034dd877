"""Hostile strings through every door: only values reach SQL, and nothing else happens than for harmless ones."""

from __future__ import annotations

import re
from typing import Any

import psycopg2.extensions
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudpub_models.errors import CloudpubError, InvalidQueryError
from cloudpub_models.sql import POSTGRESQL
from tests.abuse.doors import DOORS, Canonical, Door
from tests.abuse.payloads import EVERY, GENERATED, some
from tests.abuse.world import World

# A message shows a hostile string in part; what else it says is ours.
LONGEST_MESSAGE = 1200

# Each refusal looks through all time zones for the nearest name.
SLOW = [door for door in DOORS if "timezone" in door.name]

pytestmark = pytest.mark.filterwarnings("ignore:QueryHelpers are the old call style")

_known: dict[tuple[str, int], dict[str, list[str]]] = {}


_TOKEN = re.compile(r"E'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--|/\*|;|[^;'\"]", re.DOTALL)


def literals_and_rest(sql: str) -> tuple[list[str], str]:
    """Take a statement's string literals out, by PostgreSQL's rules and without this library's help."""
    literals: list[str] = []
    rest: list[str] = []
    for token in _TOKEN.findall(sql):
        if token[0] == "'" or token[:2] == "E'":
            literals.append(token)
            rest.append("<literal>")
        else:
            rest.append(token)
    assert "".join(_TOKEN.findall(sql)) == sql
    return literals, "".join(rest)


def known(world: World, door: Door) -> dict[str, list[str]]:
    """What is sent for each of the door's harmless strings."""
    key = (world.dialect.name, id(door))
    if key not in _known:
        _known[key] = {}
        for harmless in door.harmless:
            world.sent.clear()
            door.call(world, harmless)
            _known[key][harmless] = list(world.sent)
    return _known[key]


def opened(world: World, door: Door, text: str) -> tuple[Any, CloudpubError | None]:
    try:
        return door.call(world, text), None
    except CloudpubError as error:
        return None, error


def push(world: World, door: Door, text: str) -> None:
    """Open a door with a string, and hold what happens against what is said of the door."""
    if text in door.passes_over:
        return
    templates = known(world, door)
    texts = {sql for sent in templates.values() for sql in sent}
    world.sent.clear()
    result, error = opened(world, door, text)
    if error is not None:
        assert len(str(error)) < LONGEST_MESSAGE, str(error)[:300]
    if not door.accepts(text):
        assert error is not None, f"taken: {text[:60]!r}"
        assert not set(world.sent) - texts if door.sends_first else world.sent == [], world.sent
        return
    if error is not None:
        # A name it was, but not of anything that the query or the database has.
        assert door.rewrites, f"refused: {error}"
        assert isinstance(error, InvalidQueryError)
        assert len(world.sent) <= 1
    elif door.expects is not None:
        assert result == door.expects(world, text)
    if door.rewrites:
        ((harmless, template),) = templates.items()
        expected = [Canonical.of(sql.replace(harmless, text)) for sql in template]
        assert [Canonical.of(sql) for sql in world.sent] in (expected, [])
    elif door.writes_literals:
        assert {literals_and_rest(sql)[1] for sql in world.sent} <= {literals_and_rest(sql)[1] for sql in texts}
    else:
        sent = set(world.sent)
        if not sent <= texts:
            # A feed asks otherwise once what others have committed can be seen; so it does for harmless strings then.
            _known.pop((world.dialect.name, id(door)))
            texts |= {sql for some_sent in known(world, door).values() for sql in some_sent}
        assert sent <= texts, sent - texts


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
def test_payloads(world: World, door: Door) -> None:
    for text in some(door.name, core=6, others=0 if door in SLOW else 3):
        push(world, door, text)
    world.assert_unharmed()


@pytest.mark.soak
def test_every_payload_through_every_door(world: World) -> None:
    for door in DOORS:
        for text in EVERY:
            push(world, door, text)
    world.assert_unharmed()


def generated(world: World, number: int) -> None:
    @settings(max_examples=number, deadline=None, database=None)
    @given(st.sampled_from([door for door in DOORS if door not in SLOW]), GENERATED)
    def push_any(door: Door, text: str) -> None:
        push(world, door, text)

    push_any()
    world.assert_unharmed()


def test_generated(world: World) -> None:
    generated(world, 100)


@pytest.mark.soak
def test_generated_for_long(world: World) -> None:
    generated(world, 40_000)


def test_what_goes_over_the_wire_is_one_statement_with_one_literal_for_each_value(postgresql_url: str) -> None:
    from cloudpub_models import Database

    database = Database(postgresql_url)
    with database.transaction():
        connection: psycopg2.extensions.connection = database.engine.connection()
        for text in EVERY:
            try:
                sql, values = database.engine.bind_parameters(
                    "SELECT id FROM users WHERE email = @one OR email IN @two OR email = @one",
                    {"one": text, "two": (text, text)},
                )
            except CloudpubError:
                continue
            sent = connection.cursor().mogrify(sql, values).decode()
            literals, rest = literals_and_rest(sent)
            assert len(literals) == 4
            # psycopg2 puts a blank before E'…', so that it cannot grow together with what stands before it.
            assert rest.replace(" <", "<") == sql.replace("%s", "<literal>").replace(" <", "<")
            assert len(set(literals)) == 1
            assert ";" not in rest
            (row,) = database.raw_query_all("SELECT @one AS text", {"one": text})
            assert row == {"text": text}
    database.close()
    assert database.dialect == POSTGRESQL.name
