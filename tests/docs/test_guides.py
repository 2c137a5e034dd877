"""What the pages name in their prose and tables exists, and the migration guide leaves nothing out."""

import re
from pathlib import Path

import pytest

from cloudpub_models import Database, QueryBuilder, managers
from cloudpub_models.legacy import QueryHelpers

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("docs/frameworks/*.md")])
GUIDE = (ROOT / "docs" / "MIGRATION_GUIDE.md").read_text(encoding="utf-8")

# The process's default one would have to be named first, for what it hands on to its engine.
_DATABASE = Database("sqlite:///:memory:")
_CODE = re.compile(r"`([^`\n]+)`")
_CALLS = {
    re.compile(r"\bmanagers\.(\w+)\.(\w+)\("): lambda manager, method: hasattr(getattr(managers, manager), method),
    re.compile(r"(?<!/)\bmanagers\.(\w+)"): lambda manager: hasattr(managers, manager),
    re.compile(r"\bdatabase\.(\w+)\("): lambda method: hasattr(_DATABASE, method),
    re.compile(r"\bQueryHelpers\.([a-z]\w*_\w+)"): lambda helper: hasattr(QueryHelpers, helper),
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_names_exists(page):
    for code in _CODE.findall(page.read_text(encoding="utf-8")):
        for pattern, exists in _CALLS.items():
            for match in pattern.finditer(code):
                assert exists(*match.groups()), f"{page.name}: {match[0]}"


def _helpers():
    return [name for name, member in vars(QueryHelpers).items() if name[0] != "_" and isinstance(member, classmethod)]


def test_the_migration_guide_knows_every_helper():
    assert len(_helpers()) == 14
    table = GUIDE.partition("## From QueryHelpers")[2].partition("What is different")[0]
    old = re.findall(r"^\| `QueryHelpers\.(\w+)\(", table, re.MULTILINE)
    assert sorted(old) == sorted(_helpers())


def test_the_migration_guide_names_calls_of_today():
    table = GUIDE.partition("## From the Dart package")[2].partition("What is different")[0]
    rows = re.findall(r"^\| (`.*) \| (`.*) \|$", table, re.MULTILINE)
    assert len(rows) > 30
    manager = managers.functions
    for old, new in rows:
        for call in re.findall(r"(?<![\w.])\.?(\w+)\(", " ".join(_CODE.findall(new))):
            assert hasattr(manager, call) or hasattr(QueryBuilder, call), f"{old}: {call}"


def test_the_migration_guide_knows_every_call_of_the_specification():
    """Those of "Each manager provides", in Dart's spelling."""
    table = GUIDE.partition("## From the Dart package")[2]
    specified = (
        "findById findByUuid findAll findOne insert update updateById delete deleteById count exists raw hasMany "
        "belongsTo manyToMany batchInsert upsert query executeQuery joinQuery rawQueryAll rawQuerySingle transaction"
    )
    assert [name for name in specified.split() if f"{name}(" not in table] == []
