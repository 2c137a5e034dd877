"""The operations of the domain: users, organizations, functions and what belongs to them."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from tests.abuse.world import World

from .accepted import HARMLESS_UUIDS, TEXTS, a_uuid, never, one_of, text
from .door import Door, Doors

DOORS = Doors()


DOORS.in_vain(
    "UserManager.find_by_email(email)",
    lambda world, given: world.users.find_by_email(given),
    text(255),
    (*TEXTS, "zoë@example.com"),
)
for _method, _result in (
    ("get_user_complete(user_uuid)", None),
    ("get_user_with_information(user_uuid)", None),
    ("get_user_with_organization(user_uuid)", None),
    ("get_users_by_organization(organization)", []),
):
    DOORS.in_vain(
        f"UserManager.{_method}",
        lambda world, given, method=_method: getattr(world.users, method.partition("(")[0])(given),
        a_uuid,
        HARMLESS_UUIDS,
        _result,
    )
DOORS.in_vain(
    "UserManager.get_all_users_with_information(role)",
    lambda world, given: world.users.get_all_users_with_information(given),
    one_of("developer", "team"),
    ("developer", "team"),
    [],
)
for _method, _result in (
    ("get_organization_with_members(organization)", None),
    ("get_user_organization(user)", None),
    ("is_user_in_organization(user)", False),
    ("get_organization_member_count(organization)", 0),
    ("remove_user_from_organization(user)", False),
):
    DOORS.in_vain(
        f"OrganizationManager.{_method}",
        lambda world, given, method=_method: getattr(world.managers.organizations, method.partition("(")[0])(given),
        a_uuid,
        HARMLESS_UUIDS,
        _result,
    )
DOORS.in_vain(
    "OrganizationManager.is_user_in_organization(organization)",
    lambda world, given: world.managers.organizations.is_user_in_organization(world.user, given),
    a_uuid,
    HARMLESS_UUIDS,
    False,
)
DOORS.in_vain(
    "OrganizationManager.remove_user_from_organization(organization)",
    lambda world, given: world.managers.organizations.remove_user_from_organization(world.user, given),
    a_uuid,
    HARMLESS_UUIDS,
    False,
)
# A well-formed key of nobody is a NotFoundError, so these have no string that is taken.
for _name, _call in {
    "OrganizationManager.create(owner)": lambda world, given: world.managers.organizations.create("x", given),
    "OrganizationManager.add_user_to_organization(user)": lambda world, given: (
        world.managers.organizations.add_user_to_organization(given, world.organization)
    ),
    "OrganizationManager.add_user_to_organization(organization)": lambda world, given: (
        world.managers.organizations.add_user_to_organization(world.other, given)
    ),
    "OrganizationManager.transfer_ownership(organization)": lambda world, given: (
        world.managers.organizations.transfer_ownership(given, world.user)
    ),
    "OrganizationManager.transfer_ownership(new_owner)": lambda world, given: (
        world.managers.organizations.transfer_ownership(world.organization, given)
    ),
    "FunctionDeploymentManager.deploy(function)": lambda world, given: world.managers.function_deployments.deploy(
        given, "x", "x"
    ),
    "FunctionDeploymentManager.activate(deployment)": lambda world, given: world.managers.function_deployments.activate(
        given
    ),
    "FunctionDeploymentManager.rollback(function)": lambda world, given: world.managers.function_deployments.rollback(
        given
    ),
    "FunctionDeploymentManager.history(function)": lambda world, given: world.managers.function_deployments.history(
        given
    ),
    "FunctionLogManager.append(function)": lambda world, given: world.logs.append(given, "x", "x"),
    "FunctionLogManager.search(function)": lambda world, given: world.logs.search("zebra", function=given),
    "FunctionLogManager.search(since)": lambda world, given: world.logs.search("zebra", since=given),
    "FunctionLogManager.search(cursor)": lambda world, given: world.logs.search("zebra", function=1, cursor=given),
    "Managers.owned_by(owner)": lambda world, given: world.managers.owned_by(given),
    "FunctionLogManager.tail(function)": lambda world, given: world.logs.tail(given),
    "FunctionInvocationManager.prune(older_than):logs": lambda world, given: world.logs.prune(given),
    "FunctionInvocationManager.prune(older_than)": lambda world, given: world.managers.function_invocations.prune(
        given
    ),
    "FunctionInvocationManager.rollup(until)": lambda world, given: world.managers.function_invocations.rollup(given),
    "FunctionManager.search(user)": lambda world, given: world.functions.search("x", user=given),
    "FunctionInvocationManager.record(function)": lambda world, given: world.managers.function_invocations.record(
        given, "x", 1
    ),
    "FunctionInvocationManager.get_function_stats(function_id)": lambda world, given: (
        world.managers.function_invocations.get_function_stats(given)
    ),
    "FunctionInvocationManager.get_function_stats(since)": lambda world, given: (
        world.managers.function_invocations.get_function_stats(1, given)
    ),
    "FunctionInvocationManager.get_hourly_stats(function_id)": lambda world, given: (
        world.managers.function_invocations.get_hourly_stats(given)
    ),
    "FunctionInvocationManager.get_daily_stats(function_id)": lambda world, given: (
        world.managers.function_invocations.get_daily_stats(given)
    ),
    "FunctionInvocationManager.get_user_hourly_stats(user)": lambda world, given: (
        world.managers.function_invocations.get_user_hourly_stats(given)
    ),
    "FunctionInvocationManager.get_user_daily_stats(user)": lambda world, given: (
        world.managers.function_invocations.get_user_daily_stats(given)
    ),
    "FunctionInvocationManager.get_last_invocations(user)": lambda world, given: (
        world.managers.function_invocations.get_last_invocations(given)
    ),
    "FunctionInvocationManager.get_user_overview(user)": lambda world, given: (
        world.managers.function_invocations.get_user_overview(given)
    ),
    "FunctionInvocationManager.get_user_overview(since)": lambda world, given: (
        world.managers.function_invocations.get_user_overview(1, given)
    ),
}.items():
    DOORS.append(Door((_name,), _call, (), never))


_TIME_ZONES = tuple(available_timezones())

for _method in ("get_hourly_stats", "get_daily_stats", "get_user_hourly_stats", "get_user_daily_stats"):
    DOORS.append(
        Door(
            (f"FunctionInvocationManager.{_method}(timezone)",),
            lambda world, given, method=_method: getattr(world.managers.function_invocations, method)(
                world.user if "user" in method else world.function, 2, timezone=given
            ),
            ("Europe/Berlin", "UTC"),
            one_of(*_TIME_ZONES),
        )
    )


@DOORS.door("FunctionManager.search(text)", harmless=TEXTS, accepts=text(255, empty=False))
def _(world: World, given: str) -> Any:
    found = [row.name for row in world.functions.search(given)]
    # Letter by letter, as the databases do it: "İ" is an "i" to both.
    lowered = "".join([letter.lower()[0] for letter in given])
    assert found == (["resize"] if lowered in "resize" else [])


@DOORS.door("FunctionManager.search(status)", harmless=TEXTS, accepts=text(50))
def _(world: World, given: str) -> Any:
    assert [row.name for row in world.functions.search("e", status=given)] == ["resize"] * (given == "active")


DOORS.in_vain(
    "FunctionManager.get_function_details(uuid)",
    lambda world, given: world.functions.get_function_details(given),
    a_uuid,
    HARMLESS_UUIDS,
)
DOORS.in_vain(
    "FunctionLogManager.tail(level)",
    lambda world, given: world.logs.tail(world.function, 5, f"{given}!"),
    text(19),
    result=[],
)
DOORS.in_vain(
    "FunctionLogManager.tail(level): list",
    lambda world, given: world.logs.tail(world.function, 5, [f"{given}!"]),
    text(19),
    result=[],
)
DOORS.in_vain(
    "FunctionLogManager.search(level)",
    lambda world, given: world.logs.search("zebra", function=world.function, level=f"{given}!").items,
    text(19),
    result=[],
)


def _searchable(given: str) -> bool:
    words = sum(is_word for is_word, _ in groupby(given, str.isalnum))
    return len(given) < 900 and words < 30


@DOORS.door(
    "FunctionLogManager.search(text)",
    "Manager.find_by_text(text)",
    harmless=(*TEXTS, "-"),
    accepts=_searchable,
    expects=lambda *_: [],
)
def _(world: World, given: str) -> Any:
    # Whatever it is, it is words of a phrase that no line has, and a word beside it.
    typed = f'zebra "{given.replace(chr(34), " ")}"'
    assert world.logs.search(typed, function=world.function).items == []
    return world.logs.find_by_text(typed).items


@DOORS.door("Managers.unrestricted(reason)", harmless=TEXTS, accepts=lambda given: given.strip() != "")
def _(world: World, given: str) -> Any:
    assert world.managers.unrestricted(given).users.find_by_id(-1) is None


def _is_a_path(given: str) -> bool:
    try:
        Path(given).exists()
    except (OSError, ValueError):
        return False
    return given != ""


@DOORS.door("Managers.archive(directory)", harmless=TEXTS, accepts=_is_a_path)
def _(world: World, given: str) -> Any:
    assert str(world.managers.archive(given).directory) == str(Path(given))


@DOORS.door("Manager.lease(holder)", harmless=TEXTS, accepts=text(255, empty=False))
def _(world: World, given: str) -> Any:
    lease = world.functions.lease({"id": world.function.id}, seconds=60, holder=given)
    assert lease is not None
    lease.release()


@DOORS.door("Database.once(key)", harmless=TEXTS, accepts=text(255, empty=False))
def _(world: World, given: str) -> Any:
    with world.database.once(given):
        pass
    with world.database.once(given) as fresh:
        assert fresh is False


DOORS.writes(
    "FunctionLogManager.append(message)", lambda world, given: world.logs.append(world.function, "written", given)
)


@DOORS.door("FunctionLogManager.append(level)", harmless=TEXTS, accepts=text(20), expects=lambda _, given: given)
def _(world: World, given: str) -> Any:
    row = world.logs.append(world.function, given, "x")
    level = world.logs.find_by_id(row.id).level
    world.logs.delete_by_id(row.id)
    return level


_DEPLOYED = {"harmless": TEXTS, "expects": lambda _, given: given, "sends_first": True}


@DOORS.door("FunctionDeploymentManager.deploy(image_tag)", accepts=text(255), **_DEPLOYED)
def _(world: World, given: str) -> Any:
    return _deployed(world, given, "key").image_tag


@DOORS.door("FunctionDeploymentManager.deploy(s3_key)", accepts=text(500), **_DEPLOYED)
def _(world: World, given: str) -> Any:
    return _deployed(world, "tag", given).s3_key


def _deployed(world: World, image_tag: str, s3_key: str) -> Any:
    deployments = world.managers.function_deployments
    row = deployments.deploy(world.function, image_tag, s3_key)
    found = deployments.find_by_id(row.id)
    deployments.delete_by_id(row.id)
    return found


@DOORS.door(
    "FunctionInvocationManager.record(status)", harmless=TEXTS, accepts=text(50), expects=lambda _, given: given
)
def _(world: World, given: str) -> Any:
    return _recorded(world, given, "x").status


@DOORS.door("FunctionInvocationManager.record(error)", harmless=TEXTS, accepts=text(), expects=lambda _, given: given)
def _(world: World, given: str) -> Any:
    return _recorded(world, "failed", given).error


def _recorded(world: World, status: str, error: str) -> Any:
    row = world.managers.function_invocations.record(world.function, status, 1, error)
    world.managers.function_invocations.delete_by_id(row.id)
    return row


@DOORS.door("OrganizationManager.create(name)", harmless=TEXTS, accepts=text(255), expects=lambda _, given: given)
def _(world: World, given: str) -> Any:
    row = world.managers.organizations.create(given, world.other)
    world.managers.organizations.delete_by_id(row.id)
    return row.name
