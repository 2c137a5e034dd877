"""What was not loaded is told apart from what is empty, and from what would be fetched row by row."""

from __future__ import annotations

import threading

import pytest

from cloudpub_models.entity.unloaded import PartialData, forbid_lazy_loading, refuse_lazy_loading
from cloudpub_models.errors import LazyLoadingError
from cloudpub_models.models import Function


def test_a_column_that_was_left_out_is_not_none() -> None:
    data = PartialData(id=7, name=None)
    assert data["name"] is None
    with pytest.raises(
        LazyLoadingError, match=r"^'status' was not loaded: the query selected id, name only; add it to"
    ):
        data["status"]


def test_the_guard_ends_with_its_block_also_by_an_error() -> None:
    with pytest.raises(ZeroDivisionError), forbid_lazy_loading():
        1 / 0  # noqa: B018
    refuse_lazy_loading(Function(), "user")


def test_guards_nest() -> None:
    function = Function(id=1, user_id=7)
    with forbid_lazy_loading():
        with forbid_lazy_loading():
            pass
        with pytest.raises(LazyLoadingError, match=r'include=\("user",\)'):
            function.user  # noqa: B018


def test_other_threads_are_not_guarded() -> None:
    not_refused: list[object] = []

    def read() -> None:
        refuse_lazy_loading(Function(), "user")
        not_refused.append(True)

    with forbid_lazy_loading():
        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
    assert not_refused
