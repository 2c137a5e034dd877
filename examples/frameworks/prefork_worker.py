"""A build worker of several processes: the parent forks them, and each builds deployments that no other one builds.

    CLOUDPUB_DATABASE_URL=postgresql://… python prefork_worker.py --processes 4

SIGTERM and Ctrl-C let every process finish the deployment it is building. ``--until-idle`` ends when there is nothing
left to build.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

from cloudpub_models import FunctionDeployment, FunctionDeploymentUpdate, database, managers
from cloudpub_models.errors import ConnectionFailedError, ConnectionLostError, LeaseLostError, PoolTimeoutError
from cloudpub_models.work.component import component

LEASE_SECONDS = 30.0  # how long a deployment waits whose process was killed
IDLE_SECONDS = 1.0
UNREACHABLE_SECONDS = 5.0

log = logging.getLogger("builder")


def build(deployment: FunctionDeployment) -> str:
    """Build a deployment's image and return what the build wrote; this is where the real work would be."""
    if not deployment.s3_key.endswith(".zip"):
        raise ValueError(f"{deployment.s3_key} is no archive")
    return f"process {os.getpid()} built {deployment.image_tag}"


def build_next() -> bool:
    """Build one deployment; return whether there was one."""
    lease = managers.function_deployments.lease({"status": "building"}, seconds=LEASE_SECONDS)
    if lease is None:
        return False
    deployment = lease.row
    with lease:  # renewed for as long as the build takes
        outcome: FunctionDeploymentUpdate
        try:
            outcome = {"status": "active", "build_logs": build(deployment)}
        except Exception as error:
            log.exception("could not build %s", deployment.uuid)
            outcome = {"status": "failed", "build_logs": str(error)}
        with lease.finish():  # active and built, or neither; nothing, if another process has the deployment by now
            managers.function_deployments.update_by_id(deployment.id, outcome)
            if outcome["status"] == "active":
                managers.function_deployments.activate(deployment)
    return True


def work(until_idle: bool) -> None:
    """Build until told to stop."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    while not stopping.is_set():
        try:
            if build_next():
                continue
            if until_idle:
                return
            stopping.wait(IDLE_SECONDS)
        except LeaseLostError:
            log.exception("another process has the deployment")
        except (ConnectionFailedError, ConnectionLostError, PoolTimeoutError):
            log.exception("the database cannot be reached")
            stopping.wait(UNREACHABLE_SECONDS)


def fork(run: Callable[[], None]) -> int:
    """Run a function in a child process, and return the child's id."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        run()
        database.close()
        status = 0
    except BaseException:
        log.exception("a worker ended")
    finally:
        os._exit(status)  # what the parent would do at its end is not the child's to do


def main() -> int:
    """Migrate, start the processes and wait for them; return 1 when one of them failed."""
    parser = argparse.ArgumentParser(description="build deployments in several processes")
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--until-idle", action="store_true", help="end when there is nothing left to build")
    options = parser.parse_args()
    database.initialize(components=[component])  # $CLOUDPUB_DATABASE_URL, with the tables of leases
    database.migrate()  # once, before there are workers
    children = [fork(lambda: work(options.until_idle)) for _ in range(options.processes)]

    def stop(*_: object) -> None:
        for child in children:
            with suppress(ProcessLookupError):  # it has ended already
                os.kill(child, signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    ends = [os.waitpid(child, 0)[1] for child in children]
    database.close()
    return 1 if any(ends) else 0


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    sys.exit(main())
