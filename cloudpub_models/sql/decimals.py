"""Decimal arithmetic in Python, with PostgreSQL's meaning.

For: SQLite, which has decimals as floating-point numbers, or as text where those would not be exact, and adds both as
floating-point numbers. ``connection`` registers ``add_decimals`` and ``DecimalSum`` there under ``ADD_DECIMALS`` and
``SUM_DECIMALS``.

Not for: deciding when they are used; the dialects render the calls.
"""

from __future__ import annotations

from decimal import MAX_EMAX, MIN_EMIN, ROUND_HALF_UP, Context, Decimal

from cloudpub_models.sql.values import number_or_text

Stored = int | float | str | None

# Enough for what PostgreSQL holds in a numeric column of the largest size that one can declare.
EXACT = Context(prec=2000, Emax=MAX_EMAX, Emin=MIN_EMIN)


def add_decimals(first: Stored, second: Stored, decimal_places: int) -> Stored:
    """Return the sum of two numbers, rounded to a number of decimal places; ``None`` where either is ``None``.

    >>> add_decimals(0.1, 0.2, 2), add_decimals("0.1000000000000000001", 1, 19), add_decimals(None, 1, 2)
    (0.3, '1.1000000000000000001', None)
    """
    if first is None or second is None:
        return None
    total = EXACT.add(decimal_of(first), decimal_of(second))
    return number_or_text(total.quantize(Decimal(1).scaleb(-decimal_places), ROUND_HALF_UP, EXACT))


class DecimalSum:
    """An aggregate: the exact sum of the numbers that are there; ``None`` of none.

    >>> total = DecimalSum()
    >>> total.step(0.1), total.step(None), total.step(0.2)
    (None, None, None)
    >>> total.finalize()
    0.3
    """

    def __init__(self) -> None:
        self._total: Decimal | None = None

    def step(self, value: Stored) -> None:
        """Add a number."""
        if value is not None:
            number = decimal_of(value)
            self._total = number if self._total is None else EXACT.add(self._total, number)

    def finalize(self) -> Stored:
        """Return the sum."""
        return None if self._total is None else number_or_text(self._total)


def decimal_of(value: int | float | str | Decimal) -> Decimal:
    """Return a stored number as the decimal that it is written as.

    >>> decimal_of(0.1), decimal_of("0.10")
    (Decimal('0.1'), Decimal('0.10'))
    """
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
