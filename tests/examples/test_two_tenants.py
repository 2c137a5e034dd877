"""The example of two tenants says what each sees, and that neither reaches the other's rows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "two_tenants.py"

SAID = """\
Acme: the door sticks, the lamp flickers
Globex: the reactor hums
  find it by its id: None
  count what it might be: 0
  delete it: False
  put one on their board: NotFoundError: expected a row of boards with the id 2
  give a board away: NotFoundError: expected a row of companies with the id 2
  ask in SQL: UnguardedError: expected a call that the company 1 can hold
  forget who asks: UnguardedError: expected managers of an owner's rows, which the database requires
[{'board.company.name': 'Acme', 'tickets': 2}, {'board.company.name': 'Globex', 'tickets': 1}]
"""


def test_two_tenants_share_a_database(request: pytest.FixtureRequest, backend: str) -> None:
    url = "sqlite:///:memory:" if backend == "sqlite" else str(request.getfixturevalue("empty_postgresql_url"))
    done = subprocess.run([sys.executable, EXAMPLE, url], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stderr, done.stdout) == ("", SAID)
