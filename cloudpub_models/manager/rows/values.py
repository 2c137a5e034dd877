"""Rows become values: those of one column, or a tuple for each row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cloudpub_models.connection.engine import Row
from cloudpub_models.manager.columns.decoding import UNEXPECTED_FORM, Decoder, column_decoder_for

ReadValues = Callable[[Sequence[Row]], list[Any]]


def make_values_reader(decoders: Sequence[Decoder | None], *, alone: bool) -> ReadValues:
    """Return what makes a list of the values of rows.

    Args:
        decoders: what decodes the values of each column; ``None`` where they are Python values already.
        alone: whether each row is the value of its one column, and no tuple.

    >>> make_values_reader([str], alone=True)([(1,), (None,)]), make_values_reader([str, None], alone=False)([(1, 2)])
    (['1', None], [('1', 2)])
    """
    columns = [_column_reader(position, decoder) for position, decoder in enumerate(decoders)]
    if alone:
        return columns[0]
    return lambda rows: list(zip(*[read(rows) for read in columns], strict=True))


def _column_reader(position: int, decoder: Decoder | None) -> ReadValues:
    if decoder is None:
        return lambda rows: [row[position] for row in rows]
    decode_all = column_decoder_for(decoder)

    def read(rows: Sequence[Row]) -> list[Any]:
        values = [row[position] for row in rows]
        try:
            return list(decode_all(values))
        except UNEXPECTED_FORM:
            # One at a time, any form is taken, and what has none is named.
            return [None if value is None else decoder(value) for value in values]

    return read
