"""Taking over a database whose tables another backend has made.

What the managers cannot work without is refused: missing tables and columns, types that do not fit. What they can
work without, but what the design asks of the database, is reported with the statements that would add it; whether and
when to run them is for the operator, since each may take locks or fail on the rows that are there. Nothing of the
tables is changed here.
"""

from __future__ import annotations

from dataclasses import dataclass

import peewee

from cloudpub_models.errors import MigrationError
from cloudpub_models.schema.drift.compare import Difference, find_drift
from cloudpub_models.schema.drift.definition import Models


@dataclass(frozen=True)
class AdoptionReport:
    """What came of adopting a database.

    Attributes:
        recorded: the migration that was recorded as applied, or None when it had been before.
        differences: what the database lacks or has otherwise, each with the statements that would mend it.
    """

    recorded: str | None
    differences: tuple[Difference, ...]

    @property
    def statements(self) -> tuple[str, ...]:
        """All statements that would mend something, in the order of the report, each once."""
        return tuple(dict.fromkeys(text for difference in self.differences for text in difference.statements))


def examine(database: peewee.Database, models: Models) -> tuple[Difference, ...]:
    """Return in what a database differs from the models, where it can be adopted all the same.

    Raises:
        MigrationError: for missing tables or columns and for types that do not fit; all of them are named.
    """
    differences = find_drift(database, models)
    blocking = [difference for difference in differences if difference.blocking]
    if len([difference for difference in blocking if difference.kind == "table"]) == len(models):
        raise MigrationError(
            f"expected the tables {_named(models)}; got none of them: run `migrate up`, which makes them"
        )
    if blocking:
        listed = "".join(f"\n  {difference.description}" for difference in blocking)
        raise MigrationError(
            f"expected tables that can be adopted; got {len(blocking)} thing(s) that have to be mended first:{listed}\n"
            "add what is missing and change the types, then adopt again"
        )
    return tuple(differences)


def _named(models: Models) -> str:
    return ", ".join(model._meta.table_name for model in models)
