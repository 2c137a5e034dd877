"""What the pytest plugin (``pytest_cloudpub``) is made of: databases for tests, valid rows, statements counted.

Stands above the managers; the library itself never imports it, and it does not import pytest. Tests take from here the
types of the fixtures ``cloudpub_factory`` and ``assert_statements``; those that do without pytest use the same parts.
"""

from cloudpub_models.testing.counting import AssertStatements
from cloudpub_models.testing.databases import default_database_in_memory
from cloudpub_models.testing.factory import Factory

__all__ = ["AssertStatements", "Factory", "default_database_in_memory"]
