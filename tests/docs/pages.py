"""Runs the Python of a documentation page, statement by statement, and compares what its comments promise.

What a comment behind or below a statement may say::

    ada.email                                   # → 'ada@example.com'
    print(ada.email)                            # → ada@example.com
    ada = managers.users.find_by_uuid(uuid)     # → <User id=1 …>
    managers.functions.find_by_id(ada.uuid)     # raises InvalidValueError: functions.id: expected …
    managers.functions.count()
    # SELECT COUNT(*) AS count FROM functions

``# →`` is the ``repr`` of the statement's value (of what was assigned, for an assignment), or what it printed.
SQL, on a line of its own, is what the statement sent, as PostgreSQL gets it, with ``@names`` for the parameters; SQLite
has to get as many statements. An ellipsis ``…`` stands for anything. A comment goes on in lines that are indented by
three spaces.
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
import tokenize
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CODE_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)

_SQL = re.compile(r"(?:SELECT|INSERT|UPDATE|DELETE|COPY|WITH|EXPLAIN)\b(?= )")
_RESULT = re.compile(r"→ |raises (?=[A-Z])")
_PARAMETER = re.compile(r"@[a-z]\w*|%s|\?")


@dataclass
class Promises:
    """What the comments at one statement say of it."""

    results: list[str] = field(default_factory=list)
    raises: list[str] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        if text.startswith("→ "):
            self.results.append(text[2:])
        elif text.startswith("raises "):
            self.raises.append(text[7:])
        else:
            self.statements.append(text)


def run_page(page: Path, names: dict[str, Any], sent: Sequence[Any], replace: Callable[[str], str], exact: bool) -> int:
    """Run every ``python`` block of a page from top to bottom and return how many promises were kept.

    Args:
        page: the file.
        names: the namespace in which the code runs.
        sent: the statements sent so far, as (SQL, parameters); it grows while the code runs.
        replace: applied to the code.
        exact: whether the SQL has to be that of the page; otherwise only the number of statements.
    """
    text = page.read_text(encoding="utf-8")
    kept = 0
    for block in CODE_BLOCK.finditer(text):
        first_line = text[: block.start()].count("\n") + 1
        source = "\n" * first_line + replace(block[1])
        for statement, promises in _statements(source, page):
            kept += _run(statement, promises, page, names, sent, exact)
    return kept


def _statements(source: str, page: Path) -> Iterator[tuple[ast.stmt, Promises]]:
    tree = ast.parse(source, str(page))
    comments = _comments(source)
    claimed = 0
    for statement, following in zip(tree.body, [*tree.body[1:], None], strict=True):
        end = following.lineno if following is not None else source.count("\n") + 2
        # Comments inside a compound statement are prose, but for those at its end.
        start = statement.end_lineno or statement.lineno
        promises = Promises()
        for line in range(start, end):
            if line in comments:
                claimed += 1
                promises.add(comments[line])
        yield statement, promises
    inside = len(comments) - claimed
    assert not inside, f"{page.name}: {inside} promise(s) stand where no statement ends: {sorted(comments.values())}"


def _comments(source: str) -> dict[int, str]:
    """Return the promises by the line on which each begins."""
    found: dict[int, str] = {}
    last = None
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        line, text = token.start[0], token.string.removeprefix("#")
        if text.startswith("   ") and last is not None and line == last[1] + 1:
            found[last[0]] += " " + text.strip()
            last = (last[0], line)
        elif _RESULT.match(text.strip()) or (token.line.lstrip().startswith("#") and _SQL.match(text.strip())):
            found[line] = text.strip()
            last = (line, line)
        else:
            last = None
    return found


def _run(
    statement: ast.stmt, promises: Promises, page: Path, names: dict[str, Any], sent: Sequence[Any], exact: bool
) -> int:
    where = f"{page.name}:{statement.lineno}"
    already = len(sent)
    printed = io.StringIO()
    value, error = None, None
    try:
        with contextlib.redirect_stdout(printed):
            value = _execute(statement, page, names)
    except Exception as raised:
        if not promises.raises:
            raise
        error = raised
    if promises.raises:
        assert error is not None, f"{where}: expected {promises.raises[0]}; nothing was raised"
        _compare(promises.raises, [f"{type(error).__name__}: {error}"], where)
    if promises.results:
        text = printed.getvalue()
        _compare(promises.results, text.splitlines() if text else [repr(value)], where)
    if promises.statements:
        # Whether a table has partitions is asked once a minute at most, behind whatever call comes then.
        told = [sql for sql, _ in sent[already:] if "relkind = 'p'" not in sql]
        _compare_sql(promises.statements, told, exact, where)
    return len(promises.results) + len(promises.raises) + len(promises.statements)


def _execute(statement: ast.stmt, page: Path, names: dict[str, Any]) -> Any:
    if isinstance(statement, ast.Expr):
        return eval(compile(ast.Expression(statement.value), str(page), "eval"), names)
    exec(compile(ast.Module([statement], []), str(page), "exec"), names)
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        return eval(compile(ast.Expression(_loaded(statement.targets[0])), str(page), "eval"), names)
    return None


def _loaded(target: ast.expr) -> ast.expr:
    return ast.parse(ast.unparse(target), mode="eval").body


def _compare(expected: Sequence[str], found: Sequence[str], where: str) -> None:
    matches = len(expected) == len(found) and all(map(matches_pattern, expected, found))
    assert matches, f"{where}: the page says\n  " + "\n  ".join(expected) + "\nbut it is\n  " + "\n  ".join(found)


def _compare_sql(expected: Sequence[str], found: Sequence[str], exact: bool, where: str) -> None:
    if exact:
        _compare([plain_sql(text) for text in expected], [plain_sql(text) for text in found], where)
    else:
        assert len(expected) == len(found), f"{where}: the page shows {len(expected)} statements; sent were {found}"


def matches_pattern(pattern: str, text: str) -> bool:
    """Return whether a text is what a promise says, ``…`` standing for anything."""
    parts = [re.escape(part) for part in pattern.strip().split("…")]
    return re.fullmatch(".*?".join(parts), text.strip(), re.DOTALL) is not None


def plain_sql(sql: str) -> str:
    """Return SQL on one line, with ``?`` for every parameter."""
    return " ".join(_PARAMETER.sub("?", sql.replace("%%", "%")).split())
