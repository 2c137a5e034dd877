"""A Flask application: functions of users, read and made.

CLOUDPUB_DATABASE_URL=postgresql://… flask --app flask_app run
"""

from __future__ import annotations

from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from flask import Flask, Response, abort, g, jsonify, request, send_file

from cloudpub_models import FunctionDto, database, managers
from cloudpub_models.errors import CloudpubError, InvalidValueError
from cloudpub_models.graphql import answer
from cloudpub_models.http import MEDIA_TYPE, problem

SEEN = "seen"  # the cookie that says how far a browser's reads have to see, where read replicas answer


def create_app(url: str | None = None) -> Flask:
    """Return the application; without a URL its database is $CLOUDPUB_DATABASE_URL."""
    database.initialize(url)
    database.migrate()  # processes that start together take turns
    app = Flask(__name__)

    @app.before_request
    def begin_session() -> None:
        g.unit_of_work = ExitStack()
        with suppress(InvalidValueError):  # a cookie that somebody has changed asks for nothing
            g.unit_of_work.enter_context(database.at_least(request.cookies.get(SEEN)))
        g.unit_of_work.enter_context(database.session())

    @app.after_request
    def say_what_was_written(response: Response) -> Response:
        if request.method == "POST" and response.status_code < 400:
            with suppress(CloudpubError):  # what was written is kept, whether or not this can be found out
                response.set_cookie(SEEN, database.token(), max_age=60, httponly=True, samesite="Lax")
        return response

    @app.teardown_request
    def end_session(_: BaseException | None) -> None:
        g.unit_of_work.close()

    app.register_error_handler(CloudpubError, answer_error)

    app.get("/functions")(list_functions)
    app.get("/functions/<uuid>")(show_function)
    app.get("/users/<uuid>/functions/<function>")(show_own_function)
    app.post("/users/<uuid>/functions")(make_function)
    app.post("/users/<uuid>/graphql")(answer_graphql)
    app.get("/users/<uuid>/graphql")(show_graphiql)
    return app


def answer_error(error: CloudpubError) -> tuple[Response, int, dict[str, str]]:
    """Return the answer that an error of the library becomes; one that nobody can be told of is left to Flask."""
    told = problem(error)
    if told["status"] == 500:
        raise error
    headers = {"Retry-After": "5"} if told["status"] == 503 else {}
    return jsonify(told), told["status"], headers | {"Content-Type": MEDIA_TYPE}


def list_functions() -> dict[str, Any]:
    """Return a page of functions, and the cursor of the next."""
    page = managers.functions.paginate_after(request.args.get("cursor"), 20, include=("user",))
    return {"items": [FunctionDto.from_entity(function).to_json() for function in page.items], "next": page.next_cursor}


def show_function(uuid: str) -> dict[str, Any]:
    """Return a function."""
    function = managers.functions.get_one({"uuid": uuid}, include=("user", "active_deployment"))
    return FunctionDto.from_entity(function).to_json()


def show_own_function(uuid: str, function: str) -> dict[str, Any]:
    """Return a function of a user, the one who has signed in where users do; another's is none."""
    mine = managers.owned_by(uuid)
    return FunctionDto.from_entity(mine.functions.get_by_uuid(function)).to_json()


def make_function(uuid: str) -> tuple[dict[str, Any], int]:
    """Make a function of a user."""
    mine = managers.owned_by(uuid)
    function = mine.functions.insert({"name": request.get_json().get("name")})
    return FunctionDto.from_entity(function).to_json(), 201


def answer_graphql(uuid: str) -> dict[str, Any]:
    """Answer a query of GraphQL with what is a user's."""
    asked = request.get_json()
    if not isinstance(asked, dict):
        abort(400)
    mine, operation = managers.owned_by(uuid), asked.get("operationName")
    return answer(mine, asked.get("query", ""), asked.get("variables"), requester=uuid, operation_name=operation)


def show_graphiql(uuid: str) -> Response:
    """Return a page to try queries on; for development."""
    return send_file(Path(__file__).with_name("graphiql.html"))
