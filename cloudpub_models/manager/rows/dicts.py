"""Rows become dicts: a loader generated once for each set of columns.

``dict(zip(names, row))`` takes seven times as long a row as a dict display with the names written out in it, which is
what is generated here, the frequent conversions of values in it too. It takes values to have the form in which this
library stores them. Where one has another form, the rows are loaded by a second display that calls a function for every
value. Both can be read in ``loader.sources``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Protocol, cast

from cloudpub_models.connection.results import Row
from cloudpub_models.entity.stored_forms import json_from_text, json_reader, timestamp_from_database
from cloudpub_models.manager.columns.decoding import UNEXPECTED_FORM, Decoder

_WRITTEN_OUT = {
    timestamp_from_database: "moment({column} + 'Z') if ' ' in {column} else {decode}({column})",
    json_from_text: "read_json({column})",
    bool: "{column} != 0",
}


class DictLoader(Protocol):
    """A function from rows to dicts."""

    sources: Mapping[str, str]

    def __call__(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """Return one dict for each row, in order."""
        ...


@lru_cache(maxsize=1024)
def dict_loader(names: tuple[str, ...], decoders: tuple[Decoder | None, ...]) -> DictLoader:
    """Return the loader for rows with these columns.

    Args:
        names: the name of each column.
        decoders: what decodes its values that are not ``None``; ``None`` where they are as they should be.

    >>> load = dict_loader(("id", "total"), (None, float))
    >>> load([(1, "2.5"), (2, None)])
    [{'id': 1, 'total': 2.5}, {'id': 2, 'total': None}]
    >>> load.sources["careful"]
    "lambda rows: [{'id': c0, 'total': None if c1 is None else decode1(c1)} for [c0, c1] in rows]"
    """
    scope: dict[str, Any] = {"moment": datetime.fromisoformat, "read_json": json_reader()}
    scope |= {f"decode{position}": decoder for position, decoder in enumerate(decoders)}
    sources = {kind: _source(names, decoders, written_out) for kind, written_out in _KINDS.items()}
    compiled: list[Callable[[Sequence[Row]], list[dict[str, Any]]]] = [
        eval(compile(source, "<loader>", "eval"), scope) for source in sources.values()
    ]
    load_usual, load_careful = compiled

    def load(rows: Sequence[Row]) -> list[dict[str, Any]]:
        try:
            return load_usual(rows)
        except UNEXPECTED_FORM:
            return load_careful(rows)

    loader = cast("DictLoader", load)
    loader.sources = sources
    return loader


_KINDS: dict[str, Mapping[Any, str]] = {"usual": _WRITTEN_OUT, "careful": {}}


def _source(names: Sequence[str], decoders: Sequence[Decoder | None], written_out: Mapping[Any, str]) -> str:
    columns = [f"c{position}" for position in range(len(names))]
    values = []
    for column, decoder in zip(columns, decoders, strict=True):
        decoded = written_out.get(decoder, "{decode}({column})").format(column=column, decode=f"decode{column[1:]}")
        values.append(column if decoder is None else f"None if {column} is None else {decoded}")
    display = ", ".join([f"{name!r}: {value}" for name, value in zip(names, values, strict=True)])
    return f"lambda rows: [{{{display}}} for [{', '.join(columns)}] in rows]"
