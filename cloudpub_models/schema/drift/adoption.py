"""Taking over a database whose tables another backend has made.

What the managers cannot work without is refused: missing tables and columns, types that do not fit. What they can
work without, but what the design asks of the database, is reported with the statements that would add it; whether and
when to run them is for the operator, since each may take locks or fail on the rows that are there. Nothing of the
tables is changed here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import peewee

from cloudpub_models.component import Component
from cloudpub_models.errors import MigrationError
from cloudpub_models.schema.drift.compare import Difference, find_drift


@dataclass(frozen=True)
class AdoptionReport:
    """What came of adopting a database.

    Attributes:
        recorded: the migrations that were recorded as applied, and had not been before.
        differences: what the database lacks or has otherwise, each with the statements that would mend it.
    """

    recorded: tuple[str, ...]
    differences: tuple[Difference, ...]

    @property
    def statements(self) -> tuple[str, ...]:
        """All statements that would mend something, in the order of the report, each once."""
        return tuple(dict.fromkeys(text for difference in self.differences for text in difference.statements))


def examine(
    database: peewee.Database, components: Iterable[Component]
) -> tuple[tuple[Component, ...], tuple[Difference, ...]]:
    """Return which components a database has tables of, and in what those differ from the models.

    Raises:
        MigrationError: for missing tables or columns and for types that do not fit, all of which are named; and where
            there is not one table of any component.
    """
    given = tuple(components)
    adopted: list[Component] = []
    differences: list[Difference] = []
    for component in given:
        found = find_drift(database, component.models)
        absent = [difference for difference in found if difference.kind == "table"]
        if len(absent) < len(component.models):
            adopted.append(component)
            differences.extend(found)
    if not adopted:
        tables = ", ".join(table for component in given for table in component.tables)
        raise MigrationError(f"expected the tables {tables}; got none of them: run `migrate up`, which makes them")
    blocking = [difference for difference in differences if difference.blocking]
    if blocking:
        listed = "".join(f"\n  {difference.description}" for difference in blocking)
        raise MigrationError(
            f"expected tables that can be adopted; got {len(blocking)} thing(s) that have to be mended first:{listed}\n"
            "add what is missing and change the types, then adopt again"
        )
    return tuple(adopted), tuple(differences)
