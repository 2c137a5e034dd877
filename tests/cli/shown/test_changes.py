"""Changes as a person reads them."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from cloudpub_models.cli.shown.changes import summary, table_of_changes
from cloudpub_models.history.changes import Change

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)


def change(operation: Any, actor: str | None = None, **values: Any) -> Change:
    return Change(3, 7, MOMENT, actor, {}, "functions", 17, operation, **values)


@pytest.mark.parametrize(
    ("one", "told"),
    [
        (
            change("update", "user:ada", before={"name": "a", "user_id": 1}, after={"name": "b", "user_id": None}),
            "update at 2026-01-02 03:04:05 UTC by user:ada, transaction 7: name: a → b, user_id: 1 → NULL",
        ),
        (change("insert"), "insert at 2026-01-02 03:04:05 UTC, transaction 7"),
        (change("delete", before={"name": "a"}), "delete at 2026-01-02 03:04:05 UTC, transaction 7"),
        (change("update"), "update at 2026-01-02 03:04:05 UTC, transaction 7"),
    ],
)
def test_in_a_line(one: Change, told: str) -> None:
    assert summary(one) == told


def lines(changes: list[Change], width: int) -> list[list[str]]:
    console = Console(file=io.StringIO(), width=width)
    console.print(table_of_changes(changes))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, text.splitlines())) <= width
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in text.splitlines() if line[0] == "│"]


def test_a_table_has_each_value_on_a_line() -> None:
    values = {"name": "a\x1b", "about": {"n": [None]}, "logs": "x" * 1000}
    update = change("update", "user:ada", before=values, after={"name": None, "about": None, "logs": ""})
    assert lines([update, change("insert")], 400) == [
        ["when", "who", "transaction", "what", "change"],
        ["2026-01-02 03:04:05", "user:ada", "7", "update functions 17", "name: a  → NULL"],
        ["", "", "", "", 'about: {"n": [null]} → NULL'],
        ["", "", "", "", f"logs: {'x' * 199}… →"],
        ["2026-01-02 03:04:05", "", "7", "insert functions 17", ""],
    ]


def test_nothing_is_left_out_on_a_narrow_terminal() -> None:
    update = change("update", before={"name": "a" * 30}, after={"name": "b" * 30})
    shown = lines([update], 80)
    assert "".join(line[4] for line in shown[1:]).replace(" ", "") == f"name:{'a' * 30}→{'b' * 30}"
    assert shown[1][:3] == ["2026-01-02 03:04:05", "", "7"]


def test_without_updates_there_are_no_values() -> None:
    assert lines([change("delete", before={"name": "a"})], 80) == [
        ["when", "who", "transaction", "what"],
        ["2026-01-02 03:04:05", "", "7", "delete functions 17"],
    ]
    assert str(table_of_changes([])) == "no changes"
