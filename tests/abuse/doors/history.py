"""The change log: who acts, whose history is asked for, and what is brought back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from cloudpub_models.errors import CloudpubError, HistoryError, InvalidValueError, NotFoundError
from tests.abuse.world import World

from .accepted import HARMLESS_UUIDS, TEXTS, a_uuid, never, one_of, text
from .door import Doors
from .names import REAL_NAMES

DOORS = Doors()


def _change_made(world: World) -> Any:
    """Return how the log has the insertion of a function, which is removed again."""
    row = world.functions.insert({"user_id": world.user.id, "name": "recorded"})
    (change,) = world.functions.history(row.id, limit=1)
    world.functions.delete_by_id(row.id)
    return change


@DOORS.door(
    "Database.acting_as(actor)", harmless=TEXTS, accepts=text(empty=False), expects=lambda _, given: [given, given]
)
def _(world: World, given: str) -> Any:
    with world.database.acting_as(given):
        alone = _change_made(world).actor
        with world.database.transaction():
            return [alone, _change_made(world).actor]


@DOORS.door(
    "Database.acting_as(details)",
    harmless=TEXTS,
    accepts=text(),
    expects=lambda _, given: {"reason": given, given: [given]},
    passes_over=frozenset(("self", "actor", "reason")),
)
def _(world: World, given: str) -> Any:
    with world.database.acting_as("ada", **{"reason": given, given: [given]}):
        return _change_made(world).details


@DOORS.door("Manager.history(id)", harmless=(), accepts=never)
def _(world: World, given: str) -> Any:
    world.functions.history(given)


@DOORS.door("Manager.diff(id)", harmless=(), accepts=never)
def _(world: World, given: str) -> Any:
    world.functions.diff(given, since=datetime.now(UTC))


@DOORS.door("Manager.diff(since)", "Manager.as_of(moment)", harmless=(), accepts=never)
def _(world: World, given: str) -> Any:
    try:
        world.functions.diff(world.function.id, since=given)
    except CloudpubError:
        world.functions.as_of(given)


@DOORS.door(
    "Manager.as_of(moment): conditions", harmless=TEXTS, accepts=text(254), expects=lambda *_: [], sends_first=True
)
def _(world: World, given: str) -> Any:
    return world.functions.as_of(datetime.now(UTC)).find_all({"name": f"{given}!"})


@DOORS.door("Manager.undelete(id)", harmless=HARMLESS_UUIDS, accepts=a_uuid, expects=lambda *_: None)
def _(world: World, given: str) -> Any:
    try:
        world.functions.undelete(given)
    except NotFoundError:
        return None


@DOORS.door(
    "Manager.undelete(changes)", harmless=TEXTS, accepts=text(255), expects=lambda _, given: given, sends_first=True
)
def _(world: World, given: str) -> Any:
    row = world.functions.insert({"user_id": world.user.id, "name": "deleted"})
    world.functions.delete_by_id(row.id)
    sent = len(world.sent)
    try:
        back = world.functions.undelete(row.id, {"name": given}).row
    except CloudpubError:
        assert len(world.sent) == sent, "sent before it was refused"
        raise
    found = world.functions.find_by_id(row.id)
    world.functions.delete_by_id(row.id)
    assert back == found
    return found.name


@DOORS.door("Manager.undelete(changes): name", harmless=(), accepts=never, passes_over=REAL_NAMES)
def _(world: World, given: str) -> Any:
    world.functions.undelete(-1, {given: "x"})


_TABLES = ("functions", "users")


@DOORS.door(
    "History.of_row(table)",
    "History.forget(table)",
    "History.undelete(table)",
    harmless=_TABLES,
    accepts=one_of(*_TABLES),
    passes_over=REAL_NAMES - set(_TABLES),
)
def _(world: World, given: str) -> Any:
    try:
        world.database.history.undelete(given, 0)
    except (NotFoundError, HistoryError):
        assert world.database.history.of_row(given, 0) == []
        assert world.database.history.forget(given, 0) == 0


@DOORS.door(
    "History.of_row(row_id)",
    "History.forget(row_id)",
    "History.undelete(row_id)",
    harmless=("0",),
    accepts=never,
    sends_first=True,
    passes_over=frozenset(("0",)),
)
def _(world: World, given: str) -> Any:
    history, key = world.database.history, 0 if given == "0" else given
    refused = []
    for call in (history.of_row, history.forget, history.undelete):
        try:
            call("users", key)
        except NotFoundError:
            continue
        except InvalidValueError as error:
            refused.append(error)
    assert len(refused) in (0, 3)
    if refused:
        raise refused[0]


@DOORS.door("History.enable(also)", harmless=(), accepts=never, passes_over=REAL_NAMES)
def _(world: World, given: str) -> Any:
    world.database.history.enable([given])


@DOORS.door("History.prune(older_than)", harmless=(), accepts=never)
def _(world: World, given: str) -> Any:
    world.database.history.prune(given)


@DOORS.door(
    "Database.feed(name)",
    "History.move_consumer(name)",
    "History.remove_consumer(name)",
    harmless=TEXTS,
    accepts=text(empty=False),
    expects=lambda _, given: [given],
)
def _(world: World, given: str) -> Any:
    database = world.database
    refused = []
    for call in (lambda: database.feed(given), lambda: database.history.remove_consumer(given)):
        try:
            call()
        except InvalidValueError as error:
            refused.append(error)
        except HistoryError:
            continue
    if refused:
        raise refused[0]
    with database.feed(given, start="now"):
        pass
    database.history.move_consumer(given, "now")
    names = [consumer.name for consumer in database.history.consumers()]
    database.history.remove_consumer(given)
    return names


@DOORS.door("Database.feed(source)", "History.prune(source)", harmless=("outbox",), accepts=one_of("changes", "outbox"))
def _(world: World, given: Any) -> Any:
    with world.database.feed("sources", source=given, start="now"):
        pass
    world.database.history.prune(timedelta(days=1000), source=given)
    world.database.history.remove_consumer("sources")


@DOORS.door("Database.feed(start)", "History.move_consumer(to)", harmless=("now",), accepts=one_of("now", "oldest"))
def _(world: World, given: Any) -> Any:
    with world.database.feed("starts", start=given, limit=1):
        pass
    world.database.history.move_consumer("starts", given)
    world.database.history.remove_consumer("starts")


def _published(world: World, topic: str, payload: Any) -> Any:
    with world.database.feed("reader", source="outbox", start="now"):
        pass
    try:
        world.database.publish(topic, payload)
        with world.database.feed("reader", source="outbox") as batch:
            return [(message.topic, message.payload) for message in batch]
    finally:
        world.database.history.remove_consumer("reader")


@DOORS.door(
    "Database.publish(topic)",
    harmless=TEXTS,
    accepts=text(empty=False),
    expects=lambda _, given: [(given, None)],
    sends_first=True,
)
def _(world: World, given: str) -> Any:
    return _published(world, given, None)


@DOORS.door(
    "Database.publish(payload)",
    harmless=TEXTS,
    accepts=text(),
    expects=lambda _, given: [("topic", {"text": given, given: [given]})],
    passes_over=frozenset(("text",)),
    sends_first=True,
)
def _(world: World, given: str) -> Any:
    return _published(world, "topic", {"text": given, given: [given]})
