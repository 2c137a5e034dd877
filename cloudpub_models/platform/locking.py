"""The row locks of operations that read before they write, as each database writes them.

SQLite has none and needs none: a transaction that may write is alone from its beginning.
"""

from __future__ import annotations

from typing import Final

ROW_LOCK: Final = {
    # Not FOR UPDATE, which would also stop others from inserting rows that refer to this one: logs, invocations.
    "postgresql": " FOR NO KEY UPDATE",
    "sqlite": "",
}
"""What ends a SELECT whose rows nobody else may change before the transaction has ended."""
