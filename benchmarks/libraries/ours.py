"""cloudpub_models: through the managers of a session, and in two variants, without a session and prepared."""

# What each method is, `benchmarks.operations` says.
# ruff: noqa: D102

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, cast

from benchmarks.data import Batch
from benchmarks.databases import SQLITE_PRAGMAS
from benchmarks.library import Library
from cloudpub_models import Database, Managers, any_of, operators
from cloudpub_models.connection.keywords import DatabaseOptions
from cloudpub_models.connection.postgresql.preparation import SECONDS_OF_YOUTH

_COUNT_RELATED = """SELECT COUNT(*) AS count FROM functions INNER JOIN users ON users.id = functions.user_id
    WHERE users.email = @email"""
_COUNT_ANY = "SELECT COUNT(*) AS count FROM functions WHERE user_id = @user_id OR name = @name"


class Ours(Library):
    """The managers, in one session: a worker's unit of work."""

    name = "ours"
    title = "cloudpub_models"
    package = "cloudpub-models"

    options: dict[str, Any] = {}
    session: AbstractContextManager[Any] | None

    def open(self) -> None:
        self.connect()
        self.session = self.ours.session()
        self.session.__enter__()
        if self.database.dialect == "postgresql":
            # The connection of a worker is older than those on which no lookup is prepared yet.
            self.functions.count()
            time.sleep(SECONDS_OF_YOUTH)

    def connect(self) -> None:
        self.ours = Database(self.database.url, statement_timeout=600, **self.options)
        if self.database.dialect == "sqlite":
            for name, value in SQLITE_PRAGMAS.items():
                self.ours.engine.execute_sql(f"PRAGMA {name} = {value}")
        managers = Managers(self.ours)
        self.functions = managers.functions
        self.logs = managers.function_logs
        self.invocations = managers.function_invocations
        self.session = None

    def close(self) -> None:
        if self.session is not None:
            self.session.__exit__(None, None, None)
        self.ours.close()

    def find_by_id(self, id: int) -> Any:
        return self.functions.find_by_id(id)

    def find_by_uuid(self, uuid: Any) -> Any:
        return self.functions.find_by_uuid(uuid)

    def find_20(self, user_id: int) -> Any:
        return self.functions.find_all({"user_id": user_id}, order_by="created_at", order_direction="DESC", limit=20)

    def find_1000(self, argument: None) -> Any:
        return self.functions.find_all(order_by="id")

    def insert(self, row: dict[str, Any]) -> Any:
        return self.functions.insert(row)

    def update_by_id(self, argument: tuple[int, dict[str, Any]]) -> Any:
        id, changes = argument
        return self.functions.update_by_id(id, changes)

    def upsert(self, row: dict[str, Any]) -> Any:
        return self.functions.upsert(row, ("user_id", "name"))

    def count(self, user_id: int) -> Any:
        return self.functions.count({"user_id": user_id})

    def exists(self, argument: tuple[int, str]) -> Any:
        return self.functions.exists({"user_id": argument[0], "name": argument[1]})

    def count_related(self, argument: tuple[str, bool]) -> Any:
        email, by_hand = argument
        if by_hand:
            return self.ours.raw_query_all(_COUNT_RELATED, {"email": email})[0]["count"]
        return self.functions.count({"user.email": email})

    def count_any(self, argument: tuple[int, str, bool]) -> Any:
        user_id, name, by_hand = argument
        if by_hand:
            return self.ours.raw_query_all(_COUNT_ANY, {"user_id": user_id, "name": name})[0]["count"]
        return self.functions.count(any_of({"user_id": user_id}, {"name": name}))

    def include(self, functions: int) -> Any:
        return self.functions.find_all({"id": operators.le(functions)}, order_by="id", include=("deployments",))

    def builder(self, user_id: int) -> Any:
        query = (
            self.functions.query("f")
            .select("f.name", "f.created_at", "u.email", "ui.first_name", "fd.version")
            .join("users u", "f.user_id", "u.id")
            .join("user_information ui", "ui.user_id", "u.uuid")
            .join("function_deployments fd", "fd.function_id", "f.id")
            .where("f.user_id", user_id)
            .where("fd.is_active", True)
            .order_by("f.created_at", "DESC")
            .limit(20)
        )
        return self.functions.execute_query(query)

    def batch_insert(self, batch: Batch) -> Any:
        return self.logs.batch_insert(batch.rows)

    batch_insert_large = batch_insert

    def batch_insert_returning(self, batch: Batch) -> Any:
        return self.logs.batch_insert(batch.rows, returning=True)

    def iterate(self, rows: int) -> Iterator[Any]:
        return self.invocations.iterate({"id": operators.le(rows)})

    def paginate_after(self, argument: tuple[str | None, int]) -> Any:
        cursor, page_size = argument
        return self.invocations.paginate_after(cursor, page_size, order_by="timestamp").items

    def cursor_after(self, rows: int) -> Any:
        return self.invocations.paginate_after(None, rows, order_by="timestamp").next_cursor


class OursSessionless(Ours):
    """The same, each call borrowing a connection and giving it back."""

    name = "ours-sessionless"
    title = "cloudpub_models, no session"

    def open(self) -> None:
        self.connect()


class OursPrepared(Ours):
    """The same with prepared statements, where the library has them."""

    name = "ours-prepared"
    title = "cloudpub_models, prepared"
    options = {"prepared": True}

    def unavailable(self) -> str | None:
        if "prepared" not in cast("Any", DatabaseOptions).__annotations__:
            return "the library has no option prepared=True yet"
        return None if self.database.dialect == "postgresql" else "prepared statements are PostgreSQL's"
