"""Sets of models with their migrations: what one may be, and in which order several stand."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import peewee
import pytest

from cloudpub_models import Component, Database, User, errors
from cloudpub_models.component import ENTRY_POINTS, in_order, load_component, project_components


class Invoice(peewee.Model):
    class Meta:
        table_name = "invoices"


def test_the_platform_is_always_there_unless_it_is_left_out() -> None:
    billing = Component("billing", models=(Invoice,), after=("cloudpub",))
    with_both = Database("sqlite:///:memory:", components=(billing,))
    assert [component.name for component in with_both.components] == ["cloudpub", "billing"]
    assert with_both.models[0] is User
    assert with_both.models[-1] is Invoice
    alone = Database("sqlite:///:memory:", components=(Component("billing", models=(Invoice,)),), platform=False)
    assert alone.models == (Invoice,)


def test_initialize_names_them_anew() -> None:
    database = Database("sqlite:///:memory:", components=(Component("billing", models=(Invoice,)),))
    assert [component.name for component in database.components] == ["cloudpub", "billing"]
    assert [component.name for component in database.initialize("sqlite:///:memory:").components] == ["cloudpub"]


@pytest.mark.parametrize("name", ["", "Billing", "1st", "a-b", None, 5])
def test_a_malformed_name_is_refused(name: Any) -> None:
    with pytest.raises(errors.ConfigurationError, match="expected a component's name of lower-case letters"):
        Component(name)


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(errors.ConfigurationError, match="models in the component 'billing'; got 'invoices'"):
        Component("billing", models=("invoices",))  # type: ignore[arg-type]


class Keyless(peewee.Model):
    class Meta:
        table_name = "keyless"
        primary_key = False


class OfTwo(peewee.Model):
    left = peewee.IntegerField()
    right = peewee.IntegerField()

    class Meta:
        table_name = "of_two"
        primary_key = peewee.CompositeKey("left", "right")


@pytest.mark.parametrize("target", [Keyless, OfTwo])
def test_a_reference_to_a_model_without_a_key_of_one_column_is_refused(target: type[peewee.Model]) -> None:
    class Line(peewee.Model):
        of = peewee.ForeignKeyField(target, backref="+")

        class Meta:
            table_name = "lines"

    table = target._meta.table_name  # type: ignore[attr-defined]
    with pytest.raises(errors.ConfigurationError, match=f"a key of one column in '{table}', to which lines.of refers"):
        Component("billing", [Line])
    assert Component("billing", [target]).tables == (table,)


@pytest.mark.parametrize(
    ("components", "message"),
    [
        ([Component("a"), Component("a")], "a name of its own for each component; got 'a' twice"),
        ([Component("a", [Invoice]), Component("b", [Invoice])], "got 'invoices' in the components 'a' and 'b'"),
        ([Component("a", after=["b"])], "expected the component 'b', since 'a' comes after it; got a"),
        ([Component("a", after=["b"]), Component("b", after=["a"])], "got the circle a → b → a"),
        (["billing"], "expected a Component; got 'billing'"),
    ],
)
def test_what_does_not_fit_together_is_named(components: Any, message: str) -> None:
    with pytest.raises(errors.ConfigurationError, match=message):
        in_order(components)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("billing", "expected a component as 'module:attribute'; got 'billing'"),
        ("no_such_package:component", "No module named 'no_such_package'"),
        ("cloudpub_models.errors:component", "has no attribute 'component'"),
        ("cloudpub_models.errors:CloudpubError", "got a type"),
    ],
)
def test_a_reference_that_leads_nowhere_is_named(reference: str, message: str) -> None:
    with pytest.raises(errors.ConfigurationError, match=message):
        load_component(reference)


class _Entry:
    def __init__(self, value: str) -> None:
        self.name, self.value, self.dist = "billing", value, None


def test_entry_points_name_components(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    entries: list[_Entry] = [_Entry("cloudpub_models.platform.component:component [extra]")]
    looked: list[str] = []

    def entry_points(group: str) -> list[_Entry]:
        looked.append(group)
        return entries

    monkeypatch.setattr("importlib.metadata.entry_points", entry_points)
    monkeypatch.setattr("sys.path", [*sys.path, "one"])
    for _ in range(2):
        assert [component.name for component in project_components()] == ["cloudpub"]
    assert looked == [ENTRY_POINTS]
    assert len(project_components(["cloudpub_models.platform.component:component"])) == 1
    entries.append(_Entry("nowhere_at_all:component"))
    # Packages elsewhere are looked for there.
    sys.path.append("another")
    with pytest.raises(errors.ConfigurationError, match=r"'nowhere_at_all:component'.*the entry point 'billing'"):
        project_components()


def test_the_nearest_pyproject_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.cloudpub]\ncomponents = ['nowhere_at_all:component']\n")
    below = tmp_path / "below"
    below.mkdir()
    monkeypatch.chdir(below)
    monkeypatch.setattr("sys.path", list(sys.path))
    with pytest.raises(errors.ConfigurationError, match=r"'nowhere_at_all:component'.*named by .*pyproject\.toml"):
        project_components()
    (below / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert project_components() == ()
