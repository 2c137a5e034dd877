"""HTML and SVG as elements, so that no text can become markup: whatever stands in one is escaped when it is written."""

from __future__ import annotations

from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from cloudpub_models.cli.boundary import printable


def element(tag: str, attributes: dict[str, str | float] | None = None, *children: Element | str) -> Element:
    """Return an element with what stands in it.

    Args:
        tag: its name.
        attributes: its attributes; numbers are written with at most three decimals.
        *children: elements and texts, in order.

    >>> written(element("p", {"class": "note"}, "a < b ", element("b", {}, "& c")))
    '<p class="note">a &lt; b <b>&amp; c</b></p>'
    """
    made = Element(tag, {name: _text(value) for name, value in (attributes or {}).items()})
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


def _text(value: str | float) -> str:
    return printable(value) if isinstance(value, str) else f"{value:.3f}".rstrip("0").rstrip(".")
