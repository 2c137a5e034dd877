"""Messages have one grammar, ``expected X; got Y: what to do``, and docstrings one way to write code, as here."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.house.package import Module, modules

# "; got Y", or another clause that says what there is instead; a hint stands behind a colon.
_GRAMMAR = re.compile(r"(?:.*: )?expected [^;]*; [^;]*", re.DOTALL)
_SPLICED = re.compile(r", (but )?(got|found) ")
# Where Peewee would raise the same.
_WORDS_OF_PEEWEE = {"Connection already opened.", "Attempting to close database while transaction is open."}
_SINGLE_BACKTICKS = re.compile(r"(?<!`)`(?!`)[^`\n]+`(?!`)")
_EXAMPLE = re.compile(r"^ *>>> .*?(?=^ *$|\Z)", re.MULTILINE | re.DOTALL)


def messages(tree: ast.AST) -> Iterator[str]:
    """The messages of errors that are made in ``tree``, with ``{}`` for what is only known when it runs."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _is_error(node.func) and node.args:
            yield from _texts(node.args[0])


def _is_error(node: ast.expr) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name.endswith("Error")


def _texts(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    elif isinstance(node, ast.BinOp):
        left, right = list(_texts(node.left)) or ["{}"], list(_texts(node.right)) or ["{}"]
        yield from (one + other for one in left for other in right)
    elif isinstance(node, ast.IfExp):
        yield from (*_texts(node.body), *_texts(node.orelse))


def is_ungrammatical(message: str) -> bool:
    """Whether a message says what was expected, but not in the one grammar, or begins like a sentence."""
    if re.match(r"[A-Z][a-z]+\b", message):
        return True
    if not re.search(r"\bexpected\b", message):
        return False
    return not _GRAMMAR.fullmatch(message) or bool(_SPLICED.search(message))


def test_messages_have_one_grammar() -> None:
    found = {
        (name, message)
        for name, module in modules().items()
        for message in messages(module.tree)
        if is_ungrammatical(message) and message not in _WORDS_OF_PEEWEE
    }
    assert found == set()


def single_backticks(module: Module) -> int:
    """How often the docstrings of a module write code in single backticks; what examples print is no text of theirs."""
    documented = (
        node
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node)
    )
    texts = (_EXAMPLE.sub("", ast.get_docstring(node) or "") for node in documented)
    return sum(len(_SINGLE_BACKTICKS.findall(text)) for text in texts)


def test_docstrings_write_code_in_double_backticks() -> None:
    assert {name for name, module in modules().items() if single_backticks(module)} == set()


@pytest.mark.parametrize(
    "message",
    [
        "expected a number; got {}",
        "{}: expected a number; got {}: leave it out for all rows",
        "expected a number of at least {}; got one that is smaller: pass a larger one, such as 5",
        "expected an existing function; there is none with the id {}",
        "OpenTelemetry cannot be imported: {}",
        "{} has no column {}: {}",
    ],
)
def test_what_is_in_the_grammar(message: str) -> None:
    assert not is_ungrammatical(message)


@pytest.mark.parametrize(
    "message",
    ["expected a number, got {}", "expected a number", "expected a number; got {}; pass one", "Expected a number"],
)
def test_what_is_not(message: str) -> None:
    assert is_ungrammatical(message)


def test_a_message_is_read_from_all_its_parts() -> None:
    code = 'raise errors.InvalidValueError(f"expected {one}, " "got " + (f"{two}" if two else "nothing"))'
    assert list(messages(ast.parse(code))) == ["expected {}, got {}", "expected {}, got nothing"]
