"""Database URLs: which database one names, and how to show it without its password.

Reads text only; nothing is opened here.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple
from urllib.parse import unquote

from cloudpub_models.errors import ConfigurationError

_POSTGRESQL_SCHEMES = ("postgresql://", "postgres://")
_SQLITE_SCHEME = "sqlite://"
_EXPECTED = "expected 'sqlite:///file.db', 'sqlite:///:memory:' or 'postgresql://user:password@host/name'"

_PASSWORD_IN_AUTHORITY = r"(?<=://)([^/?#@]*?):([^/?#]*)(?=@)"
_PASSWORD_IN_QUERY = r"(?i)([?&](?:password|sslpassword|passfile)=)[^&#]*"


class DatabaseUrl(NamedTuple):
    """A parsed database URL.

    Attributes:
        dialect: which kind of database it names.
        target: the libpq URI, or the path of the SQLite file (``":memory:"`` for one in memory).
        masked: the URL as it may be shown.
    """

    dialect: Literal["sqlite", "postgresql"]
    target: str
    masked: str

    def __repr__(self) -> str:
        return f"DatabaseUrl({self.masked!r})"


def parse_url(url: str) -> DatabaseUrl:
    """Return what a database URL names.

    Args:
        url: ``sqlite:///:memory:``, ``sqlite:///relative.db``, ``sqlite:////absolute.db`` or any libpq URI.

    Raises:
        ConfigurationError: the text is no such URL.

    >>> parse_url("sqlite:///data/cloud.db").target
    'data/cloud.db'
    >>> parse_url("postgresql://ada:secret@db/cloud").masked
    'postgresql://ada:***@db/cloud'
    """
    if not isinstance(url, str) or not url.strip():
        raise ConfigurationError(f"{_EXPECTED}; got an empty database URL")
    url = url.strip()
    masked = mask_password(url)
    if any(character in url for character in "\0\r\n"):
        raise ConfigurationError(f"{_EXPECTED}; got a URL with control characters in it")
    if url.startswith(_POSTGRESQL_SCHEMES):
        return DatabaseUrl("postgresql", url, masked)
    if url.startswith(_SQLITE_SCHEME):
        return DatabaseUrl("sqlite", _sqlite_path(url, masked), masked)
    raise ConfigurationError(f"{_EXPECTED}; got {masked!r}{_guess(url)}")


def mask_password(text: str) -> str:
    """Return the text with every password of a URL in it replaced by ``***``.

    >>> mask_password("postgresql://db/cloud?user=ada&password=secret")
    'postgresql://db/cloud?user=ada&password=***'
    """
    return re.sub(_PASSWORD_IN_QUERY, r"\1***", re.sub(_PASSWORD_IN_AUTHORITY, r"\1:***", text))


def _sqlite_path(url: str, masked: str) -> str:
    rest = url.removeprefix(_SQLITE_SCHEME)
    if not rest.startswith("/"):
        raise ConfigurationError(f"{_EXPECTED}; got {masked!r} (a SQLite URL has three slashes before the path)")
    path = unquote(rest[1:])
    if not path:
        raise ConfigurationError(f"{_EXPECTED}; got {masked!r}, which names no file")
    if "?" in path or "#" in path:
        raise ConfigurationError(f"a SQLite URL takes no parameters; got {masked!r}: give them as options instead")
    return path


def _guess(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    if separator and scheme.startswith(("postgres", "psql", "pg")):
        return f": write 'postgresql://{mask_password('x://' + rest)[4:]}'"
    if not separator and url.endswith((".db", ".sqlite", ".sqlite3")):
        return f": write 'sqlite:///{url}' for a SQLite file"
    return ""
