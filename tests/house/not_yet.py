"""What the house still has that its rules forbid, all of it.

The tests beside this module hold it strictly: what is not listed here fails, and so does what is listed and no longer
there. So these lists can only become shorter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

# (module, what it imports): from a higher floor, or in a circle.
IMPORTS = {
    ("connection.engine", "connection.transactions"),
    ("connection.transactions", "connection.engine"),
    ("manager.columns.table", "models"),
    ("models.functions", "models.users"),
    ("models.organizations", "models.users"),
    ("models.users", "models.functions"),
    ("models.users", "models.organizations"),
    ("schema.drift.adoption", "models"),
    ("schema.drift.compare", "models"),
    ("schema.drift.definition", "models"),
    ("schema.drift.script", "models"),
}

# (room, sub-room, sub-room that it imports): in a circle.
BETWEEN_SUB_ROOMS = {
    ("cli", "given", "shown"),
    ("cli", "shown", "given"),
    ("schema", "catalogue", "migrations"),
    ("schema", "drift", "catalogue"),
    ("schema", "drift", "migrations"),
    ("schema", "migrations", "drift"),
    ("sql", "builder", "render"),
    ("sql", "dialects", "nodes"),
    ("sql", "nodes", "text"),
    ("sql", "render", "builder"),
    ("sql", "text", "dialects"),
    ("sql", "text", "nodes"),
}

# Modules of which the order of the pipeline does not say where they stand.
WITHOUT_A_FLOOR_IN_SQL = {"comparing", "reserved_words", "statement"}

# (module, what it imports): against the order of the pipeline.
UPWARD_IN_SQL = {
    ("sql.dialects", "sql.nodes.records"),
    ("sql.render.checks", "sql.builder.language"),
    ("sql.render.writer", "sql.builder.language"),
    ("sql.text.parameters", "sql.nodes.records"),
}


def assert_only(found: Iterable[object], listed: Iterable[object], rule: str) -> None:
    """Fail unless ``found`` is what is ``listed``; a thing that is found several times is listed as often."""
    found, listed = _counted(found), _counted(listed)
    news, gone = sorted((found - listed).items(), key=str), sorted((listed - found).items(), key=str)
    assert not news, f"{rule}:\n" + "\n".join(f"    {thing} × {number}" for thing, number in news)
    assert not gone, "take off the list in tests/house/not_yet.py what is mended:\n" + "\n".join(
        f"    {thing} × {number}" for thing, number in gone
    )


def _counted(things: Iterable[object]) -> Counter[object]:
    return Counter(dict(things)) if isinstance(things, Mapping) else Counter(things)
