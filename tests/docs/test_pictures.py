"""What the documentation shows of commands, and of the schema, is what they print today."""

import importlib.util
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from cloudpub_models.cli.application import application

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "draw_terminal_pictures.py"


def _text(svg):
    """Return the lines of a picture; numbers that another machine would have otherwise are all alike in it."""
    lines = {}
    for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"):
        lines.setdefault(float(element.get("y", 0)), []).append("".join(element.itertext()))
    return ["".join(parts).replace("\xa0", " ").rstrip() for _, parts in sorted(lines.items())]


def _measured(lines):
    """Return lines without the measurements, which differ from machine to machine."""
    return [re.sub(r"(under )?\d+(\.\d+)*", "0", line) for line in lines]


@pytest.fixture(scope="module")
def script():
    """The script that draws the pictures."""
    specification = importlib.util.spec_from_file_location("draw_terminal_pictures", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    yield module
    del sys.modules[specification.name]


def test_the_terminal_pictures_are_current(script):
    drawn = script.draw_pictures()
    kept = {path.stem: path.read_text(encoding="utf-8") for path in script.TARGET.iterdir()}
    assert set(drawn) == set(kept)
    for name, picture in drawn.items():
        today, shown = _text(picture), _text(kept[name])
        assert len(shown) > 5
        if name == "doctor" or name.startswith("history_"):
            today, shown = _measured(today), _measured(shown)
        assert shown == today, f"run {SCRIPT.relative_to(ROOT)}"


def test_the_schema_page_is_current():
    page = (ROOT / "docs" / "SCHEMA.md").read_text(encoding="utf-8")
    tables = (
        CliRunner().invoke(application, ["schema", "--format", "markdown"], env={"CLOUDPUB_DATABASE_URL": ""}).stdout
    )
    assert tables.startswith("## users\n")
    assert page.rstrip().endswith(tables.rstrip()), (
        "run: sed -i '/^## users$/,$d' docs/SCHEMA.md && cloudpub schema --format markdown >> docs/SCHEMA.md"
    )
