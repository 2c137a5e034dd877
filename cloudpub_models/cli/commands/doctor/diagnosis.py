"""One thing that a check found out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How much a finding matters, the least first."""

    OK = "ok"
    NOTICE = "notice"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        check: what was looked at, in a word or two.
        level: how much it matters.
        message: what was found.
        advice: what to do, where there is something to do; may be SQL.
    """

    check: str
    level: Level
    message: str
    advice: str | None = None
