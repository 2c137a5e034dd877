"""A diagram in the language of Graphviz, for those who draw with its tools."""

from __future__ import annotations

from collections.abc import Iterator

from cloudpub_models.cli.commands.schema.diagram import Diagram, Reference, TableBox
from cloudpub_models.cli.shown.markup import in_dot, in_xml


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
        *(_nodes(diagram) if diagram.groups else map(_node, diagram.tables)),
        *(_edge(reference) for reference in diagram.references),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _nodes(diagram: Diagram) -> Iterator[str]:
    """Yield the nodes of each component in a frame of its own."""
    for name, tables in diagram.groups.items():
        yield f"    subgraph {in_dot(f'cluster {name}')} {{"
        yield f'        graph [label={in_dot(name)}, labeljust=l, style=rounded, color="#94a3b8"];'
        yield from (f"    {_node(diagram.table(table))}" for table in tables)
        yield "    }"


def _node(box: TableBox) -> str:
    rows = [f'<tr><td colspan="3" bgcolor="#e2e8f0"><b>{in_xml(box.name)}</b></td></tr>']
    for attribute in box.attributes:
        kind = f"{attribute.type}?" if attribute.nullable else attribute.type
        rows.append(
            f'<tr><td align="left">{in_xml(" ".join(attribute.keys))}</td>'
            f'<td align="left">{in_xml(attribute.name)}</td>'
            f'<td align="left">{in_xml(kind)}</td></tr>'
        )
    table = f'<table border="0" cellborder="1" cellspacing="0" cellpadding="4">{"".join(rows)}</table>'
    return f"    {in_dot(box.name)} [label=<{table}>];"


def _edge(reference: Reference) -> str:
    tail = "teeodot" if reference.optional else "teetee"
    head = "teeodot" if reference.single else "crowodot"
    style = ", style=dashed" if reference.optional else ""
    label = f"{reference.column} → {reference.target}"
    return (
        f"    {in_dot(reference.parent)} -> {in_dot(reference.child)} "
        f"[arrowtail={tail}, arrowhead={head}{style}, tooltip={in_dot(label)}];"
    )
