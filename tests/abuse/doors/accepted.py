"""What strings are taken for, said without the library's help, and which rows they then find."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tests.abuse.payloads import storable
from tests.abuse.world import World

Accepts = Callable[[str], bool]

HARMLESS_UUIDS = ("00000000-0000-4000-8000-000000000000", "urn:uuid:00000000-0000-4000-8000-000000000001")


def text(longest: int = 10**9, *, empty: bool = True) -> Accepts:
    return lambda given: storable(given) and len(given) <= longest and (empty or given != "")


def never(_: str) -> bool:
    return False


def always(_: str) -> bool:
    return True


def one_of(*words: str, any_case: bool = False) -> Accepts:
    return lambda given: (given.upper() if any_case and given.isascii() else given) in words


def form(pattern: str) -> Accepts:
    return lambda given: re.fullmatch(pattern, given, re.ASCII | re.IGNORECASE) is not None


def a_uuid(given: str) -> bool:
    hexadecimal = r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}"
    return form(rf"(urn:uuid:)?\{{?{hexadecimal}\}}?")(given)


def a_pattern(given: str) -> bool:
    return storable(given) and (len(given) - len(given.rstrip("\\"))) % 2 == 0


NAME = r"[a-z_][a-z0-9_]{0,62}"
COLUMN = rf"\s*{NAME}\s*(\.\s*{NAME}\s*)?"
CALL = rf"\s*(count|sum|avg|min|max|lower|upper|length|abs)\s*\((\s*\*|(distinct\b)?{COLUMN})\s*\)\s*"
ITEM = rf"({COLUMN}|{CALL})"
A_NAME = form(NAME)
LOG_COLUMN_NAMES = ("id", "function_id", "level", "message", "timestamp", "function")
LOG_COLUMNS = one_of(*LOG_COLUMN_NAMES)
DIRECTION = one_of("ASC", "DESC", any_case=True)
JOINABLE = form(rf"\s*{NAME}(\s+(as\s+)?{NAME})?\s*")
OPERATOR = one_of("=", "!=", "<>", "<", "<=", ">", ">=", "LIKE", "ILIKE", "NOT LIKE", any_case=True)

TEXTS = ("active", "o'clock")


def matching(world: World, given: str) -> list[int]:
    return [world.ids[given]] if given in world.ids else []


def others(world: World, given: str) -> list[int]:
    return sorted(set(world.ids.values()) - set(matching(world, given)))


def ids(rows: Any) -> list[int]:
    return sorted(row.id if hasattr(row, "id") else row["id"] for row in rows)


def escaped(given: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", given)


VALUE = {"harmless": TEXTS, "accepts": text()}
