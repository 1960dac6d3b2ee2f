"""Telling programs that a lock was lost."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from contextvars import copy_context

from locker._callables import bodies
from locker._locker import next_losses, unraisable
from locker._threads import Errand
from locker.errors import LostError


class Listener:
    """A function that wants to be told of a loss, with the context that it is to run in."""

    __slots__ = ("_context", "_function")

    def __init__(self, function: Callable[[LostError], object]) -> None:
        if any(map(inspect.iscoroutinefunction, bodies(function))):
            raise TypeError("on_lost: must be an ordinary function, not a coroutine function; it may create a task")
        self._function = function
        self._context = copy_context()

    def tell(self, error: LostError) -> None:
        try:
            self._context.run(self._call, error)
        except BaseException as raised:  # There is nobody to raise it to, not even SystemExit.
            unraisable(raised, self._function)

    def tell_soon(self, error: LostError) -> None:
        """As a callback of the running event loop, which handles what it raises."""
        asyncio.get_running_loop().call_soon(self._call, error, context=self._context)

    def _call(self, error: LostError) -> None:
        result = self._function(error)
        if isinstance(result, Coroutine):
            result.close()
            raise TypeError("on_lost: it returned a coroutine, which nobody awaits; it may create a task")


def _tell_all() -> bool:
    losses = next_losses()
    for listener, error in losses or ():
        listener.tell(error)
    return losses is not None


start = Errand("locker-on-lost", _tell_all).start
"""Starts the thread that tells losses, unless there is one."""
