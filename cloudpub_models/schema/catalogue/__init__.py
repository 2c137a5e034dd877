"""What a database has: read from its own catalogue, and brought into one form."""
