"""Logs and traces as real systems write them: made here, and the recorded ones where there are some.

What is made has the formats of OpenStack's and ZooKeeper's logs and of the Azure Functions Invocation Trace 2021, and
is the same each time. ``CLOUDPUB_RECORDINGS`` names a folder with recorded files (``openstack_2k.log``,
``zookeeper_2k.log``, ``azure_functions_2021.csv``), with which the tests then run as well.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

OPENSTACK, ZOOKEEPER, AZURE = "openstack_2k.log", "zookeeper_2k.log", "azure_functions_2021.csv"
MADE, RECORDED = "made", "recorded"

_FOLDER = os.environ.get("CLOUDPUB_RECORDINGS")
KINDS = [MADE, RECORDED] if _FOLDER else [MADE]

_LINES = 200
# What a text may hold that a database, a driver or COPY could take for something else.
_REMARKS = ("plain", "a\ttab", "back\\slash \\N", "100 % of %s", 'it\'s "quoted"', "@id <@ $1 ?", "Größe 日本", "")


def recording(name: str, kind: str) -> bytes:
    """Return the bytes of a file; its lines end with a carriage return and a newline, the last with neither."""
    if kind == RECORDED:
        assert _FOLDER is not None
        return Path(_FOLDER, name).read_bytes()
    return "\r\n".join(_MAKERS[name](Random(name))).encode("utf-8")


def _openstack(random: Random) -> Iterator[str]:
    moment = datetime(2017, 5, 16)
    for number in range(_LINES):
        moment += timedelta(milliseconds=random.randrange(1500))
        # The first moment is in the name of a file.
        file, level = "nova-api.log.1.2017-05-16_13:53:08", "WARNING" if number % 50 == 7 else "INFO"
        request = f"req-{random.randbytes(4).hex()}"
        text = f"GET /v2/servers/{number} status: 200 time: {random.random():.7f} {random.choice(_REMARKS)}"
        yield f"{file} {_milliseconds(moment, '.')} 25746 {level} nova.wsgi.server [{request} - - -] {text}"


def _zookeeper(random: Random) -> Iterator[str]:
    moment = datetime(2015, 7, 29, 17, 41)
    for number in range(_LINES):
        # Often at the same millisecond as the line before.
        moment += timedelta(milliseconds=random.choice((0, 0, 1, 40_000)))
        level = random.choices(("INFO ", "WARN ", "ERROR"), (30, 65, 5))[0]
        where = f"SendWorker:{random.randrange(10**9)}:QuorumCnxManager$SendWorker@{random.randrange(1000)}"
        yield f"{_milliseconds(moment, ',')} - {level} [{where}] - Connection broken {number} {random.choice(_REMARKS)}"


def _azure(random: Random) -> Iterator[str]:
    functions = [(random.randbytes(32).hex(), random.randbytes(32).hex()) for _ in range(12)]
    yield "app,func,end_timestamp,duration"
    end = 0.0
    for _ in range(_LINES):
        end += random.random() * 60
        app, function = random.choice(functions)
        yield f"{app},{function},{end},{round(random.expovariate(2), 3)}"


def _milliseconds(moment: datetime, separator: str) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}{separator}{moment.microsecond // 1000:03}"


_MAKERS: dict[str, Callable[[Random], Iterator[str]]] = {
    OPENSTACK: _openstack,
    ZOOKEEPER: _zookeeper,
    AZURE: _azure,
}
