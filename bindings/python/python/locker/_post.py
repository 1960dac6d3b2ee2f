"""Between the event loops of asyncio and the thread of locker."""

from __future__ import annotations

import asyncio
import itertools
import weakref
from collections.abc import Callable
from typing import Any

from locker._locker import Mailbox, Task
from locker.errors import Error


class _Post:
    """What one event loop has asked for."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._mailbox = Mailbox()
        self._ids = itertools.count()
        self._expected: dict[int, asyncio.Future[Any]] = {}
        self.connecting: asyncio.Future[Error | None] | None = None
        """While a task connects the default client: what the others of this loop wait for, and why it failed."""
        loop.add_reader(self._mailbox.fileno(), self._mailbox.deliver, self._receive)

    def _receive(self, id: int | None, result: Any, error: BaseException | None) -> None:
        """Open a letter. One that has an id may be opened twice, when a signal handler raises in the midst of it."""
        if id is None:
            if result is not None:
                listener, loss = result
                listener.tell_soon(loss)
            return
        future = self._expected.get(id)
        if future is not None and not future.done():  # Else nobody wants it. A guard that is dropped unlocks.
            future.set_result(result) if error is None else future.set_exception(error)
        self._expected.pop(id, None)

    async def ask(self, begin: Callable[..., Task], *arguments: Any) -> Any:
        id = next(self._ids)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._expected[id] = future
        task = None
        try:
            task = begin(self._mailbox, id, *arguments)
            return await future
        finally:
            if task is None:
                self._expected.pop(id, None)  # It was refused, or a signal handler raised: no letter may come.
            else:
                task.cancel()  # Nobody waits for it any more. It does nothing to one that has ended.
            if not future.done() and not loop.is_closed():
                future.cancel()
            elif future.done() and not future.cancelled():
                future.exception()  # Or it would complain that nobody has looked at it.
            # The traceback of a CancelledError keeps this frame, and that would keep a guard held.
            del future


# A post belongs to its loop, which keeps it as a reader until it is closed. Then nobody opens the letters that still
# come: what is in them is dropped, which ends a guard.
_posts: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.ref[_Post]] = weakref.WeakKeyDictionary()


def post() -> _Post:
    """That of the running event loop."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError("locker.aio needs a running event loop of asyncio (trio has none)") from None
    known = _posts.get(loop)
    post = known() if known else None
    if post is None:
        post = _Post(loop)
        _posts[loop] = weakref.ref(post)
    return post


async def ask(begin: Callable[..., Task], *arguments: Any) -> Any:
    """What the core answers. If the asking task is cancelled, the question is dropped, and so is an answer that came in the
    same instant."""
    return await post().ask(begin, *arguments)
