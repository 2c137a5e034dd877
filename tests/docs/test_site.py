"""The site is built without a warning from the pages as they are, leads nowhere wrong, and needs no network.

It has an index, and for other sites an inventory, of every public name.
"""

import inspect
import re
import subprocess
import sys
import zlib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import cloudpub_models
from cloudpub_models import Database, Manager, QueryBuilder, errors, operators

ROOT = Path(__file__).parents[2]
# What a browser loads by itself; where an <a> leads is for the reader to decide.
LOADING = {("img", "src"), ("img", "srcset"), ("script", "src"), ("link", "href"), ("iframe", "src"), ("embed", "src"),
           ("object", "data"), ("source", "src"), ("source", "srcset"), ("video", "src"), ("audio", "src"),
           ("use", "href"), ("image", "href"), ("form", "action")}  # fmt: skip
LOADING_IN_STYLES = re.compile(r"(?:@import\s*|url\(\s*)['\"]?(?!data:|#)([^'\")\s]+)")


class Page(HTMLParser):
    """The links, loaded files and anchors of a page."""

    def __init__(self, path):
        super().__init__()
        self.links, self.loaded, self.anchors, self.styles = set(), set(), {""}, ""
        self._in_style = False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self._in_style = tag == "style"
        for name, value in attrs:
            if name == "id":
                self.anchors.add(value)
            elif (tag, name) in LOADING:
                self.loaded.add(value)
            elif (tag, name) == ("a", "href"):
                self.links.add(value)
            elif name == "style":
                self.styles += value

    def handle_endtag(self, tag):
        self._in_style = False

    def handle_data(self, data):
        if self._in_style:
            self.styles += data


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The directory of the built site."""
    directory = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-c", "docs", "-d", directory / "doctrees"]
    built = subprocess.run([*command, ".", directory / "html"], cwd=ROOT, capture_output=True, text=True)
    assert (built.returncode, built.stderr) == (0, "")
    return directory / "html"


@pytest.fixture(scope="module")
def pages(site):
    """The pages by their files."""
    return {path: Page(path) for path in site.rglob("*.html")}


def inventory_of(site):
    """Where the inventory, which is four lines and a compressed text, has Python's names."""
    *_, compressed = (site / "objects.inv").read_bytes().split(b"\n", 4)
    entries = [line.split(maxsplit=4) for line in zlib.decompress(compressed).decode().splitlines()]
    return {name: uri.replace("$", name) for name, kind, _, uri, _ in entries if kind.startswith("py:")}


def test_every_page_is_there_and_the_readme_comes_first(site, pages):
    sources = [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("docs/frameworks/*.md")]
    built = [site / source.relative_to(ROOT).with_suffix(".html") for source in sources]
    assert len(built) > 15
    assert set(built) <= set(pages)
    start = pages[site / "index.html"]
    assert {str(page.relative_to(site)) for page in built} - {"README.html"} <= {urlsplit(a).path for a in start.links}


def test_links_lead_to_pages_and_anchors_that_exist(site, pages):
    followed = 0
    for path, page in pages.items():
        for link in page.links | page.loaded:
            target = urlsplit(link)
            if target.scheme or target.netloc:
                continue
            followed += 1
            linked = path.parent / unquote(target.path) if target.path else path
            assert linked.is_file(), f"{path.relative_to(site)} refers to {link}"
            linked_page = pages.get(Path(linked).resolve())
            assert linked_page is None or unquote(target.fragment) in linked_page.anchors, f"{path.name}: {link}"
    assert followed > 500


def test_nothing_is_loaded_from_outside(site, pages):
    loaded = {source for page in pages.values() for source in page.loaded}
    styles = [page.styles for page in pages.values()]
    styles += [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    styles += [path.read_text(encoding="utf-8") for path in site.rglob("*.svg")]
    loaded |= {source for style in styles for source in LOADING_IN_STYLES.findall(style)}
    assert len(loaded) > 10
    assert [source for source in loaded if urlsplit(source).scheme not in ("", "data") or source.startswith("//")] == []


def test_pictures_are_shown(site, pages):
    shown = {Path(source).name for page in pages.values() for source in page.loaded}
    pictures = [ROOT / "docs" / "schema.svg", *ROOT.glob("docs/pictures/*.svg"), *ROOT.glob("docs/performance/*.svg")]
    assert {picture.name for picture in pictures} <= shown


def test_code_can_be_copied_whole(pages, site):
    script = (site / "_static" / "copy.js").read_text(encoding="utf-8")
    assert "div.highlight" in script
    assert "clipboard.writeText(code.textContent" in script
    for path, page in pages.items():
        assert any("_static/copy.js" in loaded for loaded in page.loaded), path


def test_every_public_name_is_in_the_inventory_and_the_index(pages, site):
    found = inventory_of(site)
    index = pages[site / "genindex.html"]
    for name, uri in found.items():
        page, _, anchor = uri.partition("#")
        assert anchor in pages[site / page].anchors, name
        assert uri in index.links, name
    names = {f"cloudpub_models.{name}" for name in cloudpub_models.__all__}
    for cls in (Manager, QueryBuilder):
        names |= {f"cloudpub_models.{cls.__name__}.{name}" for name in dir(cls) if not name.startswith("_")}
    names |= {f"cloudpub_models.Database.{name}" for name in vars(Database) if not name.startswith("_")}
    for module, is_kind in ((errors, inspect.isclass), (operators, inspect.isfunction)):
        own = inspect.getmembers(module, lambda member, is_kind=is_kind: is_kind(member))
        own = [name for name, member in own if member.__module__ == module.__name__ and not name.startswith("_")]
        names |= {f"cloudpub_models.{module.__name__.rpartition('.')[2]}.{name}" for name in own}
    names |= {"cloudpub_models.managers.users.find_by_email", "cloudpub_models.http.problem"}
    assert names - set(found) == set()
    assert {urlsplit(link).path for link in pages[site / "index.html"].links} >= {"genindex.html"}
