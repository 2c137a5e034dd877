"""The fluent query builder, and the small language that its strings may speak."""
