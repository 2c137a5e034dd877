"""What a service answers where the library raises: a problem as RFC 9457 describes it, safe to show to anybody.

For any framework: hand ``problem`` an error, and send what it returns as ``application/problem+json``. Nothing of it is
an internal id, the name of a constraint, a value or SQL; those stand in the error's own message, which is for the log.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from cloudpub_models import errors

MEDIA_TYPE = "application/problem+json"

# By the grammar of messages, what was expected comes first, and what came instead behind it.
_EXPECTED = re.compile(r"(?:(?P<column>\w+\.\w+): )?expected (?P<what>[^;]*);", re.DOTALL)

_AGAIN = "the database cannot answer at the moment: try again"


def problem(error: BaseException) -> dict[str, Any]:
    """Return the problem that an error is to whoever has sent the request.

    Args:
        error: any error. One that is not the library's, or that says of a program what is wrong with it, is a 500 of
            which nothing is told.

    Returns:
        ``type``, ``title``, ``status`` and ``detail``. A status of 503 means that the same request may succeed soon.

    >>> problem(errors.NotFoundError("expected a row of functions with the id 7; there is none", table="functions"))
    {'type': 'about:blank', 'title': 'Not Found', 'status': 404, 'detail': 'there is no such row of functions'}
    """
    for kind, (status, detail) in _PROBLEMS.items():
        if isinstance(error, kind):
            return _answer(status, detail if isinstance(detail, str) else detail(error))
    return _answer(HTTPStatus.INTERNAL_SERVER_ERROR, "the request could not be answered")


def _answer(status: HTTPStatus, detail: str) -> dict[str, Any]:
    return {"type": "about:blank", "title": status.phrase, "status": int(status), "detail": detail}


def _missing(error: Any) -> str:
    return f"there is no such row of {error.table}" if error.table else "there is no such row"


def _taken(error: Any) -> str:
    return f"another row already has this {_named(error)}" if error.columns else "another row already has these values"


def _lacking(error: Any) -> str:
    return f"a value is missing: {_named(error)}" if error.columns else "a value is missing"


def _named(error: Any) -> str:
    return ", ".join(error.columns)


def _expected(otherwise: str) -> Callable[[Any], str]:
    def detail(error: Any) -> str:
        found = _EXPECTED.match(str(error))
        if found is None:
            return otherwise
        column = f"{found['column'].partition('.')[2]}: " if found["column"] else ""
        return f"{column}expected {found['what']}"

    return detail


# The first kind that an error is of decides.
_PROBLEMS: dict[type[BaseException], tuple[HTTPStatus, str | Callable[[Any], str]]] = {
    errors.NotFoundError: (HTTPStatus.NOT_FOUND, _missing),
    errors.DomainRuleError: (HTTPStatus.CONFLICT, _expected("a rule forbids it")),
    errors.UniqueViolationError: (HTTPStatus.CONFLICT, _taken),
    errors.ForeignKeyViolationError: (
        HTTPStatus.CONFLICT,
        "a row that it refers to is not there, or others refer to it",
    ),
    errors.NotNullViolationError: (HTTPStatus.UNPROCESSABLE_ENTITY, _lacking),
    errors.CheckViolationError: (HTTPStatus.UNPROCESSABLE_ENTITY, "a value is not allowed"),
    errors.ConstraintError: (HTTPStatus.CONFLICT, "the values do not go together with what is there"),
    errors.InvalidCursorError: (HTTPStatus.UNPROCESSABLE_ENTITY, "the cursor is none of this list: begin without one"),
    errors.InvalidValueError: (HTTPStatus.UNPROCESSABLE_ENTITY, _expected("a value is none that can be stored")),
    errors.CommitUnknownError: (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "it is not known whether the change was kept: look before trying again",
    ),
    errors.ConnectionFailedError: (HTTPStatus.SERVICE_UNAVAILABLE, _AGAIN),
    errors.ConnectionLostError: (HTTPStatus.SERVICE_UNAVAILABLE, _AGAIN),
    errors.PoolTimeoutError: (HTTPStatus.SERVICE_UNAVAILABLE, _AGAIN),
    errors.RetryableError: (HTTPStatus.SERVICE_UNAVAILABLE, _AGAIN),
    errors.LockNotAvailableError: (HTTPStatus.SERVICE_UNAVAILABLE, _AGAIN),
    errors.QueryTimeoutError: (HTTPStatus.SERVICE_UNAVAILABLE, _AGAIN),
}
