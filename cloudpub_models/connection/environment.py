"""What a program's environment says of its database: where it is, and which servers stand beside it.

The servers are those of the database that the environment names, and of no other.
"""

from __future__ import annotations

import os

from cloudpub_models.connection.url import DatabaseUrl, parse_url
from cloudpub_models.errors import ConfigurationError

URL_VARIABLE = "CLOUDPUB_DATABASE_URL"

# Several URLs, with spaces between them, which none has.
REPLICAS_VARIABLE = "CLOUDPUB_REPLICA_URLS"
HISTORY_VARIABLE = "CLOUDPUB_HISTORY_URLS"
_SERVERS = {"replicas": REPLICAS_VARIABLE, "history": HISTORY_VARIABLE}

VARIABLES = (URL_VARIABLE, *_SERVERS.values())


def names_database() -> bool:
    """Return whether the environment names a database."""
    return bool(os.environ.get(URL_VARIABLE))


def url_from_environment() -> DatabaseUrl:
    """Return where the database is that the environment names.

    Raises:
        ConfigurationError: it names none, or the URL is malformed.
    """
    url = os.environ.get(URL_VARIABLE, "")
    if not url:
        raise ConfigurationError(
            "expected the URL of a database; got none: call database.initialize('postgresql://…' or "
            "'sqlite:///file.db'), "
            f"or set ${URL_VARIABLE}"
        )
    return parse_url(url)


def urls_in(variable: str) -> tuple[str, ...]:
    """Return the URLs of servers that a variable names; none where it is not set.

    Raises:
        ConfigurationError: something else than spaces is between two of them.
    """
    urls = tuple(os.environ.get(variable, "").split())
    # One URL may name several hosts, with commas between them.
    if any(url.count("://") > 1 for url in urls):
        raise ConfigurationError(
            f"expected URLs with spaces between them in ${variable}; got some without: "
            "write 'postgresql://a/name postgresql://b/name'"
        )
    return urls


def servers_from_environment() -> dict[str, tuple[str, ...]]:
    """Return the options of a database that name servers beside it, as far as the environment has them.

    Raises:
        ConfigurationError: something else than spaces is between two URLs.

    >>> servers_from_environment()
    {}
    """
    return {option: urls for option, variable in _SERVERS.items() if (urls := urls_in(variable))}
