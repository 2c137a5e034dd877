"""A component with a table that has no key."""

from __future__ import annotations

from cloudpub_models import Component
from cloudpub_models.entity import CharField, Entity, TextField


class Tag(Entity):
    name = CharField(max_length=20)
    note = TextField(null=True)

    class Meta:
        table_name = "tags"
        primary_key = False


component = Component("keyless", models=(Tag,))
