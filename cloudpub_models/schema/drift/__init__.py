"""Where a database differs from what the models expect, and what would mend it."""
