"""What a check says: how much it matters, what was found, and what to do."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from enum import StrEnum
from importlib.metadata import version
from typing import NamedTuple

from cloudpub_models.connection import Database


class Level(StrEnum):
    """How much a verdict matters, the least first."""

    OK = "ok"
    NOTICE = "notice"
    WARNING = "warning"
    ERROR = "error"


class Verdict(NamedTuple):
    """One thing that a check found.

    Attributes:
        level: how much it matters.
        message: what was found.
        advice: what to do, where there is something to do; where it is SQL, all else is a comment behind it.
    """

    level: Level
    message: str
    advice: str | None = None


# What is looked at, in a word or two, and what looks.
Check = tuple[str, Callable[[Database], Iterator[Verdict]]]


def ok(message: str) -> Verdict:
    """Return the verdict that something is as it should be."""
    return Verdict(Level.OK, message)


def notice(message: str, advice: str) -> Verdict:
    """Return the verdict that something could be better."""
    return Verdict(Level.NOTICE, message, advice)


def warning(message: str, advice: str) -> Verdict:
    """Return the verdict that something will cause trouble."""
    return Verdict(Level.WARNING, message, advice)


def error(message: str, advice: str) -> Verdict:
    """Return the verdict that something is broken."""
    return Verdict(Level.ERROR, message, advice)


def with_versions(database: str) -> str:
    """Return a database's version with those of everything above it."""
    return (
        f"{database}, Peewee {version('peewee')}, Python {platform.python_version()}, "
        f"cloudpub-models {version('cloudpub-models')}"
    )
