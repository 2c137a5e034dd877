"""Every example in a docstring runs, on a database in memory."""

import doctest
import importlib
import pkgutil

import pytest

import cloudpub_models

MODULES = [module.name for module in pkgutil.walk_packages(cloudpub_models.__path__, "cloudpub_models.")]


@pytest.mark.parametrize(
    "name", [name for name in MODULES if not name.endswith("__main__") and ".migrations." not in name]
)
def test_the_examples_of_a_module(name):
    module = importlib.import_module(name)
    outcome = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert outcome.failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder()
    examples = [
        test
        for name in MODULES
        if "sql" in name
        for test in finder.find(importlib.import_module(name))
        if test.examples
    ]
    assert len(examples) > 50
