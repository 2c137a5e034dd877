"""What a component's scripts make and what its models ask for, each made in a database in memory and read from it.

The database is SQLite, so that no server is needed. SQLite keeps a column's type as it was written and stores fewer
kinds than there are, so here what fields say is written out: ``TEXT 'uuid'`` behaves as ``TEXT`` and says that it is a
UUID. Only what scripts send as SQL text for SQLite says no more than SQLite knows; its ``TEXT`` then fits a UUID, a
document and a text alike.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any

import peewee

from cloudpub_models.component import Component
from cloudpub_models.entity.binding import current_database
from cloudpub_models.entity.ddl import touch_trigger
from cloudpub_models.entity.fields import RANDOM_UUID, UTC_NOW, ServerDefault, as_sqlite_default, server_default
from cloudpub_models.errors import MigrationError
from cloudpub_models.schema.catalogue.catalogue import normalised_type
from cloudpub_models.schema.catalogue.normal_form import check_expression, normalised, normalised_statement
from cloudpub_models.schema.catalogue.sqlite import foreign_keys
from cloudpub_models.schema.drift.definition import create_all
from cloudpub_models.schema.generate.structure import (
    STORED_AS,
    CheckState,
    ColumnState,
    IndexState,
    ReferenceState,
    Tables,
    TableState,
    UniqueState,
)
from cloudpub_models.schema.migrations.operations import operation
from cloudpub_models.schema.migrations.scripts import scripts_of
from cloudpub_models.schema.migrations.sqlite_definition import (
    Clause,
    ColumnDefinition,
    TableDefinition,
    parts_in_parentheses,
    plain_name,
    read_definition,
)
from cloudpub_models.schema.migrations.sqlite_migrator import TableRemakingMigrator
from cloudpub_models.schema.statements import fetch
from cloudpub_models.sql.dialects import SQLITE
from cloudpub_models.sql.text.tokens import code, tokens

# SQLite lets no type but INTEGER count, so that a constraint's name has to say it there.
_COUNTING = {kind: f'INTEGER CONSTRAINT "{kind}"' for kind in ("integer", "bigint")}
_TYPE = re.compile(r"(?P<stored>.*?)(?: '(?P<meant>.+)')?")


class _Context(peewee.Context):
    """Writes booleans into the conditions of indexes as both databases take them; Peewee's 1 is SQLite's alone."""

    def value(self, value: Any, converter: Any = None, add_param: bool = True) -> Any:
        if self.state.value_literals and isinstance(value, bool):
            return self.literal(str(value).upper())
        return super().value(value, converter, add_param)


class ScratchDatabase(peewee.SqliteDatabase):
    """A database in memory whose columns say what they are."""

    context_class = _Context
    field_types = {
        **peewee.SqliteDatabase.field_types,
        "AUTO": _COUNTING["integer"],
        "BIGAUTO": _COUNTING["bigint"],
        "BIGINT": "INTEGER 'bigint'",
        "BLOB": "BLOB 'blob'",
        "BOOL": "INTEGER 'boolean'",
        "DOUBLE": "REAL 'double'",
        "FLOAT": "REAL 'real'",
        "INT": "INTEGER 'integer'",
        "JSON": "TEXT 'json'",
        "SMALLINT": "INTEGER 'smallint'",
        "TEXT": "TEXT 'text'",
        "UUID": "TEXT 'uuid'",
        "UUIDB": "BLOB 'uuid bytes'",
    }

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.connect()
        self.migrator = _ScratchMigrator(self)

    @classmethod
    def declared(cls, column: ColumnState) -> str:
        """Return the type of a column as it is written here."""
        if column.counts:
            return _COUNTING[column.type] if column.is_type_certain else "INTEGER"
        written = {declared.partition(" '")[2].rstrip("'"): declared for declared in cls.field_types.values()}
        return str(written.get(column.type, column.type.upper()))

    def copy(self) -> ScratchDatabase:
        """Return another database with all that is in this one."""
        other = ScratchDatabase()
        self.connection().backup(other.connection())  # type: ignore[no-untyped-call]
        return other


class _ScratchMigrator(TableRemakingMigrator):
    @operation
    def alter_column_type(self, table: str, column: str, field: peewee.Field[Any], cast: Any = None) -> Any:
        """Change a column's type; one that counts gets another mark."""
        if not isinstance(field, peewee.AutoField):
            return super().alter_column_type(table, column, field, cast)
        name = "bigint" if isinstance(field, peewee.BigAutoField) else "integer"
        return self._changed_column(table, column, lambda found: found.put("not", f'CONSTRAINT "{name}" NOT NULL'))


def replay(database: ScratchDatabase, component: Component) -> None:
    """Apply all scripts of a component.

    Raises:
        MigrationError: one fails, or cannot be loaded.
    """
    for script in scripts_of(component):
        module = script.load("up")
        try:
            with current_database.bound_to(database), database.atomic():
                module.up(database.migrator, database)
        except Exception as error:
            reason = (str(error).strip().splitlines() or [""])[0]
            raise MigrationError(
                f"expected migrations that can be applied to an empty SQLite database; got {script.name}: "
                f"{type(error).__name__}: {reason}"
            ) from error


def tables_of_models(models: Sequence[type[peewee.Model]]) -> Tables:
    """Return the tables that models ask for.

    Raises:
        MigrationError: a model names a schema, of which SQLite knows none.
    """
    for model in models:
        if model._meta.schema:
            raise MigrationError(
                f"expected models without a schema; got {model.__name__} with {model._meta.schema!r}: give it a "
                "component of its own, and write that one's migrations by hand"
            )
    database = ScratchDatabase()
    fields = {(model._meta.table_name, field.column_name): field for model in models for field in _fields_of(model)}
    try:
        create_all(database, models)
        return read_tables(database, fields)
    except (peewee.PeeweeException, ValueError, AttributeError) as error:
        raise MigrationError(
            f"expected models whose tables can be made; got {type(error).__name__}: {error}"
        ) from error
    finally:
        database.close()


def _fields_of(model: type[peewee.Model]) -> list[peewee.Field[Any]]:
    return list(model._meta.sorted_fields)


def read_tables(database: ScratchDatabase, fields: Mapping[tuple[str, str], peewee.Field[Any]] | None = None) -> Tables:
    """Return the tables of a database.

    Args:
        database: the database.
        fields: the fields of columns, by table and column, where they are known: they tell what SQLite's words alone do
            not, PostgreSQL's for a default and the default that Python gives.
    """
    reader = _Reader(database, fields or {})
    return {
        name: reader.table(name, statement)
        for name, statement in fetch(
            database,
            "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND substr(name, 1, 7) <> 'sqlite_' "
            "ORDER BY rowid",
        )
    }


class _Reader:
    def __init__(self, database: ScratchDatabase, fields: Mapping[tuple[str, str], peewee.Field[Any]]) -> None:
        self._database = database
        self._fields = fields
        self._words = {normalised(each.sqlite, SQLITE): each for each in (RANDOM_UUID, UTC_NOW)}

    def table(self, name: str, statement: str) -> TableState:
        definition = read_definition(statement)
        named = [(known, rule) for known, rule, _ in definition.names_of_constraints(name)]
        columns, keys = self._columns(name, definition)
        checks = [
            CheckState(known, check_expression(rule.text, SQLITE)) for known, rule in named if rule.kind == "check"
        ]
        uniques, indexes = self._indexes(name, definition, named)
        return TableState(
            name,
            columns,
            keys,
            tuple(uniques),
            tuple(indexes),
            tuple(self._references(name, definition, named)),
            tuple(checks),
            tuple(self._touched(name, columns, keys)),
            ("without_rowid",) if "without" in definition.options.lower().split() else (),
        )

    def _columns(self, table: str, definition: TableDefinition) -> tuple[dict[str, ColumnState], tuple[str, ...]]:
        columns, keys = {}, []
        query = 'SELECT name, type, "notnull", dflt_value, pk FROM pragma_table_xinfo(?) WHERE hidden = 0'
        for name, declared, not_null, default, key in fetch(self._database, query, (table,)):
            found: Any = _TYPE.fullmatch(declared)
            own = definition.column(name)
            counts = self._counts(own) if key and declared.upper() == "INTEGER" else False
            meant = found["meant"] or next((each.name for each in own.clauses if each.name in _COUNTING), None)
            kind = meant or normalised_type(found["stored"]).replace(", ", ",")
            field = self._fields.get((table, name))
            columns[name] = ColumnState(
                name,
                kind,
                meant is not None or kind not in STORED_AS.values(),
                not (not_null or key),
                self._default(default, field),
                counts,
                None if field is None else constant_default(field),
            )
            if key:
                keys.append((key, name))
        return columns, tuple(name for _, name in sorted(keys))

    def _counts(self, column: ColumnDefinition) -> bool | None:
        key = column.clause("primary")
        return True if key is not None and "autoincrement" in key.text.lower() else None

    def _default(self, text: str | None, field: peewee.Field[Any] | None) -> ServerDefault | None:
        if text is None or text.upper() == "NULL":
            return None
        declared = None if field is None else server_default(field)
        if declared is not None and normalised(declared.sqlite, SQLITE) == normalised(text, SQLITE):
            return declared
        return self._words.get(normalised(text, SQLITE)) or ServerDefault(text, as_sqlite_default(text))

    def _indexes(
        self, table: str, definition: TableDefinition, named: Sequence[tuple[str, Clause]]
    ) -> tuple[list[UniqueState], list[IndexState]]:
        uniques: list[UniqueState] = []
        indexes: list[IndexState] = []
        names = _names_by_columns(definition, named, "unique")
        query = (
            "SELECT l.name, l.origin, m.sql FROM pragma_index_list(?) AS l LEFT JOIN sqlite_master AS m "
            "ON m.type = 'index' AND m.name = l.name WHERE l.origin <> 'pk' ORDER BY l.seq DESC"
        )
        for name, origin, statement in fetch(self._database, query, (table,)):
            if origin == "u":
                rows = fetch(self._database, "SELECT name FROM pragma_index_info(?) ORDER BY seqno", (name,))
                columns = tuple(column for (column,) in rows)
                uniques.append(UniqueState(names[_folded(columns)], columns, is_index=False))
                continue
            index = _read_index(name, statement)
            if index.unique and index.where is None and index.columns is not None:
                uniques.append(UniqueState(name, index.columns, is_index=True))
            else:
                indexes.append(index)
        return uniques, indexes

    def _references(
        self, table: str, definition: TableDefinition, named: Sequence[tuple[str, Clause]]
    ) -> Iterable[ReferenceState]:
        names = _names_by_columns(definition, named, "foreign", "references")
        for key in reversed(foreign_keys(self._database, table)):
            name = names[_folded(key.columns)]
            yield ReferenceState(name, key.columns, key.table, key.referenced, key.on_delete, key.on_update)

    def _touched(self, table: str, columns: Iterable[str], keys: Sequence[str]) -> Iterable[str]:
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?"
        kept: dict[str, str] = dict(fetch(self._database, query, (table,)))
        for column in columns:
            trigger = touch_trigger(table, column, keys, SQLITE)
            statement = kept.get(trigger.name)
            if statement is not None and _same_trigger(statement, trigger.create[-1]):
                yield column


def constant_default(field: peewee.Field[Any]) -> object:
    """Return the default that Python gives a field, as a script can have it; None where there is none such.

    >>> constant_default(peewee.IntegerField(default=3)), constant_default(peewee.TextField(default=object))
    (3, None)
    """
    value = field.default
    if callable(value):
        again, value = object(), value
        with suppress(Exception):
            again, value = value(), value()
        if value != again:
            return None
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, Decimal):
        value = str(value)
    return value if isinstance(value, bool | int | float | str | list | dict) else None


def _names_by_columns(
    definition: TableDefinition, named: Iterable[tuple[str, Clause]], *kinds: str
) -> dict[frozenset[str], str]:
    owners = {id(rule): column.name for column in definition.columns for rule in column.clauses}
    return {
        _folded(rule.columns if id(rule) not in owners else [owners[id(rule)]]): known
        for known, rule in named
        if rule.kind in kinds
    }


def _folded(columns: Iterable[str]) -> frozenset[str]:
    return frozenset(column.lower() for column in columns)


def _read_index(name: str, statement: str) -> IndexState:
    parts, end = parts_in_parentheses(statement)
    plain = all(len(part) == 1 and part[0].kind in ("word", "quoted") for part in parts)
    behind = code(tokens(statement, SQLITE))
    where = [token for token in behind if token.start >= end]
    return IndexState(
        name,
        tuple(plain_name(part[0]) for part in parts) if plain else None,
        behind[1].text.lower() == "unique",
        statement[where[0].end :].strip() if where else None,
        statement[parts[0][0].start : parts[-1][-1].end],
    )


def _same_trigger(one: str, other: str) -> bool:
    return normalised_statement(one, SQLITE) == normalised_statement(other, SQLITE)
