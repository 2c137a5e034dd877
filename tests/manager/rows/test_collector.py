"""The garbage collector held back: across threads, signal handlers that do so too, and forks."""

import gc
import os
import signal
import subprocess
import sys
import threading

import pytest

from cloudpub_models.manager.rows import collector
from cloudpub_models.manager.rows.collector import garbage_collection_held


@pytest.fixture(autouse=True)
def _collecting():
    assert gc.isenabled()
    yield
    gc.enable()


def test_the_last_block_releases_it():
    with garbage_collection_held():
        with garbage_collection_held():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_stays_off_where_the_program_has_switched_it_off():
    gc.disable()
    with garbage_collection_held():
        pass
    assert not gc.isenabled()


def test_a_signal_handler_may_hold_it_back_at_any_moment():
    # In a process of its own, which a deadlock would hang.
    source = """
import gc, signal
from cloudpub_models.manager.rows.collector import garbage_collection_held
handled = 0
def handle(*_):
    global handled
    handled += 1
    with garbage_collection_held():
        pass
signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
while handled < 1000:
    with garbage_collection_held():
        assert not gc.isenabled()
signal.setitimer(signal.ITIMER_REAL, 0)
assert gc.isenabled()
"""
    subprocess.run([sys.executable, "-c", source], check=True, timeout=30)


@pytest.mark.parametrize("line", ["gc.isenabled", "gc.disable", "gc.enable"])
def test_a_handler_between_two_steps_leaves_it_as_it_was(monkeypatch, line):
    name = line.removeprefix("gc.")
    step = getattr(gc, name)

    def interrupted():
        monkeypatch.setattr(collector.gc, name, step)
        with garbage_collection_held():
            pass
        return step()

    monkeypatch.setattr(collector.gc, name, interrupted)
    with garbage_collection_held():
        assert not gc.isenabled()
    assert gc.isenabled()


@pytest.mark.parametrize("inside", [False, True])
def test_a_forked_child_begins_anew(inside):
    held, release = threading.Event(), threading.Event()

    def hold():
        with garbage_collection_held(), collector._holders.lock:
            held.set()
            release.wait(60)

    thread = threading.Thread(target=hold)
    if inside:
        block = garbage_collection_held()
        block.__enter__()
    thread.start()
    assert held.wait(60)
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # a deadlock ends it
        healthy = gc.isenabled()
        if inside:
            block.__exit__(None, None, None)
        with garbage_collection_held():
            healthy &= not gc.isenabled()
        os._exit(0 if healthy and gc.isenabled() else 1)
    _, status = os.waitpid(child, 0)
    release.set()
    thread.join()
    if inside:
        block.__exit__(None, None, None)
    assert status == 0
    assert gc.isenabled()
