"""Who holds a lock, each time it changes hands."""

from __future__ import annotations

from typing import NoReturn

import locker
from locker._locker import Mailbox, take
from locker._post import ask
from locker.aio._opening import Trace, Type, leave
from locker.info import Info


class Watcher:
    """Who holds one lock: an asynchronous iterator of Info, first the present holder, then each change.

    See locker.Watcher. At the end of `async with` it ends the watch.
    """

    def __init__(self, watcher: locker.Watcher) -> None:
        self._watcher = watcher

    async def unwatch(self) -> None:
        """End the watch; whoever iterates over it finds its end. A second call does nothing."""
        await ask(Mailbox.unwatch, self._watcher)

    def __aiter__(self) -> Watcher:
        return self

    async def __anext__(self) -> Info:
        # What has come stays where it is until it is taken: a reader that is cancelled while it waits has taken nothing.
        while (info := take(self._watcher)) is None:
            if not await ask(Mailbox.ready, self._watcher):
                raise StopAsyncIteration
        return info

    async def __aenter__(self) -> Watcher:
        return self

    async def __aexit__(self, exc_type: Type, exc_value: BaseException | None, traceback: Trace, /) -> None:
        await leave(self.unwatch(), exc_value)

    def __repr__(self) -> str:
        return repr(self._watcher).replace("locker.", "locker.aio.", 1)

    def __reduce__(self) -> NoReturn:
        self._watcher.__reduce__()
