"""``cloudpub schema``: the tables and their references, as a picture, as text, or as SQL.

What is drawn comes from the catalogue, how it is drawn from the modules beside this one.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from cloudpub_models.cli.commands.schema.diagram import diagram_of
from cloudpub_models.cli.given.options import JsonOption
from cloudpub_models.cli.given.target import Target, takes_target
from cloudpub_models.cli.shown.files import STANDARD_STREAM, file_to_write
from cloudpub_models.cli.shown.output import document_bytes
from cloudpub_models.cli.shown.terminal import print_note
from cloudpub_models.component import owners_of_tables
from cloudpub_models.connection.url import parse_url
from cloudpub_models.models import GivenVersion
from cloudpub_models.schema.catalogue.catalogue import Catalogue
from cloudpub_models.schema.catalogue.read import read_catalogue
from cloudpub_models.schema.drift.definition import expected_catalogue
from cloudpub_models.schema.drift.script import script, statements_of_database, statements_of_models
from cloudpub_models.schema.migrations.applied import HISTORY_TABLE
from cloudpub_models.sql.dialects import dialect_named


class SchemaFormat(StrEnum):
    """How a schema is shown."""

    MERMAID = "mermaid"
    DOT = "dot"
    SVG = "svg"
    PNG = "png"
    MARKDOWN = "markdown"
    SQL = "sql"


class SchemaSource(StrEnum):
    """Whose schema is shown."""

    MODELS = "models"
    DATABASE = "database"


# Whose types the models' columns are shown with where no database is named.
_ANY_POSTGRESQL = "postgresql://"
_SUFFIXES = {
    ".mmd": SchemaFormat.MERMAID,
    ".mermaid": SchemaFormat.MERMAID,
    ".dot": SchemaFormat.DOT,
    ".gv": SchemaFormat.DOT,
    ".svg": SchemaFormat.SVG,
    ".png": SchemaFormat.PNG,
    ".md": SchemaFormat.MARKDOWN,
    ".sql": SchemaFormat.SQL,
}


@takes_target()
def schema(
    target: Target,
    format: Annotated[
        SchemaFormat | None,
        typer.Option("--format", help="If left out, what --output ends in says it.", show_default="mermaid"),
    ] = None,
    source: Annotated[SchemaSource, typer.Option("--from", help="Whose schema.")] = SchemaSource.MODELS,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", dir_okay=False, help="Where to, if not stdout.", show_default=False
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the tables and their references: a diagram to look at, a page, or the SQL that makes them.

    The models' schema needs no database; types are PostgreSQL's unless a SQLite database is named. The SVG picture is
    made here, needs no other program, and follows the reader's light or dark colours. PNG needs the extra 'png'.
    """
    if as_json and format is not None:
        raise typer.BadParameter("expected --format or --json; got both: leave one out")
    chosen = format or (SchemaFormat.MERMAID if output is None or as_json else _format_of(output))
    if chosen is SchemaFormat.PNG and output is None and sys.stdout.isatty():
        raise typer.BadParameter("expected a file for a PNG; got a terminal: name one with --output")
    if source is SchemaSource.DATABASE:
        with target.opened() as database:
            statements = list(statements_of_database(database.engine)) if chosen is SchemaFormat.SQL else []
            catalogue = read_catalogue(database.engine)
    else:
        dialect = dialect_named(parse_url(_ANY_POSTGRESQL if target.url is None else target.url).dialect)
        models = tuple(target.models.values())
        statements = statements_of_models(dialect, models) if chosen is SchemaFormat.SQL else []
        catalogue = expected_catalogue(dialect, models)
    owners = owners_of_tables(target.known)
    if as_json:
        content = document_bytes(_document(catalogue, owners))
    elif chosen is SchemaFormat.SQL:
        content = script(statements, catalogue.dialect).encode()
    else:
        content = _drawn(catalogue, owners, chosen)
    with file_to_write(STANDARD_STREAM if output is None else str(output)) as stream:
        stream.write(content)
    if output is not None:
        print_note(f"wrote {output}")


def _format_of(output: Path) -> SchemaFormat:
    chosen = _SUFFIXES.get(output.suffix.lower())
    if chosen is None:
        known = ", ".join(_SUFFIXES)
        raise typer.BadParameter(f"expected a name that ends in {known}; got {output.name!r}: or say --format")
    return chosen


def _drawn(catalogue: Catalogue, owners: Mapping[str, str], format: SchemaFormat) -> bytes:
    if format is SchemaFormat.MARKDOWN:
        from cloudpub_models.cli.commands.schema.markdown import markdown

        return markdown(catalogue, owners).encode()
    diagram = diagram_of(catalogue, owners, without=(HISTORY_TABLE, GivenVersion._meta.table_name))
    if format is SchemaFormat.MERMAID:
        from cloudpub_models.cli.commands.schema.mermaid import mermaid

        return mermaid(diagram).encode()
    if format is SchemaFormat.DOT:
        from cloudpub_models.cli.commands.schema.dot import dot

        return dot(diagram).encode()
    from cloudpub_models.cli.commands.schema.picture.svg import png, svg

    return svg(diagram).encode() if format is SchemaFormat.SVG else png(diagram)


def _document(catalogue: Catalogue, owners: Mapping[str, str]) -> dict[str, Any]:
    tables = []
    for table in catalogue.tables.values():
        described = {"component": owners.get(table.name), **dataclasses.asdict(table)}
        described["columns"] = list(described["columns"].values())
        tables.append(described)
    return {"dialect": catalogue.dialect.name, "tables": tables}
