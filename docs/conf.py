"""The site of these pages, made by Sphinx: ``python -m sphinx -W -c docs . build/site`` in the root of a checkout.

The pages are plain Markdown at the places where they stand in the repository, README and all, so that the same links
work here and where the repository is browsed.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from sphinx.application import Sphinx

project = "cloudpub_models"
author = "the maintainers of cloudpub_models"

# For the extension that stands here.
sys.path.insert(0, str(Path(__file__).parent))

extensions = ["myst_parser", "public_names"]
root_doc = "README"
include_patterns = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/*.md", "docs/frameworks/*.md"]
myst_heading_anchors = 4

html_theme = "furo"
html_title = "cloudpub_models"
html_copy_source = False
html_domain_indices = False
html_show_copyright = False
html_show_sphinx = False
html_static_path = ["_static"]
html_css_files = ["width.css", "copy.css"]
html_js_files = ["copy.js"]
pygments_style = "friendly"
pygments_dark_style = "github-dark"

# What the side of every page shows. A page that is missing here is a warning, and so an error.
_NAVIGATION = {
    "Using it": [
        "EXAMPLES",
        "CHOOSING",
        "PEEWEE",
        "COMMAND_LINE",
        "TESTING",
        "LOGGING",
        "TROUBLESHOOTING",
        "MIGRATION_GUIDE",
    ],
    "In a framework": [
        "frameworks/script",
        "frameworks/prefork_worker",
        "frameworks/celery",
        "frameworks/flask",
        "frameworks/fastapi",
        "frameworks/notebook",
    ],
    "Reference": [
        "API",
        "OWN_TABLES",
        "OWNERS",
        "HISTORY",
        "ROLLUPS",
        "FEED",
        "LEASES",
        "GRAPHQL",
        "REPLICAS",
        "PARTITIONS",
        "ARCHIVE",
        "CELLS",
        "HOW_FAR",
        "SCHEMA",
        "../genindex",
    ],
    "What holds": ["RELIABILITY", "SECURITY", "PERFORMANCE", "COMPARISON"],
    "The project": ["ARCHITECTURE", "../CONTRIBUTING", "../CHANGELOG"],
}


def _navigation() -> str:
    parts = []
    for caption, pages in _NAVIGATION.items():
        listed = "\n".join(f"docs/{page}" for page in pages).replace("docs/../", "")
        parts.append(f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{listed}\n```\n")
    return "".join(parts)


def _add_navigation(application: Sphinx, page: str, source: list[str]) -> None:
    if page == root_doc:
        source[0] += _navigation()


def _add_index(application: Sphinx, error: Exception | None) -> None:
    if error is None:
        shutil.copyfile(Path(application.outdir, f"{root_doc}.html"), Path(application.outdir, "index.html"))


def setup(application: Sphinx) -> None:
    """Give the start page its navigation, and the site its ``index.html``."""
    application.connect("source-read", _add_navigation)
    application.connect("build-finished", _add_index)
