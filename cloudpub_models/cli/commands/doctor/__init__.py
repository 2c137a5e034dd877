"""What ``cloudpub doctor`` looks at: each check reads, changes nothing, and gives verdicts with what to do.

What is the same for every database is in ``tables``; the rest is in a module with the name of the database's dialect,
which has ``versions`` and ``CHECKS``.
"""
