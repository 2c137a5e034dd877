"""Programs that go on working beside what a test does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cloudpub_models import Managers
from tests.waiting import wait_until

Step = Callable[[Managers], object]


class Programs:
    """Threads that do one thing again and again, each with databases of its own.

    Args:
        open_one: opens those of a program.
        pause: how many seconds each rests between two rounds; else nobody else has the processor.
        rounds: how many whole rounds each is to do before what happens beside them, and behind it.
    """

    def __init__(self, open_one: Callable[[], Managers], *, pause: float, rounds: int) -> None:
        self._open_one = open_one
        self._pause = pause
        self._wanted = rounds
        self._done = threading.Event()
        self._threads: list[threading.Thread] = []
        self._rounds: dict[str, int] = {}
        self.failures: list[BaseException] = []

    def add(self, name: str, step: Step) -> None:
        self._rounds[name] = 0
        self._threads.append(threading.Thread(target=self._run, args=(name, self._open_one(), step), name=name))

    def _run(self, name: str, managers: Managers, step: Step) -> None:
        try:
            while not self._done.is_set():
                step(managers)
                self._rounds[name] += 1
                time.sleep(self._pause)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is told
            self.failures.append(error)
        finally:
            managers.users.database.close()

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """All are at work in the block, and go on for a while behind it."""
        for thread in self._threads:
            thread.start()
        try:
            self.go_on()
            yield
            self.go_on()
        finally:
            self._done.set()
            for thread in self._threads:
                thread.join()
        assert [repr(failure) for failure in self.failures] == []

    def go_on(self) -> None:
        """Wait until each has done some whole rounds from now on."""
        before = dict(self._rounds)
        wait_until(
            lambda: self.failures or all(self._rounds[name] > rounds + self._wanted for name, rounds in before.items())
        )
