"""A platform that has grown: a few thousand functions, and as many log lines and invocations as are asked for.

Rows are made on the way from arithmetic on their number, so that making them costs little and needs no memory. They
come in the order of their time, spread evenly over two months; one function in particular is busy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cloudpub_models import Managers

PERIOD = timedelta(days=60)
BUSY_FUNCTION = 1
"""The id of the function that every 25th row belongs to."""
SILENT_FUNCTION = 2
"""The id of the one that was as busy in the first month, and has not been called since."""
AGENCY = 1000
"""The id of the user who owns most functions."""

_BUSY_SHARE = 25
_FUNCTIONS_PER_USER = 20
_DEPLOYMENTS_PER_FUNCTION = 10


@dataclass(frozen=True)
class Platform:
    """How large the platform is.

    Attributes:
        rows: how many log lines there are, and as many invocations.
        now: when the last of them was written.
        users: how many users. Some own twenty functions each, one owns two thirds of all, most own none.
        functions: how many functions.
    """

    rows: int
    now: datetime
    users: int = 20_000
    functions: int = 3_000

    @property
    def begin(self) -> datetime:
        """When the first line was written."""
        return self.now - PERIOD

    def moment(self, number: int) -> datetime:
        """Return when the row of a number was written."""
        return self.begin + PERIOD * number / self.rows

    def load_accounts(self, managers: Managers) -> None:
        """Fill the tables of users, functions and deployments."""
        managers.users.batch_insert(
            {"email": f"User{number}@Example.org", "password_hash": "$argon2id$…"} for number in range(self.users)
        )
        managers.functions.batch_insert(
            {
                "user_id": AGENCY if number >= self.functions // 3 else 1 + number // _FUNCTIONS_PER_USER,
                "name": f"function-{number}",
                "status": "inactive" if number % 10 == 9 else "active",
                "created_at": self.begin + PERIOD * number / self.functions,
            }
            for number in range(self.functions)
        )
        deployments = self.functions * _DEPLOYMENTS_PER_FUNCTION
        managers.function_deployments.batch_insert(
            {
                "function_id": 1 + number % self.functions,
                "version": 1 + number // self.functions,
                "image_tag": f"registry.example.org/function:{number}",
                "s3_key": f"builds/{number}.tar.gz",
                "status": "building" if number >= deployments - 3 else "built",
            }
            for number in range(deployments)
        )

    def log_lines(self, numbers: range) -> Iterator[dict[str, Any]]:
        """Yield log lines: nine in ten of level info, one in fifty of level error."""
        begin, step, function_of = self.begin, PERIOD / self.rows, self._functions()
        for number in numbers:
            rank = number // _BUSY_SHARE % 50
            yield {
                "function_id": function_of(number),
                "level": "info" if rank > 4 else "warn" if rank else "error",
                "message": f"request {number} handled by worker-{number % 13} in {number * 104_729 % 977} ms",
                "timestamp": begin + step * number,
            }

    def invocations(self, numbers: range) -> Iterator[dict[str, Any]]:
        """Yield invocations, one in thirty failed."""
        begin, step, function_of = self.begin, PERIOD / self.rows, self._functions()
        for number in numbers:
            failed = number // _BUSY_SHARE % 30 == 0
            yield {
                "function_id": function_of(number),
                "status": "failed" if failed else "success",
                "duration_ms": number * 104_729 % 977,
                "error": "timeout" if failed else None,
                "timestamp": begin + step * number,
            }

    def _functions(self) -> Callable[[int], int]:
        others, silence = self.functions - 2, self.rows // 2

        def function_of(number: int) -> int:
            rank = number % _BUSY_SHARE
            if rank == 0:
                return BUSY_FUNCTION
            return SILENT_FUNCTION if rank == 1 and number < silence else 3 + number * 7919 % others

        return function_of
