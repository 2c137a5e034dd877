"""Taking over a database whose tables another backend has made.

What the managers cannot work without is refused: missing tables and columns, types that do not fit. What they can
work without, but what the design asks of the database, is reported with the statements that would add it; whether and
when to run them is for the operator, since each may take locks or fail on the rows that are there. Columns and tables
that no model knows are named, and are for the other backend. Nothing of the tables is changed here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import peewee

from cloudpub_models.component import Component
from cloudpub_models.errors import MigrationError
from cloudpub_models.schema.catalogue.catalogue import Column, Table
from cloudpub_models.schema.catalogue.read import read_catalogue
from cloudpub_models.schema.drift.compare import Difference, find_drift, unknown_columns


@dataclass(frozen=True)
class TableFinding:
    """What there is to say of one table.

    Attributes:
        component: the name of the component whose it is; None for a table that no component has.
        table: its name.
        found: what it is, in words.
        advice: what to do about it, in words; nothing where it is as it should be.
        unknown_columns: its columns that no model knows.
    """

    component: str | None
    table: str
    found: str
    advice: tuple[str, ...] = ()
    unknown_columns: tuple[Column, ...] = ()


@dataclass(frozen=True)
class Examination:
    """What a database is, table by table, before it is adopted.

    Attributes:
        tables: what there is to say of each table: those of the components in the order of the models, then others'.
        adopted: the components of which the database has tables.
        differences: in what those tables are not what the models say.
    """

    tables: tuple[TableFinding, ...]
    adopted: tuple[Component, ...]
    differences: tuple[Difference, ...]

    @property
    def in_the_way(self) -> tuple[Difference, ...]:
        """The differences with which the managers cannot work."""
        return tuple(difference for difference in self.differences if difference.blocking)

    @property
    def fits(self) -> bool:
        """Whether there are tables, and the managers can work with them."""
        return bool(self.adopted) and not self.in_the_way

    def require_fit(self) -> None:
        """Raise MigrationError for missing tables or columns and types that do not fit, or without any table."""
        if not self.adopted:
            tables = ", ".join(finding.table for finding in self.tables if finding.component is not None)
            raise MigrationError(f"expected the tables {tables}; got none of them: run `migrate up`, which makes them")
        blocking = self.in_the_way
        if blocking:
            listed = "".join(f"\n  {difference.description}" for difference in blocking)
            raise MigrationError(
                f"expected tables that can be adopted; got {len(blocking)} thing(s) that have to be mended first:"
                f"{listed}\nadd what is missing and change the types, then adopt again"
            )


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


def examine(database: peewee.Database, components: Iterable[Component], beside: Iterable[str] = ()) -> Examination:
    """Return what there is to say of a database's tables; nothing is refused.

    Args:
        database: the database.
        components: those that are to be adopted.
        beside: the names of other tables that are nobody else's.

    >>> database = peewee.SqliteDatabase(":memory:")
    >>> _ = database.execute_sql("CREATE TABLE api_keys (id INTEGER PRIMARY KEY)")
    >>> [(each.table, each.found) for each in examine(database, [Component("billing")]).tables]
    [('api_keys', 'a table that no model has')]
    """
    given = tuple(components)
    catalogue = read_catalogue(database).tables
    own = {*beside, *(name for component in given for name in tables_of(component))}
    others = [name for name in catalogue if name not in own]
    adopted: list[Component] = []
    findings: list[TableFinding] = []
    differences: list[Difference] = []
    for component in given:
        if catalogue.keys().isdisjoint(component.tables):
            made = ("migrate the component, which makes it",)
            findings.extend(TableFinding(component.name, name, "no table", made) for name in component.tables)
            continue
        found = find_drift(database, component.models)
        adopted.append(component)
        differences.extend(found)
        findings.extend(_findings(component, catalogue, found))
    leave = ("leave it be; a component of yours can have a model of it",)
    findings.extend(TableFinding(None, name, "a table that no model has", leave) for name in others)
    return Examination(tuple(findings), tuple(adopted), tuple(differences))


def tables_of(component: Component) -> Iterator[str]:
    """Yield the names of a component's tables, bookkeeping included."""
    for model in component.models:
        yield model._meta.table_name
        yield from (kept._meta.table_name for kept in getattr(model._meta, "bookkeeping", ()))


def _findings(
    component: Component, catalogue: Mapping[str, Table], differences: Iterable[Difference]
) -> Iterator[TableFinding]:
    counts, blocked, closed = Counter[str](), Counter[str](), set[str]()
    for difference in differences:
        counts[difference.table] += 1
        blocked[difference.table] += difference.blocking
        if difference.kind == "extra column":
            closed.add(difference.table)
    for model in component.models:
        name = model._meta.table_name
        if model._meta.schema:
            yield TableFinding(component.name, name, "in a schema of its own, and not looked at")
            continue
        if name not in catalogue:
            yield _missing(component, model, catalogue)
            continue
        found, advice = [], []
        if blocked[name]:
            found.append(f"{blocked[name]} in the way")
            advice.append("mend that, then adopt again")
        if counts[name] > blocked[name]:
            found.append(_counted(counts[name] - blocked[name], "other difference" if blocked[name] else "difference"))
        if name in closed:
            advice.append("let its extra column be NULL or have a default: until then no row can be inserted here")
        elif counts[name] and not blocked[name]:
            advice.append("it works as it is; the statements that would mend it can wait")
        unknown = unknown_columns(model, catalogue[name])
        if unknown:
            listed = ", ".join(f"{column.name} {column.type}" for column in unknown)
            found.append(f"{_counted(len(unknown), 'column')} that the model does not know: {listed}")
            advice.append("leave those columns be; a model of your own over the table reads them")
        yield TableFinding(component.name, name, "; ".join(found) or "as the model says", tuple(advice), tuple(unknown))


def _missing(component: Component, model: type[peewee.Model], catalogue: Mapping[str, Table]) -> TableFinding:
    """Say of a table that is not there what to do, and which one of somebody else's it may have become."""
    wanted = model._meta.columns.keys()
    others = {name: wanted & table.columns.keys() for name, table in catalogue.items() if name not in component.tables}
    nearest = max(others, key=lambda name: len(others[name]), default=None)
    found, advice = "no table", "make it, then adopt again"
    if nearest is not None and len(others[nearest]) * 2 > len(wanted):
        lacking = [column for column in wanted if column not in others[nearest]]
        found += f"; {nearest} has its columns" + (f" but for {', '.join(lacking)}" if lacking else "")
        advice = f"make it beside {nearest}, then adopt again"
    return TableFinding(component.name, model._meta.table_name, found, (advice,))


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
