"""``cloudpub schema``: every format, from the models and from both databases; and pictures of any schema at all."""

from __future__ import annotations

import itertools
import json
import re
import sqlite3
import struct
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import Result

from cloudpub_models import Database
from cloudpub_models.cli.commands.schema.diagram import (
    Attribute,
    Diagram,
    Reference,
    TableBox,
    by_component,
    diagram_of,
)
from cloudpub_models.cli.commands.schema.dot import dot
from cloudpub_models.cli.commands.schema.mermaid import mermaid
from cloudpub_models.cli.commands.schema.picture.svg import svg
from cloudpub_models.models import ALL_MODELS
from cloudpub_models.schema import find_drift, read_catalogue
from cloudpub_models.schema.drift.definition import create_all, expected_catalogue
from cloudpub_models.schema.migrations.applied import HISTORY_TABLE
from cloudpub_models.sql.dialects import POSTGRESQL
from tests.cli.billing import component

Run = Callable[..., Result]

ROOT = Path(__file__).parents[4]
TABLES = [model._meta.table_name for model in ALL_MODELS]
OF_THE_LIBRARY = (HISTORY_TABLE, "cloudpub_given_versions")
NAMESPACE = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def url(request: pytest.FixtureRequest, run: Run, backend: str) -> str:
    """The URL of a migrated database."""
    if backend == "postgresql":
        return str(request.getfixturevalue("postgresql_url"))
    assert run("migrate", "--database", "sqlite:///schema.db").exit_code == 0
    return "sqlite:///schema.db"


def models_diagram() -> Diagram:
    return diagram_of(expected_catalogue(POSTGRESQL, ALL_MODELS), {})


# The command


def test_without_a_database_the_models_are_shown(run: Run, workplace: Path) -> None:
    result = run("schema")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("erDiagram\n    function_deployments {\n        integer id PK\n")
    assert '    users ||--o{ functions : "user_id"\n' in result.stdout
    assert '    users ||--o| user_information : "user_id"\n' in result.stdout
    assert '    function_deployments |o..o{ functions : "active_deployment_id"\n' in result.stdout
    assert list(workplace.iterdir()) == []


def test_a_sqlite_database_named_gives_its_types(run: Run, workplace: Path) -> None:
    assert "text uuid UK" in run("schema", "--database", "sqlite:///not-there.db").stdout
    assert list(workplace.iterdir()) == []


@pytest.mark.parametrize("format", ["mermaid", "dot", "svg", "markdown"])
@pytest.mark.usefixtures("keys_of_models")
def test_models_and_migrated_database_are_drawn_alike(run: Run, url: str, format: str) -> None:
    options = ("--format", format, "--database", url)
    of_models, of_database = run("schema", *options), run("schema", "--from", "database", *options)
    assert of_database.exit_code == 0
    for name in TABLES:
        assert name in of_models.stdout
    if format == "markdown":
        assert "## cloudpub_migrations" in of_database.stdout
        return
    assert sorted(re.findall(r"\w+", of_models.stdout)) == sorted(re.findall(r"\w+", of_database.stdout))


def test_json_is_the_catalogue(run: Run, url: str) -> None:
    document = json.loads(run("schema", "--json", "--from", "database", "--database", url).stdout)
    functions = next(table for table in document["tables"] if table["name"] == "functions")
    assert [column["name"] for column in functions["columns"]][:3] == ["id", "uuid", "user_id"]
    assert {key["table"] for key in functions["foreign_keys"]} == {"users", "function_deployments"}


@pytest.mark.parametrize("source", ["models", "database"])
def test_the_sql_makes_the_schema(
    run: Run, url: str, source: str, backend: str, request: pytest.FixtureRequest, workplace: Path
) -> None:
    result = run("schema", "--format", "sql", "--from", source, "--database", url)
    assert result.exit_code == 0
    if backend == "postgresql":
        target = Database(str(request.getfixturevalue("empty_postgresql_url")))
        target.engine.execute_sql(result.stdout.replace("%", "%%"))
    else:
        target = Database("sqlite:///made.db")
        target.engine.connection().executescript(result.stdout)
    assert find_drift(target.engine, target.models) == []
    if source == "database":
        original = Database(url)
        assert read_catalogue(target.engine) == read_catalogue(original.engine)
        original.close()
    target.close()


@pytest.mark.parametrize("backend", ["postgresql"])
def test_the_sql_of_tables_that_are_not_ours(run: Run, url: str, request: pytest.FixtureRequest) -> None:
    database = Database(url)
    for statement in (
        """CREATE TABLE "Odd name" (a bigserial, b int GENERATED ALWAYS AS IDENTITY, c int DEFAULT 5, "select" text,
           d int GENERATED ALWAYS AS (c * 2) STORED, e smallint DEFAULT 7 CHECK (e > 1), PRIMARY KEY (a, b))""",
        'CREATE INDEX partial ON "Odd name" (c) WHERE c > 3',
        'CREATE UNIQUE INDEX "Quoted" ON "Odd name" ("select" DESC)',
    ):
        database.raw_execute(statement)
    made = Database(str(request.getfixturevalue("empty_postgresql_url")))
    made.engine.execute_sql(
        run("schema", "--format", "sql", "--from", "database", "--database", url).stdout.replace("%", "%%")
    )
    assert read_catalogue(made.engine) == read_catalogue(database.engine)
    database.close()
    made.close()


def test_the_end_of_a_files_name_chooses_the_format(run: Run, workplace: Path) -> None:
    for name, beginning in {
        "a.svg": b"<svg ",
        "a.png": b"\x89PNG",
        "a.dot": b"digraph",
        "a.md": b"## users",
        "a.sql": b'CREATE TABLE "users"',
        "a.mmd": b"erDiagram",
    }.items():
        result = run("schema", "--output", name)
        assert (result.exit_code, result.stdout, result.stderr) == (0, "", f"wrote {name}\n")
        assert (workplace / name).read_bytes().startswith(beginning)


def test_json_goes_into_the_file_that_is_named(run: Run, workplace: Path) -> None:
    result = run("schema", "--json", "--output", "schema.json")
    assert (result.exit_code, result.stdout) == (0, "")
    assert json.loads(Path("schema.json").read_text())["tables"][0]["name"] == "users"


@pytest.mark.parametrize("name", ["schema.jpg", "schema", "schema.sgv"])
def test_a_name_whose_end_says_nothing_needs_a_format(run: Run, workplace: Path, name: str) -> None:
    result = run("schema", "--output", name)
    assert result.exit_code == 2
    assert "--format" in result.stderr
    assert list(workplace.iterdir()) == []
    assert run("schema", "--output", name, "--format", "sql").exit_code == 0


def test_names_with_control_characters_give_a_picture(run: Run, workplace: Path) -> None:
    with closing(sqlite3.connect("odd.db")) as connection:
        connection.execute('CREATE TABLE "a\x1b[2Jb\x07" (id INTEGER)')
    result = run("schema", "--from", "database", "--format", "svg", "--database", "sqlite:///odd.db")
    ElementTree.fromstring(result.stdout)
    assert "a [2Jb " in result.stdout


def test_a_png_has_the_pictures_size_twice(run: Run, workplace: Path) -> None:
    run("schema", "--output", "a.png")
    run("schema", "--output", "a.svg")
    picture = ElementTree.fromstring((workplace / "a.svg").read_text(encoding="utf-8"))
    width, height = struct.unpack(">II", (workplace / "a.png").read_bytes()[16:24])
    assert (width, height) == (2 * int(picture.attrib["width"]), 2 * int(picture.attrib["height"]))


def test_without_its_package_a_png_says_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    result = run("schema", "--output", "a.png")
    assert result.exit_code == 1
    assert "pip install 'cloudpub-models[png]'" in result.stderr


def test_a_database_without_tables_says_so(run: Run, workplace: Path) -> None:
    (workplace / "empty.db").touch()
    result = run("schema", "--from", "database", "--database", "sqlite:///empty.db")
    assert result.exit_code == 1
    assert "got one without any: 'cloudpub migrate up' makes them" in result.stderr


@pytest.mark.parametrize("options", [("--format", "svg", "--json"), ("--format", "svgs"), ("--from", "model")], ids=str)
def test_options_that_make_no_sense(run: Run, options: tuple[str, ...]) -> None:
    assert run("schema", *options).exit_code == 2


# Whose tables they are

OURS = ("--component", "tests.cli.billing:component")
Groups = dict[str, list[str]]


def groups_in_mermaid(text: str) -> Groups:
    found: Groups = {}
    for line in text.splitlines():
        if line.startswith("    %% "):
            group = found.setdefault(line.removeprefix("    %% "), [])
        elif head := re.fullmatch(r'    (\w+)\["([\w ]+)\.(\w+)"\] \{', line):
            assert (head[2], head[3]) == (list(found)[-1], head[1])
            group.append(head[1])
    return found


def groups_in_dot(text: str) -> Groups:
    frames = re.findall(r'subgraph "cluster ([\w ]+)" \{\n(.*?)\n    \}', text, re.DOTALL)
    return {name: re.findall(r'^ +"(\w+)" \[label=<', inside, re.MULTILINE) for name, inside in frames}


def groups_in_svg(text: str) -> Groups:
    picture = ElementTree.fromstring(text)
    groups, tables = (
        [str(element.text) for element in picture.iter(f"{NAMESPACE}text") if element.get("class") == kind]
        for kind in ("group", "name")
    )
    boxes, frames = boxes_of(picture), boxes_of(picture, "frame")
    return {
        group: [table for table, box in zip(tables, boxes, strict=True) if is_within(box, frame)]
        for group, frame in zip(groups, frames, strict=True)
    }


def groups_in_markdown(text: str) -> Groups:
    parts = re.split(r"^## Tables of (.*)\n", text, flags=re.MULTILINE)[1:]
    return {
        name: sorted(set(re.findall(r"^### (\w+)$", section, re.MULTILINE)) - {*OF_THE_LIBRARY})
        for name, section in zip(parts[::2], parts[1::2], strict=True)
    }


def groups_in_json(text: str) -> Groups:
    found: Groups = {}
    for table in sorted(json.loads(text)["tables"], key=lambda table: str(table["name"])):
        if table["name"] not in OF_THE_LIBRARY:
            found.setdefault(table["component"] or "no component", []).append(table["name"])
    return found


@pytest.mark.parametrize("source", ["models", "database"])
def test_each_component_is_drawn_in_a_group_of_its_own(run: Run, url: str, source: str) -> None:
    database = Database(url, components=(component,))
    create_all(database.engine, component.models)
    database.raw_execute("CREATE TABLE tags (id INTEGER)")
    database.close()
    groups: Groups = {"cloudpub": sorted({*TABLES} - {*OF_THE_LIBRARY}), "billing": ["api_keys", "charges"]}
    if source == "database":
        groups["no component"] = ["tags"]

    def drawn(*format: str) -> str:
        return run("schema", *format, "--from", source, *OURS, "--database", url).stdout

    assert groups_in_mermaid(drawn("--format", "mermaid")) == groups
    assert groups_in_dot(drawn("--format", "dot")) == groups
    assert groups_in_svg(drawn("--format", "svg")) == groups
    assert groups_in_markdown(drawn("--format", "markdown")) == groups
    assert groups_in_json(drawn("--json")) == groups


def test_tables_of_one_component_are_in_no_frame(run: Run, url: str) -> None:
    database = Database(url)
    database.raw_execute("CREATE TABLE tags (id INTEGER)")
    database.close()
    for format, sign in {"mermaid": "%%", "dot": "subgraph", "svg": 'class="frame"', "markdown": "## Tables"}.items():
        drawn = run("schema", "--format", format, "--from", "database", "--database", url).stdout
        assert "tags" in drawn
        assert sign not in drawn


# The picture


def test_the_picture_of_the_documentation_is_current() -> None:
    assert (ROOT / "docs" / "schema.svg").read_text(encoding="utf-8") == svg(models_diagram()), (
        "run 'cloudpub schema --output docs/schema.svg'"
    )


def test_the_picture_shows_every_column_and_reference() -> None:
    diagram = models_diagram()
    picture = ElementTree.fromstring(svg(diagram))
    texts = [element.text for element in picture.iter(f"{NAMESPACE}text")]
    for box in diagram.tables:
        assert box.name in texts
        for attribute in box.attributes:
            assert attribute.name in texts
    assert len(diagram.references) == 9
    assert len(ways_of(picture)) == 9
    told = {element.text for element in picture.iter(f"{NAMESPACE}title")}
    assert "functions.active_deployment_id → function_deployments.id, ON DELETE SET NULL" in told


def test_the_picture_needs_nothing_from_elsewhere() -> None:
    picture = svg(models_diagram()).replace("http://www.w3.org/2000/svg", "")
    for word in ("http", "url(", "@import", "@font-face", "<script", "href", "<image"):
        assert word not in picture


def test_light_and_dark_have_colours_of_their_own() -> None:
    light, dark, auto = (svg(models_diagram(), scheme=scheme) for scheme in ("light", "dark", "auto"))
    assert "prefers-color-scheme:dark" in auto
    assert "prefers-color-scheme" not in light + dark
    assert ".box{fill:#ffffff}" in light
    assert ".box{fill:#161b22}" in dark
    assert ".box{fill:#ffffff}" in auto
    assert ".box{fill:#161b22}" in auto


Box = tuple[float, float, float, float]
Way = list[tuple[float, float]]


def boxes_of(picture: ElementTree.Element, kind: str = "box") -> list[Box]:
    found = []
    for element in picture.iter(f"{NAMESPACE}rect"):
        if element.get("class") == kind:
            x, y, width, height = (float(element.attrib[name]) for name in ("x", "y", "width", "height"))
            found.append((x, y, x + width, y + height))
    return found


def ways_of(picture: ElementTree.Element) -> list[Way]:
    """The corners of each reference; a rounded one bends inside its corner."""
    found = []
    for element in picture.iter(f"{NAMESPACE}path"):
        if element.get("class") == "way":
            numbers = [float(number) for number in re.findall(r"-?[\d.]+(?:e-?\d+)?", element.attrib["d"])]
            found.append(list(zip(numbers[::2], numbers[1::2], strict=True)))
    return found


def runs_through(way: Way, box: Box) -> bool:
    left, top, right, bottom = box
    return any(
        max(a[0], b[0]) > left and min(a[0], b[0]) < right and max(a[1], b[1]) > top and min(a[1], b[1]) < bottom
        for a, b in itertools.pairwise(way)
    )


def overlap(first: Box, second: Box) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]


def is_within(inner: Box, outer: Box) -> bool:
    return outer[0] < inner[0] and outer[1] < inner[1] and inner[2] < outer[2] and inner[3] < outer[3]


def assert_well_drawn(diagram: Diagram) -> None:
    picture = ElementTree.fromstring(svg(diagram))
    boxes, ways = boxes_of(picture), ways_of(picture)
    assert len(boxes) == len(diagram.tables)
    assert len(ways) == len(diagram.references)
    assert not any(overlap(first, second) for first, second in itertools.combinations(boxes, 2))
    assert not any(runs_through(way, box) for way in ways for box in boxes)
    width, height = (float(picture.attrib[name]) for name in ("width", "height"))
    assert all(0 <= x <= width and 0 <= y <= height for way in ways for x, y in way)
    assert all(right <= width and bottom <= height for _, _, right, bottom in boxes)
    frames = dict(zip(diagram.groups, boxes_of(picture, "frame"), strict=True))
    assert not any(overlap(first, second) for first, second in itertools.combinations(frames.values(), 2))
    for box, table in zip(boxes, diagram.tables, strict=True):
        around = [name for name, frame in frames.items() if overlap(box, frame)]
        assert around == [name for name, group in diagram.groups.items() if table.name in group]
        assert all(is_within(box, frames[name]) for name in around)


def test_no_reference_of_ours_runs_through_a_table() -> None:
    assert_well_drawn(models_diagram())


def test_tables_that_all_refer_to_each_other() -> None:
    names = [f"table_{number}" for number in range(7)]
    tables = [TableBox(name, tuple(Attribute(other, "integer", False) for other in ["id", *names])) for name in names]
    references = [
        Reference(child, parent, parent, "id", (number + index) % 2 == 0, single=False, on_delete="CASCADE")
        for number, child in enumerate(names)
        for index, parent in enumerate(names)
    ]
    assert_well_drawn(Diagram(tuple(tables), tuple(references)))


@st.composite
def diagrams(draw: st.DrawFn) -> Diagram:
    names = draw(st.lists(st.text("abz_é<&\"' ", min_size=1, max_size=20), min_size=1, max_size=9, unique=True))
    tables = [
        TableBox(name, tuple(Attribute(f"c{number}", "integer", bool(number % 2)) for number in range(1, size + 1)))
        for name, size in zip(names, draw(st.lists(st.integers(1, 9), min_size=9, max_size=9)), strict=False)
    ]
    ends = st.tuples(st.sampled_from(tables), st.sampled_from(tables), st.booleans(), st.booleans())
    references = {
        Reference(
            child.name, child.attributes[-1].name, parent.name, parent.attributes[0].name, optional, single, "CASCADE"
        )
        for child, parent, optional, single in draw(st.lists(ends, max_size=14))
    }
    owners = st.sampled_from(["", "own", "more", "third"])
    groups = by_component(names, {name: owner for name in names if (owner := draw(owners))})
    return Diagram(tuple(tables), tuple(sorted(references, key=repr)), groups)


@settings(max_examples=60, deadline=None)
@given(diagrams())
def test_any_schema_can_be_drawn(diagram: Diagram) -> None:
    assert_well_drawn(diagram)
    assert mermaid(diagram).count("{\n") == len(diagram.tables)
    assert dot(diagram).count("[label=<") == len(diagram.tables)
