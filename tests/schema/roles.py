"""A role as programs have it: one that owns its tables, and that row security holds."""

from __future__ import annotations

from urllib.parse import quote

from psycopg2 import extensions

from cloudpub_models import Database

_ROLE, _PASSWORD = "cloudpub_program", "a password"


def owned_by_program(url: str) -> str:
    """Give the tables of a database to such a role, and return the URL by which it connects."""
    database = Database(url)
    if not database.raw_query_all("SELECT 1 FROM pg_roles WHERE rolname = @role", {"role": _ROLE}):
        database.raw_execute(f"CREATE ROLE {_ROLE} LOGIN NOSUPERUSER NOBYPASSRLS PASSWORD '{_PASSWORD}'")
    database.raw_execute(f"GRANT ALL ON SCHEMA public TO {_ROLE}")
    for row in database.raw_query_all("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
        database.raw_execute(f'ALTER TABLE "{row["tablename"]}" OWNER TO {_ROLE}')
    for row in database.raw_query_all(
        "SELECT oid::regprocedure AS f FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
    ):
        database.raw_execute(f"ALTER FUNCTION {row['f']} OWNER TO {_ROLE}")
    database.close()
    settings = extensions.parse_dsn(url) | {"user": _ROLE, "password": _PASSWORD}
    name, user, password = (settings.pop(key) for key in ("dbname", "user", "password"))
    rest = "&".join(f"{key}={quote(value, safe='')}" for key, value in settings.items())
    return f"postgresql://{user}:{quote(password)}@/{name}?{rest}"
