"""SQLite's index of words: a table of FTS5 with the parts of three characters that texts have, kept by triggers.

Its words would be others than ours: what is a letter to it is a matter of an old edition of Unicode, and an accent is
nothing. Three characters are three characters; words of one or two are not looked for by it. The triggers call no
function of Python's, since other programs write the table too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import peewee

from cloudpub_models.entity.fields import name_of_part
from cloudpub_models.errors import ConfigurationError
from cloudpub_models.schema.search.tables import Ask, SearchedTable
from cloudpub_models.schema.statements import fetch, fetch_value, run
from cloudpub_models.sql.dialects import SEARCHED_CHARACTERS, SQLITE
from cloudpub_models.sql.search import SearchQuery

# Where more rows may have the words, those that are wanted are found sooner by going through the table in their order.
MOST_ROWS = 2_000
_PART_LENGTH = 3
# Enough of a word to tell it from others.
_MOST_PARTS = 12
# Neither texts nor places nor lengths are kept: which rows have a part is all that is asked.
_OPTIONS = "text, content='', columnsize=0, detail=none, tokenize='trigram'"
_MADE = "SELECT name, sql FROM sqlite_master WHERE name IN (?, ?, ?, ?)"
_TRIGGERS = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?"
_TABLE = "SELECT name FROM sqlite_master WHERE type = 'table' AND name = ?"


def is_made(ask: Ask, table: SearchedTable) -> bool:
    """Return whether a table has its index and the triggers that keep it, all as they should be."""
    if table.number is None:
        return False
    made = _statements(table)
    return dict(ask(_MADE, tuple(made))) == made


def numbers(ask: Ask, table: SearchedTable, query: SearchQuery) -> list[int] | None:
    """Return the keys of the rows that may have the words; ``None`` where those are many, or the words too short."""
    match = _match(query)
    if match is None:
        return None
    index = SQLITE.quote(index_name(table.name))
    found = ask(f"SELECT rowid FROM {index} WHERE {index} MATCH ? LIMIT ?", (match, MOST_ROWS + 1))  # noqa: S608 - a name
    return None if len(found) > MOST_ROWS else [number for (number,) in found]


def words(runs: Sequence[tuple[str, bool]]) -> None:
    """Return none: no statement but that of ``numbers`` asks this index."""
    return


def make(database: peewee.Database, table: SearchedTable) -> None:
    """Make the index of all rows, and the triggers.

    Raises:
        ConfigurationError: SQLite is without FTS5, or the table's key is no number, which rows are known by.
    """
    if table.number is None:
        raise ConfigurationError(
            f"expected a table whose primary key is one whole number, by which SQLite's index knows its rows; got "
            f"{table.name}: search it without an index"
        )
    if not fetch_value(database, "SELECT count(*) FROM pragma_module_list WHERE name = 'fts5'"):
        raise ConfigurationError("expected SQLite with FTS5; got one without it: search without an index")
    drop(database, table)
    index, *triggers = _statements(table).values()
    run(database, index)
    run(
        database,
        f"INSERT INTO {SQLITE.quote(index_name(table.name))} (rowid, text) "  # noqa: S608 - names of a model
        f"SELECT {SQLITE.quote(table.number)}, {_text(table, '')} FROM {SQLITE.quote(table.name)}",
    )
    for trigger in triggers:
        run(database, trigger)


def drop(database: peewee.Database, table: SearchedTable) -> bool:
    """Drop the index and the triggers, those too that a table has from before it was renamed."""
    found = list(_left(database, table))
    for kind, name in found:
        run(database, f"DROP {kind} IF EXISTS {SQLITE.quote(name)}")
    return bool(found)


def is_there(database: peewee.Database, table: SearchedTable) -> bool:
    """Return whether there is anything of an index: the index itself, or a trigger."""
    return any(True for _ in _left(database, table))


def keep_current(database: peewee.Database, table: SearchedTable) -> None:
    """Make the index anew where the table has one whose triggers are gone or were made for other columns.

    Columns that only a later migration adds are waited for.
    """
    if is_there(database, table) and not is_made(partial(fetch, database), table):
        columns = {name for (name,) in fetch(database, "SELECT name FROM pragma_table_xinfo(?)", (table.name,))}
        if columns.issuperset(table.columns):
            make(database, table)


def index_name(table: str) -> str:
    """Return the name of a table's index, which is a table to SQLite; its triggers are named after it.

    >>> index_name("books")
    'books_words_search'
    """
    return name_of_part(table, ["words"], "search")


def is_search_trigger(name: str) -> bool:
    """Return whether a trigger is one that keeps an index.

    >>> is_search_trigger("books_words_search_insert"), is_search_trigger("books_record_insert")
    (True, False)
    """
    return name.endswith(("_words_search_insert", "_words_search_update", "_words_search_delete"))


def _left(database: peewee.Database, table: SearchedTable) -> Iterator[tuple[str, str]]:
    """Yield what there is of a table's index: the kind and the name."""
    names = {index_name(table.name)}
    for (name,) in fetch(database, _TRIGGERS, (table.name,)):
        if is_search_trigger(name):
            yield "TRIGGER", name
            names.add(name.rpartition("_")[0])
    for name in sorted(names):
        if fetch(database, _TABLE, (name,)):
            yield "TABLE", name


def _statements(table: SearchedTable) -> dict[str, str]:
    """Return what makes the index and its triggers, by their names, the index first."""
    name = index_name(table.name)
    index, own, key = SQLITE.quote(name), SQLITE.quote(table.name), SQLITE.quote(str(table.number))
    columns = [SQLITE.quote(column) for column in (str(table.number), *table.columns)]
    changed = " OR ".join([f"OLD.{column} IS NOT NEW.{column}" for column in columns])
    added = f"INSERT INTO {index} (rowid, text) VALUES (NEW.{key}, {_text(table, 'NEW.')});"  # noqa: S608 - names of a model
    gone = f"INSERT INTO {index} ({index}, rowid, text) VALUES ('delete', OLD.{key}, {_text(table, 'OLD.')});"  # noqa: S608 - names of a model
    events = {
        "insert": f"INSERT ON {own} BEGIN {added} END",
        "update": f"UPDATE OF {', '.join(columns)} ON {own} WHEN {changed} BEGIN {gone} {added} END",
        "delete": f"DELETE ON {own} BEGIN {gone} END",
    }
    return {
        name: f"CREATE VIRTUAL TABLE {index} USING fts5({_OPTIONS})",
        **{
            f"{name}_{event}": f"CREATE TRIGGER {SQLITE.quote(f'{name}_{event}')} AFTER {event_of}"
            for event, event_of in events.items()
        },
    }


def _text(table: SearchedTable, row: str) -> str:
    """Return the expression for the text of a row that is searched; no word is made of two columns' ends."""
    return " || ' ' || ".join(
        [f"coalesce(substr({row}{SQLITE.quote(column)}, 1, {SEARCHED_CHARACTERS}), '')" for column in table.columns]
    )


def _match(query: SearchQuery) -> str | None:
    alternatives = []
    for terms in query.runs():
        parts = dict.fromkeys([part for runs in terms for run, _ in runs for part in _parts(run)])
        if not parts:
            return None
        # Nothing but letters and digits is in a part, so none ends its quotes.
        wanted = " AND ".join([f'"{part}"' for part in parts])
        alternatives.append(f"({wanted})")
    return " OR ".join(alternatives)


def _parts(run: str) -> list[str]:
    parts = [run[start : start + _PART_LENGTH] for start in range(len(run) - _PART_LENGTH + 1)]
    return parts[:_MOST_PARTS]
