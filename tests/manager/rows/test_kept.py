"""What decoding has made of a row in memory is kept with it, as far as instances may share it."""

from __future__ import annotations

import copy
from typing import Any

import peewee
import pytest

from cloudpub_models import Function, User
from cloudpub_models.connection.cached_rows import KeptRow
from cloudpub_models.entity import AutoField, Entity, TextField
from cloudpub_models.manager.columns.table import table_of
from cloudpub_models.manager.rows.instances import make_loader
from cloudpub_models.manager.rows.kept import loader_of_kept
from cloudpub_models.sql import SQLITE

UUID_TEXT, MOMENT = "0f2a4a4e-6f0e-4c52-9a53-3f6d0c1f8a11", "2026-11-28 15:50:19.313000"
USER = (1, UUID_TEXT, "ada@example.com", "…", MOMENT, MOMENT)


def loaders(model: type[Any], calls: list[Any]) -> Any:
    """The loader of a model's rows, which notes when it decodes, and the one of kept rows."""
    table = table_of(model)
    decode = make_loader(model, table.fields(table.column_names), SQLITE, partial=False)

    def load(rows: Any) -> Any:
        calls.append(rows)
        return decode(rows)

    load.sources = decode.sources  # type: ignore[attr-defined]
    return load, loader_of_kept(model, load, None)  # type: ignore[arg-type]


def test_a_kept_row_is_decoded_once() -> None:
    calls: list[Any] = []
    load, load_kept = loaders(User, calls)
    (plain,) = load([USER])
    kept = KeptRow([USER])
    for _ in range(3):
        (user,) = load_kept(kept)
        assert user.to_dict() == plain.to_dict()
        assert user.__data__ == plain.__data__
        assert copy.copy(user) == user
        user.email = "changed"
        user.__data__["id"] = 7
    assert calls == [[USER], kept]
    assert load_kept([USER, USER])[1].email == "ada@example.com"
    assert load_kept([]) == []
    assert len(calls) == 4


def test_values_that_can_be_changed_are_nobody_elses() -> None:
    _, load_kept = loaders(Function, [])
    table = table_of(Function)
    values: dict[str, Any] = dict.fromkeys(table.column_names)
    values |= {"id": 1, "uuid": UUID_TEXT, "created_at": MOMENT, "updated_at": MOMENT, "analysis_result": '{"a": [1]}'}
    kept = KeptRow([tuple(values[name] for name in table.column_names)])
    for _ in range(3):
        (function,) = load_kept(kept)
        assert function.analysis_result == {"a": [1]}
        function.analysis_result["a"].append(2)


def test_each_model_of_a_table_makes_its_own_of_a_row() -> None:
    class Upper(TextField):
        def python_value(self, value: Any) -> Any:
            return value.upper()

    def noting(kind: type[TextField]) -> type[Entity]:
        class Noted(Entity):
            id = AutoField()
            text = kind()

            class Meta:
                table_name = "notes"

        return Noted

    (_, plain), (_, upper) = (loaders(noting(kind), []) for kind in (TextField, Upper))
    kept = KeptRow([(1, "a")])
    for _ in range(3):
        assert (plain(kept)[0].text, upper(kept)[0].text) == ("a", "A")
        assert (upper(kept)[0].text, plain(kept)[0].text) == ("A", "a")


@pytest.mark.parametrize("rows", [[(1, "a")], KeptRow([(1, "a")])])
def test_a_model_of_peewee_alone_has_its_loader(rows: Any) -> None:
    class Plain(peewee.Model):
        text = peewee.TextField()

    load, load_kept = loaders(Plain, [])
    assert load_kept is load
    assert load_kept(rows)[0].__data__ == {"id": 1, "text": "a"}
