"""A diagram as Mermaid text, which GitHub and many wikis draw where it stands in a ``mermaid`` block."""

from __future__ import annotations

import re

from cloudpub_models.cli.commands.schema.entities import Attribute, Diagram, Relation

_KEYS = {"PK": "PK", "FK": "FK", "U": "UK"}


def mermaid(diagram: Diagram) -> str:
    """Return an ``erDiagram``.

    Args:
        diagram: what to write.
    """
    lines = ["erDiagram"]
    for entity in diagram.entities:
        lines.append(f"    {_quoted(entity.name)} {{")
        lines.extend(f"        {_attribute(attribute)}" for attribute in entity.attributes)
        lines.append("    }")
    lines.extend(f"    {_relation(relation)}" for relation in diagram.relations)
    return "\n".join(lines) + "\n"


def _attribute(attribute: Attribute) -> str:
    # A type is letters, digits and few signs; a blank or a comma would end it.
    parts = [re.sub(r"[^\w()\[\]-]+", "_", attribute.type) or "unknown", re.sub(r"[^\w-]", "_", attribute.name)]
    if attribute.keys:
        parts.append(", ".join(_KEYS[key] for key in attribute.keys))
    if attribute.nullable:
        parts.append('"nullable"')
    return " ".join(parts)


def _relation(relation: Relation) -> str:
    parent = "|o" if relation.optional else "||"
    child = "o|" if relation.single else "o{"
    line = ".." if relation.optional else "--"
    return f'{_quoted(relation.parent)} {parent}{line}{child} {_quoted(relation.child)} : "{_text(relation.column)}"'


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_]\w*", name) else f'"{_text(name)}"'


def _text(name: str) -> str:
    return name.replace('"', "'")
