"""Files and streams of commands: complete or not there, as private as before, and never another file than was named."""

from __future__ import annotations

import gzip
import io
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cloudpub_models.cli.shown import files
from cloudpub_models.cli.shown.files import binary_stdout, file_to_write, read_standard_input
from cloudpub_models.errors import InvalidValueError


def mode(path: str | Path) -> int:
    return stat.S_IMODE(Path(path).stat().st_mode)


def write(name: str, content: bytes = b"rows\n", *, private: bool = False) -> None:
    with file_to_write(name, private=private) as file:
        file.write(content)


@pytest.fixture(autouse=True)
def _empty_directory(workplace: Path) -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_a_file_keeps_its_permissions() -> None:
    Path("hashes.csv").touch(0o600)
    Path("shared.csv").touch()
    Path("shared.csv").chmod(0o664)
    write("hashes.csv")
    write("shared.csv")
    assert (mode("hashes.csv"), mode("shared.csv")) == (0o600, 0o664)
    write("shared.csv", private=True)
    assert mode("shared.csv") == 0o600


def test_a_file_that_is_made_follows_the_umask_unless_it_is_private() -> None:
    with file_to_write("open.csv"), file_to_write("private.csv", private=True):
        (unfinished,) = Path().glob(".private.csv.*")
        assert mode(unfinished) == 0o600
    assert (mode("open.csv"), mode("private.csv")) == (0o644, 0o600)


def test_nothing_is_left_of_what_fails() -> None:
    Path("logs.csv").write_bytes(b"before")
    with pytest.raises(ZeroDivisionError), file_to_write("logs.csv") as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert [(path.name, path.read_bytes()) for path in Path().iterdir()] == [("logs.csv", b"before")]


WRITE_FOR_EVER = """
import sys, time
from cloudpub_models.cli.shown.files import file_to_write

with file_to_write(sys.argv[1], private=True) as file:
    file.write(b"half")
    file.flush()
    print("written", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def writer() -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Starts a process that has written half a file, and goes on."""
    started: list[subprocess.Popen[bytes]] = []

    def start(name: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-c", WRITE_FOR_EVER, name],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])},
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("name", ["logs.csv", "logs.jsonl.gz", "archive/[a-z]*.csv", "link.csv"])
def test_what_a_killed_process_has_left_of_a_file_is_removed_by_the_next(
    writer: Callable[[str], subprocess.Popen[bytes]], name: str
) -> None:
    Path("archive").mkdir()
    Path("link.csv").symlink_to("archive/linked.csv")
    killed, busy, other = writer(name), writer(name), writer("archive/other.csv")
    for process in (killed, other):
        process.kill()
        process.wait(timeout=10)
    before = set(Path().rglob(".*"))
    assert len(before) == 3
    write(name)
    (removed,) = before - set(Path().rglob(".*"))
    assert Path(os.path.realpath(name)).name in removed.name
    busy.kill()
    busy.wait(timeout=10)
    write(name)
    (left,) = Path().rglob(".*")
    assert left.name.startswith(".other.csv."), "of another file"
    assert Path(name).exists()


def test_nothing_but_a_leftover_of_the_same_file_is_removed() -> None:
    hexadecimal = "0123456789abcdef"
    others = [f".logs.csv.{hexadecimal[:-1]}", f".logs.csv.gz.{hexadecimal}", f".xlogs.csv.{hexadecimal}", ".logs.csv"]
    for name in others:
        Path(name).touch()
    link, pipe, directory = (f".logs.csv.{digit * 16}" for digit in "abc")
    Path(link).symlink_to(others[0])
    os.mkfifo(pipe)
    Path(directory).mkdir()
    write("logs.csv")
    assert set(os.listdir()) == {*others, link, pipe, directory, "logs.csv"}


def test_a_file_that_is_taken_for_a_leftover_before_it_is_held_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    lock = files._lock
    taken: list[int] = []

    def lock_too_late(descriptor: int, *, wait: bool) -> bool:
        if not taken:
            taken.append(descriptor)
            (unfinished,) = Path().glob(".logs.csv.*")
            unfinished.unlink()
        return lock(descriptor, wait=wait)

    monkeypatch.setattr(files, "_lock", lock_too_late)
    write("logs.csv")
    assert taken
    assert [(path.name, path.read_bytes()) for path in Path().iterdir()] == [("logs.csv", b"rows\n")]


def test_another_file_of_a_likely_name_is_not_touched() -> None:
    Path("logs.csv.unfinished").write_bytes(b"mine")
    write("logs.csv")
    assert Path("logs.csv.unfinished").read_bytes() == b"mine"


def test_a_link_stays_one_and_what_it_leads_to_is_written() -> None:
    Path("archive").mkdir()
    Path("archive/logs.csv").write_bytes(b"before")
    Path("logs.csv").symlink_to("archive/logs.csv")
    write("logs.csv")
    assert Path("logs.csv").is_symlink()
    assert Path("archive/logs.csv").read_bytes() == b"rows\n"
    assert os.listdir("archive") == ["logs.csv"]


def test_what_is_no_file_is_written_and_not_replaced() -> None:
    os.mkfifo("pipe")
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(Path("pipe").read_bytes()))
    reader.start()
    write("pipe")
    reader.join(timeout=10)
    assert received == [b"rows\n"]
    assert stat.S_ISFIFO(Path("pipe").stat().st_mode)
    write("/dev/null")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_directory_that_is_missing_is_told_by_the_name_that_was_given() -> None:
    with pytest.raises(OSError, match="No such file or directory") as raised:
        write("no/where.csv")
    assert raised.value.filename == "no/where.csv"
    with pytest.raises(OSError, match="Is a directory"):
        write(".")


def test_the_same_rows_give_the_same_compressed_bytes() -> None:
    write("a.csv.gz")
    write("b.csv.gz")
    assert Path("a.csv.gz").read_bytes() == Path("b.csv.gz").read_bytes()
    assert gzip.decompress(Path("a.csv.gz").read_bytes()) == b"rows\n"


class FakeTerminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_no_commands_and_a_pipe_gets_every_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "größe\t\x1b[2J\x9b\u202e\U000e0001\n"
    kinds: list[tuple[type[io.TextIOWrapper], str]] = [
        (FakeTerminal, "größe\t\\u001b[2J\\u009b\\u202e\\udb40\\udc01\n"),
        (io.TextIOWrapper, text),
    ]
    for kind, expected in kinds:
        content = io.BytesIO()
        monkeypatch.setattr("sys.stdout", kind(content))
        with binary_stdout() as stream:
            stream.write(text.encode())
        assert content.getvalue().decode() == expected


def test_a_closed_output_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    with pytest.raises(InvalidValueError, match="expected standard output; got a closed one"), binary_stdout():
        pass


class FakeInput:
    def __init__(self, content: bytes) -> None:
        self.buffer = io.BytesIO(content)


def test_text_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", FakeInput("\ufeffSELECT 'ü'".encode()))
    assert read_standard_input() == "SELECT 'ü'"
    monkeypatch.setattr("sys.stdin", FakeInput(b"SELECT '\xff'"))
    with pytest.raises(InvalidValueError, match="standard input: expected UTF-8"):
        read_standard_input()
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(InvalidValueError, match="expected standard input; got a closed one"):
        read_standard_input()
