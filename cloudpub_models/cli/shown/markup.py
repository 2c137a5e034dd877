"""Text inside Markdown, Mermaid, DOT, HTML and SVG: whoever made it, it is shown there, and nothing obeys it."""

from __future__ import annotations

import re
from html import escape
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from cloudpub_models.sql.identifiers import printable


def in_markdown(text: str) -> str:
    """Return text as a code span of Markdown, which may stand in a table.

    >>> in_markdown("<b>a|b</b>").replace(chr(96), "'")
    "'<b>a\\\\|b</b>'"
    """
    shown = printable(text).replace("|", "\\|")
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    gap = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{gap}{shown}{gap}{fence}"


def in_mermaid(text: str) -> str:
    """Return text as it stands between quotation marks in Mermaid, signs of its language as their codes.

    >>> in_mermaid('<b>"users"')
    '#60;b#62;#34;users#34;'
    """
    return re.sub(r"[^\w .-]", lambda sign: f"#{ord(sign[0])};", printable(text))


def in_dot(text: str) -> str:
    r"""Return text as a quoted string of Graphviz.

    >>> print(in_dot('a "b"'))
    "a \"b\""
    """
    escaped = printable(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def in_xml(text: str) -> str:
    """Return text as it stands in HTML or SVG, in attributes too; XML has no place for control characters at all.

    >>> in_xml("a < b\\x1b")
    'a &lt; b '
    """
    return escape(printable(text))


def element(tag: str, attributes: dict[str, str | float] | None = None, *children: Element | str) -> Element:
    """Return an element of HTML or SVG with what stands in it, which is escaped when it is written.

    Args:
        tag: its name.
        attributes: its attributes; numbers are written with at most three decimals.
        *children: elements and texts, in order.

    >>> written(element("p", {"class": "note"}, "a < b ", element("b", {}, "& c")))
    '<p class="note">a &lt; b <b>&amp; c</b></p>'
    """
    made = Element(tag, {name: _attribute(value) for name, value in (attributes or {}).items()})
    last: Element | None = None
    for child in children:
        if isinstance(child, Element):
            made.append(child)
            last = child
        elif last is None:
            made.text = (made.text or "") + printable(child)
        else:
            last.tail = (last.tail or "") + printable(child)
    return made


def written(root: Element) -> str:
    """Return an element as HTML."""
    return ElementTree.tostring(root, encoding="unicode", method="html")


def _attribute(value: str | float) -> str:
    return printable(value) if isinstance(value, str) else f"{value:.3f}".rstrip("0").rstrip(".")
