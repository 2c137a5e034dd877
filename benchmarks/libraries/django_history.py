"""Django models with the columns of ``functions``: one that is not recorded, one by a signal, one by triggers.

They can be imported once Django has its settings.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from django.db import connection, models
from simple_history.models import HistoricalRecords

from benchmarks.libraries.django_tables.models import utc_now


class _Function(models.Model):
    uuid = models.UUIDField(default=uuid4, unique=True)
    user_id = models.IntegerField(default=1, db_index=True)
    name = models.CharField(max_length=100)
    status = models.CharField(max_length=20, default="active")
    active_deployment_id = models.IntegerField(null=True)
    analysis_result = models.JSONField(null=True)
    created_at = models.DateTimeField(default=utc_now)
    updated_at = models.DateTimeField(default=utc_now)

    class Meta:
        """No table of its own."""

        abstract = True


class Plain(_Function):
    """Of which nothing is recorded."""

    class Meta:
        """Its table."""

        app_label, db_table = "django_tables", "plain_functions"


class Signalled(_Function):
    """Of which ``django-simple-history`` keeps each version, as a signal says that there is one."""

    history = HistoricalRecords(history_user_id_field=models.IntegerField(null=True))

    class Meta:
        """Its table."""

        app_label, db_table = "django_tables", "signalled_functions"


def triggered() -> type[models.Model]:
    """Return a model of which ``django-pghistory`` keeps each version, by triggers."""
    import pghistory

    class Triggered(_Function):
        class Meta:
            app_label, db_table = "django_tables", "triggered_functions"

    pghistory.track(pghistory.UpdateEvent(), context_field=None)(Triggered)
    return Triggered


def saving(model: Any, rows: int) -> Callable[[], None]:
    """Make a model's tables, fill them, and return what saves one row after the other with another name."""
    event = getattr(model, "pgh_event_model", None)
    versions = model.history.model if hasattr(model, "history") else event
    with connection.schema_editor() as editor:
        for made in (model, versions):
            if made is not None:
                editor.create_model(made)
    if event is not None:
        import pgtrigger

        for of, trigger in pgtrigger.registered():
            trigger.install(of)
    kept = itertools.cycle([model.objects.create(name=f"f{number}") for number in range(rows)])
    names = itertools.count()

    def save() -> None:
        row = next(kept)
        row.name, row.updated_at = f"g{next(names)}", utc_now()
        row.save()

    save()
    if versions is not None:
        assert versions.objects.count() == rows + 1 if event is None else versions.objects.count() == 1
    return save
