"""A connection to an etcd cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn

import locker
from locker._locker import Mailbox, cached as _cached
from locker._post import ask
from locker.aio._guard import Guard
from locker.aio._opening import Opening, Trace, Type, Watching, leave
from locker.aio._watcher import Watcher
from locker.errors import LostError
from locker.info import Info


# Objects of their own, which tell what was left out from what was given: that may come from the environment.
_PREFIX, _TTL, _TIMEOUT = "".join(("/locker", "/")), float("10"), float("5")


def connect(
    endpoints: str | Sequence[str] | None = None,
    *,
    prefix: str = _PREFIX,
    ttl: float = _TTL,
    timeout: float = _TIMEOUT,
    username: str | None = None,
    password: str | None = None,
    ca_file: str | os.PathLike[str] | None = None,
    cert_file: str | os.PathLike[str] | None = None,
    key_file: str | os.PathLike[str] | None = None,
) -> Opening[Client]:
    """Connect to an etcd cluster: see locker.connect()."""
    options = {
        "prefix": prefix,
        "ttl": ttl,
        "timeout": timeout,
        "username": username,
        "password": password,
        "ca_file": ca_file,
        "cert_file": cert_file,
        "key_file": key_file,
    }
    for name, left_out in (("prefix", _PREFIX), ("ttl", _TTL), ("timeout", _TIMEOUT)):
        if options[name] is left_out:
            del options[name]

    async def opening() -> Client:
        return Client(await ask(Mailbox.connect, endpoints, options))

    return Opening(opening())


class Client:
    """A connection to an etcd cluster, made by connect(). At the end of `async with` it disconnects."""

    def __init__(self, client: locker.Client) -> None:
        self._client = client

    def lock(
        self,
        name: str,
        *,
        value: str | None = None,
        reason: str | None = None,
        timeout: float | None = None,
        shared: bool = False,
        limit: int | None = None,
        on_lost: Callable[[LostError], object] | None = None,
    ) -> Opening[Guard]:
        """Acquire the lock `name`, first come first served: see locker.Client.lock().

        on_lost: runs in the event loop, as by its call_soon(). What it raises goes to the loop's exception handler.
        """
        wish = {"value": value, "reason": reason, "timeout": timeout, "shared": shared, "limit": limit}

        async def opening() -> Guard:
            return Guard(await ask(Mailbox.lock, self._client, name, wish, on_lost))

        return Opening(opening())

    async def try_lock(
        self,
        name: str,
        *,
        value: str | None = None,
        reason: str | None = None,
        shared: bool = False,
        limit: int | None = None,
        on_lost: Callable[[LostError], object] | None = None,
    ) -> Guard | None:
        """Acquire the lock `name` if nobody holds it, or with `shared` or `limit` if there is room; None if there is not:
        see locker.Client.try_lock()."""
        wish = {"value": value, "reason": reason, "shared": shared, "limit": limit}
        guard = await ask(Mailbox.try_lock, self._client, name, wish, on_lost)
        return None if guard is None else Guard(guard)

    def lock_all(
        self,
        names: Iterable[str],
        *,
        value: str | None = None,
        reason: str | None = None,
        timeout: float | None = None,
        on_lost: Callable[[LostError], object] | None = None,
    ) -> Opening[Guard]:
        """Acquire all these locks or none, and return one Guard for all of them: see locker.Client.lock_all().

        names: is iterated over when it is awaited, and not before.
        """
        wish = {"value": value, "reason": reason, "timeout": timeout}

        async def opening() -> Guard:
            return Guard(await ask(Mailbox.lock_all, self._client, names, wish, on_lost))

        return Opening(opening())

    async def try_lock_all(
        self,
        names: Iterable[str],
        *,
        value: str | None = None,
        reason: str | None = None,
        on_lost: Callable[[LostError], object] | None = None,
    ) -> Guard | None:
        """Acquire all these locks if nobody holds any of them; None if somebody does: see locker.Client.try_lock_all()."""
        wish = {"value": value, "reason": reason}
        guard = await ask(Mailbox.try_lock_all, self._client, names, wish, on_lost)
        return None if guard is None else Guard(guard)

    async def get(self, name: str, *, cached: bool = False) -> Info:
        """Who holds the lock `name`, read from etcd or, with `cached`, from memory if it is there: see
        locker.Client.get()."""
        if (known := _cached(self._client, name, cached)) is not None:
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
        self._client.__enter__()
        return self

    async def __aexit__(self, exc_type: Type, exc_value: BaseException | None, traceback: Trace, /) -> None:
        await leave(self.disconnect(), exc_value)

    def __repr__(self) -> str:
        return repr(self._client).replace("locker.", "locker.aio.", 1)

    def __reduce__(self) -> NoReturn:
        self._client.__reduce__()
