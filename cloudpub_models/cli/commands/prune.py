"""``cloudpub prune``: old rows of a table that only grows, deleted so that nobody who writes has to wait."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from cloudpub_models.cli.given.options import JsonOption, YesOption, require_consent
from cloudpub_models.cli.given.target import Target, takes_target
from cloudpub_models.cli.shown.output import print_document
from cloudpub_models.cli.shown.progress import Stopwatch, row_progress
from cloudpub_models.cli.shown.terminal import print_line, print_note
from cloudpub_models.entity.partitioned import partition_column
from cloudpub_models.platform.pruning import PrunedManager
from cloudpub_models.platform.registry import Managers
from cloudpub_models.sql import operators

# An m could be meant as months.
_UNITS = {"s": "seconds", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGE = re.compile(r"(\d{1,9})\s*(s|min|h|d|w)")
_ASKED_BELOW = timedelta(days=1)
_SHORT = {"logs": "function_logs", "invocations": "function_invocations"}


def length_of_time(text: str | timedelta) -> timedelta:
    """Return the time that a text says.

    Raises:
        typer.BadParameter: it says none.

    >>> length_of_time("2w")
    datetime.timedelta(days=14)
    """
    if isinstance(text, timedelta):
        return text
    try:
        length = _length(text)
    except OverflowError:
        length = None
    if length is None:
        raise typer.BadParameter(f"expected a time as 14d (s, min, h, d, w); got {text!r}")
    return length


def _length(text: str) -> timedelta | None:
    found = _AGE.fullmatch(text.strip().lower())
    return timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None


def moment_before(text: str | datetime) -> datetime:
    """Return the moment that an age or a date means, in UTC.

    Raises:
        typer.BadParameter: the text is neither, or the moment is still to come.

    >>> moment_before("2026-01-31").isoformat()
    '2026-01-31T00:00:00+00:00'
    >>> moment_before("2w") <= datetime.now(UTC) - timedelta(days=14)
    True
    """
    if isinstance(text, datetime):
        return text
    now = datetime.now(UTC)
    try:
        age = _length(text)
        moment = datetime.fromisoformat(text.strip()) if age is None else now - age
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"expected an age as 30d (s, min, h, d, w) or a date as 2026-01-31; got {text!r}"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if moment > now:
        raise typer.BadParameter(f"expected a moment that has been; got {text!r}: it is {now:%Y-%m-%d %H:%M} UTC")
    return moment


@takes_target()
def prune(
    target: Target,
    what: Annotated[
        str, typer.Argument(metavar="WHAT", help="logs, invocations, or a table whose model says partitioned_by.")
    ],
    older_than: Annotated[
        datetime,
        typer.Option(
            "--older-than",
            parser=moment_before,
            metavar="AGE",
            help="30d, 12h, 90min, 6w …, or a date as 2026-01-31, in UTC if it has no offset.",
        ),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say how many rows would go; delete none.")] = False,
    yes: YesOption = False,
    batch_size: Annotated[int, typer.Option(min=1, metavar="N", help="How many rows a transaction deletes.")] = 1000,
    as_json: JsonOption = False,
) -> None:
    """Delete log lines, invocations or what else only grows, from before a moment, the oldest first.

    It asks first where the moment is less than a day ago.

    Each batch is a transaction of its own: what is deleted stays deleted when the command is interrupted, and the same
    command goes on.
    """
    table = target.table(_SHORT.get(what, what)).name
    moment = partition_column(target.models[table])
    watch = Stopwatch()
    deleted = 0
    with target.opened() as database:
        manager: PrunedManager[Any] = getattr(Managers(database), table)
        found = manager.count({moment: operators.lt(older_than)})
        if not dry_run:
            if found and older_than > datetime.now(UTC) - _ASKED_BELOW:
                print_note(f"{found:,} of the {manager.count():,} rows of {table} would go, also of the last day")
                require_consent("Delete them?", yes=yes)
            with row_progress(f"deleting {what}", found) as advance:

                def note(rows: int) -> None:
                    nonlocal deleted
                    deleted = rows
                    advance(rows, rows)

                try:
                    manager.prune(older_than, batch_size, progress=note)
                except KeyboardInterrupt:
                    print_note(f"interrupted: {deleted:,} of {found:,} rows are deleted; the same command goes on")
                    raise
    if as_json:
        print_document(
            {
                "table": table,
                "before": older_than,
                "dry_run": dry_run,
                "found": found,
                "deleted": deleted,
                "seconds": round(watch.seconds, 3),
            }
        )
    elif dry_run:
        print_line(f"{found:,} rows of {table} are from before {older_than:%Y-%m-%d %H:%M:%S %Z}; nothing was deleted")
    else:
        print_line(f"deleted {watch.summary(deleted, table)}")
