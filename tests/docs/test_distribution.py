"""What a wheel carries is what the checkout has."""

from __future__ import annotations

from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "cloudpub_models"


def setup() -> ConfigParser:
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def test_every_package_is_in_the_wheel() -> None:
    packages = {".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGE.rglob("__init__.py")}
    assert set(setup()["options"]["packages"].split()) == packages | {"cloudpub_models.migrations"}


def test_every_file_that_is_no_module_is_in_the_wheel() -> None:
    carried = {
        ROOT / package.replace(".", "/") / name
        for package, names in setup()["options.package_data"].items()
        for name in names.split(", ")
    }
    others = {path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert carried == others
