"""Migration scripts: their books, and what applies them."""
