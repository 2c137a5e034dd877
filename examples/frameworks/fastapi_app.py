"""A FastAPI application with synchronous endpoints: functions of users, read and made.

CLOUDPUB_DATABASE_URL=postgresql://… fastapi run fastapi_app.py
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated
from uuid import UUID

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from cloudpub_models import FunctionDto, Managers, database, managers
from cloudpub_models.errors import CloudpubError
from cloudpub_models.http import MEDIA_TYPE, problem


class NewFunction(BaseModel):
    """What a caller says of a function to make."""

    name: str = Field(min_length=1)


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
    answer = problem(error)
    if answer["status"] == 500:
        raise error
    headers = {"Retry-After": "5"} if answer["status"] == 503 else None
    return JSONResponse(answer, answer["status"], headers, media_type=MEDIA_TYPE)


# Endpoints are plain functions: FastAPI runs each in a thread of its own pool, where it may wait for the database.
@app.get("/functions")
def list_functions(cursor: str | None = None) -> FunctionPage:
    """Return a page of functions."""
    with database.session():  # two statements, one connection
        page = managers.functions.paginate_after(cursor, 20, include=("user",))
    return FunctionPage(items=[FunctionDto.from_entity(function) for function in page.items], next=page.next_cursor)


@app.get("/functions/{uuid}")
def show_function(uuid: UUID) -> FunctionDto:
    """Return a function."""
    with database.session():
        function = managers.functions.get_one({"uuid": uuid}, include=("user", "active_deployment"))
    return FunctionDto.from_entity(function)


def own_rows(uuid: UUID) -> Managers:
    """Return the managers of one user's rows; where users sign in, of the one who has."""
    return managers.owned_by(uuid)


OwnRows = Annotated[Managers, Depends(own_rows)]


@app.get("/users/{uuid}/functions/{function}")
def show_own_function(mine: OwnRows, function: UUID) -> FunctionDto:
    """Return a function of a user; another's is none."""
    return FunctionDto.from_entity(mine.functions.get_by_uuid(function))


@app.post("/users/{uuid}/functions", status_code=201)
def make_function(mine: OwnRows, new: NewFunction) -> FunctionDto:
    """Make a function of a user."""
    return FunctionDto.from_entity(mine.functions.insert(new.model_dump()))
