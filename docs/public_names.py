"""Gives each public name an anchor, a place in the index and one in the site's inventory (``objects.inv``).

Which names there are, the code says; where each is explained, the pages: a name that they do not explain is a warning,
and so an error of the build. Other sites refer to them by intersphinx, as ``cloudpub_models.Manager.find_all``.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from types import ModuleType
from typing import NamedTuple

import peewee
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.domains.python import PythonDomain
from sphinx.transforms import SphinxTransform
from sphinx.util import logging

import cloudpub_models
from cloudpub_models import dto, entity, errors, graphql, http, legacy, operators, testing
from cloudpub_models.history.history import History

_API = "docs/API"
# The platform's managers have operations of their own, each below a heading.
_MANAGERS = {
    "users": "Users",
    "organizations": "Organizations",
    "functions": "Functions",
    "function_deployments": "Deployments",
    "function_logs": "Logs",
    "function_invocations": "Invocations",
}
_logger = logging.getLogger(__name__)


class PublicName(NamedTuple):
    """A name that may be imported or asked for, and where it is explained."""

    full: str
    kind: str
    section: str
    """A heading's text."""
    written: str
    """How the page writes it, before its parameters."""
    page: str = _API


def public_names() -> Iterator[PublicName]:
    """Yield every public name once."""
    for name in cloudpub_models.__all__:
        yield _name_of(cloudpub_models, name, "The face")
    for name, member in vars(operators).items():
        if inspect.isfunction(member) and member.__module__ == operators.__name__ and not name.startswith("_"):
            yield PublicName(f"cloudpub_models.operators.{name}", "function", "Operators", name)
    for name in ("Operator", "SYMBOLS", "MISSING"):
        yield PublicName(f"cloudpub_models.operators.{name}", "data", "Operators", name)
    for name, member in vars(errors).items():
        if inspect.isclass(member) and issubclass(member, errors.CloudpubError):
            yield _name_of(errors, name, "Errors")
    for module, names, section in (
        (http, ("problem", "MEDIA_TYPE"), "HTTP"),
        (graphql, tuple(graphql.__all__), "GraphQL"),
        (legacy, ("QueryHelpers", "DatabaseManagers"), "QueryHelpers"),
        (testing, tuple(testing.__all__), "Testing"),
    ):
        for name in names:
            yield _name_of(module, name, section)
    for name in entity.__all__:
        # The others are Peewee's, and explained there.
        if getattr(entity, name).__module__.startswith("cloudpub_models."):
            yield _name_of(entity, name, "Your own tables")._replace(page="docs/OWN_TABLES")
    yield from _members()


def _members() -> Iterator[PublicName]:
    own = cloudpub_models
    for cls, base, section in (
        (own.Database, peewee.DatabaseProxy, "Database"),
        (own.Connection, object, "Database"),
        (own.Managers, object, "Managers"),
        (own.Manager, object, "Managers"),
        (own.Lease, object, "Leases"),
        (own.QueryBuilder, object, "QueryBuilder"),
        (own.Statement, str, "QueryBuilder"),
    ):
        yield from _members_of(cls, base, f"cloudpub_models.{cls.__name__}", section)
    yield from _members_of(History, object, "cloudpub_models.Database.history", "The log of changes")
    yield from _members_of(legacy.QueryHelpers, object, "cloudpub_models.legacy.QueryHelpers", "QueryHelpers")
    yield from _members_of(testing.Factory, object, "cloudpub_models.testing.Factory", "Testing")
    for name, section in _MANAGERS.items():
        cls = type(getattr(own.managers, name))
        yield from _members_of(cls, own.Manager, f"cloudpub_models.managers.{name}", section)
    for method in ("to_dict", "from_dict", "copy_with"):
        yield PublicName(f"cloudpub_models.entity.Entity.{method}", "method", "Models", method)
    for name in dto.__all__:
        for method in ("from_entity", "from_entities"):
            if hasattr(getattr(dto, name), method):
                yield PublicName(f"cloudpub_models.{name}.{method}", "method", "DTOs", f"{name}.{method}")


def _members_of(cls: type, base: type, full: str, section: str) -> Iterator[PublicName]:
    """Yield the public members of a class that it does not have from ``base``."""
    for name in dir(cls):
        member = inspect.getattr_static(cls, name)
        if not name.startswith("_") and inspect.getattr_static(base, name, None) is not member:
            is_method = inspect.isroutine(member) or isinstance(member, classmethod | staticmethod)
            yield PublicName(f"{full}.{name}", "method" if is_method else "attribute", section, name)


def _name_of(module: ModuleType, name: str, section: str) -> PublicName:
    member, kind = getattr(module, name), "data"
    if inspect.ismodule(member):
        kind = "module"
    elif inspect.isclass(member):
        kind = "exception" if issubclass(member, BaseException) else "class"
    elif inspect.isfunction(member):
        kind = "function"
    return PublicName(f"{module.__name__}.{name}", kind, section, name)


class _Anchors(SphinxTransform):
    # Before Sphinx's domains collect what the page has.
    default_priority = 500

    def apply(self, **arguments: object) -> None:
        names = [name for name in public_names() if name.page == self.env.docname]
        if not names:
            return
        domain = self.env.get_domain("py")
        assert isinstance(domain, PythonDomain)
        sections = {section[0].astext(): section for section in self.document.findall(nodes.section)}
        for name in names:
            literal = _explained(sections[name.section], name.written)
            if literal is None:
                _logger.warning("%s is not explained below %r", name.full, name.section, location=self.document)
                continue
            literal["ids"].append(name.full)
            if name.kind == "module":
                domain.note_module(name.full, name.full, synopsis="", platform="", deprecated=False)
            else:
                domain.note_object(name.full, name.kind, name.full, location=literal)
            short = name.full.rpartition(".")[2]
            entry = f"{short} ({name.full.removesuffix(f'.{short}')} {name.kind})"
            literal.parent.insert(0, addnodes.index(entries=[("single", entry, name.full, "", None)]))


def _explained(section: nodes.Element, name: str) -> nodes.literal | None:
    """Return where a section has the name's signature, else where it names it first."""
    literals = list(section.findall(nodes.literal))
    for pattern in (rf"{re.escape(name)}(\(.*\) -> |: |$)", rf"{re.escape(name)}\b"):
        for literal in literals:
            if re.match(pattern, literal.astext()):
                return literal
    return None


def setup(application: Sphinx) -> None:
    """Have the names become anchors."""
    application.add_transform(_Anchors)
