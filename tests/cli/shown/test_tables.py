"""Results as tables: what is shown, what is left out, and what never gets through."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from rich.console import Console

from cloudpub_models import PaginatedResult, User
from cloudpub_models.cli.shown.tables import bar_chart, show, table_of_rows


def text_of(result: Any, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(show(result, console))
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def make_user(number: int) -> User:
    return User.from_dict(
        {
            "id": number,
            "uuid": UUID(int=number),
            "email": f"user{number}@example.com",
            "password_hash": "s3cret",
            "created_at": datetime(2025, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
            "updated_at": datetime(2025, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
        }
    )


def test_an_entity_is_shown_without_its_secrets() -> None:
    shown = text_of(make_user(1))
    assert "user1@example.com" in shown
    assert "2025-01-02 03:04:05" in shown
    assert "s3cret" not in shown
    assert "password_hash" not in shown


def test_many_rows_are_cut_and_counted() -> None:
    shown = text_of([make_user(number) for number in range(1, 21)])
    assert "user8@example.com" in shown
    assert "user9@example.com" not in shown
    assert "… and 12 more rows" in shown


@pytest.mark.parametrize("width", range(10, 140, 7))
def test_columns_that_do_not_fit_are_named(width: int) -> None:
    shown = text_of([make_user(1)], width)
    assert max(len(line) for line in shown.splitlines()) <= width
    assert "id" in shown
    if width < 60:
        assert "not shown" in " ".join(shown.split())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "→ None"),
        (True, "→ True"),
        (12, "→ 12"),
        ([], "no rows"),
        ({"n": Decimal("12345.678")}, "12,345.7"),
        ({"n": 1234567}, "1234567"),
        ({"n": None}, "NULL"),
        ({"n": False}, "no"),
        ([{"n": 1.25}], "1.2"),
        ([1, 2], "value"),
        ({"n": "[red]not markup[/red]"}, "[red]not markup[/red]"),
    ],
    ids=repr,
)
def test_values(value: Any, text: str) -> None:
    assert text in text_of(value)


def test_what_a_terminal_would_obey_is_taken_out() -> None:
    shown = text_of([{"name": "bad\x1b[2Jname\a\r", "other": "two\nlines"}])
    assert "\x1b" not in shown
    assert "\a" not in shown
    assert "bad [2Jname" in shown
    assert "two lines" in shown


def test_a_page_says_where_it_stands() -> None:
    page = PaginatedResult(items=[make_user(1)], total=11, page=2, page_size=5)
    assert "page 2 of 3 (more to come), 11 rows in all" in text_of(page)
    last: PaginatedResult[User] = PaginatedResult(items=[], total=0, page=1, page_size=5)
    assert "no rows" in text_of(last)


def test_rows_may_be_wrapped_instead() -> None:
    console = Console(file=io.StringIO(), width=40)
    console.print(table_of_rows([{"a": "word " * 30, "b": "x" * 60}], console, wrap=True))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert shown.count("word") == 30
    assert shown.count("x") == 60


@pytest.mark.parametrize("width", [1, 12, 80])
def test_bars_fit_and_are_in_proportion(width: int) -> None:
    console = Console(file=io.StringIO(), width=width)
    rows = [{"hour": "01", "calls": 0}, {"hour": "02", "calls": 1}, {"hour": "03", "calls": 200}]
    console.print(bar_chart(rows, "hour", "calls", console))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    if width == 80:
        assert [line.count("█") for line in shown.splitlines()] == [0, 1, 60]
