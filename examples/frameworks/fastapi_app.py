"""A FastAPI application with synchronous endpoints: functions of users, read and made.

CLOUDPUB_DATABASE_URL=postgresql://… fastapi run fastapi_app.py
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, FastAPI, Header, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel, Field

from cloudpub_models import FunctionDto, Managers, database, managers
from cloudpub_models.errors import CloudpubError
from cloudpub_models.graphql import answer
from cloudpub_models.http import MEDIA_TYPE, problem


class NewFunction(BaseModel):
    """What a caller says of a function to make."""

    name: str = Field(min_length=1)


class GraphqlRequest(BaseModel):
    """A query, as clients of GraphQL send it."""

    query: str
    variables: dict[str, Any] | None = None
    operation_name: str | None = Field(None, alias="operationName")


class FunctionPage(BaseModel):
    """A page of functions, and the cursor of the next."""

    items: list[FunctionDto]
    next: str | None


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Migrate before the first request, close after the last."""
    database.migrate()  # processes that start together take turns
    yield
    database.close()


app = FastAPI(lifespan=lifespan)


@app.exception_handler(CloudpubError)
def answer_error(_: Request, error: CloudpubError) -> JSONResponse:
    """Return the answer that an error of the library becomes; one that nobody can be told of is left to FastAPI."""
    told = problem(error)
    if told["status"] == 500:
        raise error
    headers = {"Retry-After": "5"} if told["status"] == 503 else None
    return JSONResponse(told, told["status"], headers, media_type=MEDIA_TYPE)


# The header that says how far the reads of a request have to see, where read replicas answer.
Seen = Annotated[str | None, Header()]


def say_what_was_written(response: Response) -> None:
    """Name what was written up to now in the header that the sender passes on with its next requests."""
    with suppress(CloudpubError):  # what was written is kept, whether or not this can be found out
        response.headers["Seen"] = database.token()


# Endpoints are plain functions: FastAPI runs each in a thread of its own pool, where it may wait for the database.
@app.get("/functions")
def list_functions(seen: Seen = None, cursor: str | None = None) -> FunctionPage:
    """Return a page of functions."""
    with database.at_least(seen), database.session():  # two statements, one connection
        page = managers.functions.paginate_after(cursor, 20, include=("user",))
    return FunctionPage(items=[FunctionDto.from_entity(function) for function in page.items], next=page.next_cursor)


@app.get("/functions/{uuid}")
def show_function(uuid: UUID, seen: Seen = None) -> FunctionDto:
    """Return a function."""
    with database.at_least(seen), database.session():
        function = managers.functions.get_one({"uuid": uuid}, include=("user", "active_deployment"))
    return FunctionDto.from_entity(function)


def own_rows(uuid: UUID, seen: Seen = None) -> Managers:
    """Return the managers of one user's rows; where users sign in, of the one who has."""
    with database.at_least(seen):
        return managers.owned_by(uuid)


OwnRows = Annotated[Managers, Depends(own_rows)]


@app.get("/users/{uuid}/functions/{function}")
def show_own_function(mine: OwnRows, function: UUID, seen: Seen = None) -> FunctionDto:
    """Return a function of a user; another's is none."""
    with database.at_least(seen):
        return FunctionDto.from_entity(mine.functions.get_by_uuid(function))


@app.post("/users/{uuid}/functions", status_code=201)
def make_function(mine: OwnRows, new: NewFunction, response: Response) -> FunctionDto:
    """Make a function of a user."""
    function = mine.functions.insert(new.model_dump())
    say_what_was_written(response)
    return FunctionDto.from_entity(function)


@app.post("/users/{uuid}/graphql")
def answer_graphql(
    mine: OwnRows, uuid: UUID, asked: GraphqlRequest, response: Response, seen: Seen = None
) -> dict[str, Any]:
    """Answer a query of GraphQL with what is a user's."""
    with database.at_least(seen), database.session():  # a statement for each relation, one connection
        answered = answer(mine, asked.query, asked.variables, requester=uuid, operation_name=asked.operation_name)
        say_what_was_written(response)
    return answered


@app.get("/users/{uuid}/graphql", include_in_schema=False)
def show_graphiql() -> FileResponse:
    """Return a page to try queries on; for development."""
    return FileResponse(Path(__file__).with_name("graphiql.html"))
