"""``cloudpub dump``: a table's rows into a file or a pipe, one by one, for ``cloudpub load`` or any other program."""

from __future__ import annotations

from typing import Annotated, Any

import peewee
import typer

from cloudpub_models.cli.given.options import (
    ColumnsOption,
    ExceptOption,
    FileFormatOption,
    JsonOption,
    SecretsOption,
    TableArgument,
    chosen_columns,
    chosen_file_format,
)
from cloudpub_models.cli.given.target import Target, takes_target
from cloudpub_models.cli.shown.files import STANDARD_STREAM, file_to_write
from cloudpub_models.cli.shown.output import print_document
from cloudpub_models.cli.shown.progress import Stopwatch, row_progress
from cloudpub_models.cli.shown.row_files import FileFormat, row_writer
from cloudpub_models.cli.shown.terminal import HarmlessConsole, print_line, print_note
from cloudpub_models.entity.base import loaded_values, secret_columns
from cloudpub_models.manager.manager import Manager
from cloudpub_models.platform.registry import Managers

_REPORT_EVERY = 1000


@takes_target()
def dump(
    target: Target,
    table: TableArgument,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="Where to; .csv, .jsonl, also with .gz. Standard output if left out.")
    ] = STANDARD_STREAM,
    columns: ColumnsOption = None,
    excepted: ExceptOption = None,
    with_secrets: SecretsOption = False,
    format: FileFormatOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write all rows of a table as CSV or JSON lines, in the order of their ids.

    It is one snapshot, read in constant memory. The file appears when it is complete, and with secrets is for its owner
    only. With --json what is on standard output is JSON: the rows, or a summary where a file takes them.
    """
    known = target.table(table)
    names = chosen_columns(known, columns, excepted, with_secrets=with_secrets)
    chosen = chosen_file_format(format, file)
    if as_json and file == STANDARD_STREAM and chosen is not FileFormat.JSONL:
        raise typer.BadParameter("expected --json or --format csv; got both: leave one out")
    watch = Stopwatch()
    with target.opened() as database:
        rows = _write(Managers(database).for_model(known.model), names, chosen, file)
    if file != STANDARD_STREAM and as_json:
        print_document({"table": table, "file": file, "rows": rows, "seconds": round(watch.seconds, 3)})
    elif file != STANDARD_STREAM:
        print_line(f"wrote {watch.summary(rows, table)} to {file}")
    if not with_secrets and columns is None and (left_out := sorted(secret_columns(known.model))):
        print_note(f"left out: {', '.join(left_out)}; --with-secrets writes it, and 'cloudpub load' needs it")


def _write(manager: Manager[Any], names: tuple[str, ...], format: FileFormat, file: str) -> int:
    # Counting costs a look at the whole table, which only somebody who watches has a use for.
    total = manager.count() if HarmlessConsole(stderr=True).is_terminal else None
    columns = manager.table.columns
    private = not secret_columns(manager.model).isdisjoint(names)
    rows = 0
    with (
        file_to_write(file, private=private) as stream,
        row_progress(f"dumping {manager.table.name}", total) as advance,
    ):
        write = row_writer(
            format,
            names,
            stream,
            nullable_texts={name for name, column in columns.items() if column.field.null and column.is_text},
            documents={name for name, column in columns.items() if isinstance(column.field, peewee.JSONField)},
        )
        for instance in manager.iterate(order_by=manager.table.key_names):
            write(loaded_values(instance))
            rows += 1
            if rows % _REPORT_EVERY == 0:
                advance(rows, rows)
    return rows
