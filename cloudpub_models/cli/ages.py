"""How a command is told how old something has to be: an age such as ``30d``, or a moment."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import typer

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGE = re.compile(r"(\d{1,9})\s*([smhdw])")


def moment_before(text: str | datetime) -> datetime:
    """Return the moment that an age or a date means, in UTC.

    Raises:
        typer.BadParameter: the text is neither.

    >>> moment_before("2026-01-31").isoformat()
    '2026-01-31T00:00:00+00:00'
    >>> moment_before("2w") <= datetime.now(UTC) - timedelta(days=14)
    True
    """
    if isinstance(text, datetime):
        return text
    age = _AGE.fullmatch(text.strip().lower())
    try:
        if age:
            span: dict[str, Any] = {_UNITS[age[2]]: int(age[1])}
            return datetime.now(UTC) - timedelta(**span)
        moment = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"expected an age as 30d (s, m, h, d, w) or a date as 2026-01-31; got {text!r}"
        ) from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
