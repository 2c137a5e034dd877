"""What the house still has that its rules forbid, all of it.

The tests beside this module hold it strictly: what is not listed here fails, and so does what is listed and no longer
there. So these lists can only become shorter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

# (room, sub-room, sub-room that it imports): in a circle.
BETWEEN_SUB_ROOMS = {
    ("cli", "given", "shown"),
    ("cli", "shown", "given"),
}

# How often a module asks which database it has.
DIFFERENCES = {
    "cli.commands.doctor.examination": 1,
    "cli.commands.doctor.schema_checks": 1,
    "cli.commands.load.run": 1,
    "cli.commands.migrate.command": 1,
    "cli.commands.sql": 4,
    "cli.commands.stats.report": 1,
    "cli.given.targets": 1,
    "platform.invocations": 1,
    "platform.statistics": 7,
    "telemetry": 2,
}

# How many statements a module sends.
SENDS = {
    "platform.invocations": 2,
}

# How often a module puts SQL together.
SQL_PUT_TOGETHER = {
    "platform.statistics": 5,
}

# How many messages of a module are in another grammar than ``expected X; got Y: what to do``.
MESSAGES = {
    "cli.commands.sql": 1,
    "cli.given.column_values": 1,
    "cli.shown.interchange": 2,
    "connection.peewee_calls": 4,
    "connection.sqlite.engine": 1,
    "manager.finding": 1,
    "sql.builder.builder": 1,
    "sql.render.writer": 2,
    "testing.postgresql": 1,
}

# How often a module's docstrings write code in single backticks.
SINGLE_BACKTICKS = {
    "cli.commands.doctor": 4,
    "cli.commands.doctor.schema_checks": 1,
    "cli.commands.logs": 1,
    "cli.commands.schema": 10,
    "cli.commands.schema.picture.layers": 1,
    "cli.interrupting": 1,
    "dto": 1,
    "dto.base": 1,
    "dto.reading": 1,
    "manager.statements.shapes": 2,
    "sql.builder.arguments": 14,
    "sql.builder.builder": 30,
    "sql.builder.language": 3,
    "sql.nodes.conditions": 12,
    "sql.nodes.expressions": 9,
    "sql.nodes.query": 20,
    "sql.nodes.records": 2,
    "sql.operators": 25,
    "sql.render.checks": 2,
    "sql.render.writer": 11,
}

# Modules without a test at the mirrored place, by the test that holds them.
WITHOUT_A_TEST_OF_ITS_OWN = {
    "abuse/test_value_verdicts.py": "manager.columns.encoding manager.columns.table",
    "cli/commands/demo/test_command.py": "cli.commands.demo.catalogue cli.commands.demo.tour",
    "cli/commands/doctor/test_command.py": (
        "cli.commands.doctor.diagnosis cli.commands.doctor.examination cli.commands.doctor.postgresql_checks "
        "cli.commands.doctor.schema_checks cli.commands.doctor.sqlite_checks"
    ),
    "cli/commands/load/test_command.py": (
        "cli.commands.load.position cli.commands.load.rows cli.commands.load.run cli.given.column_values"
    ),
    "cli/commands/schema/test_command.py": (
        "cli.commands.schema.dot cli.commands.schema.entities cli.commands.schema.markdown cli.commands.schema.mermaid "
        "cli.commands.schema.picture.layers cli.commands.schema.picture.placement cli.commands.schema.picture.png "
        "cli.commands.schema.picture.routing cli.commands.schema.picture.svg schema.drift.script"
    ),
    "cli/commands/stats/test_command.py": (
        "cli.commands.stats.axes cli.commands.stats.charts cli.commands.stats.drawing cli.commands.stats.durations "
        "cli.commands.stats.markup cli.commands.stats.page cli.commands.stats.report"
    ),
    "cli/commands/test_find.py": "cli.given.arguments cli.given.conditions cli.given.literals cli.shown.output",
    "cli/commands/test_logs.py": "cli.given.function_argument",
    "cli/commands/test_prune.py": "cli.given.confirmation cli.shown.progress",
    "cli/test_application.py": "cli.__main__ cli.boundary cli.given.targets",
    "connection/test_database.py": (
        "connection.advice connection.default connection.opening connection.results connection.scopes "
        "connection.postgresql.driver_errors connection.sqlite.driver_errors"
    ),
    "connection/test_engine.py": "connection.peewee_calls connection.sender",
    "connection/postgresql/test_pool.py": "connection.postgresql.connection",
    "connection/test_observed.py": "connection.listeners",
    "connection/test_transactions.py": "connection.postgresql.engine",
    "connection/test_url.py": "connection.options",
    "dto/test_json.py": "dto.base dto.functions dto.organizations dto.reading dto.users",
    "faults/test_connection_loss.py": "connection.postgresql.commit_outcome",
    "faults/test_retries.py": "connection.retrying",
    "faults/test_sqlite_files.py": "connection.sqlite.engine",
    "manager/test_included.py": "manager.related",
    "manager/test_bad_input.py": "manager.arguments.order manager.arguments.where",
    "manager/test_manager.py": (
        "manager.columns.peewee_encoding manager.finding manager.relating manager.sending manager.statements.pages "
        "manager.statements.results manager.writing"
    ),
    "manager/rows/test_instances.py": "manager.columns.decoding",
    "manager/statements/test_plans.py": "manager.rows.dicts",
    "platform/test_invocations.py": "platform.statistics",
    "plugin/test_plugin.py": "testing.counting testing.databases testing.factory testing.postgresql",
    "schema/migrations/test_migrator.py": (
        "schema.migrations.applied schema.migrations.postgresql schema.migrations.run schema.migrations.scripts "
        "schema.migrations.sqlite schema.migrations.status"
    ),
    "schema/safety/test_hazards.py": "schema.catalogue.facts",
    "schema/safety/test_plan.py": "schema.safety.alterations",
    "schema/test_0002_indexes_for_common_queries.py": "migrations.0002_indexes_for_common_queries",
    "schema/test_defaults_and_triggers.py": "entity.ddl",
    "schema/test_specification.py": (
        "migrations.0001_initial models schema.catalogue.catalogue "
        "schema.catalogue.postgresql schema.catalogue.read schema.catalogue.sqlite "
        "schema.statements"
    ),
    "sql/builder/test_builder.py": "sql.builder.arguments sql.builder.language sql.operators",
    "sql/builder/test_shapes.py": "sql.nodes.conditions sql.nodes.expressions sql.nodes.query sql.nodes.records",
    "sql/render/test_writer.py": "sql.render.checks sql.statement",
    "sql/test_dialects.py": "sql.identifiers sql.patterns",
    "test_component.py": "platform.component",
    "docs/test_import.py": "platform.default",
    "typing/test_row_types.py": "platform.row_types",
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
