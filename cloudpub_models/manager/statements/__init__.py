"""The statements of a manager's calls, by shape."""
