"""Which tables are recorded, how their rows are told apart, and the log itself as Peewee sees it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

import peewee

from cloudpub_models.entity.base import secret_columns
from cloudpub_models.entity.binding import sql_dialect_of
from cloudpub_models.entity.fields import TimestampField, name_of_part
from cloudpub_models.errors import HistoryError, InvalidValueError
from cloudpub_models.schema.statements import fetch, run
from cloudpub_models.sql.dialects import Dialect
from cloudpub_models.sql.identifiers import shown
from cloudpub_models.sql.values import encode

CHANGES = "changes"
LOG_COLUMNS = ("transaction_id", "table_name", "row_key", "operation", "old_values", "new_values")
"""Columns by which the log is told from another table of its name."""

TABLES_OF_FEEDS = {
    "outbox": ("id", "topic", "payload", "created_at"),
    "feed_positions": ("name", "source", "position", "read_at"),
}
"""What is made with the log, and columns by which they are told from other tables of these names."""

CONTEXT = "change_context"

SECRET = "***"
"""What the log has for a secret column: that it has changed, and nothing else."""

_KEY_FIELDS = (peewee.IntegerField, peewee.AutoField, peewee.CharField, peewee.TextField, peewee.UUIDField)


class RecordedTable(NamedTuple):
    """What a database's triggers need to know of a table.

    Attributes:
        name: its name.
        columns: the columns that it has in the database; empty where the triggers ask for them themselves.
        modelled: the columns that its model has.
        keys: the columns of its primary key.
        by_number: whether the key is one integer column.
        touched: the columns whose change alone is none.
        secrets: the columns whose values are not kept.
    """

    name: str
    columns: tuple[str, ...]
    modelled: tuple[str, ...]
    keys: tuple[str, ...]
    by_number: bool
    touched: tuple[str, ...]
    secrets: tuple[str, ...]


class ChangedRow(NamedTuple):
    """A row of a table whose key is one number, and what it is to get back of one of its changes.

    Attributes:
        change_id: the number of the change.
        row_id: the row's.
        values: column → its value, as a statement takes it.
    """

    change_id: int
    row_id: int
    values: Mapping[str, Any]


class Kind(Protocol):
    """What one kind of database does in its own way; see ``postgresql`` and ``sqlite``."""

    json_separators: tuple[str, str]
    """What stands between the values of a JSON text that the database has written."""

    events: tuple[str, ...]
    """What there is a trigger for on each recorded table."""

    migrations_take_triggers: bool
    """Whether a migration may take triggers of a table away that it alters, so that others had no time to write."""

    def log(self, database: peewee.Database) -> list[str]:
        """Return the statements that make the log where it is not there."""

    def has_log(self, database: peewee.Database) -> bool:
        """Return whether a database has the log, and not just a table of its name."""

    def columns(self, database: peewee.Database, table: str) -> tuple[str, ...]:
        """Return the columns that the triggers of a table have to name."""

    def triggers(self, database: peewee.Database, table: RecordedTable) -> dict[str, list[str]]:
        """Return the triggers of a table by name, each with the statements that make it in place of another."""

    def current(self, database: peewee.Database, table: RecordedTable) -> bool:
        """Return whether a table has its triggers as they should be."""

    def complete(self, database: peewee.Database, table: RecordedTable) -> bool:
        """Return whether a table's triggers record all that they should, as they should be or not."""

    def without_triggers(self, table: str) -> list[str]:
        """Return the statements that take the triggers of a table away."""

    def all_triggers(self, database: peewee.Database) -> list[tuple[str, str]]:
        """Return the enabled triggers of all tables, each as the table's name and its own."""

    def note(self, database: peewee.Database, mark: str, table: str) -> None:
        """Write into the log that something has happened to a whole table."""

    def computed_columns(self, database: peewee.Database, table: str) -> frozenset[str]:
        """Return the columns of a table that the log has and that the database computes itself."""

    def blob_from(self, text: str) -> bytes:
        """Return the bytes that the log has as a text."""

    def value_to_restore(self, value: Any, column_type: str) -> Any:
        """Return a value of the log as a statement takes it for a column of a type."""

    def change_back(
        self, database: peewee.Database, table: RecordedTable, rows: Sequence[ChangedRow], only_where_null: bool
    ) -> int:
        """Give some rows of a table the values back that they had, by one statement; return how many it has changed.

        Args:
            database: the database.
            table: the table.
            rows: the rows, each one once, and all with the same columns.
            only_where_null: leave a row as it is that has a value in one of these columns.
        """

    def present_position(self) -> str:
        """Return the query for the present position in the log, and the life of the server that it is of.

        Positions of two lives say nothing of each other. Where there are none, the life is ``NULL``.
        """

    def changed_rows(self, position: Any, limit: int) -> tuple[str, Sequence[Any]]:
        """Return the query for what has changed since a position, with its values in the driver's notation.

        Each row of its result has the position that it leads to, a table, the number of a row, and what has happened to
        it, which is ``NULL`` where that is nothing. Without any row the position is as good as before.

        Args:
            position: that position.
            limit: how many changes at most, or twice as many.
        """

    def among(self, column: Any, numbers: Sequence[int]) -> Any:
        """Return the condition that a column has one of some numbers, of which a statement has one parameter."""

    def has_member(self, document: peewee.Field[Any], name: str) -> Any:
        """Return the condition that a document of the log has a member."""

    def past_rows(self, table: RecordedTable, columns: Mapping[str, peewee.Field[Any]]) -> str:
        """Return a query for the rows of a table as they were, of which ``past_changes`` are taken back."""

    def past_changes(self) -> str:
        """Return the common table expressions that ``past_rows`` builds on; the one parameter is the moment."""


def kind_of(database: peewee.Database) -> Kind:
    """Return what a kind of database does in its own way."""
    return cast("Kind", import_module(f"cloudpub_models.history.{sql_dialect_of(database).name}"))


def triggers_by_table(database: peewee.Database) -> dict[str, set[str]]:
    """Return the names of the enabled triggers of each table."""
    found: dict[str, set[str]] = {}
    for table, name in kind_of(database).all_triggers(database):
        found.setdefault(table, set()).add(name)
    return found


def tables_with_triggers(database: peewee.Database) -> frozenset[str]:
    """Return the names of the tables that have all triggers of the log."""
    events = kind_of(database).events
    return frozenset(
        table
        for table, names in triggers_by_table(database).items()
        if names >= {trigger_name(table, event) for event in events}
    )


def trigger_name(table: str, event: str) -> str:
    """Return the name of the trigger that records an event of a table."""
    return name_of_part(table, ["record"], event)


def key_expressions(row: str, table: RecordedTable, dialect: Dialect, array: str) -> tuple[str, str]:
    """Return what gives the number and the text by which the log knows a row; NULL for the one that it has not.

    Args:
        row: what the row is called.
        table: its table.
        dialect: how names are quoted.
        array: makes a JSON text of the columns that stand for ``{}``.
    """
    columns = [f"{row}.{dialect.quote(column)}" for column in table.keys]
    return (columns[0], "NULL") if table.by_number else ("NULL", array.format(", ".join(columns)))


def tracked(models: Iterable[type[peewee.Model]]) -> list[type[peewee.Model]]:
    """Return the models whose ``Meta`` says ``tracked = True``."""
    return [model for model in models if getattr(model._meta, "tracked", False)]


def recorded_table(database: peewee.Database, model: type[peewee.Model]) -> RecordedTable:
    """Return what the triggers of a model's table need to know.

    Raises:
        HistoryError: its key is of a kind that the log cannot keep.
    """
    meta: Any = model._meta
    keys = meta.get_primary_keys()
    name = meta.table_name
    fields = [getattr(key, "rel_field", key) for key in keys]
    if not keys or not all(isinstance(field, _KEY_FIELDS) for field in fields):
        raise HistoryError(
            f"expected a primary key of integers, text or UUIDs, to record {name}; "
            f"got {', '.join(type(field).__name__ for field in fields) or 'none'}: leave the table out"
        )
    return RecordedTable(
        name=name,
        columns=kind_of(database).columns(database, name),
        modelled=tuple(field.column_name for field in meta.sorted_fields),
        keys=tuple(key.column_name for key in keys),
        by_number=len(keys) == 1 and isinstance(fields[0], peewee.IntegerField),
        touched=tuple(
            field.column_name
            for field in meta.sorted_fields
            if isinstance(field, TimestampField) and field.touched_on_update
        ),
        secrets=tuple(sorted(secret_columns(model))),
    )


def key_of(
    database: peewee.Database, table: RecordedTable, model: type[peewee.Model], key: Any
) -> tuple[int | None, str | None]:
    """Return a row's key as the log has it: a number, or JSON of all its columns' values.

    Raises:
        InvalidValueError: it is none of the table.
    """
    values = key if isinstance(key, tuple) and not table.by_number else (key,)
    if len(values) != len(table.keys):
        raise InvalidValueError(
            f"expected a value for each of {', '.join(table.keys)}, which tell the rows of {table.name} apart; "
            f"got {shown(key)}"
        )
    if table.by_number:
        if isinstance(key, bool) or not isinstance(key, int):
            raise InvalidValueError(f"expected {table.keys[0]} of {table.name} to be an integer; got {shown(key)}")
        return encode(int(key)), None
    stored = [_in_json(model, column, value) for column, value in zip(table.keys, values, strict=True)]
    return None, json.dumps(stored, ensure_ascii=False, separators=kind_of(database).json_separators)


def _in_json(model: type[peewee.Model], column: str, value: Any) -> Any:
    field: Any = model._meta.columns[column]
    stored = field.db_value(value)
    return stored if isinstance(stored, int | str) else str(stored)


def of_row(
    database: peewee.Database, log: Any, table: RecordedTable, model: type[peewee.Model], key: Any
) -> peewee.Expression:
    """Return the condition of the changes of a row."""
    number, text = key_of(database, table, model, key)
    same_row = log.row_id == number if table.by_number else log.row_key == text
    condition: peewee.Expression = (log.table_name == table.name) & same_row
    return condition


def key_from(table: RecordedTable, model: type[peewee.Model], number: int | None, text: str | None) -> Any:
    """Return a row's key in Python's terms from what the log has."""
    if number is not None or text is None:
        return number
    values = [
        value if isinstance(value, int) else cast("Any", model._meta.columns[column]).python_value(value)
        for column, value in zip(table.keys, json.loads(text), strict=True)
    ]
    return values[0] if len(values) == 1 else tuple(values)


# Peewee's fields are generic in its stubs only, and cannot be subscripted when the program runs.
if TYPE_CHECKING:
    _Field = peewee.Field[Any]
else:
    _Field = peewee.Field


class TransactionNumber(_Field):
    """The number of a transaction, which PostgreSQL keeps in a type that drivers give as text."""

    def db_value(self, value: Any) -> Any:
        """Return what both databases compare with one."""
        return value if isinstance(value, peewee.Node) else str(int(value))

    def python_value(self, value: Any) -> int:
        """Return the number."""
        return int(value)


class _JsonText(_Field):
    def db_value(self, value: Any) -> Any:
        return value if value is None or isinstance(value, peewee.Node | str) else json.dumps(value)

    def python_value(self, value: Any) -> Any:
        return json.loads(value) if isinstance(value, str) else value


def log_of(database: peewee.Database) -> Any:
    """Return a Peewee model of a database's log."""

    class ChangeRow(peewee.Model):
        """One change."""

        id = peewee.BigIntegerField(primary_key=True)
        transaction_id = TransactionNumber()
        changed_at = TimestampField()
        table_name = peewee.TextField()
        row_id = peewee.BigIntegerField(null=True)
        row_key = peewee.TextField(null=True)
        operation = peewee.TextField()
        old_values = _JsonText(null=True)
        new_values = _JsonText(null=True)
        actor = peewee.TextField(null=True)
        details = _JsonText(null=True)

        class Meta:
            """Its table."""

            table_name = CHANGES

    ChangeRow.bind(database)
    return ChangeRow


def changes_in(log: Any) -> Any:
    """Return a query for the rows of the log, whose numbers with a fraction are decimals, as exact as they are."""
    return log.select(
        *(_as_text(field) if isinstance(field, _JsonText) else field for field in log._meta.sorted_fields)
    )


def _as_text(field: Any) -> Any:
    # A driver would make a float of such a number.
    text = peewee.NodeList((peewee.SQL("CAST("), field, peewee.SQL("AS TEXT)")))
    return text.converter(_document).alias(field.name)


def _document(text: str | None) -> Any:
    """Return a JSON object whose own numbers are exact; those inside documents are what they are for Python."""
    if text is None:
        return None
    members = json.loads(text)
    if not any(isinstance(value, float) for value in members.values()):
        return members
    exact = json.loads(text, parse_float=Decimal)
    return {name: exact[name] if isinstance(value, float) else value for name, value in members.items()}


def has_table(database: peewee.Database, name: str) -> bool:
    """Return whether a database has a table where statements look for it."""
    return bool(database.table_exists(name))


def has_columns(database: peewee.Database, table: str, columns: Iterable[str]) -> bool:
    """Return whether a table has all these columns."""
    return {column.name for column in database.get_columns(table)} >= set(columns)


def rows(database: peewee.Database, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Return the rows of a query whose parameters are written as ``?``."""
    return fetch(database, sql.replace("?", str(database.param)), values)


def write(database: peewee.Database, sql: str, *values: Any) -> None:
    """Send a statement that changes rows, whose parameters are written as ``?``."""
    run(database, sql.replace("?", str(database.param)), values)


def send(database: peewee.Database, statement: str) -> None:
    """Send a statement without parameters, whatever characters it has."""
    run(database, statement.replace("%", "%%") if sql_dialect_of(database).doubles_percent else statement)
