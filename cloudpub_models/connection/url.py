"""Database URLs: which database one names, and how to show it without its password.

Reads text only; nothing is opened here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, NamedTuple
from urllib.parse import unquote

from cloudpub_models.errors import ConfigurationError
from cloudpub_models.sql.identifiers import shown

MEMORY = ":memory:"
MEMORY_URL = f"sqlite:///{MEMORY}"

_EXPECTED = "expected 'sqlite:///file.db', 'sqlite:///:memory:' or 'postgresql://user:password@host/name'"

# Possessive quantifiers (*+) where a long text would else be read again and again.
# What may follow the @ that ends user and password.
_AFTER_USER = r"[^@?]*(\?([a-z_]{4,}=[^&]*(&|\Z))*)?"
_QUERY_ITEM = r"(?P<mark>[?&])(?P<key>[^=&?]+)=[^&]*"
_KEYWORD = r"(?s)\b(?P<key>\w++)(?P<equals>\s*+=\s*+)(?:'(?:[^'\\]|\\.)*+'?|[^\s&]++)"
_SECRET_KEY = r"(?i)pass|pwd|\Apw\Z|secret|token|scram"
# Behind a host without a user in front of it: a port, or what was meant for a password.
_HOST_OR_PORT = r"\[[^][]*+\]|:[^,\[\]]*+"


class DatabaseUrl(NamedTuple):
    """A parsed database URL.

    Attributes:
        dialect: which kind of database it names.
        target: the libpq URI, or the path of the SQLite file (``":memory:"`` for one in memory).
        masked: the URL as it may be shown.
        file: the path of the SQLite file; ``None`` where it names none.
    """

    dialect: Literal["sqlite", "postgresql"]
    target: str
    masked: str
    file: str | None = None

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
    if not isinstance(url, str):
        raise ConfigurationError(f"{_EXPECTED}; got a value of type {type(url).__name__}")
    if not url.strip():
        raise ConfigurationError(f"{_EXPECTED}; got an empty database URL")
    url = url.strip()
    masked = _masked(url)
    # Percent-encoded ones too: at a NUL character SQLite ends the name of the file, and would open another one.
    if any(character in unquote(url) for character in "\0\r\n"):
        raise ConfigurationError(f"{_EXPECTED}; got a URL with control characters in it")
    if any("\ud800" <= character <= "\udfff" for character in url):
        raise ConfigurationError(f"{_EXPECTED}; got a URL with a lone surrogate, which is no valid Unicode")
    scheme, separator, _ = url.partition("://")
    if not separator or scheme not in _SCHEMES:
        raise ConfigurationError(f"{_EXPECTED}; got {shown(masked, 200)}{_guess(url)}")
    dialect, read_target, is_file = _SCHEMES[scheme]
    target = read_target(url, masked)
    return DatabaseUrl(dialect, target, masked, target if is_file and target != MEMORY else None)


def mask_password(text: str) -> str:
    """Return the text with every password of a URL in it replaced by ``***``.

    >>> mask_password("postgresql://db/cloud?user=ada&password=secret")
    'postgresql://db/cloud?user=ada&password=***'
    """
    return " ".join([_masked(word) if "://" in word else _without_keywords(word) for word in text.split(" ")])


def _masked(url: str) -> str:
    """Return a whole URL, or what was taken for one, without its password."""
    scheme, separator, rest = url.partition("://") if "://" in url else ("", "", _without_keywords(url))
    if url.startswith("sqlite:///"):
        return url
    # libpq ends the password at the first @. Of one that should have been percent-encoded, nothing is shown either.
    end = rest.find("@")
    if "/" in rest[: max(end, 0)] or not re.fullmatch(_AFTER_USER, rest[end + 1 :]):
        end = rest.rfind("@")
    if end < 0 and separator:
        path = re.search(r"[/?]|\Z", rest)
        authority = rest[: path.start()] if path else rest
        rest = re.sub(_HOST_OR_PORT, _masked_port, authority) + rest[len(authority) :]
    user, colon, _ = re.sub("(?i)%3a", ":", rest[: max(end, 0)]).partition(":")
    shown = f"{user}:***{rest[end:]}" if colon else rest
    return scheme + separator + re.sub(_QUERY_ITEM, _masked_item, shown)


def _masked_item(item: re.Match[str]) -> str:
    return f"{item['mark']}{item['key']}=***" if re.search(_SECRET_KEY, unquote(item["key"])) else item.group()


def _masked_port(part: re.Match[str]) -> str:
    return part[0] if part[0].startswith("[") or not part[0][1:].strip("0123456789") else ":***"


def _without_keywords(text: str) -> str:
    """Return text without the passwords of a ``keyword=value`` string of libpq in it."""
    return re.sub(
        _KEYWORD,
        lambda item: f"{item['key']}{item['equals']}***" if re.search(_SECRET_KEY, item["key"]) else item[0],
        text,
    )


def _postgresql_uri(url: str, masked: str) -> str:
    """Return a URI as it is, but refuse what libpq would complain about by quoting parts of the password."""
    authority, _, path = url.partition("://")[2].partition("/")
    hosts = re.sub(r"\[[^][]*+\]", "", authority.partition("@")[2] if "@" in authority else authority).partition("?")[0]
    ports = [host.partition(":")[2] for host in hosts.split(",")]
    misplaced = "@" in hosts or ("@" in path.partition("?")[0] and "@" not in authority and ":" in authority)
    if misplaced or not all(re.fullmatch("[0-9]*", port) for port in ports) or re.search("%(?![0-9a-fA-F]{2})", url):
        raise ConfigurationError(
            f"expected a libpq URI such as 'postgresql://user:password@host:5432/name'; got {shown(masked, 200)}: "
            "a port is a number, and what is special in a user or password has to be percent-encoded, as "
            "urllib.parse.quote(password, safe='') does"
        )
    return url


def _sqlite_path(url: str, masked: str) -> str:
    rest = url.removeprefix("sqlite://")
    if not rest.startswith("/"):
        raise ConfigurationError(
            f"{_EXPECTED}; got {shown(masked, 200)}: a SQLite URL has three slashes before the path"
        )
    path = unquote(rest[1:])
    if not path:
        raise ConfigurationError(
            f"{_EXPECTED}; got {shown(masked, 200)}, which names no file: write the path after three slashes"
        )
    if "?" in path or "#" in path:
        raise ConfigurationError(
            f"expected a SQLite URL without parameters; got {shown(masked, 200)}: give them as options instead"
        )
    return path


# What a URL of each scheme names: the database's dialect, what reads its target, and whether that is a file.
_SCHEMES: dict[str, tuple[Literal["sqlite", "postgresql"], Callable[[str, str], str], bool]] = {
    "sqlite": ("sqlite", _sqlite_path, True),
    "postgresql": ("postgresql", _postgresql_uri, False),
    "postgres": ("postgresql", _postgresql_uri, False),
}


def _guess(url: str) -> str:
    if len(url) > 200:
        return ""
    scheme, separator, rest = url.partition("://")
    if separator and scheme.startswith(("postgres", "psql", "pg")):
        return f": write 'postgresql://{_masked('x://' + rest)[4:]}'"
    if not separator and url.endswith((".db", ".sqlite", ".sqlite3")):
        return f": write 'sqlite:///{url}' for a SQLite file"
    return ""
