"""Figures that pages repeat are those of the measurements, rounded."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
_DATABASE = re.compile(r"ratio to the bare driver, on (\w+)")


def _tables(text):
    """Return the tables of a page as lists of rows, the head first."""
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else None
            for line in text.splitlines()]  # fmt: skip
    tables = [[]]
    for row in rows:
        if row is None:
            tables.append([])
        elif not set("".join(row)) <= set("-: "):
            tables[-1].append(row)
    return [table for table in tables if table]


def _measured(database):
    """Return what PERFORMANCE.md says: operation → library → ratio, without what is void."""
    page = (DOCS / "PERFORMANCE.md").read_text(encoding="utf-8")
    head, *rows = _tables(page.partition(f"\n### {database}\n")[2])[0]
    return {row[0]: {name: float(cell) for name, cell in zip(head, row, strict=True) if re.fullmatch(r"\d+\.\d+", cell)}
            for row in rows}  # fmt: skip


@pytest.mark.parametrize("page", ["CHOOSING.md", "COMPARISON.md"])
def test_figures_are_within_a_quarter_of_the_measurements(page):
    compared = 0
    for head, *rows in _tables((DOCS / page).read_text(encoding="utf-8")):
        if not (database := _DATABASE.fullmatch(head[0])):
            continue
        measured = _measured(database[1])
        for operation, *figures in rows:
            for library, figure in zip(head[1:], figures, strict=True):
                compared += 1
                expected = measured[operation].get(library)
                assert expected is None or float(figure) == pytest.approx(expected, rel=0.25), f"{operation}, {library}"
    assert compared > 5
