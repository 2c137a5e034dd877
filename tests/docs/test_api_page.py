"""docs/API.md names everything that is public, with the signature that it has.

What stands beside a name, the SQL above all, is checked where the page runs (``test_documentation``).
"""

import inspect
import re
from pathlib import Path
from typing import is_typeddict

import peewee
import pytest
import typer

import cloudpub_models
from cloudpub_models import (
    Database,
    Lease,
    Manager,
    Managers,
    PrunedManager,
    QueryBuilder,
    Scope,
    Statement,
    dto,
    errors,
    managers,
    operators,
)
from cloudpub_models.cli.application import application
from cloudpub_models.connection.options import Options
from cloudpub_models.entity.base import Entity
from cloudpub_models.legacy import QueryHelpers
from cloudpub_models.models import ALL_MODELS
from cloudpub_models.testing import Factory
from tests.docs.signatures import signature_text

PAGE = (Path(__file__).parents[2] / "docs" / "API.md").read_text(encoding="utf-8")
PROSE = re.sub(r"^```.*?^```$", "", PAGE, flags=re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
# What Peewee, the base class of all entities, documents.
OF_PEEWEE = {*dir(peewee.Model), "DoesNotExist", "id", "dirty_fields"}

MANAGERS = {
    "Users": managers.users,
    "Organizations": managers.organizations,
    "Functions": managers.functions,
    "Deployments": managers.function_deployments,
    "Logs": managers.function_logs,
    "Invocations": managers.function_invocations,
}
RESULTS = [
    cloudpub_models.PaginatedResult,
    cloudpub_models.CursorPage,
    cloudpub_models.FunctionWithRelations,
    cloudpub_models.OrganizationWithMembers,
    cloudpub_models.FunctionStats,
    cloudpub_models.InvocationBucket,
    cloudpub_models.UserOverview,
]


def prose(title):
    """The text under a heading and the headings below it, without the code."""
    match = re.search(rf"^(##+) {re.escape(title)}$", PROSE, re.MULTILINE)
    assert match is not None, f"API.md has no section {title}"
    following = re.compile(rf"^#{{1,{len(match[1])}}} ", re.MULTILINE).search(PROSE, match.end())
    return PROSE[match.end() : following.start() if following else len(PROSE)]


def names_in(text):
    return set(CODE.findall(text))


def rows_of(title):
    """The tables of a section: the cells of each row by what the first one says."""
    rows = [re.split(r"(?<!\\)\|", line.strip().strip("|")) for line in prose(title).splitlines() if line[:1] == "|"]
    return {cells[0].strip().strip("`"): [cell.strip() for cell in cells[1:]] for cells in rows}


def public_members(cls, base=object):
    """The public members of a class that it does not have from ``base``."""
    for name in dir(cls):
        member = inspect.getattr_static(cls, name)
        if not name.startswith("_") and inspect.getattr_static(base, name, None) is not member:
            yield name, member


def undocumented(members, title):
    named = names_in(prose(title))
    signatures = [signature_text(name, member) for name, member in members]
    return [signature for signature in signatures if signature not in named]


def test_every_name_of_the_face():
    assert set(cloudpub_models.__all__) - names_in(prose("The face")) == set()


@pytest.mark.parametrize(
    ("title", "cls", "base"),
    [
        ("Database", Database, peewee.DatabaseProxy),
        ("Database", cloudpub_models.Connection, object),
        ("Leases", Lease, object),
        ("Managers", Managers, object),
        ("QueryBuilder", QueryBuilder, object),
        ("QueryBuilder", Statement, str),
        ("QueryHelpers", QueryHelpers, object),
        ("Testing", Factory, object),
        *[(title, type(manager), Manager) for title, manager in MANAGERS.items()],
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_every_method(title, cls, base):
    assert undocumented(public_members(cls, base), title) == []


def test_every_method_of_all_managers():
    assert undocumented(public_members(Manager), "Managers") == []


def test_every_manager_has_a_name():
    assert {model._meta.table_name for model in ALL_MODELS} <= names_in(prose("Managers"))
    assert {"model", "database", "table"} <= names_in(prose("Managers"))


@pytest.mark.parametrize("cls", [Database, Managers, Manager, QueryBuilder], ids=lambda cls: cls.__name__)
def test_how_a_class_is_called(cls):
    title = {"Manager": "Managers"}.get(cls.__name__, cls.__name__)
    assert signature_text(cls.__name__, cls.__init__).replace(" -> Any", " -> None") in names_in(prose(title))


def test_every_operator():
    named = names_in(prose("Operators"))
    functions = [
        (name, member)
        for name, member in vars(operators).items()
        if inspect.isfunction(member) and not name.startswith("_") and member.__module__ == operators.__name__
    ]
    assert len(functions) > 10
    calls = [signature_text(name, member).partition(" -> ")[0] for name, member in functions]
    assert [call for call in calls if call not in named] == []
    assert {"Operator", "SYMBOLS"} <= named


def test_every_option_with_its_default():
    rows = rows_of("Options")
    defaults = Options()
    for option in {**cloudpub_models.DatabaseOptions.__annotations__, **Options.__annotations__}:
        default = getattr(defaults, option)
        assert rows[option][0] == (f'`"{default}"`' if isinstance(default, str) else str(default))
        assert rows[option][1] in ("PostgreSQL", "SQLite", "both")


@pytest.mark.parametrize("model", ALL_MODELS, ids=lambda model: model.__name__)
def test_every_model_with_its_columns_and_relations(model):
    table, columns, relations = rows_of("Models")[model.__name__]
    meta = model._meta
    assert table == f"`{meta.table_name}`"
    assert CODE.findall(columns) == [field.column_name for field in meta.sorted_fields]
    keys = {field.name for field in meta.sorted_fields if isinstance(field, peewee.ForeignKeyField)}
    others = {name for name, _ in public_members(model, Entity)} - set(meta.combined) - OF_PEEWEE
    others -= {"secret_columns", "shown_columns"} | {field.object_id_name for field in meta.refs}
    assert set(CODE.findall(relations)) == keys | others


def test_every_method_of_models():
    members = [item for item in public_members(Entity) if item[0] not in OF_PEEWEE]
    assert undocumented(members, "Models") == []
    assert {f"`{role.name}`" for role in cloudpub_models.Role} <= set(re.findall(r"`[A-Z_]+`", prose("Models")))


@pytest.mark.parametrize("cls", RESULTS, ids=lambda cls: cls.__name__)
def test_every_attribute_of_a_result(cls):
    attributes = {name for base in cls.__mro__ for name in vars(base).get("__annotations__", {}) if name[0] != "_"}
    attributes |= {name for name, member in public_members(cls) if isinstance(member, property)}
    assert set(CODE.findall(rows_of("Results")[cls.__name__][0])) - {"None"} == attributes


def test_every_result_is_known_to_this_test():
    rooms = ("cloudpub_models.manager.", "cloudpub_models.platform.")
    exported = {getattr(cloudpub_models, name) for name in cloudpub_models.__all__}
    classes = {cls for cls in exported if isinstance(cls, type) and cls.__module__.startswith(rooms)}
    classes = {cls for cls in classes if not is_typeddict(cls)}
    assert classes == {*RESULTS, Lease, Manager, Managers, PrunedManager, Scope}


@pytest.mark.parametrize("name", dto.__all__)
def test_every_dto_with_its_fields_and_how_it_is_made(name):
    cls = getattr(dto, name)
    assert CODE.findall(rows_of("DTOs")[name][0]) == list(cls.model_fields)
    made = [item for item in public_members(cls) if item[0].startswith("from_ent")]
    assert made
    named = names_in(prose("DTOs"))
    assert [text for text in (f"{name}.{signature_text(*item)}" for item in made) if text not in named] == []
    assert signature_text("to_json", cls.to_json) in named


def test_every_error_with_what_it_is():
    rows = rows_of("Errors")
    classes = [
        error
        for name, error in vars(errors).items()
        if isinstance(error, type) and issubclass(error, errors.CloudpubError) and not name.startswith("_")
    ]
    assert len(classes) > 25
    for error in classes:
        own, also, meaning = rows[error.__name__]
        shown = CODE.findall(own) + CODE.findall(also)
        assert shown == [_shown(base) for base in error.__bases__], error
        assert meaning


def _shown(base):
    return f"peewee.{base.__name__}" if base.__module__ == "peewee" else base.__name__


def test_what_errors_carry():
    row = rows_of("Errors")["ConstraintError"][2]
    assert CODE.findall(row) == [*vars(errors.ConstraintError("x"))]
    for error in vars(errors).values():
        if isinstance(error, type) and issubclass(error, errors.CloudpubError):
            own = {name.removesuffix("()") for name in CODE.findall(rows_of("Errors")[error.__name__][2])}
            assert {name for name in vars(error) if not name.startswith("_")} <= own, error


def test_every_command_with_its_options():
    rows = rows_of("Commands")
    found = dict(_commands(typer.main.get_command(application), "cloudpub"))
    assert {re.split(r" \[?[A-Z]", name)[0] for name in rows} - {"command", "---"} == set(found)
    for name, (arguments, options) in found.items():
        full = " ".join([name, *arguments])
        assert set(CODE.findall(rows[full][0])) == options, full


def _commands(command, path):
    options = {name for parameter in command.params for name in parameter.opts if name.startswith("--")}
    arguments = [
        parameter.metavar if parameter.required else f"[{parameter.metavar}]"
        for parameter in command.params
        if parameter.param_type_name == "argument"
    ]
    yield path, (arguments, options)
    for name, inner in getattr(command, "commands", {}).items():
        yield from _commands(inner, f"{path} {name}")
