"""Writes ``row_types.py`` and ``where_types.py`` of ``cloudpub_models/platform`` from the models.

Run by ``.venv/bin/python scripts/generate_row_types.py``. A test compares the files with what this makes of the models
of the day.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import peewee

from cloudpub_models.entity.base import Entity
from cloudpub_models.entity.fields import EnumField, JsonField, TimestampField, UuidField, server_default
from cloudpub_models.manager.relations import links_of, relation_names
from cloudpub_models.models import ALL_MODELS

_PLATFORM = Path(__file__).parents[1] / "cloudpub_models" / "platform"
TARGET = _PLATFORM / "row_types.py"
WHERE_TARGET = _PLATFORM / "where_types.py"
# How many relations the dotted keys follow that are written out; there are some four times as many with each more.
_MOST_RELATIONS = 2

_HEADER = '''"""The rows that managers take, as types: ``FunctionInsert``, ``FunctionUpdate`` and so on for every table.

The platform's managers take them, so that column names and types of values are checked before the program runs; what
is typed as a mapping of text to ``Any``, out of a JSON body say, is taken as well, and checked when it runs. Written by
``scripts/generate_row_types.py`` from the models: change those instead.

    >>> row: UserInsert = {"email": "ada@example.com", "password_hash": "…"}
    >>> sorted(UserInsert.__required_keys__)
    ['email', 'password_hash']
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, NotRequired, TypeAlias, TypedDict
from uuid import UUID

from peewee import Node

from cloudpub_models.entity.stored_forms import JsonValue
from cloudpub_models.manager.writing import Unchecked
from cloudpub_models.models import {models}
from cloudpub_models.sql.operators import Increment
'''

_INSERT = '''

class {name}Insert(TypedDict):
    """A row for ``managers.{table}.insert``; columns left out take their default."""

{columns}
'''

_UPDATE = '''

class {name}Update(TypedDict, total=False):
    """What to change in rows of ``{table}``; a Peewee expression is computed by the database."""

{columns}


{name}Data: TypeAlias = {name}Insert | Mapping[str, Unchecked]
{name}Changes: TypeAlias = {name}Update | Mapping[str, Unchecked]
'''

_WHERE_HEADER = '''"""The dicts of conditions that managers take, as types: ``FunctionWhere`` and so on for every table.

Their keys are the columns, references by either name, and the columns of rows that up to two relations lead to:
``"user.email"``, ``"deployments.function.name"``. Longer ones are taken in what is typed as a mapping of text to
``Any``, which is checked when the program runs, as are the values of operators. Written by
``scripts/generate_row_types.py`` from the models: change those instead.

    >>> conditions: FunctionWhere = {"status": ["failed", "building"], "user.email": "ada@example.com"}
    >>> managers.functions.count(conditions)
    0
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Literal, TypeAlias, TypedDict, TypeVar
from uuid import UUID

from cloudpub_models.entity.stored_forms import JsonValue
from cloudpub_models.manager.writing import Unchecked
from cloudpub_models.models import {models}
from cloudpub_models.sql.operators import Operator

T = TypeVar("T")

# One value, any of several, no value, or what an operator says.
Condition: TypeAlias = T | Sequence[T | None] | AbstractSet[T | None] | Operator | None
'''

_WHERE = """
{name}Where = TypedDict(
    "{name}Where",
    {{
{keys}
    }},
    total=False,
)
{name}Conditions: TypeAlias = {name}Where | Mapping[str, Unchecked]
"""

_TYPES: tuple[tuple[type[peewee.Field], str], ...] = (
    (UuidField, "UUID | str"),
    (TimestampField, "datetime | str"),
    (JsonField, "JsonValue"),
    (peewee.BooleanField, "bool"),
    (peewee.IntegerField, "int"),
    (peewee.AutoField, "int"),
    (peewee.CharField, "str"),
    (peewee.TextField, "str"),
)


def module_text() -> str:
    """Return the text of the module, formatted."""
    parts = [_HEADER.replace("{models}", ", ".join(sorted({"Role", *_referred()})))]
    for model in ALL_MODELS:
        names = {"name": model.__name__, "table": model._meta.table_name}
        parts.append(_INSERT.format(**names, columns="\n".join(_inserted(model))))
        parts.append(_UPDATE.format(**names, columns="\n".join(_updated(model))))
    return "".join(parts)


def _referred() -> set[str]:
    return {field.rel_model.__name__ for model in ALL_MODELS for field in model._meta.refs}


def where_module_text() -> str:
    """Return the text of the module of conditions, formatted."""
    parts = [_WHERE_HEADER.replace("{models}", ", ".join(sorted({"Role", *_referred()})))]
    for model in ALL_MODELS:
        keys = [f'        "{key}": Condition[{kind}],' for key, kind in _keys(model, _MOST_RELATIONS)]
        parts.append(_WHERE.format(name=model.__name__, keys="\n".join(keys)))
    return "".join(parts)


def _keys(model: type[peewee.Model], relations: int) -> Iterator[tuple[str, str]]:
    """Yield the keys of conditions that follow no more than some relations, with the types of their values."""
    for field in model._meta.sorted_fields:
        for name in dict.fromkeys([field.column_name, field.name]):
            yield name, _value_type(field)
    for relation in relation_names(model) if relations else ():
        for key, kind in _keys(links_of(model, relation)[-1].model, relations - 1):
            yield f"{relation}.{key}", kind


def _inserted(model: type[Entity]) -> Iterator[str]:
    for field in model._meta.sorted_fields:
        kind = _type_of(field)
        yield f"    {field.column_name}: {f'NotRequired[{kind}]' if _may_be_left_out(field) else kind}"


def _updated(model: type[Entity]) -> Iterator[str]:
    for field in model._meta.sorted_fields:
        is_number = isinstance(field, peewee.IntegerField) and not isinstance(field, peewee.AutoField)
        computed = "Increment | Node" if is_number else "Node"
        yield f"    {field.column_name}: {_type_of(field, computed)}"


def _may_be_left_out(field: peewee.Field) -> bool:
    has_default = field.default is not None or server_default(field) is not None
    return field.null or has_default or isinstance(field, peewee.AutoField)


def _type_of(field: peewee.Field, computed: str = "") -> str:
    kind = " | ".join(filter(None, (_value_type(field), computed)))
    return f"{kind} | None" if field.null and not isinstance(field, JsonField) else kind


def _value_type(field: peewee.Field) -> str:
    if isinstance(field, peewee.ForeignKeyField):
        return f"{_value_type(field.rel_field)} | {field.rel_model.__name__}"
    if isinstance(field, EnumField):
        return f"{field.members.__name__} | Literal[{_quoted(field.allowed)}]"
    for field_class, kind in _TYPES:
        if isinstance(field, field_class):
            return kind
    raise NotImplementedError(f"expected a field of a known kind; got {field!r}: say in _TYPES what it takes")


def _quoted(texts: Iterable[str]) -> str:
    return ", ".join(f'"{text}"' for text in texts)


if __name__ == "__main__":
    for target, text in ((TARGET, module_text()), (WHERE_TARGET, where_module_text())):
        target.write_text(text, encoding="utf-8")
        print(f"wrote {target}")
