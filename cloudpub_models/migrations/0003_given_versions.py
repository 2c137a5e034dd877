"""The highest version that each function has given, so that the number of a deleted deployment is not given again.

A table of its own, which nobody but ``deploy()`` reads: the platform's tables stay what other programs know. What is
there already counts: each function begins with the highest version that it has.
"""

from __future__ import annotations

from typing import Any

TABLE = """
    CREATE TABLE cloudpub_given_versions (
        function_id INTEGER NOT NULL PRIMARY KEY,
        version INTEGER NOT NULL,
        CONSTRAINT cloudpub_given_versions_function_id_fkey
            FOREIGN KEY (function_id) REFERENCES functions (id) ON DELETE CASCADE
    )
"""
HIGHEST = """
    INSERT INTO cloudpub_given_versions (function_id, version)
    SELECT function_id, MAX(version) FROM function_deployments GROUP BY function_id
"""


def up(migrator: Any, db: Any) -> None:
    """Create it, and take down what is there."""
    db.execute_sql(TABLE)
    db.execute_sql(HIGHEST)


def down(migrator: Any, db: Any) -> None:
    """Drop it."""
    db.execute_sql("DROP TABLE cloudpub_given_versions")
