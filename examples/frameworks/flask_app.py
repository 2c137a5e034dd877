"""A Flask application: functions of users, read and made.

CLOUDPUB_DATABASE_URL=postgresql://… flask --app flask_app run
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from flask import Flask, Response, g, jsonify, request

from cloudpub_models import FunctionDto, database, managers
from cloudpub_models.errors import (
    CloudpubError,
    ConnectionFailedError,
    ConnectionLostError,
    InvalidCursorError,
    InvalidValueError,
    NotFoundError,
    PoolTimeoutError,
    UniqueViolationError,
)

# Any other error is a bug, and becomes Flask's 500 with a traceback in the log.
STATUSES: dict[type[CloudpubError], int] = {
    NotFoundError: 404,
    UniqueViolationError: 409,
    InvalidValueError: 422,
    InvalidCursorError: 422,
    PoolTimeoutError: 503,
    ConnectionFailedError: 503,
    ConnectionLostError: 503,
}


def create_app(url: str | None = None) -> Flask:
    """Return the application; without a URL its database is $CLOUDPUB_DATABASE_URL."""
    database.initialize(url)
    database.migrate()  # processes that start together take turns
    app = Flask(__name__)

    @app.before_request
    def begin_session() -> None:
        g.unit_of_work = ExitStack()
        g.unit_of_work.enter_context(database.session())

    @app.teardown_request
    def end_session(_: BaseException | None) -> None:
        g.unit_of_work.close()

    for error_class in STATUSES:
        app.register_error_handler(error_class, answer_error)

    app.get("/functions")(list_functions)
    app.get("/functions/<uuid>")(show_function)
    app.post("/users/<uuid>/functions")(make_function)
    return app


def answer_error(error: CloudpubError) -> tuple[Response, int, dict[str, str]]:
    """Return the answer that an error of the library becomes."""
    status = next(status for error_class, status in STATUSES.items() if isinstance(error, error_class))
    if status == 503:
        return jsonify(error="the database cannot be reached at the moment"), status, {"Retry-After": "5"}
    return jsonify(error=str(error)), status, {}


def list_functions() -> dict[str, Any]:
    """Return a page of functions, and the cursor of the next."""
    page = managers.functions.paginate_after(request.args.get("cursor"), 20, include=("user",))
    return {"items": [FunctionDto.from_entity(function).to_json() for function in page.items], "next": page.next_cursor}


def show_function(uuid: str) -> dict[str, Any]:
    """Return a function."""
    function = managers.functions.find_one({"uuid": uuid}, include=("user", "active_deployment"))
    if function is None:
        raise NotFoundError(f"there is no function {uuid}")
    return FunctionDto.from_entity(function).to_json()


def make_function(uuid: str) -> tuple[dict[str, Any], int]:
    """Make a function of a user."""
    name = request.get_json().get("name")
    with database.transaction():
        user = managers.users.find_by_uuid(uuid)
        if user is None:
            raise NotFoundError(f"there is no user {uuid}")
        function = managers.functions.insert({"user_id": user.id, "name": name})
    return FunctionDto.from_entity(function).to_json(), 201
