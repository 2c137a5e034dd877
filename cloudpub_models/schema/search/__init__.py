"""The index of words that a searched table may have."""
