"""Tables that were given partitions long ago, and have one for each day since."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cloudpub_models import Database

DAY = timedelta(days=1)


def today() -> datetime:
    """Return when it has begun."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def with_days(database: Database, table: str, days: int) -> datetime:
    """Give an empty table a partition for each of so many days that have been, and three to come; return the first."""
    database.partition(table, "day", ahead=DAY)
    begins = [today() + number * DAY for number in range(-days, 3)]
    make = f"CREATE TABLE {table}_p_{{}} PARTITION OF {table} FOR VALUES FROM ({{}}) TO ({{}})"
    with database.transaction() as connection:
        for part in database.partitions(table):
            connection.execute(f"DROP TABLE {part.name}")
        connection.execute(make.format("past", "MINVALUE", f"'{begins[0]}'"))
        for begin in begins[:-1]:
            connection.execute(make.format(f"{begin:%Y%m%d}", f"'{begin}'", f"'{begin + DAY}'"))
        connection.execute(make.format("future", f"'{begins[-1]}'", "MAXVALUE"))
    return begins[0]
