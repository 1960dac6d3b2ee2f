"""Threads of Python that fetch what the thread of locker has for it. That one never waits for Python: leases would not be
renewed meanwhile."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable


class Errand:
    """Something to be done again and again on a thread of its own, which is started when it is needed."""

    def __init__(self, name: str, run: Callable[[], bool]) -> None:
        """run: waits for something to do, does it, and says whether to go on."""
        self._name = name
        self._run = run
        self._lock = threading.RLock()  # A signal handler may need the thread while its own is at it.
        self._started = False
        os.register_at_fork(after_in_child=self._forget)

    def start(self) -> None:
        """Start the thread, unless this process has it."""
        if not self._started:
            with self._lock:
                if not self._started:
                    self._started = True
                    try:
                        _start_thread(self._name, self._go_on)
                    except BaseException:
                        self._started = False
                        raise

    def _forget(self) -> None:
        """A child of fork has not got the thread, and may have got the lock in the hands of one that it has not got."""
        self._lock = threading.RLock()
        self._started = False

    def _go_on(self) -> None:
        process = os.getpid()
        while os.getpid() == process and self._run():  # What it does may fork, and the child is on this thread then.
            pass


def _start_thread(name: str, target: Callable[[], None]) -> None:
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("threading"):
        # A thread of gevent's is none: it would wait for locker on the one that everything else runs on.
        monkey.get_original("_thread", "start_new_thread")(target, ())
    else:
        # A daemon, since it never ends by itself. The exit of the interpreter leaves it where it is.
        threading.Thread(target=target, name=name, daemon=True).start()
