"""One module for each word that is typed after ``cloudpub``."""
