"""Managers: the documented operations on every table, and the registry of them.

A call's SQL is rendered once per shape (``statements``), run by ``connection``, and its rows become instances in one
generated function (``rows``). Nothing is imported before a manager is asked for.
"""
