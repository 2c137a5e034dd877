"""Which modules have no test of their own at the place where one would look for it, and where they are tested.

Held strictly: a module that has neither fails, and so does one that is listed here and has its test by now. So the list
can only become shorter.
"""

from __future__ import annotations

# By the test that holds them.
TESTED_ELSEWHERE = {
    "abuse/test_value_verdicts.py": "manager.columns.encoding",
    "cli/commands/demo/test_walk.py": "cli.commands.demo.catalogue cli.commands.demo.command cli.commands.demo.tour",
    "cli/commands/doctor/test_command.py": (
        "cli.commands.doctor.postgresql cli.commands.doctor.sqlite cli.commands.doctor.tables "
        "cli.commands.doctor.verdicts"
    ),
    "cli/commands/load/test_command.py": ("cli.commands.load.parsing cli.commands.load.position cli.commands.load.run"),
    "cli/commands/schema/test_command.py": (
        "cli.commands.schema.diagram cli.commands.schema.dot cli.commands.schema.markdown cli.commands.schema.mermaid "
        "cli.commands.schema.picture.layers cli.commands.schema.picture.placement "
        "cli.commands.schema.picture.routing cli.commands.schema.picture.svg schema.drift.script"
    ),
    "cli/commands/stats/test_command.py": (
        "cli.commands.stats.axes cli.commands.stats.charts cli.commands.stats.drawing cli.commands.stats.histogram "
        "cli.commands.stats.measurements cli.commands.stats.page"
    ),
    "cli/commands/test_find.py": "cli.given.options cli.shown.output",
    "cli/commands/test_prune.py": "cli.shown.progress",
    "cli/commands/test_cells.py": "cli.given.servers",
    "cli/test_application.py": "cli.__main__ cli.given.target",
    "cli/test_terminals.py": "cli.shown.markup cli.shown.terminal",
    "connection/test_database.py": (
        "connection.advice connection.default connection.opening connection.results connection.scopes "
        "connection.sqlite.driver_errors"
    ),
    "connection/test_engine.py": "connection.sender",
    "connection/test_observed.py": "connection.listeners",
    "connection/test_transactions.py": "connection.postgresql.engine",
    "connection/test_url.py": "connection.options",
    "dto/test_json.py": "dto.base dto.functions dto.organizations dto.reading dto.users",
    "manager/test_included.py": "manager.related",
    "manager/test_manager.py": ("manager.columns.peewee_encoding manager.relating manager.statements.results"),
    "manager/rows/test_instances.py": "manager.columns.decoding",
    "manager/statements/test_plans.py": "manager.rows.dicts",
    "platform/rollups/test_moving.py": "cells.along",
    "platform/test_invocations.py": "platform.statistics",
    "plugin/test_plugin.py": "testing.counting testing.databases testing.factory testing.postgresql",
    "schema/migrations/test_migrator.py": (
        "schema.migrations.applied schema.migrations.postgresql schema.migrations.scripts "
        "schema.migrations.sqlite schema.migrations.status"
    ),
    "schema/safety/test_hazards.py": "schema.catalogue.facts",
    "schema/safety/test_plan.py": "schema.safety.alterations",
    "schema/test_0002_indexes_for_common_queries.py": "migrations.0002_indexes_for_common_queries",
    "schema/test_0003_given_versions.py": "migrations.0003_given_versions",
    "schema/test_defaults_and_triggers.py": "entity.ddl",
    "schema/test_specification.py": (
        "migrations.0001_initial models schema.catalogue.catalogue "
        "schema.catalogue.postgresql schema.catalogue.read schema.catalogue.sqlite "
        "schema.statements"
    ),
    "sql/builder/test_builder.py": "sql.builder.arguments sql.builder.language sql.operators",
    "sql/builder/test_shapes.py": "sql.nodes.conditions sql.nodes.expressions sql.nodes.query sql.records",
    "sql/render/test_writer.py": "sql.render.checks sql.statement",
    "sql/test_dialects.py": "sql.identifiers sql.patterns",
    "test_component.py": "platform.component",
    "docs/test_import.py": "platform.default",
    "typing/test_row_types.py": "platform.row_types",
}
