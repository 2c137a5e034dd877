"""Queries as data: expressions, conditions and whole statements, frozen and hashable, without the values."""
