"""Every public function shows an example in its docstring, and every example in a docstring runs.

Examples find the names of the face, and a database in memory in which the user ``ada`` owns the function ``resize`` and
the organization ``acme``, and the user ``grace`` nothing; the tables of leases and receipts are there too.
"""

import doctest
import importlib
import inspect
import pkgutil
import warnings

import pytest

import cloudpub_models
from cloudpub_models import (
    Connection,
    Database,
    Manager,
    Managers,
    QueryBuilder,
    Statement,
    database,
    managers,
    operators,
)
from cloudpub_models.entity.base import Entity
from cloudpub_models.legacy import QueryHelpers
from cloudpub_models.models import ALL_MODELS
from cloudpub_models.schema.drift.definition import create_all
from cloudpub_models.testing import Factory
from cloudpub_models.testing.databases import default_database_in_memory
from cloudpub_models.work.component import component

MODULES = [module.name for module in pkgutil.walk_packages(cloudpub_models.__path__, "cloudpub_models.")]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

CLASSES = [Database, Connection, QueryBuilder, Statement, Manager, Managers, QueryHelpers, Entity, Factory]
# The first is called by Peewee alone, the second shown by its class.
WITHOUT_EXAMPLE = {"Entity.validate_model", "Record.changed"}


@pytest.mark.parametrize(
    "name",
    [name for name in MODULES if not name.endswith("__main__") and not name.startswith("cloudpub_models.migrations.")],
)
def test_the_examples_of_a_module(name):
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module):
        if test.examples:
            with default_database_in_memory(), warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # that of QueryHelpers
                test.globs = names_of_the_face() | vars(module) | rows()
                runner.run(test)
    assert runner.summarize(verbose=False).failed == 0


def names_of_the_face():
    return {name: getattr(cloudpub_models, name) for name in cloudpub_models.__all__}


def rows():
    create_all(database.engine, component.models)
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    return {
        "database": database,
        "managers": managers,
        "factory": Factory(managers),
        "ada": ada,
        "grace": managers.users.insert({"email": "grace@example.com", "password_hash": "…"}),
        "resize": managers.functions.insert({"user_id": ada.id, "name": "resize"}),
        "acme": managers.organizations.create("Acme", ada),
    }


def public_functions():
    """Every public function and method, by its qualified name."""
    face = [getattr(cloudpub_models, name) for name in cloudpub_models.__all__]
    of_tables = [type(getattr(managers, model._meta.table_name)) for model in ALL_MODELS]
    functions = [member for cls in [*CLASSES, *of_tables, *filter(inspect.isclass, face)] for member in methods(cls)]
    functions += filter(inspect.isfunction, face)
    functions += [
        member for member in vars(operators).values() if getattr(member, "__module__", "") == operators.__name__
    ]
    return {
        function.__qualname__: function
        for function in functions
        if inspect.isfunction(function)
        and not function.__name__.startswith("_")
        and function.__module__.startswith("cloudpub_models.")
    }


def methods(cls):
    return [getattr(member, "__func__", member) for _, member in inspect.getmembers_static(cls)]


def test_every_public_function_shows_an_example():
    functions = public_functions()
    assert len(functions) > 130
    without = {name for name, function in functions.items() if ">>> " not in (function.__doc__ or "")}
    assert sorted(without - WITHOUT_EXAMPLE) == []


def test_an_example_that_is_wrong_fails(monkeypatch):
    def count():
        """Count.

        >>> managers.users.count()
        3
        """

    module = importlib.import_module("cloudpub_models.platform.default")
    count.__module__ = module.__name__
    monkeypatch.setattr(module, "count", count, raising=False)
    with pytest.raises(AssertionError):
        test_the_examples_of_a_module(module.__name__)
