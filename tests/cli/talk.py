"""What a command says on stderr besides which database it talks to."""

from __future__ import annotations

from typer.testing import Result


def talk(result: Result) -> str:
    """The lines on stderr but for the one that names the database."""
    return "".join(line for line in result.stderr.splitlines(keepends=True) if not line.startswith("database: "))
