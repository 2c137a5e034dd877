"""The numbered scripts that make the tables of billing."""
