"""A migration plan for people and for machines: SQL with what is to be known in its comments, and JSON.

Finding the plan is the business of ``schema/safety``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.syntax import Syntax
from rich.text import Text

from cloudpub_models.cli.shown.counted import counted
from cloudpub_models.schema.catalogue.normal_form import terminated
from cloudpub_models.schema.safety.hazards import Hazard
from cloudpub_models.schema.safety.plan import PlannedMigration
from cloudpub_models.sql import Dialect
from cloudpub_models.sql.identifiers import printable

_STYLES = {"destructive": "bold red", "failing": "bold red", "long": "yellow", "unknown": "yellow", "brief": "dim"}
_WORDS = {
    "destructive": "DESTROYS DATA",
    "failing": "FAILS",
    "long": "TAKES LONG on a large table",
    "unknown": "UNKNOWN",
    "brief": "locks briefly",
}


def print_plan(migrations: Sequence[PlannedMigration], dialect: Dialect, console: Console) -> None:
    """Print a plan as SQL; everything else in it is a comment, so that it can be kept and read as a script."""
    highlighter = Syntax("", "postgres", theme="ansi_dark", background_color="default")
    for number, migration in enumerate(migrations):
        if number:
            console.print()
        kind = "one transaction" if migration.in_transaction else "no transaction, each statement by itself"
        _comment(console, f"{migration.name}: {kind}", "bold cyan")
        if migration.doubt:
            _comment(console, f"NOT CERTAIN: {migration.doubt}", "yellow")
        for statement in migration.statements:
            for hazard in statement.hazards:
                _comment(console, hazard_line(hazard), _style(hazard))
            if statement.times > 1:
                _comment(console, f"{statement.times:,} times:", "dim")
            sql = highlighter.highlight(terminated(statement.sql, dialect))
            sql.rstrip()
            console.print(sql, soft_wrap=True)
        if migration.stopped:
            _comment(console, f"INCOMPLETE: the script could not be followed further: {migration.stopped}", "bold red")


def hazard_line(hazard: Hazard) -> str:
    """Return a hazard in one line, with how serious it is in front."""
    severity = "would take long on a large table" if hazard.severity == "long" and not hazard.is_large else None
    return f"{severity or _WORDS[hazard.severity]}: {hazard.description}"


def plan_summary(migrations: Sequence[PlannedMigration]) -> str:
    """Return in one line how much a plan does."""
    statements = sum(statement.times for migration in migrations for statement in migration.statements)
    hazards = [hazard for migration in migrations for hazard in migration.hazards]
    parts = [counted(len(migrations), "migration"), counted(statements, "statement")]
    destructive = sum(hazard.severity == "destructive" for hazard in hazards)
    long = sum(hazard.severity == "long" and hazard.is_large for hazard in hazards)
    if destructive:
        parts.append(f"{destructive} that destroy{'s' if destructive == 1 else ''} data")
    if long:
        parts.append(f"{long} that take{'s' if long == 1 else ''} long on a large table")
    return f"{', '.join(parts)}; nothing was changed"


def plan_document(migrations: Sequence[PlannedMigration]) -> dict[str, Any]:
    """Return a plan as a JSON document."""
    return {
        "migrations": [
            {
                "name": migration.name,
                "in_transaction": migration.in_transaction,
                "destructive": bool(migration.destroys),
                "doubt": migration.doubt,
                "stopped": migration.stopped,
                "statements": [
                    {
                        "sql": statement.sql.strip(),
                        "times": statement.times,
                        "hazards": [_hazard_document(hazard) for hazard in statement.hazards],
                    }
                    for statement in migration.statements
                ],
            }
            for migration in migrations
        ]
    }


def _hazard_document(hazard: Hazard) -> dict[str, Any]:
    return {
        "severity": hazard.severity,
        "table": hazard.table,
        "rows": hazard.rows,
        "effect": hazard.effect,
        "advice": hazard.advice,
    }


def _style(hazard: Hazard) -> str:
    return "dim" if hazard.severity == "long" and not hazard.is_large else _STYLES[hazard.severity]


def _comment(console: Console, text: str, style: str) -> None:
    console.print(Text(f"-- {printable(text)}", style=style), soft_wrap=True)
