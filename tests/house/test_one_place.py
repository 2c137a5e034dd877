"""What has one home is nowhere else: differences between databases, the sending of statements, the writing of SQL."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.house.package import modules

HOMES_OF_DIFFERENCES = (
    "sql.dialects",
    "sql.render",
    "connection.postgresql",
    "connection.sqlite",
    "schema.catalogue.postgresql",
    "schema.catalogue.sqlite",
    # Released scripts never change.
    "migrations",
)
# Where a text or a class, which anybody may hand in, becomes one of the two databases, and how often it is looked at.
_BECOMES_A_DATABASE = {"connection.url": 1, "entity.binding": 2}

_NAMES_OF_DATABASES = {"sqlite", "postgresql"}
_DIALECTS = {"SQLITE", "POSTGRESQL"}
_CLASSES_OF_ONE_DATABASE = {"SqliteEngine", "PostgresqlEngine", "SqliteDatabase", "PostgresqlDatabase"}
_DRIVERS = {"sqlite3", "psycopg2"}

_SENDING_METHODS = {
    "batch_execute",
    "copy_rows",
    "execute",
    "execute_sql",
    "executemany",
    "fetch",
    "fetch_described",
    "fetch_whole",
    "fetch_undecoded",
    "raw_execute",
    "raw_query_all",
    "raw_query_iter",
    "raw_query_single",
    "run",
    "run_many",
    "stream",
    "stream_described",
    "stream_dicts",
}
_SENDS = "manager.sending"

# Upper case, as all of the library's SQL is: a message may say "select" and "from".
_SQL = re.compile(
    r"\b(SELECT|INSERT INTO|UPDATE \S+ SET|DELETE FROM|COPY|FROM|JOIN|WHERE|GROUP BY|ORDER BY|LIMIT|RETURNING)\b"
)

Finder = Callable[[ast.AST], Iterator[ast.AST]]


def differences(tree: ast.AST) -> Iterator[ast.AST]:
    """Where code asks which database it has: comparisons, tables by the databases' names, tests of a class."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            if any(_names_a_database(side) for side in (node.left, *node.comparators)):
                yield node
        elif isinstance(node, ast.Dict):
            if any(key is not None and _names_a_database(key) for key in node.keys):
                yield node
        elif isinstance(node, ast.MatchValue):
            if _names_a_database(node.value):
                yield node
        elif isinstance(node, ast.Subscript):
            # What is remembered for each dialect is no difference: a variable indexed by a variable.
            if _holds_a_name(node.slice) and (
                isinstance(node.slice, ast.Attribute) or _last_name(node.value).isupper()
            ):
                yield node
        elif isinstance(node, ast.Call):
            asks = isinstance(node.func, ast.Name) and node.func.id in ("isinstance", "issubclass", "getattr")
            if asks and len(node.args) > 1 and (_is_of_one_database(node.args[1]) or _holds_a_name(node.args[1])):
                yield node


def _names_a_database(node: ast.expr) -> bool:
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return any(_names_a_database(element) for element in node.elts)
    if isinstance(node, ast.Constant):
        return node.value in _NAMES_OF_DATABASES
    return _last_name(node) in _DIALECTS


def _holds_a_name(node: ast.expr) -> bool:
    """Whether it is a variable or an attribute that holds a database's name, such as ``database.dialect``."""
    return _last_name(node) == "dialect" or (
        isinstance(node, ast.Attribute) and node.attr == "name" and _last_name(node.value).endswith("dialect")
    )


def _is_of_one_database(node: ast.expr) -> bool:
    if isinstance(node, ast.Tuple):
        return any(_is_of_one_database(element) for element in node.elts)
    if isinstance(node, ast.BinOp):
        return _is_of_one_database(node.left) or _is_of_one_database(node.right)
    return _last_name(node) in _CLASSES_OF_ONE_DATABASE or (
        isinstance(node, ast.Attribute) and _last_name(node.value) in _DRIVERS and not node.attr.endswith("Error")
    )


def _last_name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def sends(tree: ast.AST) -> Iterator[ast.AST]:
    """The calls that hand a statement to a database."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _SENDING_METHODS:
            yield node


def sql_put_together(tree: ast.AST) -> Iterator[ast.AST]:
    """Where SQL is made of parts: f-strings, sums and ``format``, of texts and of constants that hold SQL.

    A statement that stands written out is no part of this.
    """
    constants = _constants_with_sql(tree)
    inner: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            made = _is_sql(node.left, constants) or _is_sql(node.right, constants)
            if made:
                inner |= set(ast.walk(node)) - {node}
        elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add):
            made = _is_sql(node.value, constants)
        elif isinstance(node, ast.JoinedStr):
            made = _is_sql(node, constants)
        else:
            made = (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "format"
                and _is_sql(node.func.value, constants)
            )
        if made and node not in inner:
            yield node


def _constants_with_sql(tree: ast.AST) -> set[str]:
    """The names that are given SQL, or one of several texts of it."""
    assignments = [
        (_last_name(target), node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    ]
    names = {name for name, value in assignments if _is_sql(value, set())}
    return names | {name for name, value in assignments if _is_sql(value, names)}


def _is_sql(node: ast.expr, constants: set[str]) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and bool(_SQL.search(node.value))
    if isinstance(node, ast.JoinedStr):
        return any(
            _is_sql(part.value if isinstance(part, ast.FormattedValue) else part, constants) for part in node.values
        )
    if isinstance(node, ast.Dict):
        return any(_is_sql(value, constants) for value in node.values)
    if isinstance(node, ast.Subscript):
        return _is_sql(node.value, constants)
    if isinstance(node, ast.BinOp):
        return _is_sql(node.left, constants) or _is_sql(node.right, constants)
    return _last_name(node) in constants


def counted(find: Finder, *rooms: str, but: tuple[str, ...] = ()) -> Counter[str]:
    """How often ``find`` finds something in each module of ``rooms`` (all, when none is named)."""
    return Counter(
        {
            name: number
            for name, module in modules().items()
            if (not rooms or module.is_in(*rooms)) and not module.is_in(*but)
            if (number := len(list(find(module.tree))))
        }
    )


def test_a_difference_between_databases_has_one_home() -> None:
    found = counted(differences, but=HOMES_OF_DIFFERENCES)
    assert {name: found.pop(name, 0) for name in _BECOMES_A_DATABASE} == _BECOMES_A_DATABASE
    assert found == Counter()


def test_one_function_sends() -> None:
    found = counted(sends, "manager", "platform", but=(_SENDS,))
    assert found == Counter()


def test_sql_is_put_together_where_it_is_rendered() -> None:
    found = counted(sql_put_together, "entity.base", "manager", "models", "platform", "dto", "legacy")
    assert found == Counter()


# The reading itself, since a test that finds nothing would pass.


@pytest.mark.parametrize(
    "code",
    [
        'database.dialect == "sqlite"',
        'dialect.name != "postgresql"',
        'dialect in ("sqlite",)',
        "dialect is POSTGRESQL",
        "dialect is not dialects.SQLITE",
        '{"postgresql": 1, "sqlite": 2}',
        "{SQLITE: 1}",
        "LOCK[database.dialect]",
        "LOCK[engine.sql_dialect.name]",
        "getattr(default, dialect)",
        'match dialect:\n    case "sqlite":\n        pass',
        "isinstance(engine, SqliteEngine)",
        "isinstance(database, (int, peewee.PostgresqlDatabase))",
        "isinstance(connection, sqlite3.Connection)",
    ],
)
def test_a_difference_is_seen(code: str) -> None:
    assert len(list(differences(ast.parse(code)))) == 1


@pytest.mark.parametrize(
    "code",
    [
        '"sqlite"',
        'DatabaseUrl("sqlite")',
        "dialect.quote(name)",
        "render(POSTGRESQL)",
        "except_(sqlite3.Error)",
        "a == b",
    ],
)
def test_what_is_no_difference(code: str) -> None:
    assert list(differences(ast.parse(code))) == []


def test_a_send_is_seen() -> None:
    assert len(list(sends(ast.parse("engine.fetch(sql, None)\nself.database.raw_query_all(sql)\nsend(request)")))) == 2


@pytest.mark.parametrize(
    "code",
    [
        'f"SELECT {columns} FROM users"',
        '"SELECT " + columns + " FROM users"',
        '_ONE = "SELECT name FROM users"\nsql = _ONE + lock',
        '_EACH = {"a": "SELECT {0}"}\nsql = _EACH[kind].format(columns)',
        'sql += " LIMIT 1"',
        '"DELETE FROM {table}".format(table=table)',
        '_BATCH = {"a": "DELETE FROM {0}"}\nbatch = _BATCH[kind]\nsql = batch.format(table)',
    ],
)
def test_sql_that_is_put_together_is_seen(code: str) -> None:
    assert len(list(sql_put_together(ast.parse(code)))) == 1


@pytest.mark.parametrize("code", ['"SELECT name FROM users"', 'f"expected a limit; got {limit}"', "a + b"])
def test_what_puts_no_sql_together(code: str) -> None:
    assert list(sql_put_together(ast.parse(code))) == []
