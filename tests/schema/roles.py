"""A role as programs have it: one that owns its tables, and that row security holds."""

from __future__ import annotations

from urllib.parse import quote

from psycopg2 import extensions

from cloudpub_models import Database

_ROLE, _PASSWORD = "cloudpub_program", "a password"
# Of transactions, of the log, and of locks that are no rows': what YugabyteDB does not answer to, or has not for long.
_REFUSED = """
    pg_current_xact_id() pg_current_xact_id_if_assigned() pg_xact_status(xid8) pg_current_snapshot() txid_current()
    pg_control_checkpoint() pg_current_wal_insert_lsn() pg_walfile_name(pg_lsn)
    pg_advisory_lock(bigint) pg_try_advisory_lock(bigint) pg_advisory_xact_lock(bigint)
    pg_try_advisory_xact_lock(bigint) pg_advisory_unlock(bigint) pg_advisory_unlock_all()
"""


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
    return _url_of_program(url)


def _url_of_program(url: str) -> str:
    """Return the URL by which that role connects to a database."""
    settings = extensions.parse_dsn(url) | {"user": _ROLE, "password": _PASSWORD}
    name, user, password = (settings.pop(key) for key in ("dbname", "user", "password"))
    rest = "&".join(f"{key}={quote(value, safe='')}" for key, value in settings.items())
    return f"postgresql://{user}:{quote(password)}@/{name}?{rest}"


def let_program_create(url: str) -> str:
    """Let that role make schemas and extensions in a database, which no copy of one remembers; return its URL."""
    database = Database(url)
    database.raw_execute(f"GRANT CREATE ON DATABASE {extensions.parse_dsn(url)['dbname']} TO {_ROLE}")
    database.close()
    return _url_of_program(url)


def refuse_functions(url: str) -> str:
    """Keep from such a role what YugabyteDB has no answer to, and return the URL by which it connects."""
    program = owned_by_program(url)
    database = Database(url)
    for function in _REFUSED.split():
        database.raw_execute(f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC")
    database.close()
    return program
