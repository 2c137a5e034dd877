"""LIKE and ILIKE in Python, with PostgreSQL's meaning.

For: SQLite, whose own LIKE ignores the case of ASCII letters, that of no others, and knows no escape by default.
``connection`` registers ``like_matches`` and ``ilike_matches`` there under ``LIKE_FUNCTION`` and ``ILIKE_FUNCTION``, as
deterministic functions of two arguments (pattern, text).

Not for: deciding when they are used; the dialects render the calls.
"""

from __future__ import annotations

import re
from typing import Any

from cloudpub_models.errors import InvalidValueError
from cloudpub_models.sql.remembering import Remembered


def like_matches(pattern: Any, text: Any) -> bool | None:
    r"""Return whether ``text`` matches the LIKE ``pattern``, case-sensitively; ``None`` where either is ``None``.

    ``%`` stands for any characters, ``_`` for exactly one, and a backslash takes the meaning from the next character.

    >>> like_matches("a%", "abc"), like_matches("a%", "Abc"), like_matches(r"100\%", "100%")
    (True, False, True)
    """
    if pattern is None or text is None:
        return None
    return _compiled[str(pattern),].match(str(text)) is not None


def ilike_matches(pattern: Any, text: Any) -> bool | None:
    """Return whether ``text`` matches the LIKE ``pattern`` when the case of letters, all of unicode's, is ignored.

    >>> ilike_matches("ÄRGER%", "ärger im Büro")
    True
    """
    if pattern is None or text is None:
        return None
    return _compiled[_lower(str(pattern)),].match(_lower(str(text))) is not None


def escaped(text: str) -> str:
    r"""Return the pattern that matches a text and nothing else.

    >>> escaped("100%")
    '100\\%'
    """
    return text.translate(_ESCAPES)


_ESCAPES = str.maketrans({"\\": "\\\\", "%": "\\%", "_": "\\_"})


def check_pattern(pattern: str) -> str:
    r"""Return ``pattern``, unless its last backslash has nothing to escape.

    PostgreSQL refuses such a pattern only for rows where the match gets as far as its end, so it is refused up front.

    >>> check_pattern("a\\")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    cloudpub_models.errors.InvalidValueError: expected a pattern in which a backslash escapes the next character; ...
    """
    if (len(pattern) - len(pattern.rstrip("\\"))) % 2:
        raise InvalidValueError(
            "expected a pattern in which a backslash escapes the next character; got one that ends with a backslash: "
            "write two for a literal backslash"
        )
    return pattern


def _lower(text: str) -> str:
    if text.isascii():
        return text.lower()
    # One character at a time, as the databases do it: str.lower() maps a final sigma by its context, and an "İ" to two
    # characters, of which `_` would match only one.
    return "".join([character.lower()[0] for character in text])


def _compile(pattern: str) -> re.Pattern[str]:
    check_pattern(pattern)
    segments: list[str] = [""]
    characters = iter(pattern)
    for character in characters:
        if character == "%":
            segments.append("")
        elif character == "_":
            segments[-1] += "."
        else:
            segments[-1] += re.escape(next(characters) if character == "\\" else character)
    if len(segments) == 1:
        return re.compile(segments[0] + r"\Z", re.DOTALL)
    first, *between, last = segments
    # Each part between two % is taken at its leftmost place and never reconsidered (an atomic group): that is enough to
    # find a match where there is one, and keeps a hostile pattern like %a%a%a%a%b from taking forever.
    skipping = "".join([f"(?>.*?{part})" for part in between if part])
    return re.compile(rf"{first}{skipping}.*{last}\Z", re.DOTALL)


_compiled = Remembered(_compile)
