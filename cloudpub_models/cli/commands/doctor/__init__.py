"""What ``cloudpub doctor`` looks at: each check reads, changes nothing, and gives findings with what to do.

`examination` runs them all; what is the same for every database is in `schema_checks`, the rest in `postgresql_checks`
and `sqlite_checks`. How findings are shown is the command's business.
"""
