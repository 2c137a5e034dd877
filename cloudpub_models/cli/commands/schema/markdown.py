"""A catalogue as Markdown: a table for each table, for a page that people read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from cloudpub_models.cli.commands.schema.diagram import by_component
from cloudpub_models.cli.shown.markup import in_markdown
from cloudpub_models.entity.fields import RANDOM_UUID, TIME_ORDERED_UUID, UTC_NOW
from cloudpub_models.schema.catalogue.catalogue import COUNTING, Catalogue, Column, Index, Table, Unique
from cloudpub_models.schema.catalogue.normal_form import normalised, readable
from cloudpub_models.sql.dialects import POSTGRESQL, SQLITE, Dialect

# Defaults that every database writes in words of its own.
_DEFAULTS = {
    COUNTING: "the next number",
    normalised(UTC_NOW.postgresql, POSTGRESQL): "now, in UTC",
    normalised(UTC_NOW.sqlite, SQLITE): "now, in UTC",
    normalised(RANDOM_UUID.postgresql, POSTGRESQL): "a random UUID",
    normalised(RANDOM_UUID.sqlite, SQLITE): "a random UUID",
    normalised(TIME_ORDERED_UUID.postgresql, POSTGRESQL): "a UUID of the current time",
}
_LITERAL = r"(?:'(?:[^']|'')*'|[\w.]+)"
_LIST = re.compile(rf"\bin ({_LITERAL}(?: , {_LITERAL})*)")


def markdown(catalogue: Catalogue, owners: Mapping[str, str]) -> str:
    """Return a section for each table, within one for each component where they are of several.

    Args:
        catalogue: the tables.
        owners: the names of the components by those of their tables, in the order in which they are shown.
    """
    groups = by_component(catalogue.tables, owners)
    if not groups:
        return _sections(catalogue.tables.values(), "##", catalogue.dialect)
    return "\n".join(
        f"## Tables of {name}\n\n" + _sections((catalogue.tables[table] for table in tables), "###", catalogue.dialect)
        for name, tables in groups.items()
    )


def _sections(tables: Iterable[Table], level: str, dialect: Dialect) -> str:
    return "\n".join(line for table in tables for line in [*_section(table, level, dialect), ""])


def _section(table: Table, level: str, dialect: Dialect) -> list[str]:
    title = table.name if table.name.isidentifier() else in_markdown(table.name)
    lines = [f"{level} {title}", "", "| column | type | NULL | default | rules |", "|---|---|---|---|---|"]
    lines += [
        f"| {in_markdown(column.name)} | {in_markdown(column.type)} | {'yes' if column.nullable else 'no'} "
        f"| {_default(column)} | {'; '.join(_rules(table, column))} |"
        for column in table.columns.values()
    ]
    notes = [f"unique together: {_list(_keys(unique, dialect))}" for unique in table.uniques if len(unique.columns) > 1]
    notes += [
        f"unique: {_list(_keys(unique, dialect))}"
        for unique in table.uniques
        if len(unique.columns) == 1 and unique.columns[0] not in table.columns
    ]
    notes += [f"index {in_markdown(index.name)} on {_list(_keys(index, dialect))}" for index in table.indexes]
    notes += [f"check: {in_markdown(_with_parentheses(check.expression))}" for check in table.checks]
    notes += [f"trigger {in_markdown(trigger.name)}" for trigger in table.triggers]
    if notes:
        lines += ["", *(f"- {note}" for note in notes)]
    return lines


def _rules(table: Table, column: Column) -> list[str]:
    rules = ["primary key"] if column.name in table.primary_key else []
    rules += ["unique"] if any(unique.columns == (column.name,) for unique in table.uniques) else []
    rules += [
        f"refers to {in_markdown(f'{key.table}.{target}')}, on delete {key.on_delete.lower()}"
        for key in table.foreign_keys
        for own, target in zip(key.columns, key.referenced, strict=False)
        if own == column.name
    ]
    return rules


def _keys(index: Index | Unique, dialect: Dialect) -> list[str]:
    if index.keys:
        return [readable(key, dialect) for key in index.keys]
    return [_key(key) for key in index.columns]


def _key(key: str) -> str:
    # The comparable form has no parentheses; a function of one column is the expression that one meets.
    function, separator, column = key.partition(" ")
    return f"{function}({column})" if separator else key


def _with_parentheses(expression: str) -> str:
    """Return an expression in which the lists after IN are in parentheses, as its form for comparison has them not.

    >>> _with_parentheses("role in 'a' , 'b' and level > 1")
    "role in ('a', 'b') and level > 1"
    """
    return _LIST.sub(lambda match: f"in ({match[1].replace(' , ', ', ')})", expression)


def _default(column: Column) -> str:
    if column.default is None:
        return ""
    return _DEFAULTS.get(column.default) or in_markdown(column.default)


def _list(names: Iterable[str]) -> str:
    return ", ".join(in_markdown(name) for name in names)
