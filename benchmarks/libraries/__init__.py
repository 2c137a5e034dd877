"""How each library does the operations."""

from __future__ import annotations

from importlib import import_module

from benchmarks.databases import BenchmarkDatabase
from benchmarks.library import Library

_CLASSES = {
    "ours": "ours:Ours",
    "ours-sessionless": "ours:OursSessionless",
    "ours-prepared": "ours:OursPrepared",
    "peewee": "peewee_models:Peewee",
    "sqlalchemy": "sqlalchemy_models:SqlAlchemy",
    "django": "django_models:Django",
    "pony": "pony_models:Pony",
}
NAMES = tuple(_CLASSES)
PEERS = ("peewee", "sqlalchemy", "django", "pony")
DEFAULT = ("ours", *PEERS)


def make(name: str, database: BenchmarkDatabase) -> Library:
    """Return a library by its name, not yet open; imports nothing of the others."""
    module, _, class_name = _CLASSES[name].partition(":")
    found: type[Library] = getattr(import_module(f"benchmarks.libraries.{module}"), class_name)
    return found(database)
