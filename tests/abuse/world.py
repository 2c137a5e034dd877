"""A database with a canary in it, and a record of every statement that reaches the driver's side of the boundary."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

from cloudpub_models import Database, Managers, QueryBuilder
from cloudpub_models.legacy import QueryHelpers
from cloudpub_models.manager.statements import pages as keyset
from cloudpub_models.schema import create_all
from cloudpub_models.sql import POSTGRESQL, SQLITE
from cloudpub_models.work.component import LeaseRow, Receipt
from tests.abuse.payloads import EVERY, storable

_RECORDED = (
    "fetch",
    "run",
    "run_many",
    "fetch_undecoded",
    "stream",
    "stream_described",
    "copy_rows",
    "_execute_cursor",
)


class World:
    """One database: a user with an organization, a function, one log line for each payload, and the canary.

    It records its changes, so that every string that is written goes through the triggers too.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.dialect = SQLITE if database.dialect == "sqlite" else POSTGRESQL
        managers = self.managers = Managers(database)
        self.helpers = type("Helpers", (QueryHelpers,), {"managers": managers})
        self.users, self.functions, self.logs = managers.users, managers.functions, managers.function_logs
        database.history.enable()
        create_all(database.engine, [LeaseRow, Receipt])
        database.raw_execute("CREATE TABLE canary (id INTEGER PRIMARY KEY, secret TEXT)")
        database.raw_execute("INSERT INTO canary (id, secret) VALUES (1, 'tweet')")
        self.user = self.users.insert({"email": "ada@example.com", "password_hash": "hash"})
        self.other = self.users.insert({"email": "eve@example.com", "password_hash": "hash"})
        self.organization = managers.organizations.create("Acme", self.user)
        document = {"k": "v"} | {text: "v" for text in EVERY if storable(text) and len(text) < 1000}
        self.function = self.functions.insert({"user_id": self.user.id, "name": "resize", "analysis_result": document})
        self.deployment = managers.function_deployments.deploy(self.function, "tag", "key")
        messages = [text for text in EVERY if storable(text)]
        self.logs.batch_insert(
            [{"function_id": self.function.id, "level": "info", "message": text} for text in messages]
        )
        self.ids = {row.message: row.id for row in self.logs.find_all()}
        assert len(self.ids) == len(messages)
        for table in (self.logs.table, managers.function_invocations.table):
            # That is asked once a minute, whatever is called.
            database.engine.is_partitioned(table.name)
        # In partitions a line is known by its moment as well.
        is_partitioned = database.engine.is_partitioned("function_logs")
        self.moment = {"timestamp": datetime(2026, 11, 28, tzinfo=UTC)} if is_partitioned else {}
        self.key = ["id", *self.moment]
        self.sent: list[str] = []
        self._record()
        self.before = self.contents()
        self.sent.clear()

    def _record(self) -> None:
        engine = self.database.engine
        for name in _RECORDED:
            original = getattr(engine, name, None)
            if original is None:
                continue  # COPY is only PostgreSQL's, many runs of one statement only SQLite's

            def recording(sql: str, *arguments: Any, _original: Any = original, **options: Any) -> Any:
                self.sent.append(str(sql))
                return _original(sql, *arguments, **options)

            setattr(engine, name, recording)

    def contents(self) -> dict[str, Any]:
        """Everything that an injection could have changed."""
        if self.dialect is SQLITE:
            catalogue = "SELECT type || ' ' || name AS thing FROM sqlite_master"
        else:
            own = "relnamespace = 'public'::regnamespace"
            catalogue = f"SELECT relkind::text || ' ' || relname AS thing FROM pg_class WHERE {own}"
        return {
            "things": sorted(row["thing"] for row in self.database.raw_query_all(catalogue)),
            "canary": self.database.raw_query_all("SELECT id, secret FROM canary"),
            "logs": {row.id: (row.level, row.message) for row in self.logs.find_all()},
            "users": [(row.id, row.email, row.password_hash) for row in self.users.find_all(order_by="id")],
            "functions": [(row.id, row.name, row.status, row.analysis_result) for row in self.functions.find_all()],
            "members": [(row.user_id, row.organization_id) for row in self.managers.organization_members.find_all()],
            "deployments": self.managers.function_deployments.count(),
            "invocations": self.managers.function_invocations.count(),
        }

    def assert_unharmed(self) -> None:
        assert self.contents() == self.before

    def text_of(self, builder: QueryBuilder, **changes: Any) -> str:
        """A builder's SELECT; what the managers would send of it, without a database."""
        return str(builder.build_select(self.dialect))

    def forged_cursor(self, values: Any, order_by: str) -> str:
        """What anybody can make who has read how cursors are made."""
        order = keyset.complete_order(order_by, "ASC", self.logs.table, self.database.engine)
        payload = json.dumps(values).encode()
        checksum = keyset._checksum(payload, keyset._belonging(order, self.logs.table))
        return base64.urlsafe_b64encode(checksum + payload).decode().rstrip("=")
