"""What the two drivers' errors have in common once they are ours: what to do about each, and what a constraint says.

Which error of ours one of a driver's is, is decided beside the driver: ``postgresql.driver_errors`` and
``sqlite.driver_errors``. No message repeats a row's values.
"""

from __future__ import annotations

from typing import Any, TypeVar

from cloudpub_models import errors

E = TypeVar("E", bound=errors.CloudpubError)

_ADVICE: dict[type[errors.CloudpubError], str] = {
    errors.UniqueViolationError: "find the existing row first, or use upsert()",
    errors.ForeignKeyViolationError: "the row it refers to must exist, and may go only after the rows that refer to it",
    errors.NotNullViolationError: "give it a value",
    errors.CheckViolationError: "give it one of the values that the constraint allows",
    errors.LockNotAvailableError: "somebody else holds it; try again later, or raise lock_timeout or busy_timeout",
    errors.QueryTimeoutError: "make the query cheaper (see its EXPLAIN), or raise statement_timeout",
    errors.ConnectionLostError: "nothing of an open transaction was kept; run it again",
    errors.ReadOnlyServerError: "it may have become a standby; run it again, on the server that is the primary now",
    errors.SerializationError: "run the whole transaction again, as run_transaction() does",
    errors.DeadlockError: "run the whole transaction again, as run_transaction() does",
    errors.TransactionAbortedError: "put work that may fail into a nested transaction()",
    errors.StorageError: "check the disk's space and the permissions of the database",
}

_MISSING_TABLE_ADVICE = "is this its name? if it is, and this database was never migrated, call database.migrate()"
_MISSING_CONSTRAINT_ADVICE = (
    "name the columns of the primary key or of one of the table's unique constraints, all of them"
)
_LONGEST_TEXT = 500


def shortened(text: str) -> str:
    """Return a driver's text, which repeats what it did not understand, however long that is, at a bearable length."""
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}… ({len(text)} characters)"


def with_advice(
    kind: type[E], text: str, *, missing_table: bool = False, missing_constraint: bool = False, **details: Any
) -> E:
    """Return an error of a kind that says what to do next.

    Args:
        kind: its class.
        text: what has happened.
        missing_table: whether a table is not there.
        missing_constraint: whether no unique constraint has the columns of an ON CONFLICT.
        details: what else the class takes.
    """
    advice = _ADVICE.get(kind)
    if missing_table or missing_constraint:
        advice = _MISSING_TABLE_ADVICE if missing_table else _MISSING_CONSTRAINT_ADVICE
    return kind(f"{text}: {advice}" if advice else text, **details)


def constraint_error(
    kind: type[errors.ConstraintError],
    text: str,
    *,
    table: str | None = None,
    columns: tuple[str, ...] = (),
    constraint: str | None = None,
) -> errors.ConstraintError:
    """Return the error for a row that a constraint refuses.

    Args:
        kind: its class.
        text: the driver's text, for a constraint that has no class of its own.
        table: where the row was to go; ``None`` and nothing where the driver does not tell, here and below.
        columns: those that the constraint is about.
        constraint: its name.
    """
    where = f"{table}({', '.join(columns)})" if table and columns else table or "the row"
    problems: dict[type[errors.ConstraintError], str] = {
        errors.UniqueViolationError: f"another row already has this value in {where}",
        errors.ForeignKeyViolationError: f"{where} refers to a row that does not exist, or is referred to itself",
        errors.NotNullViolationError: f"{where} must not be null",
        errors.CheckViolationError: f"a value of {where} is not allowed",
    }
    named = f" (constraint {constraint})" if constraint else ""
    return with_advice(kind, f"{problems.get(kind, text)}{named}", table=table, columns=columns, constraint=constraint)
