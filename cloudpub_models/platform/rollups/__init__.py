"""Rollups: invocations counted once, by hours, days and months, for statistics that need not count the rows again."""
