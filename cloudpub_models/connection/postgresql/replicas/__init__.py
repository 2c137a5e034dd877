"""Reads that standbys of a PostgreSQL server answer: which of them may, and what becomes of one that cannot.

What a read must have seen is a *position* in the primary's write-ahead log; a standby may answer what its replay has
reached. Where one cannot answer, the primary does.
"""
