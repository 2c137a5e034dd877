"""System calls that fail under SQLite: each of those that a unit of work makes, one after the other.

SQLite has a door for that, by which its own tests are made: its file system gives and takes the functions it calls.
"""

import _sqlite3
import ctypes
import errno
import fcntl
import gc
from collections import Counter
from contextlib import contextmanager

import pytest

from cloudpub_models import Database
from cloudpub_models.errors import CloudpubError

POINTER, NUMBER, TEXT = ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_char_p
FILE = ctypes.c_int
CALLS = {
    "open": (FILE, TEXT, FILE, FILE),
    "read": (NUMBER, FILE, POINTER, NUMBER),
    "pread": (NUMBER, FILE, POINTER, NUMBER, NUMBER),
    "pread64": (NUMBER, FILE, POINTER, NUMBER, NUMBER),
    "write": (NUMBER, FILE, POINTER, NUMBER),
    "pwrite": (NUMBER, FILE, POINTER, NUMBER, NUMBER),
    "pwrite64": (NUMBER, FILE, POINTER, NUMBER, NUMBER),
    "ftruncate": (FILE, FILE, NUMBER),
    "fallocate": (FILE, FILE, NUMBER, NUMBER),
    "fcntl": (FILE, FILE, FILE, NUMBER),
    "unlink": (FILE, TEXT),
    "fstat": (FILE, FILE, POINTER),
}


class FileSystem(ctypes.Structure):
    """``sqlite3_vfs`` (https://www.sqlite.org/c3ref/vfs.html)."""

    _fields_ = [
        ("version", ctypes.c_int),
        ("size", ctypes.c_int),
        ("longest_path", ctypes.c_int),
        ("next", POINTER),
        ("name", TEXT),
        ("data", POINTER),
        *[(f"method_{number}", POINTER) for number in range(13)],
        ("set_system_call", ctypes.CFUNCTYPE(ctypes.c_int, POINTER, TEXT, POINTER)),
        ("get_system_call", ctypes.CFUNCTYPE(POINTER, POINTER, TEXT)),
    ]


class FailingCalls:
    """Makes one call fail, the one of a number, and counts them."""

    def __init__(self) -> None:
        self.failing = 0
        self.failed: str | None = None
        self.reason = errno.EIO
        self.counts: Counter[str] = Counter()
        library = ctypes.CDLL(_sqlite3.__file__)
        library.sqlite3_vfs_find.restype = POINTER
        library.sqlite3_vfs_find.argtypes = [TEXT]
        self._address = library.sqlite3_vfs_find(None)
        self._system = FileSystem.from_address(self._address)
        self._kept = []

    @contextmanager
    def installed(self):
        names = []
        try:
            for name, signature in CALLS.items():
                original = self._system.get_system_call(self._address, name.encode())
                if original:
                    kind = ctypes.CFUNCTYPE(*signature, use_errno=True)
                    replacement = kind(self._replacement(name, kind(original)))
                    self._kept.append(replacement)
                    names.append(name)
                    self._system.set_system_call(self._address, name.encode(), ctypes.cast(replacement, POINTER).value)
            yield self
        finally:
            for name in names:
                self._system.set_system_call(self._address, name.encode(), None)

    def _replacement(self, name, original):
        def call(*arguments):
            if name == "fcntl" and _lets_go(*arguments):
                return original(*arguments)
            self.counts[name] += 1
            if self.counts.total() == self.failing:
                self.failed = name
                ctypes.set_errno(self.reason)
                return -1
            return original(*arguments)

        return call


def _lets_go(_file, command, argument):
    """Return whether it gives a lock up, which no disk refuses."""
    return command == fcntl.F_SETLK and ctypes.c_short.from_address(argument).value == fcntl.F_UNLCK


@pytest.mark.parametrize("reason", [errno.EIO, errno.ENOSPC], ids=errno.errorcode.get)
def test_any_system_call_may_fail(tmp_path, reason):
    url = f"sqlite:///{tmp_path / 'rows.db'}"
    database = Database(url)
    database.raw_execute("CREATE TABLE rows (n INTEGER, text TEXT)")
    database.close()

    def unit_of_work(number):
        database = Database(url, busy_timeout=0.1)
        try:
            with database.transaction() as connection:
                for _ in range(2):
                    connection.execute("INSERT INTO rows VALUES (@n, @text)", {"n": number, "text": "x" * 3000})
            return True
        except CloudpubError as error:
            refused[type(error).__name__] += 1
            return False
        finally:
            database.close()

    def kept():
        database = Database(url)
        assert database.raw_query_all("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
        rows = database.raw_query_all("SELECT n, COUNT(*) AS count FROM rows GROUP BY n")
        database.close()
        return {row["n"]: row["count"] for row in rows}

    refused: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    acknowledged = set()
    calls = FailingCalls()
    calls.reason = reason
    number = 0
    # The collector would close what it finds within a call of SQLite that holds the lock which closing takes.
    gc.collect()
    gc.disable()
    try:
        while True:
            number += 1
            with calls.installed():
                calls.counts.clear()
                calls.failing, calls.failed = number, None
                if unit_of_work(number):
                    acknowledged.add(number)
            # All or nothing of each, and what was acknowledged is there.
            assert kept() == dict.fromkeys(acknowledged, 2)
            if calls.failed is None:
                break
            failed[calls.failed] += 1
    finally:
        gc.enable()
    print(f"{sum(failed.values())} calls that failed, {dict(failed)}; {dict(refused)}, {len(acknowledged)} kept")
    assert sum(failed.values()) > 20
    assert refused
