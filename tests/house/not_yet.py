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

# How often a module asks which database it has.
DIFFERENCES = {
    "cli.commands.doctor.examination": 1,
    "cli.commands.doctor.schema_checks": 1,
    "cli.commands.load.run": 1,
    "cli.commands.migrate.command": 1,
    "cli.commands.sql": 4,
    "cli.commands.stats.report": 1,
    "cli.given.targets": 2,
    "entity.ddl": 4,
    "entity.fields": 2,
    "manager.access": 1,
    "manager.batch": 1,
    "manager.columns.decoding": 3,
    "manager.rows.joined": 1,
    "manager.statements.plans": 1,
    "manager.statements.shapes": 2,
    "platform.deployments": 1,
    "platform.invocations": 1,
    "platform.locking": 1,
    "platform.logs": 2,
    "platform.organizations": 2,
    "platform.pruning": 2,
    "platform.statistics": 7,
    "platform.users": 1,
    "schema.catalogue.read": 1,
    "schema.catalogue.types": 1,
    "schema.drift.definition": 3,
    "schema.drift.mending": 10,
    "schema.drift.script": 2,
    "schema.migrations.run": 1,
    "schema.safety.facts": 1,
    "schema.safety.hazards": 10,
    "schema.safety.plan": 2,
    "telemetry": 2,
}

# How many statements a module sends.
SENDS = {
    "manager.batch": 6,
    "manager.finding": 8,
    "manager.relating": 1,
    "manager.rows.joined": 1,
    "manager.statements.joins": 1,
    "manager.writing": 7,
    "platform.deployments": 4,
    "platform.functions": 1,
    "platform.invocations": 2,
    "platform.organizations": 4,
    "platform.pruning": 1,
    "platform.users": 7,
}

# How often a module puts SQL together.
SQL_PUT_TOGETHER = {
    "manager.statements.shapes": 9,
    "platform.deployments": 1,
    "platform.organizations": 2,
    "platform.pruning": 2,
    "platform.statistics": 5,
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
