"""PostgreSQL's row security by owners: a second line behind the managers of an owner, for SQL that names no owner.

A policy on each owned table lets through the rows of the owner that the transaction was told, or all where it was told
that all are meant; a transaction that was told nothing finds none. Who tells it is ``connection.row_security``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import peewee

from cloudpub_models.entity.binding import sql_dialect_of
from cloudpub_models.entity.owners import Paths, owner_key, paths_to_owner
from cloudpub_models.errors import ConfigurationError
from cloudpub_models.schema.statements import fetch, fetch_value, run
from cloudpub_models.sql.dialects import POSTGRESQL

POLICY = "cloudpub_owner"
_INTEGERS = frozenset(["AUTO", "BIGAUTO", "INT", "BIGINT", "SMALLINT"])
_ALL_ROWS = "(SELECT current_setting('cloudpub.unrestricted', true)) = 'on'"
_ROLE = "SELECT (SELECT rolname FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolbypassrls))"
_GUARDED = "SELECT count(*) FROM pg_policies WHERE schemaname = current_schema() AND tablename = %s AND policyname = %s"
_OTHERS = "SELECT count(*) FROM pg_policies WHERE schemaname = current_schema() AND tablename = %s"

# Tables with the policy, and whether it is in force for everybody.
_HELD = """
    SELECT c.relname::text, c.relrowsecurity AND c.relforcerowsecurity
    FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
    WHERE p.polname = %s AND c.relnamespace = current_schema()::regnamespace
"""


class Unheld(NamedTuple):
    """A table whose rows are owned by those of a held one, and which is not held itself.

    Attributes:
        table: its name.
        owner: the name of the owners' table.
        has_policy: whether it has the policy, which is not in force.
    """

    table: str
    owner: str
    has_policy: bool


def switch_on(
    database: peewee.Database, models: Sequence[type[peewee.Model]], root: type[peewee.Model]
) -> tuple[str, ...]:
    """Have the database hold the rows of all owned tables to their owner; return the names of the tables.

    It holds the tables' own role as well (``FORCE``). Doing it again writes the policies anew.

    Args:
        database: the Peewee database.
        models: its models.
        root: the model of the owners.

    Raises:
        ConfigurationError: the database has no row security, its role is one that row security does not hold, or the
            models do not say whose their rows are.
    """
    require_held_role(database)
    paths = paths_to_owner(root, tuple(models))
    with database.atomic():
        for model in (root, *paths):
            table = POSTGRESQL.quote(model._meta.table_name)
            condition = f"{_ALL_ROWS} OR {_condition(model, root, paths)}"
            run(database, f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
            run(database, f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
            run(database, f"DROP POLICY IF EXISTS {POLICY} ON {table}")
            run(database, f"CREATE POLICY {POLICY} ON {table} USING ({condition}) WITH CHECK ({condition})")
    return tuple(model._meta.table_name for model in (root, *paths))


def switch_off(database: peewee.Database, models: Sequence[type[peewee.Model]]) -> tuple[str, ...]:
    """Have the database no longer hold rows to their owner; return the names of the tables that were held.

    A table with other policies goes on having row security.

    Args:
        database: the Peewee database.
        models: its models.

    Raises:
        ConfigurationError: the database has no row security.
    """
    _require_row_security(database)
    ended = []
    with database.atomic():
        for model in models:
            name = model._meta.table_name
            if not fetch_value(database, _GUARDED, (name, POLICY)):
                continue
            table = POSTGRESQL.quote(name)
            run(database, f"DROP POLICY {POLICY} ON {table}")
            if not fetch_value(database, _OTHERS, (name,)):
                run(database, f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
                run(database, f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
            ended.append(name)
    return tuple(ended)


def held_and_not(
    database: peewee.Database, models: Sequence[type[peewee.Model]]
) -> tuple[tuple[str, ...], tuple[Unheld, ...]]:
    """Return the tables that are held to their owner, and those that are not though the rows that own theirs are.

    Such are tables that were made after row security was switched on.

    Args:
        database: the Peewee database.
        models: its models.

    Raises:
        ConfigurationError: the database has no row security.
    """
    _require_row_security(database)
    in_force: dict[str, bool] = dict(fetch(database, _HELD, (POLICY,)))
    keys = {model: owner_key(model) for model in models}
    held, unheld = [], []
    for model in models:
        name = model._meta.table_name
        if in_force.get(name):
            held.append(name)
            continue
        above = [each._meta.table_name for each in _owning(model, keys)]
        guarded = [each for each in above if each in in_force]
        if guarded or name in in_force:
            unheld.append(Unheld(name, guarded[-1] if guarded else name, name in in_force))
    return tuple(held), tuple(unheld)


def _owning(model: type[peewee.Model], keys: Mapping[type[peewee.Model], Any]) -> list[type[peewee.Model]]:
    """Return the models whose rows own a model's, the nearest first."""
    found: list[type[peewee.Model]] = []
    while (key := keys.get(model)) is not None and key.rel_model not in found:
        model = key.rel_model
        found.append(model)
    return found


def require_held_role(database: peewee.Database) -> None:
    """Raise ConfigurationError where there is no row security, or the role that is connected is not held by it."""
    _require_row_security(database)
    role = fetch_value(database, _ROLE)
    if role is not None:
        raise ConfigurationError(
            f"expected a role that row security holds; got {role!r}, a superuser or one with BYPASSRLS: connect as the "
            "role of the program, with NOSUPERUSER and NOBYPASSRLS"
        )


def _require_row_security(database: peewee.Database) -> None:
    dialect = sql_dialect_of(database)
    if not dialect.row_security:
        raise ConfigurationError(
            f"expected a database with row security, as PostgreSQL has it; got {dialect.name}: there "
            "managers.owned_by(user) alone holds rows to their owner"
        )


def _condition(model: type[peewee.Model], root: type[peewee.Model], paths: Paths) -> str:
    """Return the condition on a row that it is the owner's, whom the transaction was told."""
    quote = POSTGRESQL.quote
    if model is root:
        keys: list[Any] = list(root._meta.get_primary_keys())  # type: ignore[no-untyped-call]
        return " AND ".join(f"{quote(key.column_name)} = {_told(key)}" for key in keys)
    key, *rest = paths[model]
    if not rest:
        return f"{quote(key.column_name)} = {_told(key.rel_field)}"
    target, table = quote(key.rel_field.column_name), quote(key.rel_model._meta.table_name)
    below = _condition(key.rel_model, root, paths)
    return f"{quote(key.column_name)} IN (SELECT {target} FROM {table} WHERE {below})"  # noqa: S608 - names of models


def _told(field: Any) -> str:
    # In a subquery of its own it is worked out once for a statement, and not once for each row.
    kind = "bigint" if field.field_type in _INTEGERS else "uuid" if field.field_type == "UUID" else "text"
    return f"(SELECT nullif(current_setting('cloudpub.owner_{field.column_name}', true), '')::{kind})"
