"""``cloudpub stats``: how a function's invocations went, in the terminal, as JSON, or as a page.

It parses and writes; what is shown is gathered in ``measurements``, and drawn in ``drawing`` and ``page``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from cloudpub_models.cli.commands.stats.measurements import Period, measure
from cloudpub_models.cli.given.options import (
    ArchiveOption,
    FunctionArgument,
    JsonOption,
    UntilOption,
    aware,
    find_function,
)
from cloudpub_models.cli.given.servers import databases_of_invocations
from cloudpub_models.cli.given.target import Target, takes_target
from cloudpub_models.cli.shown.files import file_to_write
from cloudpub_models.cli.shown.output import print_document
from cloudpub_models.cli.shown.terminal import HarmlessConsole, print_note
from cloudpub_models.platform.registry import Managers
from cloudpub_models.platform.rollups.counting import is_on


@takes_target()
def stats(
    target: Target,
    function: FunctionArgument,
    period: Annotated[Period, typer.Option(help="How far back.")] = Period.DAY,
    until: UntilOption = None,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            dir_okay=False,
            help="Write a page with charts, which needs no network, instead of drawing here.",
            show_default=False,
        ),
    ] = None,
    archive: ArchiveOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how a function's invocations went: figures, durations, and invocations and failures over time.

    The series has an hour a step, in the period 30d a day. Hours and days are UTC's.
    """
    if html is not None and as_json:
        raise typer.BadParameter("expected --html or --json; got both: leave one out")
    with target.opened() as database:
        database.reads_rollups = all(is_on(each) for each in databases_of_invocations(database))
        managers = Managers(database)
        place = None if archive is None else managers.archive(archive)
        end = aware(until) or datetime.now(UTC)
        measured = measure(managers, find_function(managers, function), period, end, place)
    if as_json:
        print_document(measured.to_json())
    elif html is not None:
        from cloudpub_models.cli.commands.stats.page import page_of

        with file_to_write(str(html)) as file:
            file.write(page_of(measured).encode())
        print_note(f"wrote {html}")
    else:
        from cloudpub_models.cli.commands.stats.drawing import draw

        console = HarmlessConsole()
        console.print(draw(measured, console))
