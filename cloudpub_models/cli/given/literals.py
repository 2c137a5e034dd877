"""JSON and integers as they are typed or stand in a file: within bounds, and wrong ones told without a traceback."""

from __future__ import annotations

import json
import re
from typing import Any

from cloudpub_models.errors import InvalidValueError

_INTEGER = re.compile(r"[+-]?[0-9]+")
_MOST_DIGITS = 1_000
_DEEPEST = 200


def read_integer(text: str) -> int | None:
    """Return the integer that text is, ``None`` where it is none.

    Raises:
        InvalidValueError: it has more than 1,000 digits.

    >>> read_integer("-12"), read_integer("1.5")
    (-12, None)
    """
    if _INTEGER.fullmatch(text) is None:
        return None
    if len(text) > _MOST_DIGITS:
        raise InvalidValueError(f"expected an integer of 64 bits; got one of {len(text):,} digits")
    return int(text)


def read_json(text: str) -> Any:
    """Return the value that JSON stands for.

    Raises:
        InvalidValueError: it is no JSON, or has more than 200 arrays and objects in each other.

    >>> read_json("[1, 2]")
    [1, 2]
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:  # also for an integer of thousands of digits
        message = str(error).partition(";")[0]
        raise InvalidValueError(f"expected JSON; got {text.strip()[:60]!r} ({message})") from None
    if text.count("[") + text.count("{") > _DEEPEST and _is_too_deep(value):
        raise _too_deep()
    return value


def _is_too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_DEEPEST + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True


def _too_deep() -> InvalidValueError:
    return InvalidValueError(f"expected JSON with at most {_DEEPEST} arrays and objects in each other; got more")
