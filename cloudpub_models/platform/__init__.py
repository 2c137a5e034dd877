"""The platform's own half: the managers of its eight tables, their registry, statistics and rules."""
