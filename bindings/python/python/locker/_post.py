"""Between the event loops of asyncio and the thread of locker."""

from __future__ import annotations

import asyncio
import itertools
import weakref
from collections.abc import Callable
from typing import Any

from locker._locker import Mailbox, Task


def _drop(_: object) -> None:
    """What becomes of a result that nobody wants any more. A guard that is dropped unlocks."""


class _Post:
    """What one event loop has asked for."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._mailbox = Mailbox()
        self._ids = itertools.count()
        self._expected: dict[int, tuple[asyncio.Future[Any], Callable[[Any], object]]] = {}
        loop.add_reader(self._mailbox.fileno(), self._mailbox.deliver, self._receive)

    def _receive(self, id: int, result: Any, error: BaseException | None) -> None:
        future, late = self._expected.pop(id)
        if not future.done():
            future.set_result(result) if error is None else future.set_exception(error)
        elif error is None:
            late(result)

    async def ask(self, begin: Callable[..., Task], late: Callable[[Any], object], *arguments: Any) -> Any:
        id = next(self._ids)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        task = begin(self._mailbox, id, *arguments)
        self._expected[id] = (future, late)
        try:
            return await future
        except asyncio.CancelledError:
            if not future.cancelled() and future.exception() is None:
                late(future.result())
            raise
        finally:
            task.cancel()  # Nobody waits for it any more. It does nothing to one that has ended.
            # The traceback of a CancelledError keeps this frame, and that would keep a guard held.
            del future


# A post belongs to its loop, which keeps it as a reader until it is closed. Then nobody opens the letters that still
# come: what is in them is dropped, which ends a guard.
_posts: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.ref[_Post]] = weakref.WeakKeyDictionary()


def _post() -> _Post:
    """That of the running event loop."""
    loop = asyncio.get_running_loop()
    known = _posts.get(loop)
    post = known() if known else None
    if post is None:
        post = _Post(loop)
        _posts[loop] = weakref.ref(post)
    return post


async def ask(begin: Callable[..., Task], *arguments: Any, late: Callable[[Any], object] = _drop) -> Any:
    """What the core answers. If the asking task is cancelled, the question is dropped; an answer that came in the same
    instant is handed to `late`."""
    return await _post().ask(begin, late, *arguments)
