"""Where a command's bytes come from and go to: files, which appear when they are complete, and the standard streams.

What stands in them is not known here. A terminal gets no character that it could take for a command.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from cloudpub_models.errors import InvalidValueError

STANDARD_STREAM = "-"
BUFFER_BYTES = 1 << 20
_LAYOUT = "\n\t"


@contextmanager
def file_to_write(name: str, *, private: bool = False) -> Iterator[IO[bytes]]:
    """Give a stream whose bytes become the file at the end of the block, complete, or not at all.

    A file that is there is replaced, and keeps its permissions, unless it has to be private; where the name is a link,
    what it leads to is replaced. Devices and pipes are written to as they are. What a killed process has left of the
    same file is removed.

    Args:
        name: the file; ``.gz`` at its end has it compressed. ``-`` is stdout.
        private: whether the file may be read by its owner only; else the umask says it of one that is made.

    Raises:
        OSError: it cannot be written.
    """
    if name == STANDARD_STREAM:
        with binary_stdout() as stream:
            yield stream
        return
    with _replacing(name, private) as file:
        if name.lower().endswith(".gz"):
            # Neither name nor time in it: the same rows give the same bytes.
            with gzip.GzipFile("", "wb", 6, file, mtime=0) as packed, io.BufferedWriter(packed, BUFFER_BYTES) as out:
                yield out
        else:
            yield file


@contextmanager
def _replacing(name: str, private: bool) -> Iterator[IO[bytes]]:
    permissions = _permissions(name)
    if permissions is None:
        with open(name, "wb", buffering=BUFFER_BYTES) as file:
            yield file
        return
    target = Path(os.path.realpath(name))
    _remove_leftovers(target)
    unfinished = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    made_with = 0o600 if private or permissions else 0o666

    def make(path: str, flags: int) -> int:
        try:
            descriptor = os.open(path, flags, made_with)
        except OSError as error:  # with the name that the user knows
            raise type(error)(error.errno, error.strerror, name) from None
        _lock(descriptor, wait=True)
        if os.fstat(descriptor).st_nlink:
            return descriptor
        # Between the two, somebody who writes the same file took it for a leftover.
        os.close(descriptor)
        return make(path, flags)

    try:
        with open(unfinished, "xb", buffering=BUFFER_BYTES, opener=make) as file:
            if permissions:
                unfinished.chmod(permissions & 0o700 if private else permissions)
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def _remove_leftovers(target: Path) -> None:
    """Remove the unfinished files of processes that were killed: nobody holds them any more."""
    unfinished = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{16}}")
    # A directory that may not be listed, or a file of somebody else, stays as it is.
    with suppress(OSError):
        for path in [path for path in target.parent.iterdir() if unfinished.fullmatch(path.name)]:
            with suppress(OSError):
                if stat.S_ISREG(path.lstat().st_mode):
                    with path.open("rb") as file:
                        if _lock(file.fileno(), wait=False):
                            path.unlink()


def _lock(descriptor: int, *, wait: bool) -> bool:
    """Hold a file until it is closed or the process ends, and return whether that worked."""
    try:
        import fcntl
    except ImportError:  # as on Windows
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def _permissions(name: str) -> int | None:
    """Return the permissions of a file, 0 where there is none, and ``None`` for what is not to be replaced."""
    try:
        status = os.stat(name)
    except FileNotFoundError:
        return 0
    return status.st_mode & 0o777 if stat.S_ISREG(status.st_mode) else None


def binary_stdin() -> IO[bytes]:
    """Return stdin as a stream of bytes.

    Raises:
        InvalidValueError: it is closed.
    """
    if sys.stdin is None:
        raise InvalidValueError("expected standard input; got a closed one: pipe something in, or name a file")
    return sys.stdin.buffer


def read_standard_input() -> str:
    """Return all the text on stdin, without a byte order mark.

    Raises:
        InvalidValueError: it is closed, or no UTF-8.
    """
    try:
        return binary_stdin().read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidValueError(f"standard input: expected UTF-8; got none in byte {error.start + 1:,}") from None


@contextmanager
def binary_stdout() -> Iterator[IO[bytes]]:
    """Give stdout as a stream of bytes: what programs read does not depend on the terminal's encoding.

    Raises:
        InvalidValueError: it is closed.
    """
    if sys.stdout is None:
        raise InvalidValueError("expected standard output; got a closed one: let it go to a file or a pipe")
    sys.stdout.flush()
    stream = sys.stdout.buffer
    terminal: Any = _Terminal(stream)
    yield terminal if sys.stdout.isatty() else stream
    stream.flush()


class _Terminal:
    """Writes text to a terminal, with escapes as in JSON for characters that are none to be shown."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def write(self, text: bytes) -> None:
        self._stream.write(escaped(text.decode()).encode())


def escaped(text: str) -> str:
    """Return text with JSON's escapes for characters that cannot be shown, but for the ends of lines and tabs.

    >>> print(escaped("größe\\x1b[2J\\u202e"))
    größe\\u001b[2J\\u202e
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in _LAYOUT else _escape(character) for character in text
    )


def _escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))
