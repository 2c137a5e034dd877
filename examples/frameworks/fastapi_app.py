"""A FastAPI application with synchronous endpoints: functions of users, read and made.

CLOUDPUB_DATABASE_URL=postgresql://… fastapi run fastapi_app.py
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from cloudpub_models import FunctionDto, database, managers
from cloudpub_models.errors import (
    ConnectionFailedError,
    ConnectionLostError,
    InvalidCursorError,
    InvalidValueError,
    NotFoundError,
    PoolTimeoutError,
    UniqueViolationError,
)

# Any other error is a bug, and becomes a 500 with a traceback in the log.
STATUSES: dict[type[Exception], int] = {
    NotFoundError: 404,
    UniqueViolationError: 409,
    InvalidValueError: 422,
    InvalidCursorError: 422,
    PoolTimeoutError: 503,
    ConnectionFailedError: 503,
    ConnectionLostError: 503,
}


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


def answer_error(_: Request, error: Exception) -> JSONResponse:
    """Return the answer that an error of the library becomes."""
    status = next(status for error_class, status in STATUSES.items() if isinstance(error, error_class))
    if status == 503:
        message = "the database cannot be reached at the moment"
        return JSONResponse({"error": message}, status, {"Retry-After": "5"})
    return JSONResponse({"error": str(error)}, status)


for error_class in STATUSES:
    app.add_exception_handler(error_class, answer_error)


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
        function = managers.functions.find_one({"uuid": uuid}, include=("user", "active_deployment"))
    if function is None:
        raise NotFoundError(f"there is no function {uuid}")
    return FunctionDto.from_entity(function)


@app.post("/users/{uuid}/functions", status_code=201)
def make_function(uuid: UUID, new: NewFunction) -> FunctionDto:
    """Make a function of a user."""
    with database.transaction():
        user = managers.users.find_by_uuid(uuid)
        if user is None:
            raise NotFoundError(f"there is no user {uuid}")
        function = managers.functions.insert({"user_id": user.id, "name": new.name})
    return FunctionDto.from_entity(function)
