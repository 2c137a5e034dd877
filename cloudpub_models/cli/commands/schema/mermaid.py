"""A diagram as Mermaid text, which GitHub and many wikis draw where it stands in a ``mermaid`` block."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cloudpub_models.cli.commands.schema.diagram import Attribute, Diagram, Reference, TableBox
from cloudpub_models.cli.shown.markup import in_mermaid

_KEYS = {"PK": "PK", "FK": "FK", "U": "UK"}


def mermaid(diagram: Diagram) -> str:
    """Return an ``erDiagram``.

    Where there are tables of several components, each table is headed by its component's name: most of what draws
    Mermaid knows no frames around entities.

    Args:
        diagram: what to write.
    """
    lines = ["erDiagram"]
    if not diagram.groups:
        lines.extend(line for box in diagram.tables for line in _entity(box, _quoted(box.name)))
    for group, tables in diagram.groups.items():
        lines.append(f"    %% {in_mermaid(group)}")
        for box in map(diagram.table, tables):
            lines.extend(_entity(box, f'{_quoted(box.name)}["{in_mermaid(f"{group}.{box.name}")}"]'))
    lines.extend(f"    {_reference(reference)}" for reference in diagram.references)
    return "\n".join(lines) + "\n"


def _entity(box: TableBox, head: str) -> Iterator[str]:
    yield f"    {head} {{"
    yield from (f"        {_attribute(attribute)}" for attribute in box.attributes)
    yield "    }"


def _attribute(attribute: Attribute) -> str:
    # A type is letters, digits and few signs; a blank or a comma would end it.
    parts = [re.sub(r"[^\w()\[\]-]+", "_", attribute.type) or "unknown", re.sub(r"[^\w-]", "_", attribute.name)]
    if attribute.keys:
        parts.append(", ".join(_KEYS[key] for key in attribute.keys))
    if attribute.nullable:
        parts.append('"nullable"')
    return " ".join(parts)


def _reference(reference: Reference) -> str:
    parent = "|o" if reference.optional else "||"
    child = "o|" if reference.single else "o{"
    line = ".." if reference.optional else "--"
    ends = f"{_quoted(reference.parent)} {parent}{line}{child} {_quoted(reference.child)}"
    return f'{ends} : "{in_mermaid(reference.column)}"'


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_]\w*", name) else f'"{in_mermaid(name)}"'
