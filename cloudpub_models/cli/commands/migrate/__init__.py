"""``cloudpub migrate``."""
