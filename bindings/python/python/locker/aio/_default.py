"""The functions of the module: those of the default client."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterable

from locker import _default
from locker._post import post
from locker.aio._client import Client, connect
from locker.aio._guard import Guard
from locker.aio._opening import Opening, Watching
from locker.aio._watcher import Watcher
from locker.errors import Error, LostError
from locker.info import Info


async def default_client() -> Client:
    """The client that the functions of this module use, and those of `locker`: see locker.default_client()."""
    while (client := _default.known()) is None:
        if (attempt := post().connecting) is None:
            await _connect()
        else:
            await asyncio.wait([attempt])  # Whose task may be cancelled, as this one may: neither cancels the other.
            if (error := attempt.result()) is not None:
                raise copy.copy(error)
    return Client(client)


async def _connect() -> None:
    """Connect it. Those who come meanwhile take the outcome, as with threads."""
    here, loop = post(), asyncio.get_running_loop()
    attempt, error = loop.create_future(), None
    try:
        here.connecting = attempt
        _default.keep((await connect())._client)
    except Error as raised:
        error = copy.copy(raised)
        raise
    finally:
        here.connecting = None
        if not loop.is_closed():
            attempt.set_result(error)


def lock(
    name: str,
    *,
    value: str | None = None,
    reason: str | None = None,
    timeout: float | None = None,
    shared: bool = False,
    limit: int | None = None,
    on_lost: Callable[[LostError], object] | None = None,
) -> Opening[Guard]:
    """Acquire the lock `name` as default_client(): see Client.lock()."""

    async def opening() -> Guard:
        client = await default_client()
        return await client.lock(
            name, value=value, reason=reason, timeout=timeout, shared=shared, limit=limit, on_lost=on_lost
        )

    return Opening(opening())


async def try_lock(
    name: str,
    *,
    value: str | None = None,
    reason: str | None = None,
    shared: bool = False,
    limit: int | None = None,
    on_lost: Callable[[LostError], object] | None = None,
) -> Guard | None:
    """Acquire the lock `name` as default_client() if nobody holds it, or if there is room; None if there is not: see
    Client.try_lock()."""
    client = await default_client()
    return await client.try_lock(name, value=value, reason=reason, shared=shared, limit=limit, on_lost=on_lost)


def lock_all(
    names: Iterable[str],
    *,
    value: str | None = None,
    reason: str | None = None,
    timeout: float | None = None,
    on_lost: Callable[[LostError], object] | None = None,
) -> Opening[Guard]:
    """Acquire all these locks or none as default_client(): see Client.lock_all()."""

    async def opening() -> Guard:
        client = await default_client()
        return await client.lock_all(names, value=value, reason=reason, timeout=timeout, on_lost=on_lost)

    return Opening(opening())


async def try_lock_all(
    names: Iterable[str],
    *,
    value: str | None = None,
    reason: str | None = None,
    on_lost: Callable[[LostError], object] | None = None,
) -> Guard | None:
    """Acquire all these locks as default_client() if nobody holds any of them; None if somebody does: see
    Client.try_lock_all()."""
    return await (await default_client()).try_lock_all(names, value=value, reason=reason, on_lost=on_lost)


async def get(name: str, *, cached: bool = False) -> Info:
    """Who holds the lock `name`, as default_client() reads it: see Client.get()."""
    return await (await default_client()).get(name, cached=cached)


def watch(name: str) -> Watching:
    """Watch who holds the lock `name` as default_client(): see Client.watch()."""

    async def opening() -> Watcher:
        return await (await default_client()).watch(name)

    return Watching(opening())
