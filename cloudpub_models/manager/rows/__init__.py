"""Rows become instances and dicts; related rows are attached to them."""
