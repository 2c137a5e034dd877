"""Keeps the checkout from the runs of pytest that tests make of their own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _without_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave one plugin to find, the one that is installed.

    The checkout is on the path for its benchmarks, and has metadata of its own where it is installed in place.
    """
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if Path(entry).resolve() != ROOT])
