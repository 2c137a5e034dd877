"""The documentation tells the truth: its code runs on both databases, and what it names exists.

How the results and the SQL that a page shows are compared is in ``docs_pages``.
"""

import re
import sys
import tomllib
from pathlib import Path

import pytest

import cloudpub_models
from cloudpub_models import database as default_database
from cloudpub_models.models import ALL_MODELS
from tests.docs import pages as docs_pages

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/*.md")])
MEMORY_URL = "sqlite:///:memory:"
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(#[^)]*)?\)")


@pytest.fixture
def database(database_url):
    """The process's default database, which documentation uses, pointed at a database of the test's own."""
    default_database.initialize(database_url)
    if database_url == MEMORY_URL:
        default_database.migrate()
    yield default_database
    default_database.close()


@pytest.fixture
def _no_relations_of_pages():
    """Take what a page's models have put onto the platform's off again: other tests know nothing of them."""
    modules = set(sys.modules)
    metas = [model._meta for model in ALL_MODELS]
    known = [(set(vars(meta.model)), {**meta.backrefs}, {**meta.model_backrefs}) for meta in metas]
    yield
    for meta, (names, backrefs, model_backrefs) in zip(metas, known, strict=True):
        for made in set(vars(meta.model)) - names:
            delattr(meta.model, made)
        for now, before in ((meta.backrefs, backrefs), (meta.model_backrefs, model_backrefs)):
            now.clear()
            now.update(before)
    # Those that a page imports define their models, and so the relations, anew for the next one.
    for name in set(sys.modules) - modules:
        if name.partition(".")[0] == "billing":
            del sys.modules[name]


@pytest.mark.usefixtures("_no_relations_of_pages")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_of_a_page_runs_from_top_to_bottom(
    page, database, database_url, backend, statements, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLOUDPUB_DATABASE_URL", database_url)
    # The page on tables of one's own has a package for an example.
    monkeypatch.syspath_prepend(ROOT / "examples" / "billing")
    kept = docs_pages.run_page(
        page,
        {"__name__": "documentation"},
        statements,
        replace=lambda code: code.replace(f'"{MEMORY_URL}"', repr(database_url)),
        exact=backend == "postgresql",
    )
    assert kept


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_links_of_a_page_lead_somewhere(page):
    for target, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        linked = page if not target else page.parent / target
        assert linked.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor[1:] in _anchors(linked), f"{page.name} links to {target}{anchor}"


def _anchors(page):
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_ci_installs_and_tests_as_the_readme_says():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^python3 -m venv .*$", readme, re.MULTILINE)
    assert len(commands) == 2
    install, _, test = commands[1].rpartition(" && ")
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert install in script
    # Whoever runs the one command runs what CI runs in three parts.
    parts = [line.removeprefix(test) for line in script if line.startswith(test.removesuffix(" --cov"))]
    assert re.findall(r" -m (alone$|'[a-z_ ]+'(?: --cov)?$)", "\n".join(parts), re.MULTILINE) == [
        "alone",
        "'in_pairs and not alone'",
        "'not alone and not in_pairs' --cov",
    ]


def test_every_everyday_command_says_what_it_does():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[0].split()
    assert re.findall(r"^(\w+):.*  # \w", makefile, re.MULTILINE) == phony
    named = re.findall(r"make ([a-z]+)  |`make ([a-z]+)`", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert {one or other for one, other in named} <= set(phony)


def test_the_version_is_said_once_for_packaging_and_once_for_python():
    packaging = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert packaging == cloudpub_models.__version__
    assert f"\n## {packaging}\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_face_exports_what_it_says():
    for name in cloudpub_models.__all__:
        assert getattr(cloudpub_models, name) is not None


# The comparison itself, since a page that is compared with nothing would pass.


def _run(tmp_path, code, sent=()):
    page = tmp_path / "page.md"
    page.write_text(f"# Page\n\n```python\n{code}\n```\n", encoding="utf-8")
    return docs_pages.run_page(page, {"sent": sent, "send": lambda sql: sent.append((sql, None))}, sent, str, True)


@pytest.mark.parametrize(
    "code",
    [
        "1 + 1  # → 2",
        "a = 3  # → 3",
        "print('a')  # → a",
        "for n in 'ab':\n    print(n)\n# → a\n# → b",
        "int('x')  # raises ValueError: invalid literal … 'x'",
        "list(range(3))\n# → [0, 1,\n#    2]",
        "send('SELECT %s FROM t')\n# SELECT @a FROM t",
        "send('SELECT a, b FROM t WHERE b LIKE \\'%%\\'')\n# SELECT a, …\n#    WHERE b LIKE '%'",
    ],
)
def test_a_promise_that_is_kept(tmp_path, code):
    assert _run(tmp_path, code, []) > 0


@pytest.mark.parametrize(
    "code",
    [
        "1 + 1  # → 3",
        "a = 3  # → 4",
        "print('a')  # → b",
        "for n in 'ab':\n    print(n)\n# → a",
        "int('x')  # raises TypeError: …",
        "int('1')  # raises ValueError: …",
        "for n in 'ab':\n    n  # → 'a'\n    n",
        "# → 5\n5",
        "send('SELECT a FROM t')\n# SELECT b FROM t",
        "send('SELECT a FROM t')\n# SELECT a FROM t\n# SELECT b FROM t",
        "5\n# SELECT a FROM t",
    ],
)
def test_a_promise_that_is_broken(tmp_path, code):
    with pytest.raises((AssertionError, ValueError)):
        _run(tmp_path, code, [])
