"""What every model is made of: the base class, fields, references, and relations.

::

    from cloudpub_models.entity import AutoField, CharField, Entity, ForeignKey, TimestampField, UuidField

    class ApiKey(Entity):
        id = AutoField()
        uuid = UuidField(unique=True)
        user = ForeignKey(User, backref="api_keys", on_delete="CASCADE")
        name = CharField(max_length=100)
        created_at = TimestampField()
        updated_at = TimestampField(touched_on_update=True)

Some of these fields are this library's, others Peewee's own, all that the managers know the values of.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from peewee import (
        AutoField,
        BigAutoField,
        BigIntegerField,
        BlobField,
        BooleanField,
        CharField,
        Check,
        CompositeKey,
        DateField,
        DecimalField,
        Default,
        DoubleField,
        FixedCharField,
        FloatField,
        Index,
        IntegerField,
        IPField,
        ManyToManyField,
        ModelSelect,
        SmallIntegerField,
        TextField,
        TimeField,
    )

    from cloudpub_models.entity.base import Entity
    from cloudpub_models.entity.fields import EnumField, JsonField, ServerDefault, TimestampField, UuidField
    from cloudpub_models.entity.relations import ForeignKey, OneToOneKey, forward_foreign_key, many_to_many

__all__ = [
    "AutoField",
    "BigAutoField",
    "BigIntegerField",
    "BlobField",
    "BooleanField",
    "CharField",
    "Check",
    "CompositeKey",
    "DateField",
    "DecimalField",
    "Default",
    "DoubleField",
    "Entity",
    "EnumField",
    "FixedCharField",
    "FloatField",
    "ForeignKey",
    "IPField",
    "Index",
    "IntegerField",
    "JsonField",
    "ManyToManyField",
    "ModelSelect",
    "OneToOneKey",
    "ServerDefault",
    "SmallIntegerField",
    "TextField",
    "TimeField",
    "TimestampField",
    "UuidField",
    "forward_foreign_key",
    "many_to_many",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Import what models are made of when the first name is asked for; a database alone needs none of it."""
        if name in __all__:
            import peewee

            from cloudpub_models.entity import base, fields, relations

            for module in (base, fields, relations, peewee):
                if hasattr(module, name):
                    value = globals()[name] = getattr(module, name)
                    return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
