"""``cloudpub history``: the log of changes switched on and off, read, and taken back.

The work is in the room ``history``; what is taken back is shown before it is asked about.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from cloudpub_models.cli.boundary import CommandGroup
from cloudpub_models.cli.commands.prune import moment_before
from cloudpub_models.cli.given.options import JsonOption, TableArgument, YesOption, require_consent, uuid_in
from cloudpub_models.cli.given.target import Target, takes_target
from cloudpub_models.cli.shown.changes import table_of_changes
from cloudpub_models.cli.shown.counted import counted
from cloudpub_models.cli.shown.output import print_document, print_table
from cloudpub_models.cli.shown.terminal import data_console, print_line, print_note
from cloudpub_models.connection import Database
from cloudpub_models.entity.base import loaded_values
from cloudpub_models.errors import HistoryError, InvalidValueError
from cloudpub_models.history.changes import Change, key_of_deleted
from cloudpub_models.history.feed.positions import Source, Start
from cloudpub_models.history.taking_back import TakenBack
from cloudpub_models.manager.columns.table import Table
from cloudpub_models.platform.registry import Managers

_PREVIEWED = 20

KeyArgument = Annotated[str, typer.Argument(metavar="KEY", help="The row's public UUID, or its internal id.")]
TransactionArgument = Annotated[
    int, typer.Argument(metavar="TRANSACTION", help="Its number, as 'history show' has it.", min=0)
]
ConsumerArgument = Annotated[str, typer.Argument(metavar="CONSUMER", help="Its name, as 'history consumers' has it.")]

history = typer.Typer(
    cls=CommandGroup,
    name="history",
    no_args_is_help=True,
    help="The log of changes: who changed what, and back again.",
    epilog="Example: cloudpub history show functions 0f2a4a4e-6f0e-4c52-9a53-3f6d0c1f8a11",
)


@history.command(epilog="Example: cloudpub history on --also function_logs")
@takes_target()
def on(
    target: Target,
    also: Annotated[
        list[str] | None, typer.Option("--also", metavar="TABLE", help="Record this table too; may be repeated.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Have the database record its changes from now on, whoever makes them.

    It makes a table and triggers, in one transaction. Doing it again mends triggers that do not fit their tables.
    """
    with target.opened() as database:
        begun = database.history.enable(also or ())
        recorded = database.history.tables
    if as_json:
        print_document({"begun": begun, "recorded": recorded})
    else:
        print_line(f"recording {', '.join(begun) if begun else 'as before'}: {len(recorded)} tables in all")


@history.command(epilog="Example: cloudpub history off")
@takes_target()
def off(target: Target, as_json: JsonOption = False) -> None:
    """End the recording; what was recorded stays."""
    with target.opened() as database:
        ended = database.history.disable()
    if as_json:
        print_document({"ended": ended})
    else:
        print_line(f"no longer recording {', '.join(ended)}" if ended else "nothing was recorded")


@history.command(epilog="Example: cloudpub history show functions 17 --limit 5")
@takes_target()
def show(
    target: Target,
    table: TableArgument,
    key: KeyArgument,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="At most N changes, the latest.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Show what has happened to a row, which may be gone, the latest first."""
    known = target.table(table)
    with target.opened() as database:
        changes = database.history.of_row(known.name, _row_id(database, known, key), limit=limit)
    _print_changes(changes, as_json)


@history.command(epilog="Example: cloudpub history undo 4711")
@takes_target()
def undo(
    target: Target,
    transaction: TransactionArgument,
    force: Annotated[bool, typer.Option("--force", help="Also what was changed again since.")] = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take back all that a transaction has changed, or nothing. It shows that and asks first."""
    with target.opened() as database:
        changes = database.history.of_transaction(transaction)
        if changes and not yes:
            _print_preview(changes)
            require_consent(f"Take back {counted(len(changes), 'change')}?", yes=yes)
        _print_taken_back(database.undo(transaction, force=force), as_json)


@history.command(epilog="Example: cloudpub history undelete functions 0f2a4a4e-6f0e-4c52-9a53-3f6d0c1f8a11")
@takes_target()
def undelete(
    target: Target,
    table: TableArgument,
    key: KeyArgument,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Bring a deleted row back, with what the same transaction deleted with it. It shows that and asks first."""
    known = target.table(table)
    with target.opened() as database:
        row_id = _row_id(database, known, key)
        latest = database.history.of_row(known.name, row_id, limit=1)
        if latest and latest[0].operation == "delete" and not yes:
            print_note(f"deleted at {latest[0].at:%Y-%m-%d %H:%M:%S} UTC by {latest[0].actor or 'nobody who said so'}")
            _print_preview(database.history.of_transaction(latest[0].transaction_id))
            require_consent("Bring back what of this belongs to the row?", yes=yes)
        _print_taken_back(database.history.undelete(known.name, row_id), as_json)


@history.command(epilog="Example: cloudpub history prune --older-than 400d")
@takes_target()
def prune(
    target: Target,
    older_than: Annotated[
        datetime,
        typer.Option("--older-than", parser=moment_before, metavar="AGE", help="400d, 12h …, or a date as 2026-01-31."),
    ],
    source: Annotated[
        Source, typer.Option("--source", metavar="SOURCE", help="changes, or outbox for the messages in there.")
    ] = "changes",
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Delete old changes. What they tell, and what they could bring back, is lost; it asks first.

    What a consumer has yet to read is kept.
    """
    what = "message" if source == "outbox" else "change"
    with target.opened() as database:
        require_consent(f"Delete the {what}s from before {older_than:%Y-%m-%d %H:%M} UTC?", yes=yes)
        deleted = database.history.prune(datetime.now(UTC) - older_than, source=source)
        waiting = [one for one in database.history.consumers() if one.source == source and one.waiting]
    if as_json:
        print_document({"before": older_than, "deleted": deleted})
    else:
        print_line(f"deleted {counted(deleted, what)}")
    for one in waiting:
        kept = "is" if one.waiting == 1 else "are"
        print_note(f"{one.name} has yet to read {counted(one.waiting, what)}, which {kept} kept")


@history.command(epilog="Example: cloudpub history forget users 17")
@takes_target()
def forget(
    target: Target, table: TableArgument, key: KeyArgument, yes: YesOption = False, as_json: JsonOption = False
) -> None:
    """Empty the values of all changes of a row, as for a person who wants to be forgotten. It asks first.

    The row stays as it is. One that was deleted cannot be brought back any more.
    """
    known = target.table(table)
    with target.opened() as database:
        row_id = _row_id(database, known, key)
        changes = len(database.history.of_row(known.name, row_id))
        require_consent(f"Empty the values of {counted(changes, 'change')} of {known.name} {row_id}?", yes=yes)
        emptied = database.history.forget(known.name, row_id)
    if as_json:
        print_document({"table": known.name, "row_id": row_id, "emptied": emptied})
    else:
        print_line(f"emptied {counted(emptied, 'change')}")


@history.command(epilog="Example: cloudpub history consumers --json")
@takes_target()
def consumers(target: Target, as_json: JsonOption = False) -> None:
    """Show who reads feeds, and how much waits for each."""
    with target.opened() as database:
        found = database.history.consumers()
    if as_json:
        print_document([dataclasses.asdict(consumer) for consumer in found])
        return
    print_table(
        {
            "consumer": consumer.name,
            "source": consumer.source,
            "read last": consumer.read_at or "never",
            "waiting": consumer.waiting,
            "since": consumer.waiting_since or "",
        }
        for consumer in found
    )


@history.command("move-consumer", epilog="Example: cloudpub history move-consumer search-index now")
@takes_target()
def move_consumer(
    target: Target,
    name: ConsumerArgument,
    to: Annotated[Start, typer.Argument(metavar="PLACE", help="oldest: all that is kept, again; now: none of it.")],
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Have a consumer go on from the oldest that is kept, or from now. It asks first."""
    with target.opened() as database:
        consequence = "get again all that is kept" if to == "oldest" else "never get what waits for it"
        require_consent(f"Have {name} {consequence}?", yes=yes)
        database.history.move_consumer(name, to)
    if as_json:
        print_document({"consumer": name, "goes_on_from": to})
    else:
        print_line(f"{name} goes on from {'the oldest' if to == 'oldest' else 'now'}")


@history.command("remove-consumer", epilog="Example: cloudpub history remove-consumer search-index")
@takes_target()
def remove_consumer(
    target: Target, name: ConsumerArgument, yes: YesOption = False, as_json: JsonOption = False
) -> None:
    """Forget a consumer, so that nothing is kept for it any more. It asks first."""
    with target.opened() as database:
        require_consent(f"Forget {name}?", yes=yes)
        database.history.remove_consumer(name)
    if as_json:
        print_document({"removed": name})
    else:
        print_line(f"{name} is forgotten")


def _row_id(database: Database, table: Table, key: str) -> Any:
    """Return the primary key of a row that is there or was."""
    uuid = uuid_in(key)
    if uuid is not None and "uuid" in table.columns and table.key_names != ("uuid",):
        manager = Managers(database).for_model(table.model)
        row = manager.find_by_uuid(uuid)
        if row is not None:
            return loaded_values(row)[table.key_names[0]]
        found = key_of_deleted(database.engine, table.model, "uuid", table.columns["uuid"].encode(uuid))
        if found is None:
            raise HistoryError(f"expected a row of {table.name}, of today or deleted; got the uuid {uuid} of neither")
        return found
    if uuid is not None:
        return uuid
    (column, *others) = [table.columns[name] for name in table.key_names]
    if others:
        raise typer.BadParameter(f"expected a table with a key of one column; got {table.name}: ask in Python")
    try:
        return int(key) if column.kind == "integer" else key
    except ValueError:
        raise InvalidValueError(
            f"expected a uuid or an id of {table.name}; got {key!r}: 'cloudpub show' has them by a row's name"
        ) from None


def _print_preview(changes: Sequence[Change]) -> None:
    """Print what a transaction has changed, of much the first and how much else there is of each table."""
    _print_changes(changes[:_PREVIEWED], as_json=False)
    others = Counter(change.table for change in changes[_PREVIEWED:])
    if others:
        counts = [f"{counted(count, 'change')} of {table}" for table, count in others.items()]
        print_note(f"and {', '.join(counts)} more")


def _print_changes(changes: Sequence[Change], as_json: bool) -> None:
    if as_json:
        print_document([dataclasses.asdict(change) for change in changes])
    else:
        data_console().print(table_of_changes(changes))


def _print_taken_back(taken: TakenBack, as_json: bool) -> None:
    if as_json:
        print_document(dataclasses.asdict(taken))
        return
    counts = ", ".join(f"{count} of {table}" for table, count in taken.counts.items())
    print_line(f"taken back: {counts or 'nothing was left to do'}")
    if taken.left_out:
        print_note(f"what the log does not have: {', '.join(taken.left_out)}")
