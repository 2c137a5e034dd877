"""With-blocks that end although ``__exit__`` never runs."""

import contextlib
import sys

import pytest

from cloudpub_models.connection.blocks import Block


class Noted(Block):
    """Notes what becomes of it."""

    def __init__(self):
        self.notes = []

    def __enter__(self):
        self.begun = True

    def leave(self, kind, error, traceback):
        self.begun = False
        self.notes.append("left")
        return False

    def abandon(self):
        self.begun = False
        self.notes.append("abandoned")


class Interrupted(BaseException):
    """What a signal's handler raises."""


def interrupt_as_it_begins(name):
    def profile(frame, event, _argument):
        if event == "call" and frame.f_code.co_name == name:
            sys.setprofile(None)
            raise Interrupted

    return profile


def test_a_block_is_left_once():
    block = Noted()
    for _ in range(2):
        with block:
            pass
    assert block.notes == ["left", "left"]


def test_one_that_is_interrupted_as_it_ends_is_abandoned_before_the_interrupt_is_handled():
    block = Noted()
    try:
        with block:
            sys.setprofile(interrupt_as_it_begins("leave"))
    except Interrupted:
        notes = list(block.notes)
    assert notes == ["abandoned"]


def test_one_in_a_generator_that_is_given_up_is_left():
    block = Noted()

    def generate():
        with block:
            yield

    next(generate())
    assert block.notes == ["left"]


def test_it_may_be_entered_and_left_by_hand():
    block = Noted()
    block.__enter__()
    assert block.notes == []
    assert block.__exit__(None, None, None) is False
    assert block.notes == ["left"]


def test_it_may_stand_in_a_stack():
    block = Noted()
    with pytest.raises(KeyError), contextlib.ExitStack() as stack:
        stack.enter_context(block)
        raise KeyError
    assert block.notes == ["left"]
