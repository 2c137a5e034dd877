"""SQL that was written by hand for both databases, with what each has words of its own for."""

from __future__ import annotations

import re
from functools import lru_cache

from cloudpub_models.sql.dialects import Dialect


@lru_cache(maxsize=64)
def in_words_of(dialect: Dialect, sql: str) -> str:
    """Return hand-written SQL as a database takes it: ``SECONDS_OF(column)`` is the whole seconds since 1970.

    >>> from cloudpub_models.sql.dialects import POSTGRESQL
    >>> in_words_of(POSTGRESQL, "SELECT SECONDS_OF(timestamp) FROM function_logs")
    "SELECT CAST(FLOOR(DATE_PART('epoch', timestamp)) AS BIGINT) FROM function_logs"
    """
    return re.sub(r"SECONDS_OF\((\w+)\)", lambda call: dialect.whole_seconds.format(column=call[1]), sql)
