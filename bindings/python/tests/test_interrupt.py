"""Ctrl-C, and signals in general, while waiting."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from contextlib import suppress

import pytest
from interrupts import Interrupted, interrupt, interrupt_after
from support import DEADLINE, Etcd, Program, row, until

import locker

WAITER = """
    import locker, logging, os, sys
    logging.basicConfig(level=logging.DEBUG, stream=open(os.devnull, "w"))  # So that there are all threads that can be.
    client = locker.connect(prefix=sys.argv[1], ttl=3)
    print("connected", flush=True)
    try:
        client.lock("a", on_lost=print)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    sys.stdin.readline()
"""


def test_ctrl_c_leaves_the_queue(client: locker.Client, etcd: Etcd, prefix: str) -> None:
    with client.lock("a") as guard, Program(WAITER, prefix) as waiter:
        assert waiter.line() == "connected"
        etcd.wait_for_keys(2)
        start = time.monotonic()
        waiter.process.send_signal(signal.SIGINT)
        assert waiter.line() == "interrupted"
        assert time.monotonic() - start < 0.2
        # It lives on, and its lease with it: it is the call that has left the queue.
        [key] = etcd.wait_for_keys(1)
        assert key.name == guard.key
        assert waiter.process.poll() is None
        waiter.tell()
        assert waiter.end().code == 0


def test_ctrl_c_ends_a_program_that_does_not_catch_it(client: locker.Client, etcd: Etcd, prefix: str) -> None:
    with client.lock("a"), Program(WAITER.replace("KeyboardInterrupt", "ZeroDivisionError"), prefix) as waiter:
        assert waiter.line() == "connected"
        lease = etcd.wait_for_keys(2)[1].lease
        waiter.process.send_signal(signal.SIGINT)
        ended = waiter.end()
        assert ended.code == -signal.SIGINT and "KeyboardInterrupt" in ended.err
        assert ended.seconds < 2
        assert len(etcd.keys()) == 1 and not etcd.lease_exists(lease)


@pytest.mark.parametrize("busy", [False, True])
def test_an_interruption_at_any_moment_leaves_nothing(
    client: locker.Client, other: locker.Client, etcd: Etcd, busy: bool
) -> None:
    held = other.lock("a") if busy else None
    for _ in range(30):
        with suppress(Interrupted), interrupt_after(random.uniform(0.0001, 0.01)):
            with client.lock("a"):
                pass
    etcd.wait_for_keys(1 if held else 0)
    if held:
        held.unlock()
    client.lock("a", timeout=DEADLINE).unlock()


def test_an_interruption_is_never_swallowed(
    client: locker.Client, other: locker.Client, etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a call of locker runs a piece of Python: handlers of signals run between any two steps of it."""
    with other.lock("a"):
        for piece in ("locker._log._has_handlers", "locker._losses.Listener.__init__"):
            with monkeypatch.context() as patch:
                patch.setattr(piece, interrupt)
                for call in (client.lock, client.try_lock):
                    with pytest.raises(Interrupted):
                        call("a", on_lost=print)
        etcd.wait_for_keys(1)


def test_an_interrupted_wait_ends_soon_and_leaves_the_queue(client: locker.Client, other: locker.Client) -> None:
    returned, gone = [], []
    with client.lock("a"), row(30, "Ctrl-C in lock, Python", 100) as waits:
        for _ in range(waits.trials):
            delay = random.uniform(0.01, 0.2)
            came = time.monotonic() + delay
            with pytest.raises(Interrupted), interrupt_after(delay):
                other.lock("a")
            returned.append(time.monotonic() - came)
            until(lambda: client.get("a").waiters == 0, "the queue is left", limit=DEADLINE)
            gone.append(time.monotonic() - came)
        # Each would be late if it were; one may be on a busy machine.
        assert sorted(returned)[len(returned) // 2] < 0.15 and sorted(gone)[len(gone) // 2] < 1
        waits.figure = f"returns within {max(returned) * 1000:.0f} ms, key gone within {max(gone) * 1000:.0f} ms"


def test_connect_can_be_interrupted() -> None:
    start = time.monotonic()
    with pytest.raises(Interrupted), interrupt_after(0.1):
        locker.connect("http://192.0.2.1:2379", timeout=DEADLINE)
    assert time.monotonic() - start < 1


def test_a_handler_that_does_not_raise_lets_the_wait_go_on(client: locker.Client) -> None:
    calls: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda *_: calls.append(1))
    try:
        with client.lock("a"):
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(locker.TimeoutError):
                client.lock("a", timeout=0.5)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert calls == [1]


def test_signals_are_left_to_the_threads_of_python(client: locker.Client) -> None:
    """The thread of locker blocks all signals but faults, so that none is delivered where Python does not look."""
    faults = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGSYS}
    unblockable = {signal.SIGKILL, signal.SIGSTOP}
    wanted = {number for number in signal.valid_signals() if number < 32} - faults - unblockable
    client.get("a")
    masks = {}
    for task in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{task}/status") as status:
            fields = dict(line.rstrip("\n").split(":\t", 1) for line in status)
            masks[fields["Name"]] = int(fields["SigBlk"], 16)
    blocked = {number for number in range(1, 32) if masks["locker"] & 1 << number - 1}
    assert wanted <= blocked and not blocked & faults
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()
    assert threading.main_thread().is_alive()
