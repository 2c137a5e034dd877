"""Queries become SQL here, and nowhere else."""
