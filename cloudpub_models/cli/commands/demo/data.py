"""The demo's platform, invented from a seed: who is on it, what they run, and two weeks of traffic.

Pure: rows come out, nothing is read or written, and the same seed gives the same rows, UUIDs and times included. Times
hang on a fixed moment, ``ANCHOR``, which is the demo's "now"; ``moved`` takes rows to another. Rows refer to others by
UUID where the tables do; where they take internal ids, which only the database knows, the caller hands those in.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from cloudpub_models.cli.commands.demo import catalogue
from cloudpub_models.cli.commands.demo.catalogue import FunctionKind

Row = dict[str, Any]

DEMO_DOMAIN = "demo.cloudpub.example"
ANCHOR = datetime(2025, 6, 2, 12, 0, tzinfo=UTC)
DAYS_OF_TRAFFIC = 14

_TIME_LIMIT_MS = 30_000
_ONE_IN_LOGGED = 12
# Of a week's hours, how busy they are: Europe's and America's working days, and quiet nights and weekends.
_HOURLY_RHYTHM = (
    *(0.18, 0.14, 0.12, 0.12, 0.15, 0.25, 0.45, 0.70, 1.00, 1.20, 1.25, 1.15),
    *(1.05, 1.20, 1.35, 1.45, 1.40, 1.25, 1.05, 0.90, 0.75, 0.55, 0.40, 0.26),
)
_WEEKEND = 0.45


@dataclass(frozen=True)
class DemoFunction:
    """A function of the platform, before it has an id.

    Attributes:
        uuid: its public id.
        owner: its user's public id.
        kind: what it does and how it behaves.
        row: its own columns, but for ``user_id`` and ``active_deployment_id``.
        deployments: the columns of its versions, but for ``function_id``; one of them is active.
        popularity: how often it is called, relative to others.
        incident_day: the day on which a bad version made many of its calls fail, if any.
    """

    uuid: UUID
    owner: UUID
    kind: FunctionKind
    row: Row
    deployments: list[Row]
    popularity: float
    incident_day: int | None


@dataclass(frozen=True)
class Platform:
    """Everything but the traffic."""

    seed: int
    users: list[Row] = field(default_factory=list)
    user_information: list[Row] = field(default_factory=list)
    organizations: list[Row] = field(default_factory=list)
    organization_members: list[Row] = field(default_factory=list)
    functions: list[DemoFunction] = field(default_factory=list)


@dataclass(frozen=True)
class Traffic:
    """What one day's calls leave behind."""

    invocations: list[Row]
    logs: list[Row]


def make_platform(seed: int) -> Platform:
    """Invent users, their organizations and their functions.

    >>> make_platform(1) == make_platform(1)
    True
    """
    chance = random.Random(f"platform {seed}")
    platform = Platform(seed)
    for person in chance.sample(catalogue.PEOPLE, len(catalogue.PEOPLE)):
        _add_user(platform, chance, person)
    _add_organizations(platform, chance)
    _add_functions(platform, chance)
    return platform


def make_traffic(platform: Platform, count: int, function_ids: Mapping[UUID, int]) -> Iterator[Traffic]:
    """Invent the calls of two weeks, a day at a time, in the order in which they happened.

    Args:
        platform: who is called.
        count: how many calls there are in all.
        function_ids: the functions' internal ids.
    """
    chance = random.Random(f"traffic {platform.seed}")
    called = [function for function in platform.functions if function.row["status"] == "active"]
    hours = [(day, hour) for day in range(DAYS_OF_TRAFFIC) for hour in range(24)]
    weights = {slot: [function.popularity * _rhythm(function.kind, *slot) for function in called] for slot in hours}
    shares = _shares(count, [sum(weights[slot]) for slot in hours])
    for day in range(DAYS_OF_TRAFFIC):
        traffic = Traffic([], [])
        for hour in range(24):
            start = _day_start(day) + timedelta(hours=hour)
            calls = shares[day * 24 + hour]
            moments = sorted([chance.random() * 3600 for _ in range(calls)])
            cumulated = list(itertools.accumulate(weights[day, hour]))
            for moment, function in zip(moments, chance.choices(called, cum_weights=cumulated, k=calls), strict=True):
                at = start + timedelta(seconds=moment)
                _add_call(traffic, chance, function, function_ids[function.uuid], at, day)
        yield traffic


def moved(rows: Iterable[Row], by: timedelta) -> list[Row]:
    """Return rows with all their times later.

    >>> moved([{"id": 1, "at": datetime(2025, 6, 1)}], timedelta(days=1))
    [{'id': 1, 'at': datetime.datetime(2025, 6, 2, 0, 0)}]
    """
    return [{name: value + by if isinstance(value, datetime) else value for name, value in row.items()} for row in rows]


def _add_user(platform: Platform, chance: random.Random, person: catalogue.Person) -> None:
    uuid = _uuid(chance)
    joined = ANCHOR - timedelta(days=chance.uniform(60, 700))
    times = {"created_at": joined, "updated_at": joined + timedelta(minutes=chance.uniform(1, 90))}
    street = f"{chance.randrange(1, 180)} {chance.choice(catalogue.STREETS)}"
    email = f"{person.first_name}.{person.last_name}@{DEMO_DOMAIN}".lower()
    # No password has this hash, so nobody can sign in with a demo account.
    platform.users.append({"uuid": uuid, "email": email, "password_hash": "!demo", **times})
    platform.user_information.append(
        {
            "uuid": _uuid(chance),
            "user_id": uuid,
            "first_name": person.first_name,
            "last_name": person.last_name,
            "phone_number": f"+00 555 {chance.randrange(10_000):04d}" if chance.random() < 0.7 else None,
            "country": person.country,
            "city": person.city,
            "address": street if chance.random() < 0.6 else None,
            "zip_code": f"{chance.randrange(10_000, 99_999)}",
            "avatar": f"https://{DEMO_DOMAIN}/avatars/{uuid}.png" if chance.random() < 0.5 else None,
            "role": chance.choices(("developer", "team", "sub_team_developer"), weights=(6, 3, 2))[0],
            **times,
        }
    )


def _add_organizations(platform: Platform, chance: random.Random) -> None:
    # The last few users belong to no organization.
    unattached = 4
    people = platform.users[:-unattached]
    size = len(people) // len(catalogue.ORGANIZATIONS)
    for number, name in enumerate(catalogue.ORGANIZATIONS):
        members = people[number * size : (number + 1) * size]
        owner = members[0]
        founded = max(member["created_at"] for member in members) + timedelta(days=1)
        uuid = _uuid(chance)
        platform.organizations.append(
            {
                "uuid": uuid,
                "name": f"{name} (demo)",
                "owner_id": owner["uuid"],
                "created_at": founded,
                "updated_at": founded,
            }
        )
        platform.organization_members.extend(
            {
                "organization_id": uuid,
                "user_id": member["uuid"],
                "joined_at": founded + timedelta(hours=position * chance.uniform(1, 40)),
            }
            for position, member in enumerate(members)
        )


def _add_functions(platform: Platform, chance: random.Random) -> None:
    owners = [user for user in platform.users for _ in range(chance.choice((0, 1, 1, 2, 3)))]
    taken: set[tuple[UUID, str]] = set()
    for rank, owner in enumerate(chance.sample(owners, len(owners))):
        kind = catalogue.FUNCTION_KINDS[rank % len(catalogue.FUNCTION_KINDS)]
        if (owner["uuid"], kind.name) in taken:
            continue
        taken.add((owner["uuid"], kind.name))
        created = owner["created_at"] + timedelta(days=chance.uniform(0.1, 30))
        status = chance.choices(("active", "inactive", "building"), weights=(16, 2, 1))[0] if rank else "active"
        platform.functions.append(
            DemoFunction(
                uuid=(uuid := _uuid(chance)),
                owner=owner["uuid"],
                kind=kind,
                row={
                    "uuid": uuid,
                    "name": kind.name,
                    "status": status,
                    "analysis_result": {
                        "language": kind.language,
                        "lines": chance.randrange(40, 2_400),
                        "warnings": chance.choice(([], [], ["unused import"], ["no timeout on an outgoing request"])),
                    },
                    "created_at": created,
                    "updated_at": created,
                },
                deployments=_deployments(chance, kind, uuid, created),
                # A few functions get most of the calls, as everywhere.
                popularity=1 / (rank + 1) ** 0.9,
                incident_day=chance.randrange(DAYS_OF_TRAFFIC) if rank % 5 == 1 else None,
            )
        )


def _deployments(chance: random.Random, kind: FunctionKind, function: UUID, created: datetime) -> list[Row]:
    versions = chance.randrange(1, 9)
    latest = ANCHOR - timedelta(hours=chance.uniform(1, 200))
    earlier = sorted([created + (latest - created) * chance.random() for _ in range(versions - 1)])
    rows = [
        {
            "uuid": _uuid(chance),
            "version": version,
            "image_tag": f"registry.{DEMO_DOMAIN}/{kind.name}:{version}-{chance.getrandbits(28):07x}",
            "s3_key": f"functions/{function}/{version}.tar.gz",
            "status": "success",
            "is_active": False,
            "build_logs": f"resolving dependencies\nbuilt in {chance.uniform(4, 70):.1f} s",
            "deployed_at": moment,
        }
        for version, moment in enumerate([*earlier, latest], start=1)
    ]
    if versions > 2 and chance.random() < 0.3:
        problem = chance.choice(catalogue.BUILD_ERRORS)
        rows[-1] |= {"status": "failed", "build_logs": f"resolving dependencies\n{problem}"}
        rows[-2]["is_active"] = True
    else:
        rows[-1]["is_active"] = True
    return rows


def _add_call(
    traffic: Traffic, chance: random.Random, function: DemoFunction, function_id: int, at: datetime, day: int
) -> None:
    kind = function.kind
    # Log-normal: most calls are near the median, a few take very long.
    duration: int | None = max(1, round(kind.median_ms * math.exp(kind.spread * chance.gauss(0, 1))))
    failing = chance.random() < (0.45 if day == function.incident_day else kind.failure_rate)
    error = None
    if duration is not None and duration >= _TIME_LIMIT_MS:
        duration, error = _TIME_LIMIT_MS, f"TimeoutError: stopped after {_TIME_LIMIT_MS // 1000} s"
    elif failing:
        error = chance.choice(catalogue.INCIDENT_ERRORS if day == function.incident_day else kind.errors)
        if error.startswith("OutOfMemory"):
            duration = None  # the worker died before it could say
    traffic.invocations.append(
        {
            "uuid": _uuid(chance),
            "function_id": function_id,
            "status": "error" if error else "success",
            "duration_ms": duration,
            "error": error,
            "timestamp": at,
        }
    )
    log = _log_line(chance, kind, duration, error)
    if log is not None:
        level, message = log
        after = at + timedelta(milliseconds=duration or 0)
        traffic.logs.append(
            {"uuid": _uuid(chance), "function_id": function_id, "level": level, "message": message, "timestamp": after}
        )


def _log_line(
    chance: random.Random, kind: FunctionKind, duration: int | None, error: str | None
) -> tuple[str, str] | None:
    if error:
        return "error", error
    if duration is not None and duration > 6 * kind.median_ms:
        return "warn", f"slow: took {duration} ms, usually {kind.median_ms} ms"
    if chance.randrange(_ONE_IN_LOGGED) == 0:
        return "info", chance.choice(kind.messages)
    return None


def _rhythm(kind: FunctionKind, day: int, hour: int) -> float:
    if not kind.follows_people:
        return 0.7
    moment = _day_start(day) + timedelta(hours=hour)
    return _HOURLY_RHYTHM[moment.hour] * (_WEEKEND if moment.weekday() >= 5 else 1.0)


def _day_start(day: int) -> datetime:
    return ANCHOR - timedelta(days=DAYS_OF_TRAFFIC - day)


def _shares(count: int, weights: list[float]) -> list[int]:
    """Divide a number by weights, without losing any to rounding."""
    total = sum(weights)
    reached = [round(count * cumulated / total) for cumulated in itertools.accumulate(weights)]
    return [after - before for before, after in itertools.pairwise([0, *reached[:-1], count])]


def _uuid(chance: random.Random) -> UUID:
    return UUID(int=chance.getrandbits(128), version=4)
