"""JSON documents compared as PostgreSQL's JSONB compares them, for SQLite, which has them as text.

For: equal documents whatever their spaces, the order of their keys and the way their numbers are written.
``connection`` registers ``comparable_document`` and ``comparable_documents`` under ``DOCUMENT_FUNCTION`` and
``DOCUMENTS_FUNCTION``, as deterministic functions of one argument.

Not for: deciding when they are used; the dialects render the calls.
"""

from __future__ import annotations

import json
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from typing import Any

# Whatever the program's context is: no digit is rounded away.
_exact = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)


def comparable_document(text: Any) -> Any:
    """Return a text that is the same for equal documents; what is no JSON stays as it is.

    >>> comparable_document('{"b": 1, "a": [true, 2.50]}') == comparable_document('{"a":[true,2.5],"b":1.0}')
    True
    >>> comparable_document("[1]") == comparable_document("[true]"), comparable_document("none")
    (False, 'none')
    """
    try:
        return repr(_ordered(json.loads(text, parse_int=Decimal, parse_float=Decimal)))
    except (ValueError, TypeError, ArithmeticError, RecursionError):
        return text


def comparable_documents(texts: str) -> str:
    """Return a JSON array of documents' texts as one of those that ``comparable_document`` gives.

    >>> comparable_documents('["[1.0]", "[ 1 ]"]')
    '["[Decimal(\\'1\\')]", "[Decimal(\\'1\\')]"]'
    """
    return json.dumps([comparable_document(text) for text in json.loads(texts)], ensure_ascii=False)


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_ordered(member) for member in value]
    if isinstance(value, Decimal):
        return _exact.normalize(value) if value else Decimal(0)
    return value
