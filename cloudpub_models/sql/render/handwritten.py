"""SQL that was written by hand for both databases, with what each has words of its own for."""

from __future__ import annotations

import re
from functools import lru_cache

from cloudpub_models.sql.dialects import Dialect

_CALL = re.compile(r"([A-Z]+(?:_[A-Z]+)+)\(([\w.]+)\)")


@lru_cache(maxsize=64)
def in_words_of(dialect: Dialect, sql: str) -> str:
    """Return hand-written SQL as a database takes it.

    ``SECONDS_OF(column)`` is the whole seconds since 1970. ``HOUR_OF``, ``DAY_OF`` and ``MONTH_OF`` give when that
    begins in which a moment lies; ``END_OF_HOUR``, ``END_OF_DAY`` and ``END_OF_MONTH`` give, of such a beginning, what
    lies behind all that is in it.

    >>> from cloudpub_models.sql.dialects import POSTGRESQL
    >>> in_words_of(POSTGRESQL, "SELECT SECONDS_OF(timestamp) FROM function_logs")
    "SELECT CAST(FLOOR(DATE_PART('epoch', timestamp)) AS BIGINT) FROM function_logs"
    """
    words = dialect.handwritten
    return _CALL.sub(lambda call: words[call[1]].format(call[2]) if call[1] in words else call[0], sql)


def put_together(sql: str, **parts: str) -> str:
    """Return hand-written SQL with parts of it in the places that have their names.

    >>> put_together("SELECT name FROM functions WHERE id {which}", which="= @function")
    'SELECT name FROM functions WHERE id = @function'
    """
    return sql.format(**parts)
