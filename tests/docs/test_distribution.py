"""What a wheel carries is what the checkout has."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "cloudpub_models"


def settings() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]


def test_every_folder_with_modules_is_a_package() -> None:
    assert settings()["packages"]["find"]["include"] == ["cloudpub_models*"]
    with_modules = {path.parent for path in PACKAGE.rglob("*.py")}
    assert [folder for folder in with_modules if not (folder / "__init__.py").exists()] == []


def test_every_file_that_is_no_module_is_in_the_wheel() -> None:
    carried = {
        ROOT / package.replace(".", "/") / name
        for package, names in settings()["package-data"].items()
        for name in names
    }
    others = {path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert carried == others
