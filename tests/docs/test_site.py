"""The site is built without a warning from the pages as they are, leads nowhere wrong, and needs no network."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

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
