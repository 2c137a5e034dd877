"""The numbered scripts that make what the original backend has; on its own database they are adopted."""
