"""Signals at chosen moments."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Interrupted(Exception):
    """What the signal's handler raises, as Python's own raises KeyboardInterrupt at Ctrl-C."""


def interrupt(*_: object) -> None:
    raise Interrupted


@contextmanager
def interrupt_after(seconds: float, handler: Callable[..., None] = interrupt) -> Iterator[None]:
    """Interrupt what the main thread does in this block, or just after it."""
    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
