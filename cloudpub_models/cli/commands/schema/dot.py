"""A diagram in the language of Graphviz, for those who draw with its tools."""

from __future__ import annotations

from html import escape

from cloudpub_models.cli.commands.schema.entities import Diagram, Entity, Relation


def dot(diagram: Diagram) -> str:
    """Return a ``digraph`` with a record for each table.

    Args:
        diagram: what to write.
    """
    lines = [
        "digraph schema {",
        "    graph [rankdir=LR, nodesep=0.4, ranksep=0.9];",
        '    node [shape=plain, fontname="Helvetica"];',
        '    edge [dir=both, color="#64748b"];',
        *(_node(entity) for entity in diagram.entities),
        *(_edge(relation) for relation in diagram.relations),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _node(entity: Entity) -> str:
    rows = [f'<tr><td colspan="3" bgcolor="#e2e8f0"><b>{escape(entity.name)}</b></td></tr>']
    for attribute in entity.attributes:
        kind = f"{attribute.type}?" if attribute.nullable else attribute.type
        rows.append(
            f'<tr><td align="left">{escape(" ".join(attribute.keys))}</td>'
            f'<td align="left">{escape(attribute.name)}</td>'
            f'<td align="left">{escape(kind)}</td></tr>'
        )
    table = f'<table border="0" cellborder="1" cellspacing="0" cellpadding="4">{"".join(rows)}</table>'
    return f"    {_quoted(entity.name)} [label=<{table}>];"


def _edge(relation: Relation) -> str:
    tail = "teeodot" if relation.optional else "teetee"
    head = "teeodot" if relation.single else "crowodot"
    style = ", style=dashed" if relation.optional else ""
    label = f"{relation.column} → {relation.target}"
    return (
        f"    {_quoted(relation.parent)} -> {_quoted(relation.child)} "
        f"[arrowtail={tail}, arrowhead={head}{style}, tooltip={_quoted(label)}];"
    )


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
