"""How docs/API.md writes what it documents: a callable's name, its parameters with their defaults, what it returns."""

import inspect
import re
from datetime import timedelta
from functools import cached_property

_QUALIFIED = re.compile(r"\b(?:[a-z_]+\.)+(?=[A-Z])")


def signature_text(name, member):
    """Return a member's signature as the page shows it: no types of parameters, which the docstrings explain."""
    if hasattr(member, "fget"):
        return f"{name}: {_returned(member.fget)}"
    if isinstance(member, classmethod | staticmethod):
        member = member.__func__
    if not callable(member) or isinstance(member, cached_property):
        return name
    return f"{name}({_parameters(member)}) -> {_returned(member)}"


def _parameters(function):
    shown, keyword_only = [], False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            shown.append("*")
        if parameter.kind is parameter.VAR_POSITIONAL:
            keyword_only = True
            shown.append(f"*{parameter.name}")
        elif parameter.kind is parameter.VAR_KEYWORD:
            shown.append(f"**{parameter.name}")
        elif parameter.default is parameter.empty:
            shown.append(parameter.name)
        else:
            shown.append(f"{parameter.name}={_default(parameter.default)}")
    return ", ".join(shown)


def _default(value):
    if isinstance(value, timedelta):
        return f"timedelta(days={value.days})"
    return value.name.upper() if type(value).__name__ == "Dialect" else repr(value).replace("'", '"')


def _returned(function):
    annotation = inspect.signature(function).return_annotation
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", repr(annotation))
    # What a manager takes as conditions is told elsewhere.
    return _QUALIFIED.sub("", text).replace("'", '"').replace("[M, Filter]", "[M]")
