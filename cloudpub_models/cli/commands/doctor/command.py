"""``cloudpub doctor``: whether a database is fit for work, and what to do where it is not.

It runs the checks of ``health`` and shows what they find.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cloudpub_models.cli.boundary import print_note, printable
from cloudpub_models.cli.commands.doctor.diagnosis import Finding, Level
from cloudpub_models.cli.commands.doctor.examination import examine
from cloudpub_models.cli.given.targets import DatabaseOption, DirectoryOption, open_target, target_of
from cloudpub_models.cli.shown.output import JsonOption, data_console, print_document

_STYLES = {Level.OK: "green", Level.NOTICE: "cyan", Level.WARNING: "yellow", Level.ERROR: "bold red"}


def doctor(
    context: typer.Context,
    as_json: JsonOption = False,
    database: DatabaseOption = None,
    directory: DirectoryOption = None,
) -> None:
    """Examine a database: connection, versions, migrations, drift, indexes, limits, time zone, encoding, the file.

    Each finding says what to do. Nothing is changed. A large SQLite file takes a while, since all of it is read.

    Exit code: 0; 1 when something is an error.
    """
    named = target_of(context, database, directory)
    with open_target(named, creates=False) as opened:
        findings = list(examine(opened, named.directory))
        url = opened.url
    if as_json:
        print_document({"database": url, "findings": [_document(finding) for finding in findings]})
    else:
        _print(findings, data_console())
    print_note(_summary(findings))
    if any(finding.level is Level.ERROR for finding in findings):
        raise typer.Exit(1)


def _print(findings: Sequence[Finding], console: Console) -> None:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    shown_check = None
    for finding in findings:
        text = Text(printable(finding.message))
        if finding.advice:
            text.append(f"\n→ {printable(finding.advice)}", style="cyan")
        check = finding.check if finding.check != shown_check else ""
        shown_check = finding.check
        table.add_row(Text(finding.level, style=_STYLES[finding.level]), check, text)
    with console.capture() as capture:
        console.print(table)
    for line in capture.get().splitlines():
        print(line.rstrip())


def _summary(findings: Sequence[Finding]) -> str:
    counts = Counter(finding.level for finding in findings)
    parts = [f"{counts[level]} {level}{'s' if counts[level] > 1 else ''}" for level in reversed(Level) if counts[level]]
    parts = [part.replace("oks", "ok") for part in parts]
    return ", ".join(parts)


def _document(finding: Finding) -> dict[str, str | None]:
    return {
        "check": finding.check,
        "level": finding.level,
        "message": finding.message,
        "advice": finding.advice,
    }
