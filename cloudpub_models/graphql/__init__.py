"""GraphQL over the managers: what the DTOs show, and nothing else, with one statement for each relation.

Needs ``graphql-core`` (``pip install cloudpub-models[graphql]``). It answers requests; a web framework receives them.
Not for: deciding who sees which rows, which the managers that are passed do.
"""

from __future__ import annotations

from cloudpub_models.errors import ConfigurationError

try:
    from cloudpub_models.graphql.answering import answer, schema_text
except ImportError as error:
    if error.name is None or error.name.partition(".")[0] != "graphql":
        raise
    raise ConfigurationError(
        f"expected graphql-core; got {error}: run 'pip install cloudpub-models[graphql]'"
    ) from error

__all__ = ["answer", "schema_text"]
