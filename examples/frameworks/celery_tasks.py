"""Celery tasks that record invocations, make deployments and delete old logs.

CLOUDPUB_DATABASE_URL=postgresql://… CELERY_BROKER_URL=redis://… celery -A celery_tasks worker

A message may be delivered twice, and a task run again after it failed; all of these may.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from typing import Any

from celery import Celery
from celery.signals import worker_process_shutdown

from cloudpub_models import FunctionInvocationInsert, database, managers
from cloudpub_models.errors import (
    ConnectionFailedError,
    ConnectionLostError,
    PoolTimeoutError,
    RetryableError,
)

app = Celery("cloudpub", broker=os.environ.get("CELERY_BROKER_URL", "memory://"))
app.conf.task_acks_late = True  # a task whose worker was killed is delivered again


# A task that failed for one of these is run again, later and later.
PASSING = (ConnectionFailedError, ConnectionLostError, PoolTimeoutError, RetryableError)


@app.task(autoretry_for=PASSING, retry_backoff=True, max_retries=8)
def record_invocation(
    uuid: str, called_at: str, function_uuid: str, status: str, duration_ms: int | None = None, seen: str | None = None
) -> bool:
    """Record an invocation once, however often this is run; return whether it was recorded now.

    The caller makes the invocation's uuid and says when it was (ISO 8601, with an offset), so that both are the same
    whenever the message is delivered; and with ``seen=database.token()`` it says what it has seen written, so that a
    read replica that does not have the function yet is not asked.
    """
    # One unit of work: one connection, known to be alive when it begins.
    with database.at_least(seen), database.session():
        function = managers.functions.get_by_uuid(function_uuid)
        row: FunctionInvocationInsert = {
            "uuid": uuid,
            "function_id": function.id,
            "status": status,
            "duration_ms": duration_ms,
            "timestamp": datetime.fromisoformat(called_at),
        }
        # What is unique in a table with partitions is so together with the moment; so no column is named.
        return managers.function_invocations.batch_insert([row], on_conflict="ignore") == 1


@app.task(autoretry_for=PASSING, retry_backoff=True, max_retries=8)
def deploy(message: str, function_uuid: str, image_tag: str, s3_key: str) -> bool:
    """Make a function's next deployment, once for each message; return whether it was made now.

    The tables that this needs come with ``cloudpub migrate up --component cloudpub_models.work.component:component``.
    """
    with database.once(f"deploy:{message}") as fresh:  # a transaction: what is done, and that it is
        if fresh:
            managers.function_deployments.deploy(managers.functions.get_by_uuid(function_uuid), image_tag, s3_key)
    return fresh


@app.task(autoretry_for=PASSING, retry_backoff=True, max_retries=8)
def prune_logs(days: int) -> int:
    """Delete log lines older than some days, in batches; return how many."""
    return managers.function_logs.prune(timedelta(days=days))


@worker_process_shutdown.connect
def close_database(**_: Any) -> None:
    """Hand a worker process's connections back when it ends."""
    database.close()
