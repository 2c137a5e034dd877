"""The managers against a dict: any sequence of operations, transactions, rollbacks, swallowed errors and faults."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from cloudpub_models import ALL_ROWS, Function, Managers, operators
from cloudpub_models.errors import (
    CloudpubError,
    ForeignKeyViolationError,
    InvalidValueError,
    NotNullViolationError,
    TransactionAbortedError,
    UniqueViolationError,
)
from tests.abuse.payloads import storable

Row = tuple[str, str, Any]

# Few of each, so that they meet; some that are refused.
NAMES = st.sampled_from(
    ["a", "b", "c", "d", "'; DROP TABLE functions; --", "ü\n\\", "", "x\0", "a", "b", "c", "\ud800"]
)
STATUSES = st.sampled_from(["active", "building", "failed"])
DOCUMENTS = st.sampled_from([None, {}, {"k": ["'", None]}, [1.5, True]])
ROWS = st.tuples(NAMES, STATUSES, DOCUMENTS)
DEEPEST = 4


class Layer:
    """An open transaction or savepoint: what there was when it began, and whether a statement in it has failed."""

    def __init__(self, scope: AbstractContextManager[Any], before: dict[int, Row]) -> None:
        self.scope = scope
        self.before = before
        self.failed = False
        self.callbacks: list[int] = []


class ManagersAgainstDict(RuleBasedStateMachine):
    """What the table of functions holds for one user, kept twice."""

    managers: ClassVar[Managers]
    user_id: ClassVar[int]

    known_ids = Bundle("known_ids")

    def __init__(self) -> None:
        super().__init__()
        self.functions = self.managers.functions
        self.rows: dict[int, Row] = {}
        self.layers: list[Layer] = []
        self.called: list[int] = []
        self.expected_calls: list[int] = []
        self.tokens = 0
        self.functions.delete(ALL_ROWS)

    def teardown(self) -> None:
        while self.layers:
            self.leave(self.layers.pop(), ValueError("the end"))
        self.functions.delete(ALL_ROWS)

    # -- helpers

    @property
    def failed(self) -> bool:
        return bool(self.layers) and self.layers[-1].failed

    def data(self, row: Row) -> dict[str, Any]:
        name, status, document = row
        return {"user_id": self.user_id, "name": name, "status": status, "analysis_result": document}

    def taken(self, name: str, but: int | None = None) -> bool:
        return any(row[0] == name and key != but for key, row in self.rows.items())

    def attempt(self, call: Callable[[], Any], error: type[CloudpubError] | None, *, aborts: bool = True) -> Any:
        """Make a call that has to succeed, to raise this error, or to be refused where the transaction has failed."""
        if error is not None and issubclass(error, InvalidValueError):
            with pytest.raises(InvalidValueError):
                call()
            return None
        if self.failed:
            with pytest.raises(TransactionAbortedError):
                call()
            return None
        if error is None:
            return call()
        with pytest.raises(error):
            call()
        if aborts and self.layers:
            self.layers[-1].failed = True
        return None

    @staticmethod
    def as_row(function: Function) -> Row:
        return function.name, function.status, function.analysis_result

    # -- transactions

    @rule(count=st.integers(1, 3), callback=st.booleans())
    def begin(self, count: int, callback: bool) -> None:
        for _ in range(min(count, DEEPEST - len(self.layers))):
            scope = self.managers.database.transaction()
            if self.failed:
                with pytest.raises(TransactionAbortedError):
                    scope.__enter__()
                return
            scope.__enter__()
            self.layers.append(Layer(scope, dict(self.rows)))
            if callback:
                self.on_commit()

    def leave(self, layer: Layer, error: Exception | None) -> None:
        layer.scope.__exit__(type(error) if error else None, error, None)

    @precondition(lambda self: self.layers)
    @rule(count=st.integers(1, DEEPEST))
    def commit_several(self, count: int) -> None:
        for _ in range(min(count, len(self.layers))):
            self.commit()

    def commit(self) -> None:
        layer = self.layers.pop()
        if layer.failed:
            with pytest.raises(TransactionAbortedError):
                self.leave(layer, None)
            self.rows = layer.before
            return
        self.leave(layer, None)
        if self.layers:
            self.layers[-1].callbacks += layer.callbacks
        else:
            self.expected_calls += layer.callbacks

    @precondition(lambda self: self.layers)
    @rule()
    def roll_back(self) -> None:
        layer = self.layers.pop()
        self.leave(layer, ValueError("on purpose"))
        self.rows = layer.before

    def on_commit(self) -> None:
        self.tokens += 1
        token = self.tokens
        self.managers.database.on_commit(lambda: self.called.append(token))
        (self.layers[-1].callbacks if self.layers else self.expected_calls).append(token)

    # -- writing

    @rule(target=known_ids, row=ROWS)
    def insert(self, row: Row) -> int:
        error = None
        if not storable(row[0]):
            error = InvalidValueError
        elif self.taken(row[0]):
            error = UniqueViolationError
        inserted = self.attempt(lambda: self.functions.insert(self.data(row)), error)
        if inserted is None:
            return -1
        assert self.as_row(inserted) == row
        self.rows[inserted.id] = row
        return int(inserted.id)

    @precondition(lambda self: self.layers)
    @rule(row=ROWS)
    def work_that_is_undone(self, row: Row) -> None:
        """A savepoint with work and a callback in it, rolled back; what it is inside of goes on."""
        self.begin(1, True)
        if not self.failed:
            self.insert(row)
            self.roll_back()

    @precondition(lambda self: self.layers)
    @rule(fault=st.sampled_from(["null", "reference"]))
    def a_fault_that_is_swallowed(self, fault: str) -> None:
        self.begin(1, True)
        self.insert_what_the_database_refuses(fault)
        self.commit()

    @rule(fault=st.sampled_from(["null", "reference"]))
    def insert_what_the_database_refuses(self, fault: str) -> None:
        if fault == "null":
            data, error = {"user_id": self.user_id, "name": None}, NotNullViolationError
        else:
            data, error = {"user_id": 2**31 - 1, "name": "nobody's"}, ForeignKeyViolationError
        self.attempt(lambda: self.functions.insert(data), error)

    @rule(key=known_ids, status=STATUSES)
    def update_by_id(self, key: int, status: str) -> None:
        updated = self.attempt(lambda: self.functions.update_by_id(key, {"status": status}), None)
        if updated is not None:
            name, _, document = self.rows[key]
            self.rows[key] = (name, status, document)
            assert self.as_row(updated) == self.rows[key]
        elif not self.failed:
            assert key not in self.rows

    @rule(key=known_ids, name=NAMES)
    def rename(self, key: int, name: str) -> None:
        error = None
        if not storable(name):
            error = InvalidValueError
        elif key in self.rows and self.taken(name, but=key):
            error = UniqueViolationError
        updated = self.attempt(lambda: self.functions.update({"name": name}, {"id": key}), error)
        if updated:
            self.rows[key] = (name, *self.rows[key][1:])

    @rule(old=STATUSES, new=STATUSES)
    def update_many(self, old: str, new: str) -> None:
        updated = self.attempt(lambda: self.functions.update({"status": new}, {"status": old}), None)
        if updated is not None:
            expected = {key for key, row in self.rows.items() if row[1] == old}
            assert {row.id for row in updated} == expected
            for key in expected:
                self.rows[key] = (self.rows[key][0], new, self.rows[key][2])

    @rule(key=known_ids)
    def delete_by_id(self, key: int) -> None:
        deleted = self.attempt(lambda: self.functions.delete_by_id(key), None)
        if deleted is not None:
            assert deleted is (self.rows.pop(key, None) is not None)

    @rule(status=STATUSES, name=NAMES)
    def delete_many(self, status: str, name: str) -> None:
        error = None if storable(name) else InvalidValueError
        where = {"status": status, "name": operators.ne(name)}
        deleted = self.attempt(lambda: self.functions.delete(where), error)
        if deleted is not None:
            gone = [key for key, row in self.rows.items() if row[1] == status and row[0] != name]
            assert deleted == len(gone)
            for key in gone:
                del self.rows[key]

    @rule(target=known_ids, row=ROWS)
    def upsert(self, row: Row) -> int:
        error = None if storable(row[0]) else InvalidValueError
        upserted = self.attempt(lambda: self.functions.upsert(self.data(row), ["user_id", "name"]), error)
        if upserted is None:
            return -1
        existing = [key for key, known in self.rows.items() if known[0] == row[0]]
        assert existing in ([], [upserted.id])
        assert self.as_row(upserted) == row
        self.rows[upserted.id] = row
        return int(upserted.id)

    @rule(target=known_ids, row=ROWS)
    def find_or_insert(self, row: Row) -> int:
        error = None if storable(row[0]) else InvalidValueError
        result = self.attempt(lambda: self.functions.find_or_insert(self.data(row), ["user_id", "name"]), error)
        if result is None:
            return -1
        found, inserted = result
        assert inserted is not self.taken(row[0])
        if inserted:
            self.rows[found.id] = row
        assert self.as_row(found) == self.rows[found.id]
        return int(found.id)

    @rule(rows=st.lists(ROWS, max_size=5), chunk_size=st.integers(1, 3), returning=st.booleans())
    def batch_insert(self, rows: list[Row], chunk_size: int, returning: bool) -> None:
        names = [row[0] for row in rows]
        error = None
        # Chunk by chunk: what is wrong with an earlier one comes first.
        known = {row[0] for row in self.rows.values()}
        for start in range(0, len(names), chunk_size):
            chunk = names[start : start + chunk_size]
            if not all(map(storable, chunk)):
                error = InvalidValueError
                break
            if known & set(chunk) or len(set(chunk)) < len(chunk):
                error = UniqueViolationError
                break
            known |= set(chunk)
        if self.failed:
            error = None
        written = self.attempt(
            lambda: self.functions.batch_insert(
                (self.data(row) for row in rows), chunk_size=chunk_size, returning=returning
            ),
            error,
            aborts=False,
        )
        if written is not None:
            assert (len(written) if returning else written) == len(rows)
            self.learn(rows)

    @rule(
        rows=st.lists(ROWS.filter(lambda row: storable(row[0])), max_size=5),
        action=st.sampled_from(["ignore", "update"]),
    )
    def batch_upsert(self, rows: list[Row], action: Any) -> None:
        columns = ["user_id", "name"]
        written = self.attempt(
            lambda: self.functions.batch_insert(
                [self.data(row) for row in rows], on_conflict=action, conflict_columns=columns
            ),
            None,
        )
        if written is None:
            return
        keys = {row[0]: key for key, row in self.rows.items()}
        for row in rows:
            if row[0] in keys and action == "update":
                if keys[row[0]] is not None:
                    self.rows[keys[row[0]]] = row
            elif row[0] not in keys:
                keys[row[0]] = None
        # Of new rows that repeat each other, updating leaves the last, and ignoring the first.
        new = {}
        for row in rows:
            if keys[row[0]] is None and (action == "update" or row[0] not in new):
                new[row[0]] = row
        self.learn(list(new.values()))

    def learn(self, rows: list[Row]) -> None:
        """Take over the keys of rows that were inserted without being returned."""
        by_name = {row.name: row.id for row in self.functions.find_all()}
        for row in rows:
            self.rows[by_name[row[0]]] = row

    @rule(old=STATUSES, new=STATUSES, limit=st.integers(1, 3))
    def claim(self, old: str, new: str, limit: int) -> None:
        claimed = self.attempt(lambda: self.functions.claim({"status": old}, {"status": new}, limit=limit), None)
        if claimed is None:
            return
        expected = sorted(key for key, row in self.rows.items() if row[1] == old)[:limit]
        assert [row.id for row in claimed] == expected
        for key in expected:
            self.rows[key] = (self.rows[key][0], new, self.rows[key][2])

    # -- reading

    @rule(name=NAMES, status=STATUSES)
    def query(self, name: str, status: str) -> None:
        error = None if storable(name) else InvalidValueError
        named = self.attempt(lambda: self.functions.find_all({"name": [name, "a"], "status": status}), error)
        if named is not None:
            expected = {key for key, row in self.rows.items() if row[0] in (name, "a") and row[1] == status}
            assert {row.id for row in named} == expected
            assert self.functions.count({"status": operators.ne(status)}) == sum(
                row[1] != status for row in self.rows.values()
            )
            assert self.functions.exists({"name": name}) is self.taken(name)

    @rule(size=st.integers(1, 3))
    def pages(self, size: int) -> None:
        first = self.attempt(lambda: self.functions.paginate_after(None, size, order_by="status"), None)
        if first is None:
            return
        found, cursor = list(first.items), first.next_cursor
        while cursor is not None:
            page = self.functions.paginate_after(cursor, size, order_by="status")
            found += page.items
            cursor = page.next_cursor
        ordered = sorted(self.rows, key=lambda key: (self.rows[key][1], key))
        assert [row.id for row in found] == ordered
        numbered = self.functions.paginate(1, size, order_by="status")
        assert [row.id for row in numbered.items] == ordered[:size]
        assert numbered.total == len(self.rows)

    @invariant()
    def the_table_is_the_dict(self) -> None:
        if not self.failed:
            assert {row.id: self.as_row(row) for row in self.functions.iterate()} == self.rows

    @invariant()
    def callbacks_ran_once_and_in_order(self) -> None:
        assert self.called == self.expected_calls


def run(managers: Managers, examples: int, steps: int) -> None:
    user = managers.users.insert({"email": "ada@example.com", "password_hash": "x"})
    machine = type("Machine", (ManagersAgainstDict,), {"managers": managers, "user_id": user.id})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_managers_against_a_dict(managers: Managers) -> None:
    run(managers, 20, 40)


@pytest.mark.soak
def test_managers_against_a_dict_for_long(managers: Managers) -> None:
    run(managers, 1_500, 60)
