"""How far reads must see: whoever asks, whoever writes meanwhile."""

from __future__ import annotations

import threading
import time

import pytest

from cloudpub_models.connection.postgresql.log_positions import Position
from cloudpub_models.connection.postgresql.replicas.floors import Floor, ThreadFloor


class Log:
    """A log that grows by one with each write, and counts who asks."""

    def __init__(self) -> None:
        self.offset = self.questions = 0

    def __call__(self) -> Position:
        self.questions += 1
        return Position("1", 1, self.offset)


def later() -> float:
    return time.monotonic() + 60


def test_where_nothing_was_written_nothing_is_asked() -> None:
    log = Log()
    assert Floor().position(later(), log) is None
    assert log.questions == 0


def test_right_after_a_write_it_is_not_known_and_not_asked() -> None:
    floor, log = Floor(), Log()
    floor.wrote()
    assert floor.position(time.monotonic(), log) == "unknown"
    assert log.questions == 0


def test_after_that_the_log_is_asked_once() -> None:
    floor, log = Floor(), Log()
    log.offset = 7
    floor.wrote()
    assert [floor.position(later(), log) for _ in range(3)] == [Position("1", 1, 7)] * 3
    assert log.questions == 1


def test_a_write_that_ends_while_the_log_is_asked_is_asked_for_anew() -> None:
    floor, log = Floor(), Log()
    floor.wrote()

    def ask() -> Position:
        answer = log()
        log.offset = 9
        floor.wrote()
        return answer

    assert floor.position(later(), ask) == Position("1", 1, 0)
    assert floor.position(later(), log) == Position("1", 1, 9)


def test_an_answer_that_comes_late_does_not_take_back_a_newer_one() -> None:
    floor, log = Floor(), Log()
    floor.wrote()

    def slow() -> Position:
        answer = log()
        log.offset = 9
        floor.wrote()
        assert floor.position(later(), log) == Position("1", 1, 9)  # what another thread finds meanwhile
        return answer

    floor.position(later(), slow)
    assert floor.position(later(), log) == Position("1", 1, 9)


@pytest.mark.parametrize(("kind", "seen"), [(Floor, Position("1", 1, 7)), (ThreadFloor, None)])
def test_whose_writes_count(kind: type[Floor], seen: Position | None) -> None:
    floor, log = kind(), Log()
    log.offset = 7
    writer = threading.Thread(target=floor.wrote)
    writer.start()
    writer.join()
    assert floor.position(later(), log) == seen
