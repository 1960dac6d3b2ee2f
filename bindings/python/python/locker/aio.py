"""The same names as `locker`, for asyncio: what waits there is awaited here.

    from locker import aio

    async with aio.connect("http://127.0.0.1:2379") as client:
        async with client.lock("db-migrate", timeout=5) as guard:
            await migrate(fence=guard.token)

Cancelling a task that waits leaves the queue, as does the end of `asyncio.timeout()` or `asyncio.wait_for()`. Errors and
Info are those of `locker`. The objects may be used in any event loop, and waiting costs no thread.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Coroutine, Generator, Sequence
from types import TracebackType
from typing import Any, Literal, NoReturn, Protocol, TypeVar

import locker
from locker._locker import Mailbox, cached as _cached, take
from locker._post import ask
from locker.errors import Error, LostError
from locker.info import Info

__all__ = ["Client", "Guard", "Watcher", "connect"]

_Type = type[BaseException] | None
_Trace = TracebackType | None


class _Open(Protocol):
    async def __aexit__(self, exc_type: _Type, exc_value: BaseException | None, traceback: _Trace, /) -> None: ...


T = TypeVar("T", bound=_Open)


class Opening(Coroutine[Any, Any, T]):
    """What opens a Client, a Guard or a Watcher: `await` it, or `async with` it. It is a coroutine: nothing happens
    before, and it is of use once."""

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, T]:
        return self._coroutine.__await__()

    def send(self, value: Any) -> Any:
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        return self._coroutine.throw(*error)

    def close(self) -> None:
        self._coroutine.close()

    async def __aenter__(self) -> T:
        self._opened = await self._coroutine
        return self._opened

    async def __aexit__(self, exc_type: _Type, exc_value: BaseException | None, traceback: _Trace, /) -> None:
        await self._opened.__aexit__(exc_type, exc_value, traceback)


class Watching(Opening["Watcher"]):
    """An Opening of a Watcher, over which one may also iterate at once."""

    async def __aiter__(self) -> AsyncIterator[Info]:
        async with self as watcher:
            async for info in watcher:
                yield info


async def _leave(ending: Coroutine[Any, Any, None], body: BaseException | None) -> None:
    """The end of `async with`: as that of `with` in `locker`, an error of the body goes before one of ours, and a loss before
    an exit."""
    try:
        await ending
    except Error as error:
        if body is None or (isinstance(error, LostError) and isinstance(body, (SystemExit, GeneratorExit))):
            raise
        if hasattr(body, "add_note"):
            body.add_note(f"locker: while leaving the async with block: {type(error).__name__}: {error}")


def connect(
    endpoints: str | Sequence[str] | None = None,
    *,
    prefix: str = "/locker/",
    ttl: float = 10.0,
    timeout: float = 5.0,
    username: str | None = None,
    password: str | None = None,
    ca_file: str | os.PathLike[str] | None = None,
    cert_file: str | os.PathLike[str] | None = None,
    key_file: str | os.PathLike[str] | None = None,
) -> Opening[Client]:
    """Connect to an etcd cluster: see locker.connect()."""
    options = dict(
        prefix=prefix,
        ttl=ttl,
        timeout=timeout,
        username=username,
        password=password,
        ca_file=ca_file,
        cert_file=cert_file,
        key_file=key_file,
    )

    async def opening() -> Client:
        return Client(await ask(Mailbox.connect, endpoints, options))

    return Opening(opening())


class Client:
    """A connection to an etcd cluster, made by connect(). At the end of `async with` it disconnects."""

    def __init__(self, client: locker.Client) -> None:
        self._client = client

    def lock(
        self, name: str, *, value: str | None = None, reason: str | None = None, timeout: float | None = None
    ) -> Opening[Guard]:
        """Acquire the lock `name`, first come first served: see locker.Client.lock()."""

        async def opening() -> Guard:
            return Guard(await ask(Mailbox.lock, self._client, name, value, reason, timeout))

        return Opening(opening())

    async def try_lock(self, name: str, *, value: str | None = None, reason: str | None = None) -> Guard | None:
        """Acquire the lock `name` if nobody holds it; None if somebody does: see locker.Client.try_lock()."""
        guard = await ask(Mailbox.try_lock, self._client, name, value, reason)
        return None if guard is None else Guard(guard)

    async def get(self, name: str, *, cached: bool = False) -> Info:
        """Who holds the lock `name`, read from etcd or, with `cached`, from memory if it is there: see
        locker.Client.get()."""
        if cached and (known := _cached(self._client, name)) is not None:
            return known
        info: Info = await ask(Mailbox.get, self._client, name)
        return info

    def watch(self, name: str) -> Watching:
        """Watch who holds the lock `name`: see locker.Client.watch(). `async for info in client.watch(name)` will do."""

        async def opening() -> Watcher:
            return Watcher(await ask(Mailbox.watch, self._client, name))

        return Watching(opening())

    async def disconnect(self) -> None:
        """End all guards and watchers of this client: see locker.Client.disconnect()."""
        await ask(Mailbox.disconnect, self._client)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, exc_type: _Type, exc_value: BaseException | None, traceback: _Trace, /) -> None:
        await _leave(self.disconnect(), exc_value)

    def __repr__(self) -> str:
        return repr(self._client).replace("locker.", "locker.aio.", 1)

    def __reduce__(self) -> NoReturn:
        self._client.__reduce__()


class Guard:
    """One acquisition of one lock, made by Client.lock(). At the end of `async with` it unlocks.

    A guard that is garbage collected unlocks too, without waiting for etcd.
    """

    def __init__(self, guard: locker.Guard) -> None:
        self._guard = guard
        self._unlocked = False

    @property
    def name(self) -> str:
        """The lock's name."""
        return self._guard.name

    @property
    def token(self) -> int:
        """The fencing token while the lock is held, else 0: see locker.Guard.token."""
        return self._guard.token

    @property
    def key(self) -> str:
        """The key in etcd that holds the lock; empty while there is none."""
        return self._guard.key

    @property
    def state(self) -> Literal["waiting", "held", "at_risk", "ended"]:
        """Where it stands, by the clock: see locker.Guard.state."""
        return self._guard.state

    @property
    def held(self) -> bool:
        """Whether the lock is held now, as far as this process can know."""
        return self._guard.held

    @property
    def remaining(self) -> float:
        """Seconds for which the lock stays held if etcd stops answering now; 0 when it is not held."""
        return self._guard.remaining

    def info(self) -> Info:
        """What Client.get() would say of this guard, from memory."""
        return self._guard.info()

    def check(self) -> None:
        """Raise LostError if the lock was lost, CancelledError (of locker) if the guard was unlocked or its client
        disconnected. It asks nobody: call it as often as you like."""
        self._guard.check()

    async def lost(self) -> Error:
        """Wait until the lock is no longer held, and return why: a LostError, or a CancelledError (of locker) after
        unlock() or disconnect()."""
        reason: Error = await ask(Mailbox.lost, self._guard)
        return reason

    async def unlock(self) -> None:
        """Release the lock, and wait until etcd has confirmed it: see locker.Guard.unlock(). Cancelling the wait does
        not undo it."""
        self._unlocked = True
        await ask(Mailbox.unlock, self._guard)

    async def __aenter__(self) -> Guard:
        return self

    async def __aexit__(self, exc_type: _Type, exc_value: BaseException | None, traceback: _Trace, /) -> None:
        if not self._unlocked:
            await _leave(self.unlock(), exc_value)

    def __repr__(self) -> str:
        return repr(self._guard).replace("locker.", "locker.aio.", 1)

    def __reduce__(self) -> NoReturn:
        self._guard.__reduce__()


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

    async def __aexit__(self, exc_type: _Type, exc_value: BaseException | None, traceback: _Trace, /) -> None:
        await _leave(self.unwatch(), exc_value)

    def __reduce__(self) -> NoReturn:
        self._watcher.__reduce__()
